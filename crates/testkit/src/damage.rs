//! What happens to files on their way.

use std::path::Path;

/// One way to be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit is the other way round.
    FlippedBit {
        /// In which byte.
        offset: u64,
        /// Which, from 0.
        bit: u8,
    },
    /// A stretch is all zeros.
    Zeroed {
        /// Where it begins.
        offset: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// A stretch is gone, and what was behind it has moved.
    CutOut {
        /// Where it began.
        offset: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// The end is gone.
    Truncated {
        /// Bytes that remain.
        length: u64,
    },
    /// There is more than there was.
    Appended,
    /// The file is gone.
    Removed,
}

/// Does that to a file.
///
/// # Panics
/// When the file cannot be read or written, or is too short for it.
pub fn damage(path: &Path, damage: Damage) {
    let mut bytes = fs_err::read(path).expect("the file to damage");
    let at = |offset: u64| usize::try_from(offset).expect("an offset that fits memory");
    match damage {
        Damage::FlippedBit { offset, bit } => bytes[at(offset)] ^= 1 << bit,
        Damage::Zeroed { offset, length } => bytes[at(offset)..at(offset + length)].fill(0),
        Damage::CutOut { offset, length } => drop(bytes.drain(at(offset)..at(offset + length))),
        Damage::Truncated { length } => bytes.truncate(at(length)),
        Damage::Appended => bytes.extend(b"more than there was"),
        Damage::Removed => return fs_err::remove_file(path).expect("a file to remove"),
    }
    fs_err::write(path, bytes).expect("the damaged file");
}

/// Swaps the names of two files.
///
/// # Panics
/// When renaming fails.
pub fn swap(one: &Path, other: &Path) {
    let aside = one.with_extension("aside");
    fs_err::rename(one, &aside).expect("a rename");
    fs_err::rename(other, one).expect("a rename");
    fs_err::rename(aside, other).expect("a rename");
}
