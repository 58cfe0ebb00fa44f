//! Keys that sign bundles.

use manifest::{PublicKey, Signature};
use minisign::{KeyPair, PublicKey as MinisignKey, SecretKey, SecretKeyBox};

/// A minisign secret key, ready to sign.
pub struct SigningKey {
    secret: SecretKey,
    public: PublicKey,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// It is encrypted, and no password was given.
    #[error("the key is protected by a password")]
    PasswordNeeded,
    /// It is encrypted with another password.
    #[error("the password is wrong, or the key is damaged")]
    WrongPassword,
    /// It is something else.
    #[error("this is no minisign secret key")]
    NotAKey,
    /// The system gave no random numbers, or the library failed.
    #[error("no key could be made: {0}")]
    Failed(String),
}

/// A new key: what to keep secret and what to give away, as the files of minisign.
pub struct NewKey {
    /// The secret key file.
    pub secret: String,
    /// The public key file.
    pub public: String,
    /// The public key.
    pub key: PublicKey,
}

impl SigningKey {
    /// Makes a key, encrypted if there is a password.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(password: Option<&str>) -> Result<NewKey, SigningKeyError> {
        let failed = |error: minisign::PError| SigningKeyError::Failed(error.to_string());
        let pair = match password {
            Some(password) => KeyPair::generate_encrypted_keypair(Some(password.to_owned())),
            None => KeyPair::generate_unencrypted_keypair(),
        };
        let pair = pair.map_err(failed)?;
        let public = pair.pk.to_box().map_err(failed)?.into_string();
        let key = public.parse().map_err(|_| SigningKeyError::NotAKey)?;
        let secret = pair.sk.to_box(Some("fieldforge: secret key, keep it to yourself")).map_err(failed)?;
        Ok(NewKey { secret: secret.into_string(), public, key })
    }

    /// Reads a secret key file.
    ///
    /// # Errors
    /// When it is none, or its password is missing or wrong.
    pub fn parse(text: &str, password: Option<&str>) -> Result<Self, SigningKeyError> {
        let boxed = || SecretKeyBox::from_string(text).map_err(|_| SigningKeyError::NotAKey);
        let secret = match (boxed()?.into_unencrypted_secret_key(), password) {
            (Ok(secret), _) => secret,
            (Err(_), Some(password)) => {
                boxed()?.into_secret_key(Some(password.to_owned())).map_err(|_| SigningKeyError::WrongPassword)?
            }
            // The library tells a key that needs a password by its kind only.
            (Err(error), None) if error.to_string().to_lowercase().contains("encrypted") => {
                return Err(SigningKeyError::PasswordNeeded);
            }
            (Err(_), None) => return Err(SigningKeyError::NotAKey),
        };
        let public = MinisignKey::from_secret_key(&secret).map_err(|_| SigningKeyError::NotAKey)?;
        let public = public.to_base64().parse().map_err(|_| SigningKeyError::NotAKey)?;
        Ok(Self { secret, public })
    }

    /// The key that others check signatures with.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs the text of a manifest. Signatures hold random numbers, as minisign's do: two of the same text differ.
    ///
    /// # Errors
    /// When the library fails.
    pub fn sign(&self, manifest: &[u8], name: &str, sequence: u64) -> Result<String, SigningKeyError> {
        let comment = Signature::comment(name, sequence, &self.public);
        let failed = |error: minisign::PError| SigningKeyError::Failed(error.to_string());
        let signature =
            minisign::sign(None, &self.secret, manifest, Some(&comment), Some("signature of MANIFEST.json"));
        Ok(signature.map_err(failed)?.into_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_manifest_signs_and_no_change_passes(
            manifest in prop::collection::vec(any::<u8>(), 1..600),
            name in "[a-zA-Z0-9._-]{1,40}",
            sequence in any::<u64>(),
            (at, bit) in (any::<prop::sample::Index>(), 0u8..8),
        ) {
            let new = SigningKey::generate(None).unwrap();
            let text = SigningKey::parse(&new.secret, None).unwrap().sign(&manifest, &name, sequence).unwrap();
            let signature = Signature::check(&manifest, &text).unwrap();
            prop_assert_eq!(signature.key(), &new.key);
            prop_assert_eq!(signature.text(), &text);
            let mut changed = manifest.clone();
            changed[at.index(manifest.len())] ^= 1 << bit;
            prop_assert!(Signature::check(&changed, &text).is_err());
            // A change in the signature: refused, or in what says nothing (the untrusted comment, white space).
            let mut changed = text.clone().into_bytes();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            if let Some(signature) = String::from_utf8(changed).ok().and_then(|text| Signature::check(&manifest, &text).ok()) {
                prop_assert_eq!(signature.key(), &new.key);
                let comment = text.find('\n').unwrap();
                prop_assert!(at <= comment || text.as_bytes()[at].is_ascii_whitespace(), "byte {} of {}", at, text);
            }
        }

        #[test]
        fn no_text_makes_a_key_panic(text in "(?s).{0,300}", line in "[A-Za-z0-9+/=]{0,300}") {
            prop_assert!(SigningKey::parse(&text, None).is_err());
            let boxed = format!("untrusted comment: minisign secret key\n{line}\n");
            prop_assert!(SigningKey::parse(&boxed, None).is_err());
        }
    }

    #[test]
    fn what_a_key_signs_checks_and_nothing_else_does() {
        let new = SigningKey::generate(None).unwrap();
        let key = SigningKey::parse(&new.secret, None).unwrap();
        assert_eq!(*key.public(), new.key);
        let text = key.sign(b"manifest", "kit", 3).unwrap();
        assert_eq!(*Signature::check(b"manifest", &text).unwrap().key(), new.key);
        assert!(Signature::check(b"manifesT", &text).is_err());
        assert!(Signature::check(b"manifest", &text.replace("sequence=3", "sequence=4")).is_err());
        let other = SigningKey::generate(None).unwrap().key;
        assert!(Signature::check(b"manifest", &text.replace(&new.key.to_string(), &other.to_string())).is_err());
    }

    #[test]
    fn a_password_protects_a_key() {
        let new = SigningKey::generate(Some("correct horse")).unwrap();
        assert_eq!(SigningKey::parse(&new.secret, None).err(), Some(SigningKeyError::PasswordNeeded));
        assert_eq!(SigningKey::parse(&new.secret, Some("battery")).err(), Some(SigningKeyError::WrongPassword));
        assert_eq!(*SigningKey::parse(&new.secret, Some("correct horse")).unwrap().public(), new.key);
        assert_eq!(SigningKey::parse("hello", None).err(), Some(SigningKeyError::NotAKey));
        assert_eq!(SigningKey::parse(&new.public, None).err(), Some(SigningKeyError::NotAKey));
    }
}
