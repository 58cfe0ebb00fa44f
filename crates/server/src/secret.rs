//! Random codes and tokens, and comparing them without telling by the time it takes.

use std::hint::black_box;

use sha2::{Digest, Sha256};

use crate::api_error::ApiError;

/// Digits of a pairing code.
pub(crate) const DIGITS: usize = 8;
const CODES: u32 = 10_u32.pow(DIGITS as u32);

/// What is kept of a secret: whoever reads it cannot use it.
#[derive(Clone, Copy)]
pub(crate) struct Hashed([u8; 32]);

impl Hashed {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Whether both come from one secret; takes equally long wherever they differ.
    pub(crate) fn is(&self, other: &Self) -> bool {
        black_box(self.0.iter().zip(&other.0).fold(0, |difference, (one, two)| difference | (one ^ two))) == 0
    }
}

/// A secret of 256 bits, in hex.
pub(crate) fn token() -> Result<String, ApiError> {
    hex::<32>()
}

/// A name that nobody has guessed: 32 bits in hex.
pub(crate) fn name() -> Result<String, ApiError> {
    hex::<4>()
}

/// A code of [`DIGITS`] digits, each equally likely.
pub(crate) fn code() -> Result<String, ApiError> {
    // Numbers above the last multiple would make small codes likelier.
    let fair = u32::MAX - u32::MAX % CODES;
    loop {
        let number = u32::from_le_bytes(random()?);
        if number < fair {
            return Ok(format!("{:0DIGITS$}", number % CODES));
        }
    }
}

fn hex<const LENGTH: usize>() -> Result<String, ApiError> {
    Ok(random::<LENGTH>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], ApiError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| {
        ApiError::new(500, "no_randomness", format!("the system gives no random numbers: {error}"))
            .hint("start the program again; without them no device can be paired")
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_recognized() {
        let (one, two) = (token().expect("random"), token().expect("random"));
        assert_eq!((one.len(), one == two), (64, false));
        assert!(Hashed::of(&one).is(&Hashed::of(&one)) && !Hashed::of(&one).is(&Hashed::of(&two)));
        let codes: Vec<String> = (0..200).map(|_| code().expect("random")).collect();
        assert!(codes.iter().all(|code| code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit())));
        for digit in '0'..='9' {
            assert!(codes.iter().any(|code| code.starts_with(digit)), "{digit}");
        }
    }
}
