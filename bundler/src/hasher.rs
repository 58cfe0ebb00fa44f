//! All digests that a file may have to match, in one pass.

use crate::Trouble;
use crate::offer::{Digests, hex};
use manifest::Sha256;
use sha2::Digest as _;

/// Computes the SHA-256 digest, and the others that are wanted.
#[derive(Clone)]
pub(crate) struct Hasher {
    sha256: sha2::Sha256,
    sha512: Option<sha2::Sha512>,
    sha1: Option<sha1::Sha1>,
}

impl Hasher {
    /// For a file with these digests.
    pub(crate) fn new(digests: &Digests) -> Self {
        Self {
            sha256: sha2::Sha256::new(),
            sha512: digests.sha512.is_some().then(sha2::Sha512::new),
            sha1: (digests.sha1.is_some() && digests.sha512.is_none()).then(sha1::Sha1::new),
        }
    }

    /// The next bytes of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
    }

    /// The file's digest, when all of them match.
    pub(crate) fn finish(self, digests: &Digests) -> Result<Sha256, Trouble> {
        let found = Sha256::from_bytes(self.sha256.finalize().into());
        if let Some(expected) = digests.sha256.filter(|expected| *expected != found) {
            return Err(Trouble::wrong_sha256(expected, found));
        }
        let sha512 = self.sha512.map(|hasher| hasher.finalize().to_vec());
        let sha1 = self.sha1.map(|hasher| hasher.finalize().to_vec());
        for (name, expected, found) in [("sha512", &digests.sha512, sha512), ("sha1", &digests.sha1, sha1)] {
            if let (Some(expected), Some(found)) = (expected, found)
                && *expected != found
            {
                let show = |digest: &[u8]| format!("{name} {}", hex(digest));
                return Err(Trouble::WrongDigest { expected: show(expected), found: show(&found) });
            }
        }
        Ok(found)
    }
}
