//! Small pictures: made when they are first asked for, kept in a folder of bounded size.

use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::SystemTime;

use fs_err as fs;
use sha2::{Digest, Sha256};

use crate::lock::lock;
use crate::thumbnail;

/// Most bytes of the folder.
const MOST: u64 = 512 << 20;
/// New pictures after which the folder is measured.
const MEASURE_EVERY: u32 = 500;

/// A folder of small pictures.
pub(crate) struct Thumbnails {
    folder: PathBuf,
    /// Made since the folder was last measured. Held while one is made: drawing needs the processor more.
    made: Mutex<u32>,
}

impl Thumbnails {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, made: Mutex::new(0) }
    }

    /// The small picture of this version of a picture.
    ///
    /// # Errors
    /// A sentence for a person when the picture cannot be read.
    pub(crate) fn get(&self, id: &str, version: &str, file: fs::File) -> Result<Vec<u8>, String> {
        let digest = Sha256::digest(format!("{id}\n{version}"));
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let path = self.folder.join(format!("{name}.jpg"));
        if let Ok(jpeg) = fs::read(&path) {
            return Ok(jpeg);
        }
        let mut made = lock(&self.made);
        let jpeg = thumbnail::make(BufReader::new(file))?;
        // A folder that cannot be written to only makes the next request slower.
        let part = path.with_extension("part");
        let kept = fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&part, &jpeg))
            .and_then(|()| fs::rename(&part, &path));
        if kept.is_err() {
            let _ = fs::remove_file(&part);
        }
        *made += 1;
        if *made >= MEASURE_EVERY {
            *made = 0;
            self.shrink(MOST);
        }
        Ok(jpeg)
    }

    /// Removes the oldest until four fifths of `most` are left, if there are more than `most` bytes.
    fn shrink(&self, most: u64) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        if total <= most {
            return;
        }
        files.sort();
        for (_, size, path) in files {
            if total <= most / 5 * 4 {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total = total.saturating_sub(size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::tests::png_with;

    #[test]
    fn small_pictures_are_kept_by_version_and_the_folder_stays_small() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.png");
        fs::write(&file, png_with(400, 400, &[])).expect("written");
        let thumbnails = Thumbnails::new(folder.path().join("small"));
        let count = || fs::read_dir(folder.path().join("small")).expect("a folder").count();
        let get = |version: &str| thumbnails.get("a", version, fs::File::open(&file).expect("opens")).expect("small");
        let first = get("1");
        assert_eq!((get("1"), count()), (first.clone(), 1));
        for version in 2..=10 {
            get(&version.to_string());
        }
        assert_eq!(count(), 10);
        thumbnails.shrink(first.len() as u64 * 10);
        assert_eq!(count(), 10);
        thumbnails.shrink(first.len() as u64 * 5);
        assert_eq!(count(), 4);
    }
}
