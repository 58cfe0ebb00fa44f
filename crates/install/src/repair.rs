//! Repair: recovery data put damaged volumes back together.

use crate::recovery_volumes::RecoveryFiles;
use crate::scan::{FrameScanner, ScanError, Scanned};
use crate::volumes::{locate, names};
use crate::{Bundle, OpenError, VerifyReport, verify};
use manifest::frame::{SeekTable, VolumeEnd};
use manifest::{Event, Finding, Reporter, Sha256, Stopped, layout};
use recovery::{RebuildError, find_sections};
use serde::Serialize;
use sha2::Digest as _;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// What a repair did, and what is still wrong after it.
#[derive(Clone, Debug, Serialize)]
pub struct RepairReport {
    /// Every volume that is there, and recovery volumes that were made again.
    pub volumes: Vec<RepairedVolume>,
    /// Recovery volumes that could not be used.
    pub unused: Vec<Finding>,
    /// The files of the bundle that cannot be put back together: they are damaged still.
    pub beyond_help: Vec<String>,
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
    /// It was not there, and was computed as a whole; or it is a recovery volume that was made again.
    pub recreated: bool,
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
    repair_with(path, &[], threads, reporter)
}

/// Does what [`repair`] does, with volumes and recovery volumes that lie in `further` folders, too.
///
/// A volume that is missing comes into the bundle's folder. If not all of it can be computed, what can be lies there under
/// the volume's name with `.partial` behind it, with zeros for the rest: readers take it for a damaged volume where there is
/// no other, and another recovery volume can complete it.
///
/// # Errors
/// As [`repair`].
pub fn repair_with(
    path: &Path,
    further: &[PathBuf],
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<RepairReport, RepairError> {
    let (folder, name) = locate_lost(path)?;
    if folder.join(layout::UNFINISHED).exists() {
        return Err(OpenError::Unfinished { folder }.into());
    }
    let folders: Vec<PathBuf> = std::iter::once(folder.clone()).chain(further.iter().cloned()).collect();
    let mut unused = Vec::new();
    let recovery = RecoveryFiles::find(&name, &folders, &mut unused)?;
    let mut volumes = Vec::new();
    let mut ends = HashMap::new();
    loop {
        for folder in &folders {
            for file in names(folder)? {
                if layout::parse_any_volume_name(&file).is_some_and(|(bundle, _)| bundle == name) {
                    let path = folder.join(&file);
                    let end = rebuild_sections(&path, file, &mut volumes, reporter)?;
                    ends.extend(end.map(|end| (path, end)));
                }
            }
        }
        let Some(recovery) = &recovery else { break };
        let before = written(&volumes);
        let outcome = recovery.repair(&mut volumes, reporter)?;
        if outcome.beyond_help.iter().all(|bytes| *bytes == 0) {
            recovery.renew(&mut volumes, reporter)?;
            break;
        }
        // What was computed across volumes may be what a volume's own recovery data lacked.
        if written(&volumes) == before {
            break;
        }
    }
    // One bundle of several was meant if a file was named, which may be a recovery volume.
    let volumes_of = [layout::archive_name(&name), layout::volume_name(&name, 1)];
    let first = volumes_of.iter().map(|volume| folder.join(volume)).find(|volume| path.is_file() && volume.exists());
    let path = first.as_deref().unwrap_or(if path.is_file() { path } else { &folder });
    match Bundle::open(path) {
        // One of several sticks, without the table of contents.
        Err(OpenError::NotFirst { .. }) => {
            let now = verify(&[path.to_path_buf()], threads, reporter)?;
            return Ok(RepairReport { volumes, unused, beyond_help: Vec::new(), now });
        }
        bundle => rebuild_ends(&bundle?, &ends, &mut volumes)?,
    }
    if let Some(recovery) = &recovery {
        recovery.name_completed(&mut volumes)?;
    }
    let bundle = Bundle::open(path)?;
    let now = match bundle.clone().verify(threads, reporter) {
        Err(report) if report.stopped => return Err(Stopped.into()),
        Ok((_, report)) | Err(report) => report,
    };
    let beyond_help = beyond_help(&bundle, &now);
    Ok(RepairReport { volumes, unused, beyond_help, now })
}

/// The files that are damaged still, or lie in a volume that is missing.
fn beyond_help(bundle: &Bundle, now: &VerifyReport) -> Vec<String> {
    let plan = bundle.plan();
    let mut gone: Vec<std::ops::Range<u64>> = Vec::new();
    let (mut number, mut next) = (0, Some(0));
    for volume in bundle.volumes() {
        let missing = volume.number > number + 1 && bundle.elsewhere().is_empty();
        if let (true, Some(from), Some(to)) = (missing, next, volume.first_frame) {
            gone.push(from..to);
        }
        (number, next) = (volume.number, volume.end.map(|(end, _)| end.next_frame));
    }
    gone.extend(next.filter(|_| bundle.elsewhere().is_empty()).map(|next| next..plan.segments().len() as u64));
    let mut lost: BTreeSet<String> = BTreeSet::new();
    for segment in gone.into_iter().flatten().filter_map(|frame| plan.segment(frame)) {
        if let (Some(file), Some(_)) = (plan.file(segment), plan.chunk(segment)) {
            lost.insert(file.path.to_string());
        }
    }
    let damaged = |path: &String| now.findings.iter().any(|finding| finding.subject == *path);
    let files = bundle.manifest().files.iter().map(|file| file.path.to_string());
    files.filter(|path| lost.contains(path) || damaged(path)).collect()
}

fn written(volumes: &[RepairedVolume]) -> u64 {
    volumes.iter().map(|volume| volume.rebuilt).sum()
}

/// The folder and the name of the bundle that `path` means, even if nothing but recovery volumes is left of it.
fn locate_lost(path: &Path) -> Result<(PathBuf, String), OpenError> {
    let located = locate(path);
    let (folder, files) = match &located {
        Err(OpenError::NoBundle { .. }) => (path.to_path_buf(), names(path)?),
        Err(OpenError::NotOurs { .. }) => {
            let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            (
                folder.to_path_buf(),
                path.file_name().and_then(|name| name.to_str()).map(str::to_owned).into_iter().collect(),
            )
        }
        _ => return located,
    };
    let found = files.iter().find_map(|file| layout::parse_recovery_name(file)).map(|(name, _)| name.to_owned());
    found.map_or(located, |name| Ok((folder, name)))
}

/// Rebuilds what the recovery data of a volume cover, and tells where the last of them end.
fn rebuild_sections(
    path: &Path,
    name: String,
    volumes: &mut Vec<RepairedVolume>,
    reporter: &dyn Reporter,
) -> Result<Option<u64>, RepairError> {
    let mut file = fs_err::File::open(path)?;
    let mut volume = match volumes.iter().position(|volume| volume.name == name) {
        Some(at) => RepairedVolume { beyond_help: None, ..volumes.remove(at) },
        None => RepairedVolume { name, rebuilt: 0, recreated: false, beyond_help: None },
    };
    let sections = find_sections(&mut file)?;
    let total: u64 = sections.iter().map(recovery::Section::length).sum();
    reporter.event(&Event::TaskStart { task: &volume.name, bytes: Some(total) });
    let mut looked_at = 0;
    for section in &sections {
        reporter.go_on()?;
        let open = || fs_err::File::open(path);
        let damage = section.damage(&open)?;
        if !damage.is_none() {
            let mut target = Target::open(path)?;
            match section.rebuild(&open, &damage, &mut |at, bytes| target.write(at, bytes)) {
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
    volumes.push(volume);
    Ok(sections.last().map(recovery::Section::end))
}

/// Makes the ends of volumes and the seek table again where they are not what they should be. `ends`: where the recovery
/// data of volumes end, as far as it is known.
fn rebuild_ends(
    bundle: &Bundle,
    ends: &HashMap<PathBuf, u64>,
    volumes: &mut [RepairedVolume],
) -> Result<(), RepairError> {
    let frames = bundle.plan().segments().len() as u64;
    let mut table = SeekTable::default();
    let mut whole = true;
    for (number, found) in (1..).zip(bundle.volumes()) {
        // The table of a volume that is not here is not known.
        whole &= found.number == number && found.first_frame.is_some();
        let Some(first_frame) = found.first_frame else { continue };
        let mut file = fs_err::File::open(&found.path)?;
        let end = match ends.get(&found.path) {
            Some(end) => Some(*end),
            None => find_sections(&mut file)?.last().map(recovery::Section::end),
        };
        let Some(end) = end else { return Ok(()) };
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
pub(crate) fn digest(file: &mut fs_err::File, length: u64) -> Result<Sha256, RepairError> {
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
pub(crate) struct Target {
    file: fs_err::File,
    written: u64,
}

impl Target {
    /// A file that is not there yet.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut options = fs_err::OpenOptions::new();
        Ok(Self { file: options.read(true).write(true).create(true).truncate(true).open(path)?, written: 0 })
    }

    pub(crate) fn open(path: &Path) -> Result<Self, RepairError> {
        let file = fs_err::OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|source| RepairError::ReadOnly { path: path.to_path_buf(), source })?;
        Ok(Self { file, written: 0 })
    }

    pub(crate) fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
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
    pub(crate) fn cut_behind(&mut self, length: u64) -> io::Result<()> {
        self.written += self.file.metadata()?.len().saturating_sub(length);
        self.file.set_len(length)
    }

    /// Gives it that length; what was not written is zero.
    pub(crate) fn lengthen(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    pub(crate) fn finish(self) -> io::Result<u64> {
        self.file.sync_all()?;
        Ok(self.written)
    }
}
