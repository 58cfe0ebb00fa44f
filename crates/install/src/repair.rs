//! Repair: recovery data put damaged volumes back together.

use crate::scan::{FrameScanner, ScanError, Scanned};
use crate::volumes::{locate, names};
use crate::{Bundle, OpenError, VerifyReport};
use manifest::frame::{SeekTable, VolumeEnd};
use manifest::{Event, Reporter, Sha256, Stopped, layout};
use recovery::{RebuildError, find_sections};
use serde::Serialize;
use sha2::Digest as _;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// What a repair did, and what is still wrong after it.
#[derive(Clone, Debug, Serialize)]
pub struct RepairReport {
    /// Every volume that is there.
    pub volumes: Vec<RepairedVolume>,
    /// The bundle as it is now, every byte of it read again.
    pub now: VerifyReport,
}

/// What was done to one volume.
#[derive(Clone, Debug, Serialize)]
pub struct RepairedVolume {
    /// Its name.
    pub name: String,
    /// Bytes that were computed again and written, or did not belong there and were taken away.
    pub rebuilt: u64,
    /// Why something of it could not be rebuilt.
    pub beyond_help: Option<String>,
}

/// Why a repair could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// There is no bundle, or not enough of it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A volume has to be written to and cannot be.
    #[error("`{}` is damaged and can be repaired, but not written to: {source}", path.display())]
    ReadOnly {
        /// The volume.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// Somebody asked to stop.
    #[error("stopped: what is repaired so far stays repaired")]
    Stopped(#[from] Stopped),
    /// The operating system refused something.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl RepairError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open(error) => error.hint(),
            Self::ReadOnly { .. } => {
                Some("copy the bundle folder to a disk that can be written to and repair it there".to_owned())
            }
            Self::Stopped(_) => Some("run the same command again to go on".to_owned()),
            Self::Io(_) => Some("copy the bundle folder to another disk and repair it there".to_owned()),
        }
    }
}

/// Repairs the bundle at `path`, in place: its folder, or one of its volumes.
///
/// Only places that are damaged are written to, and only with bytes whose digests are the original ones; being
/// interrupted makes nothing worse, and a second run goes on. Afterwards every byte of the bundle is read again.
///
/// # Errors
/// When there is no bundle, nothing can be written where it must be, or the table of contents stays unreadable.
pub fn repair(path: &Path, threads: usize, reporter: &dyn Reporter) -> Result<RepairReport, RepairError> {
    let (folder, name) = locate(path)?;
    if folder.join(layout::UNFINISHED).exists() {
        return Err(OpenError::Unfinished { folder }.into());
    }
    let mut volumes = Vec::new();
    for file in names(&folder)? {
        if layout::parse_volume_name(&file).is_some_and(|(bundle, _)| bundle == name) {
            volumes.push(rebuild_sections(&folder.join(&file), file, reporter)?);
        }
    }
    let bundle = Bundle::open(path)?;
    rebuild_ends(&bundle, &mut volumes)?;
    let now = match Bundle::open(path)?.verify(threads, reporter) {
        Err(report) if report.stopped => return Err(Stopped.into()),
        Ok((_, report)) | Err(report) => report,
    };
    Ok(RepairReport { volumes, now })
}

/// Rebuilds what the recovery data of a volume cover.
fn rebuild_sections(path: &Path, name: String, reporter: &dyn Reporter) -> Result<RepairedVolume, RepairError> {
    let mut file = fs_err::File::open(path)?;
    let mut volume = RepairedVolume { name, rebuilt: 0, beyond_help: None };
    let sections = find_sections(&mut file)?;
    let total: u64 = sections.iter().map(recovery::Section::length).sum();
    reporter.event(&Event::TaskStart { task: &volume.name, bytes: Some(total) });
    let mut looked_at = 0;
    for section in &sections {
        reporter.go_on()?;
        let damage = section.damage(&mut file)?;
        if !damage.is_none() {
            let mut target = Target::open(path)?;
            match section.rebuild(&mut file, &damage, &mut |at, bytes| target.write(at, bytes)) {
                Ok(()) if damage.spares_recovery() => {}
                Ok(()) => section.encode_again(&mut file, &mut |at, bytes| target.write(at, bytes))?,
                Err(RebuildError::Io(error)) => return Err(error.into()),
                Err(error) => volume.beyond_help = Some(error.to_string()),
            }
            volume.rebuilt += target.finish()?;
        }
        looked_at += section.length();
        reporter.event(&Event::TaskProgress { task: &volume.name, bytes: looked_at });
    }
    if sections.is_empty() {
        volume.beyond_help = Some("it has no recovery data, or they are lost".to_owned());
    }
    reporter.event(&Event::TaskEnd { task: &volume.name, bytes: looked_at });
    Ok(volume)
}

/// Makes the ends of volumes and the seek table again where they are not what they should be.
fn rebuild_ends(bundle: &Bundle, volumes: &mut [RepairedVolume]) -> Result<(), RepairError> {
    let frames = bundle.plan().segments().len() as u64;
    let mut table = SeekTable::default();
    let mut whole = true;
    for found in bundle.volumes() {
        let Some(first_frame) = found.first_frame else { continue };
        let mut file = fs_err::File::open(&found.path)?;
        let Some(end) = find_sections(&mut file)?.last().map(recovery::Section::end) else { return Ok(()) };
        let (counted, clean) = list_frames(&mut file, end, &mut table)?;
        whole &= clean;
        if !clean {
            continue;
        }
        let next_frame = first_frame + counted;
        let record = VolumeEnd {
            bundle: bundle.id(),
            number: found.number,
            last: next_frame == frames,
            next_frame,
            sha256: stated_digest(&mut file, end, bundle.id(), found.number)?,
        };
        table.push(VolumeEnd::LENGTH as u64, 0);
        let mut tail = record.encode();
        // The table is right only if nothing before it is missing.
        if record.last && whole {
            tail.extend(table.encode());
        }
        let mut there = Vec::new();
        file.seek(SeekFrom::Start(end))?;
        (&mut file).take(tail.len() as u64 + 1).read_to_end(&mut there)?;
        if there != tail && (whole || !record.last) {
            let mut target = Target::open(&found.path)?;
            target.write(end, &tail)?;
            target.cut_behind(end + tail.len() as u64)?;
            let written = target.finish()?;
            if let Some(volume) = volumes.iter_mut().find(|volume| volume.name == found.name) {
                volume.rebuilt += written;
            }
        }
    }
    Ok(())
}

/// Enters the frames of a volume up to byte `end` into the seek table. Answers how many ordinary ones there are, and
/// whether they could all be read.
fn list_frames(file: &mut fs_err::File, end: u64, table: &mut SeekTable) -> Result<(u64, bool), RepairError> {
    file.seek(SeekFrom::Start(0))?;
    let mut scanner = FrameScanner::new(file, false);
    let mut counted = 0;
    while scanner.offset() < end {
        let before = scanner.offset();
        match scanner.next_frame(Vec::new(), false) {
            Ok(Some(Scanned::Frame { content, .. })) => {
                counted += 1;
                table.push(scanner.offset() - before, content as u64);
            }
            Ok(Some(Scanned::Skippable { .. })) => table.push(scanner.offset() - before, 0),
            Ok(None) | Err(ScanError::Truncated { .. } | ScanError::Damaged { .. }) => return Ok((counted, false)),
            Err(ScanError::Io(error)) => return Err(error.into()),
        }
    }
    Ok((counted, scanner.offset() == end))
}

/// Digest of the first `length` bytes: the one that the volume's end behind them states, if that is whole, so that they
/// need not be read for it. Whether it is right, the verification that follows tells.
fn stated_digest(file: &mut fs_err::File, length: u64, bundle: Sha256, number: u32) -> Result<Sha256, RepairError> {
    let mut record = Vec::new();
    file.seek(SeekFrom::Start(length))?;
    (&mut *file).take(VolumeEnd::LENGTH as u64).read_to_end(&mut record)?;
    match record.get(8..).map(VolumeEnd::parse) {
        Some(Ok(stated)) if stated.bundle == bundle && stated.number == number => Ok(stated.sha256),
        _ => digest(file, length),
    }
}

/// Digest of the first `length` bytes.
fn digest(file: &mut fs_err::File, length: u64) -> Result<Sha256, RepairError> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut reader = file.take(length);
    loop {
        let count = reader.read(&mut buffer)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
    }
    Ok(Sha256::from_bytes(hasher.finalize().into()))
}

/// A volume that is written to. What is there already is not written again.
struct Target {
    file: fs_err::File,
    written: u64,
}

impl Target {
    fn open(path: &Path) -> Result<Self, RepairError> {
        let file = fs_err::OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|source| RepairError::ReadOnly { path: path.to_path_buf(), source })?;
        Ok(Self { file, written: 0 })
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut there = Vec::new();
        self.file.seek(SeekFrom::Start(at))?;
        let read = (&mut self.file).take(bytes.len() as u64).read_to_end(&mut there);
        if read.is_ok() && there == bytes {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Takes away what follows the first `length` bytes.
    fn cut_behind(&mut self, length: u64) -> io::Result<()> {
        self.written += self.file.metadata()?.len().saturating_sub(length);
        self.file.set_len(length)
    }

    fn finish(self) -> io::Result<u64> {
        self.file.sync_all()?;
        Ok(self.written)
    }
}
