//! A folder of its own for every test.

use std::path::{Path, PathBuf};

/// A temporary folder that is gone when the test ends. Its name has a space and letters beyond ASCII, because people
/// have such folders.
#[derive(Debug)]
pub struct Sandbox {
    _temporary: tempfile::TempDir,
    root: PathBuf,
}

impl Sandbox {
    /// Makes one.
    ///
    /// # Panics
    /// When the machine has no room for temporary files.
    #[must_use]
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a folder for temporary files");
        let root = temporary.path().join("stick ü 猫");
        fs_err::create_dir(&root).expect("a folder in the folder for temporary files");
        Self { _temporary: temporary, root }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Writes a file, making folders as needed.
    ///
    /// # Panics
    /// When that fails.
    pub fn write(&self, relative: &str, content: &[u8]) -> PathBuf {
        let path = self.path(relative);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent).expect("a folder");
        }
        fs_err::write(&path, content).expect("a file");
        path
    }

    /// All files below `folder`, sorted, with forward slashes; none when it is not there.
    ///
    /// # Panics
    /// When the folder cannot be read.
    #[must_use]
    pub fn files_below(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders: Vec<PathBuf> = folder.exists().then(|| folder.to_path_buf()).into_iter().collect();
        while let Some(next) = folders.pop() {
            for entry in fs_err::read_dir(&next).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let relative = path.strip_prefix(folder).expect("below").to_string_lossy().replace('\\', "/");
                    found.push(relative);
                }
            }
        }
        found.sort();
        found
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that look random and are the same each time.
#[must_use]
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Numbers as weights have them: half precision, normally distributed, `length` bytes.
#[must_use]
pub fn half_precision_weights(seed: u64, length: usize) -> Vec<u8> {
    let source = noise(seed, length * 2);
    let half = |four: &[u8]| {
        // The sum of four uniform numbers is close enough to a normal distribution.
        let sum: f32 = four.iter().map(|byte| f32::from(*byte) - 127.5).sum();
        to_half(sum / 148.0 * 0.02)
    };
    source.chunks_exact(4).flat_map(|four| half(four).to_le_bytes()).take(length).collect()
}

/// IEEE 754 half precision, truncated; small numbers only.
fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let exponent = (bits >> 23 & 0xff) as i32 - 112;
    if exponent <= 0 { sign } else { sign | (exponent as u16) << 10 | (bits >> 13 & 0x3ff) as u16 }
}
