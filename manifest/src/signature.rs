//! Who vouches for a bundle: minisign keys and signatures (Ed25519; <https://jedisct1.github.io/minisign/>).

use crate::Sha256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A minisign public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(String);

/// Why a text is no public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no minisign public key (a line of 56 characters that begins with RW)")]
pub struct PublicKeyError;

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    /// Reads the key itself, or a `.pub` file with a comment before it.
    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).ok_or(PublicKeyError)?;
        minisign_verify::PublicKey::from_base64(line).map_err(|_| PublicKeyError)?;
        Ok(Self(line.to_owned()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl PublicKey {
    /// Words of [`PublicKey::words`].
    const WORDS: usize = 6;

    /// Six words for the telephone: the first 66 bits of the SHA-256 of the key's text, in the English list of BIP 39.
    /// Two people who read the same words to each other have the same key.
    #[must_use]
    pub fn words(&self) -> String {
        let list = bip39::Language::English.word_list();
        let digest = Sha256::of(self.0.as_bytes());
        let mut bits =
            digest.as_bytes().iter().flat_map(|byte| (0..8).rev().map(move |at| usize::from(byte >> at & 1)));
        let words = (0..Self::WORDS).map(|_| {
            let number = bits.by_ref().take(11).fold(0, |number, bit| number << 1 | bit);
            list.get(number).copied().unwrap_or_default()
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// A signature of a bundle's manifest that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    text: String,
    key: PublicKey,
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is no minisign signature.
    #[error("it is no minisign signature")]
    NotASignature,
    /// Its trusted comment names no key.
    #[error("it does not name the key that made it")]
    NoKey,
    /// The manifest was changed, or the signature was.
    #[error("it was not made for this table of contents")]
    Wrong,
}

impl Signature {
    /// Longest signature file in bytes that is read.
    pub const MAX_TEXT: u64 = 4096;

    /// The trusted comment that names the key. It is signed with the rest.
    #[must_use]
    pub fn comment(name: &str, sequence: u64, key: &PublicKey) -> String {
        format!("fieldforge bundle={name} sequence={sequence} key={key}")
    }

    /// Checks that `text`, a minisign signature file, was made for `manifest` by the key that it names. Whether that
    /// key is to be trusted is another question.
    ///
    /// # Errors
    /// When it was not.
    pub fn check(manifest: &[u8], text: &str) -> Result<Self, SignatureError> {
        let signature = minisign_verify::Signature::decode(text).map_err(|_| SignatureError::NotASignature)?;
        let named = signature.trusted_comment().split(' ').find_map(|word| word.strip_prefix("key="));
        let key: PublicKey = named.and_then(|key| key.parse().ok()).ok_or(SignatureError::NoKey)?;
        let public = minisign_verify::PublicKey::from_base64(&key.0).map_err(|_| SignatureError::NoKey)?;
        public.verify(manifest, &signature, false).map_err(|_| SignatureError::Wrong)?;
        Ok(Self { text: text.to_owned(), key })
    }

    /// The signature file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The key that made it.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From the documentation of minisign.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_reads_with_and_without_its_comment() {
        let key: PublicKey = KEY.parse().unwrap();
        assert_eq!(format!("untrusted comment: minisign public key\n{KEY}\n").parse(), Ok(key.clone()));
        assert_eq!(key.to_string(), KEY);
        assert_eq!(key.words().split(' ').count(), 6);
        assert_ne!(key.words(), PublicKey("other".to_owned()).words());
        for text in ["", "RWQ", &KEY[1..], "untrusted comment: x"] {
            assert_eq!(text.parse::<PublicKey>(), Err(PublicKeyError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,300}", key in "[A-Za-z0-9+/=]{0,80}") {
            let _ = Signature::check(b"manifest", &text);
            let comment = format!("untrusted comment: x\n{key}\ntrusted comment: key={KEY}\n{key}\n");
            prop_assert!(Signature::check(b"manifest", &comment).is_err());
            let _ = key.parse::<PublicKey>();
        }
    }
}
