//! Paths inside a bundle: relative, portable, harmless.

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A path inside a bundle, always with forward slashes.
///
/// Made once by parsing and trusted afterwards: it is relative, cannot leave the folder it is joined to and can be
/// created on Linux, macOS, Windows, FAT32 and exFAT alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundlePath(String);

/// A path that a bundle may not contain.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the path `{path}` is not allowed in a bundle: {reason}")]
pub struct BundlePathError {
    path: String,
    reason: &'static str,
}

impl BundlePath {
    /// Longest path in bytes. Leaves room for a deep home on Windows (260 characters).
    pub const MAX_LENGTH: usize = 180;

    /// Joins with a further relative path.
    ///
    /// # Errors
    /// When the result is not a portable path.
    pub fn join(&self, more: &str) -> Result<Self, BundlePathError> {
        format!("{}/{more}", self.0).parse()
    }

    /// The text with forward slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// This path below `folder`, in the spelling of this operating system.
    #[must_use]
    pub fn below(&self, folder: &Path) -> PathBuf {
        self.0.split('/').fold(folder.to_path_buf(), |path, part| path.join(part))
    }

    /// Two paths with the same key are the same file on a file system that ignores case, or how an accent is written
    /// (macOS; bsdtar puts letter and accent together everywhere).
    #[must_use]
    pub fn case_key(&self) -> String {
        ComposingNormalizerBorrowed::new_nfc().normalize(&self.0.to_lowercase()).into_owned()
    }
}

fn refusal(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > BundlePath::MAX_LENGTH {
        return Some("it is longer than 180 bytes");
    }
    if path.starts_with('/') || path.starts_with('\\') {
        return Some("it is absolute");
    }
    path.split('/').find_map(part_refusal)
}

fn part_refusal(part: &str) -> Option<&'static str> {
    const RESERVED: [&str; 7] = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"];
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_ascii_lowercase();
    let numbered = ["com", "lpt"].iter().any(|device| {
        stem.strip_prefix(device).is_some_and(|rest| {
            rest.chars().count() == 1 && rest.chars().all(|c| c.is_ascii_digit() || "¹²³".contains(c))
        })
    });
    match part {
        "" => Some("it has an empty part"),
        "." | ".." => Some("it climbs out of its folder"),
        _ if part.chars().any(|c| c.is_control() || is_invisible(c)) => Some("it has a control or invisible character"),
        _ if part.chars().any(|c| "<>:\"\\|?*".contains(c)) => Some("it has a character that Windows forbids"),
        _ if part.ends_with('.') || part.ends_with(' ') || part.starts_with(' ') => {
            Some("a part begins or ends with a space or ends with a dot")
        }
        _ if RESERVED.contains(&stem.as_str()) || numbered => Some("it is a device name on Windows"),
        _ => None,
    }
}

/// Bidirectional controls, joiners and byte order marks: they make two names look alike.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl FromStr for BundlePath {
    type Err = BundlePathError;

    fn from_str(path: &str) -> Result<Self, BundlePathError> {
        match refusal(path) {
            None => Ok(Self(path.to_owned())),
            Some(reason) => Err(BundlePathError { path: path.escape_debug().take(200).collect(), reason }),
        }
    }
}

impl fmt::Display for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Serialize for BundlePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BundlePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_every_way_out() {
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/./b",
            "C:/x",
            "\\\\server\\x",
            "a\\..\\b",
            "a/",
            "x\0y",
            "nul",
            "a/COM1.txt",
            "LPT².x",
            "aux .txt",
            "dir./x",
            "x ",
            "a\u{202e}b",
            "a\nb",
            "a*b",
        ] {
            assert!(path.parse::<BundlePath>().is_err(), "{path:?}");
        }
    }

    #[test]
    fn takes_what_people_have() {
        for path in
            ["models/checkpoints/juggernautXL_v9 (final).safetensors", "outputs/Grüße 猫.png", ".hidden", "a/com10.txt"]
        {
            assert_eq!(path.parse::<BundlePath>().unwrap().to_string(), path);
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_stays_below_its_folder(path in ".{0,60}") {
            if let Ok(path) = path.parse::<BundlePath>() {
                let below = path.below(Path::new("home"));
                prop_assert!(below.starts_with("home"));
                prop_assert!(below.components().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert_eq!(path.as_str().parse::<BundlePath>().unwrap(), path);
            }
        }
    }
}
