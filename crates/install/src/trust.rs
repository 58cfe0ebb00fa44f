//! Whose bundles may be installed.

use crate::{Bundle, Generation, InstallError};
use manifest::{PublicKey, layout};
use std::path::Path;

/// What the person who installs has decided about signatures.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Keys to trust from now on, besides those that the home trusts already.
    pub keys: Vec<PublicKey>,
    /// Install a bundle that nobody signed.
    pub allow_unsigned: bool,
    /// Install an older edition of what is installed.
    pub allow_older: bool,
}

/// What follows from it for one bundle.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The text of the file with the home's trusted keys, when it has to change.
    pub(crate) keys: Option<String>,
    /// What the person should know.
    pub(crate) warning: Option<String>,
}

/// May this bundle be installed there? The first key that signs a bundle for a home is trusted from then on.
pub(crate) fn judge<State>(
    home: &Path,
    bundle: &Bundle<State>,
    current: Option<&Generation>,
    trust: &Trust,
) -> Result<Verdict, InstallError> {
    let manifest = bundle.manifest();
    if let Some(current) = current
        && current.manifest.name == manifest.name
        && manifest.sequence < current.manifest.sequence
        && !trust.allow_older
    {
        return Err(InstallError::Older {
            name: manifest.name.clone(),
            installed: current.manifest.sequence,
            offered: manifest.sequence,
        });
    }
    let known = trusted_keys(home)?;
    let Some(signature) = bundle.signature() else {
        if !trust.allow_unsigned {
            return Err(InstallError::Unsigned { bundle: manifest.name.clone() });
        }
        let warning = "nobody signed this bundle: whoever held it on its way could have changed it".to_owned();
        return Ok(Verdict { keys: None, warning: Some(warning) });
    };
    let key = signature.key();
    if known.contains(key) {
        return Ok(Verdict { keys: None, warning: None });
    }
    let named = trust.keys.contains(key);
    let first_use = known.is_empty() && trust.keys.is_empty();
    if !(named || first_use) {
        let expected = known.iter().chain(&trust.keys).map(PublicKey::words).collect();
        return Err(InstallError::ForeignKey { key: key.clone(), expected });
    }
    let keys = known.iter().chain([key]).map(|key| format!("{key}  {}\n", key.words())).collect();
    let warning = (!named).then(|| {
        format!(
            "this home trusts the key of this bundle from now on. Its words are: {}. Ask the person who made the bundle to read \
             theirs to you: they must be the same",
            key.words()
        )
    });
    Ok(Verdict { keys: Some(keys), warning })
}

/// The keys whose bundles a home accepts; none for a new one.
///
/// # Errors
/// When the file cannot be read, or a line of it is no key.
pub fn trusted_keys(home: &Path) -> Result<Vec<PublicKey>, InstallError> {
    let file = home.join(layout::TRUSTED_KEYS);
    let text = match fs_err::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(InstallError::Io(error)),
    };
    let key = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        word.parse().map_err(|_| InstallError::BadTrustedKeys { file: file.clone(), line: line.to_owned() })
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(key).collect()
}
