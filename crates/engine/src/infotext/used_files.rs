use std::fmt;

/// A file that took part in a picture, as infotext names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedFile {
    /// Its name, without folder.
    pub name: String,
    /// The start of a digest, in hexadecimal digits; empty if nobody said. Of what and how long depends on the kind:
    /// see [`UsedFiles`].
    pub hash: String,
}

impl UsedFile {
    /// A file of that name and hash.
    pub fn new(name: impl Into<String>, hash: impl Into<String>) -> Self {
        Self { name: name.into(), hash: hash.into() }
    }

    /// Whether a file with this SHA-256 (64 digits) may be the one that is meant.
    pub fn has_sha256(&self, sha256: &str) -> bool {
        self.hash.len() >= 10
            && sha256.get(..self.hash.len()).is_some_and(|start| start.eq_ignore_ascii_case(&self.hash))
    }

    /// Reads `name [hash]`, as refiners and ControlNets are named.
    pub(super) fn from_title(title: &str) -> Self {
        let hashed = title.strip_suffix(']').and_then(|title| title.rsplit_once('['));
        match hashed {
            Some((name, hash)) if is_hex(hash) => Self::new(name.trim(), hash),
            _ => Self::new(title.trim(), ""),
        }
    }

    /// Reads `name: hash, name: hash`.
    pub(super) fn from_list(list: &str) -> Option<Vec<Self>> {
        let files = list.split(',').map(str::trim).filter(|file| !file.is_empty());
        files
            .map(|file| {
                let (name, hash) = file.split_once(':')?;
                let hash = hash.trim();
                is_hex(hash).then(|| Self::new(name.trim(), hash))
            })
            .collect()
    }

    /// Writes what [`UsedFile::from_list`] reads; the separators are taken out of names, as AUTOMATIC1111 does.
    pub(super) fn to_list(files: &[Self]) -> Option<String> {
        let known: Vec<String> = files
            .iter()
            .filter(|file| !file.hash.is_empty())
            .map(|file| format!("{}: {}", file.name.replace([':', ','], ""), file.hash))
            .collect();
        (!known.is_empty()).then(|| known.join(", "))
    }
}

/// `name [hash]`, or the name alone.
impl fmt::Display for UsedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hash.as_str() {
            "" => f.write_str(&self.name),
            hash => write!(f, "{} [{hash}]", self.name),
        }
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The files that drew a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedFiles {
    /// The checkpoint. Hash: AutoV2, the first ten digits of the file's SHA-256; eight digits are AutoV1's.
    pub model: UsedFile,
    /// The VAE in place of the checkpoint's own. Hash: AutoV2.
    pub vae: Option<UsedFile>,
    /// The checkpoint of the last steps. Hash: AutoV2.
    pub refiner: Option<UsedFile>,
    /// LoRAs. Hash: AutoV3, the first twelve digits of the SHA-256 of what follows the header.
    pub loras: Vec<UsedFile>,
    /// Textual inversions. Hash: the first twelve digits of the file's SHA-256.
    pub embeddings: Vec<UsedFile>,
}
