//! Knowing a file by its first bytes, whatever it is called.

use crate::Trouble;

/// How many bytes at the beginning decide.
pub(crate) const ENOUGH: usize = 4096;

/// What a file is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// Model weights in safetensors form.
    Safetensors,
    /// Model weights in GGUF form.
    Gguf,
    /// A web page, so that a page is no surprise.
    Page,
    /// Anything else.
    Other,
}

impl Meant {
    /// From what the component is for and the name it gets.
    pub(crate) fn of(weights: bool, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match weights {
            true if name.ends_with(".gguf") => Self::Gguf,
            true => Self::Safetensors,
            false if name.ends_with(".html") || name.ends_with(".htm") => Self::Page,
            false => Self::Other,
        }
    }
}

/// Refuses a beginning that the file cannot have. `start` holds its first [`ENOUGH`] bytes, or all of a shorter file.
pub(crate) fn check(start: &[u8], size: Option<u64>, meant: Meant) -> Result<(), Trouble> {
    if start.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Err(Trouble::LfsPointer);
    }
    if meant != Meant::Page && is_page(start) {
        return Err(Trouble::LoginPage);
    }
    match meant {
        Meant::Safetensors => check_safetensors(start, size),
        Meant::Gguf if !start.starts_with(b"GGUF") => {
            Err(pickle(start).unwrap_or(Trouble::NotWeights("it does not begin with `GGUF`")))
        }
        Meant::Gguf | Meant::Page | Meant::Other => Ok(()),
    }
}

fn is_page(start: &[u8]) -> bool {
    let text: String = start.iter().take(512).map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    let text = text.trim_start_matches('\u{ef}').trim_start_matches('\u{bb}').trim_start_matches('\u{bf}').trim_start();
    text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<head")
}

fn pickle(start: &[u8]) -> Option<Trouble> {
    match start {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Some(Trouble::Pickle("a zip archive as PyTorch writes it")),
        [0x80, 0..=5, ..] => Some(Trouble::Pickle("a bare pickle")),
        _ => None,
    }
}

/// Format: 8 bytes little-endian length of a JSON header, then the header (`{…`), then the tensors.
fn check_safetensors(start: &[u8], size: Option<u64>) -> Result<(), Trouble> {
    /// The reference implementation reads no longer header.
    const MOST: u64 = 100_000_000;
    let header = match start {
        [a, b, c, d, e, f, g, h, ..] => u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
        _ => return Err(Trouble::NotWeights("it is shorter than 8 bytes")),
    };
    let fits = (2..=MOST).contains(&header) && size.is_none_or(|size| header <= size.saturating_sub(8));
    if fits && start.get(8) == Some(&b'{') {
        return Ok(());
    }
    let gzip = start.starts_with(&[0x1f, 0x8b]).then(|| Trouble::Encoded("gzip".to_owned()));
    Err(pickle(start).or(gzip).unwrap_or(match fits {
        true => Trouble::NotWeights("its header is not JSON"),
        false => Trouble::NotWeights("the length of its header is impossible"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(start: &[u8], meant: Meant) -> String {
        check(start, Some(1000), meant).err().map(|trouble| trouble.to_string()).unwrap_or_default()
    }

    #[test]
    fn every_impostor_is_named() {
        let mut honest = 20u64.to_le_bytes().to_vec();
        honest.extend(b"{\"a\":1}");
        assert_eq!(said(&honest, Meant::Safetensors), "");
        for (start, reason) in [
            (&b"<!DOCTYPE html><html>"[..], "web page"),
            (b"\n  <HTML>", "web page"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "git-LFS"),
            (b"PK\x03\x04archive/data.pkl", "zip archive"),
            (b"\x80\x02}q\x00(X\x05", "bare pickle"),
            (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "bare pickle"),
            (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00", "compressed"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff{", "length of its header"),
            (b"\x08\0\0\0\0\0\0\0tensors", "not JSON"),
            (b"short", "shorter than 8"),
        ] {
            assert!(said(start, Meant::Safetensors).contains(reason), "{reason}: {}", said(start, Meant::Safetensors));
        }
        assert_eq!(said(b"PK\x03\x04a wheel", Meant::Other), "");
        assert_eq!(said(b"<!doctype html>", Meant::Page), "");
        assert_eq!(said(b"GGUF\x03", Meant::Gguf), "");
        assert!(said(b"\x80\x04x", Meant::Gguf).contains("bare pickle"));
    }

    proptest! {
        #[test]
        fn no_beginning_makes_it_panic(start in prop::collection::vec(any::<u8>(), 0..64), size in any::<Option<u64>>()) {
            for meant in [Meant::Safetensors, Meant::Gguf, Meant::Page, Meant::Other] {
                let _ = check(&start, size, meant);
            }
        }
    }
}
