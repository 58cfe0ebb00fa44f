use crate::EngineError;

/// What a file is, judged by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A safetensors file (its header may still be broken).
    Safetensors,
    /// A zip archive with a pickle inside: what `torch.save` has written since 2020.
    ZippedPickle,
    /// A bare pickle: what `torch.save` wrote before.
    Pickle,
    /// A llama.cpp GGUF file.
    Gguf,
    /// A web page.
    Html,
    /// A git-LFS pointer.
    LfsPointer,
    /// A zip archive without a pickle in sight.
    Zip,
    /// Nothing at all.
    Empty,
    /// None of these.
    Unknown,
}

impl FileKind {
    /// How many bytes from the start of a file [`FileKind::of`] wants to see.
    pub const BYTES_NEEDED: usize = 4096;

    /// Judges a file by `start`, its first [`FileKind::BYTES_NEEDED`] bytes (fewer if it is shorter).
    pub fn of(start: &[u8]) -> Self {
        if start.is_empty() {
            return Self::Empty;
        }
        if start.starts_with(b"PK\x03\x04") {
            let named = |name: &[u8]| start.windows(name.len()).any(|window| window == name);
            return if named(b"data.pkl") || named(b"archive/") { Self::ZippedPickle } else { Self::Zip };
        }
        if start.starts_with(b"GGUF") {
            return Self::Gguf;
        }
        if start.starts_with(b"version https://git-lfs.github.com/spec/") {
            return Self::LfsPointer;
        }
        if start.get(8) == Some(&b'{') {
            return Self::Safetensors;
        }
        // protocol 2 to 5, then the opcode of a frame, a long, a mapping, a list or a global
        if let [0x80, 2..=5, opcode, ..] = start
            && matches!(opcode, 0x95 | 0x8a | b'}' | b']' | b'c' | b'(')
        {
            return Self::Pickle;
        }
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let lower: Vec<u8> = text.iter().take(64).map(u8::to_ascii_lowercase).collect();
        if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") || lower.starts_with(b"<head") {
            return Self::Html;
        }
        Self::Unknown
    }

    /// The error for a file of this kind, `None` for safetensors.
    pub(crate) fn refusal(self, file: &str, start: &[u8]) -> Option<EngineError> {
        let file = file.to_owned();
        let other = |file: String, reason: &str| EngineError::NotSafetensors { file, reason: reason.to_owned() };
        Some(match self {
            Self::Safetensors => return None,
            Self::ZippedPickle => EngineError::Pickle { file, found: "a zip archive with a pickle inside" },
            Self::Pickle => EngineError::Pickle { file, found: "it starts with a pickle" },
            Self::Gguf => EngineError::Gguf { file },
            Self::Html => EngineError::HtmlPage { file },
            Self::LfsPointer => EngineError::LfsPointer { file, size: lfs_size(start) },
            Self::Zip => other(file, "it is a zip archive"),
            Self::Empty => other(file, "it is empty"),
            Self::Unknown => other(file, "its first bytes are those of no known model format"),
        })
    }
}

/// The `size N` line of a git-LFS pointer.
fn lfs_size(start: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(start).ok()?;
    text.lines().find_map(|line| line.strip_prefix("size "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_content() {
        let zip = b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl";
        for (start, expected) in [
            (&b""[..], FileKind::Empty),
            (zip, FileKind::ZippedPickle),
            (b"PK\x03\x04 something else", FileKind::Zip),
            (b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8P\x19.", FileKind::Pickle),
            (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}", FileKind::Pickle),
            (b"GGUF\x03\0\0\0", FileKind::Gguf),
            (b"\xef\xbb\xbf\n <!DOCTYPE HTML><title>Sign in</title>", FileKind::Html),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", FileKind::LfsPointer),
            (b"\x10\0\0\0\0\0\0\0{\"a\":1}", FileKind::Safetensors),
            (b"\x7fELF", FileKind::Unknown),
        ] {
            assert_eq!(FileKind::of(start), expected, "{}", start.escape_ascii());
        }
    }

    #[test]
    fn a_pointer_tells_the_size_of_the_real_file() {
        let error = FileKind::LfsPointer.refusal("a.safetensors", b"version x\noid y\nsize 4265146304\n");
        assert_eq!(
            error.map(|error| error.to_string()).as_deref(),
            Some("`a.safetensors` is a git-LFS pointer, not the model itself (4265146304 bytes)")
        );
    }
}
