//! Naming a picture that the server already has.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::store;

/// A picture that a request starts from: `upload:` and the SHA-256 of its bytes in lower-case hex, or `output:` and the
/// id of a picture of the history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PictureRef {
    /// A picture that somebody sent, by the digest of its file.
    Upload(String),
    /// A picture of the history, by its id.
    Output(String),
}

/// Why a text names no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no picture: it must be `upload:` with 64 hex digits, or `output:` with a picture's id")]
pub struct PictureRefError(String);

impl FromStr for PictureRef {
    type Err = PictureRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PictureRefError(text.chars().filter(|letter| !letter.is_control()).take(80).collect());
        match text.split_once(':').ok_or_else(wrong)? {
            ("upload", digest)
                if digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) =>
            {
                Ok(Self::Upload(digest.to_owned()))
            }
            ("output", id) if store::is_id(id) => Ok(Self::Output(id.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for PictureRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upload(digest) => write!(formatter, "upload:{digest}"),
            Self::Output(id) => write!(formatter, "output:{id}"),
        }
    }
}

impl Serialize for PictureRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PictureRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_written() {
        let digest = "0123456789abcdef".repeat(4);
        for text in [format!("upload:{digest}"), "output:20261123-120000-0001".to_owned()] {
            assert_eq!(text.parse::<PictureRef>().expect("a reference").to_string(), text);
        }
        for text in [
            "",
            "upload",
            "upload:12",
            "output:../x",
            "output:",
            "file:x",
            &format!("upload:{}", digest.to_uppercase()),
        ] {
            assert!(text.parse::<PictureRef>().is_err(), "{text}");
        }
    }
}
