//! Recovery volumes beside the volumes: what replaces a whole lost one.
//!
//! Every block of theirs depends on all volumes, so they are computed when these are complete, in one more pass over
//! them. That needs no state that an interruption could spoil, and no second copy; but all volumes must be at hand, so
//! they are not made on several sticks.

use super::PackError;
use super::folder::BundleFolder;
use manifest::{Event, Reporter, Sha256, layout};
use recovery::{ProtectedVolume, RecoverySet};
use sha2::Digest as _;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

/// A volume that is complete and on the disk.
pub(crate) struct CompleteVolume {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

/// Writes `count` recovery volumes of `volumes`, all there are, into the folder. Answers their names and sizes.
pub(crate) fn write(
    folder: &mut BundleFolder,
    name: &str,
    bundle: Sha256,
    volumes: &[CompleteVolume],
    count: u32,
    reporter: &dyn Reporter,
) -> Result<Vec<(String, u64)>, PackError> {
    let protected = volumes.iter().map(|volume| ProtectedVolume { size: volume.size, sha256: volume.sha256 });
    let set = RecoverySet::plan(bundle, count, protected.collect()).map_err(PackError::RecoveryVolumes)?;
    let mut outputs = Vec::new();
    for number in 1..=count {
        let name = layout::recovery_name(name, number);
        let path = layout::partial(&folder.path().join(&name));
        let file = BufWriter::new(fs_err::File::create(&path).map_err(PackError::writing)?);
        outputs.push((name, path, file, sha2::Sha256::new()));
    }
    let task = layout::recovery_name(name, 1);
    reporter.event(&Event::TaskStart { task: &task, bytes: Some(volumes.iter().map(|volume| volume.size).sum()) });
    let mut bytes = 0;
    let mut read = |number: u32, at: u64, buffer: &mut [u8]| {
        reporter.go_on().map_err(io::Error::other)?;
        let volume = volumes.get(number as usize - 1).ok_or(io::ErrorKind::NotFound)?;
        // Opened anew each time: a bundle may have more volumes than a process may have open files.
        let mut file = fs_err::File::open(&volume.path)?;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(buffer)?;
        bytes += buffer.len() as u64;
        reporter.event(&Event::TaskProgress { task: &task, bytes });
        Ok(buffer.len())
    };
    let mut write = |number: u32, bytes: &[u8]| {
        let (_, _, file, hasher) = outputs.get_mut(number as usize - 1).ok_or(io::ErrorKind::NotFound)?;
        hasher.update(bytes);
        file.write_all(bytes)
    };
    let outcome = set.encode(&mut read, &mut write);
    reporter.go_on()?;
    outcome.map_err(PackError::writing)?;
    reporter.event(&Event::TaskEnd { task: &task, bytes });
    let mut made = Vec::new();
    for (name, path, mut file, hasher) in outputs {
        file.flush().map_err(PackError::writing)?;
        file.get_ref().sync_all().map_err(PackError::writing)?;
        folder.add(path, name.clone(), set.size(), Sha256::from_bytes(hasher.finalize().into()));
        made.push((name, set.size()));
    }
    Ok(made)
}
