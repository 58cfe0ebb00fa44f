//! Verification: everything that is wrong with a bundle, not only the first thing.

use crate::files::digest_of;
use crate::stream::{Piece, StreamOptions, stream};
use crate::volumes::VolumeSet;
use crate::{Bundle, OpenError, Unverified, Verified, Volume, recovery_volumes, sums};
use manifest::{ByteSize, Event, Finding, Problem, Program, Reporter, Segment, Sha256, Stopped, layout};
use serde::Serialize;
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What verification found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VerifyReport {
    /// Everything that is wrong; empty when nothing is.
    pub findings: Vec<Finding>,
    /// Bytes of files that were checked.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Somebody asked to stop before everything was read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

impl VerifyReport {
    /// What is wrong. That something lies on another stick is not.
    pub fn wrong(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.problem != Problem::Elsewhere)
    }

    /// Everything was read, and nothing is wrong.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.findings.is_empty() && !self.stopped
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        match self.findings.len() {
            _ if self.stopped => write!(f, "stopped after {}", ByteSize(self.bytes)),
            0 => write!(f, "all {} are intact", ByteSize(self.bytes)),
            1 => write!(f, "1 thing is wrong"),
            count => write!(f, "{count} things are wrong"),
        }
    }
}

impl Bundle<Unverified> {
    /// Reads every byte of the bundle folder that is ours: volumes, programs, `START-HERE.txt`, `SHA256SUMS`.
    /// `threads` 0 means all there are, at most eight.
    ///
    /// # Errors
    /// The report, when anything is wrong or somebody asked to stop. It holds all findings, each with its own reason.
    pub fn verify(
        self,
        threads: usize,
        reporter: &dyn Reporter,
    ) -> Result<(Bundle<Verified>, VerifyReport), VerifyReport> {
        let start = Instant::now();
        let mut report = VerifyReport { findings: first_findings(&self.set), ..VerifyReport::default() };
        let volumes = self.verify_archive(threads, reporter, &mut report);
        let folders = if report.stopped { &[] } else { self.set.folders.as_slice() };
        for folder in folders {
            verify_folder(folder, &self.set, &self.manifest.programs, &volumes, &mut report);
        }
        report.seconds = start.elapsed().as_secs_f64();
        if report.is_good() { Ok((self.into_verified(), report)) } else { Err(report) }
    }

    /// Checks the archive; answers the digests of intact volumes.
    fn verify_archive(
        &self,
        threads: usize,
        reporter: &dyn Reporter,
        report: &mut VerifyReport,
    ) -> BTreeMap<String, Option<Sha256>> {
        let plan = self.plan();
        let threads = if threads == 0 { ordered::default_threads() } else { threads };
        let options = StreamOptions { threads, thorough: true, wanted: &|_| true };
        let (mut volumes, mut in_work) = (BTreeMap::new(), None);
        let task = layout::archive_name(&self.manifest.name);
        reporter.event(&Event::TaskStart { task: &task, bytes: Some(self.manifest.size()) });
        let outcome: Result<(), Stopped> = stream(&self.set, &plan, &options, |piece| {
            reporter.go_on()?;
            match piece {
                Piece::Good { segment: segment @ Segment::Chunk { file, .. }, content }
                    if plan.chunk(segment).is_some() =>
                {
                    if let Some(entry) = self.manifest.files.get(file).filter(|_| in_work.replace(file) != Some(file)) {
                        reporter.event(&Event::TaskFile { task: &task, file: entry.path.as_str() });
                    }
                    report.bytes += content.len() as u64;
                    reporter.event(&Event::TaskProgress { task: &task, bytes: report.bytes });
                }
                Piece::Good { .. } => {}
                Piece::Wrong(finding) => report.findings.push(finding),
                Piece::Volume { name, digest, intact } => {
                    volumes.insert(name.to_owned(), digest.filter(|_| intact));
                }
            }
            Ok(())
        });
        report.stopped = outcome.is_err();
        reporter.event(&Event::TaskEnd { task: &task, bytes: report.bytes });
        volumes
    }
}

/// Verifies the bundle in these folders, or what is there of it: one stick of several can be verified alone, and what lies
/// on others is a finding of its own kind ([`Problem::Elsewhere`]).
///
/// # Errors
/// When there is no bundle, or nothing of it can be read.
pub fn verify(paths: &[PathBuf], threads: usize, reporter: &dyn Reporter) -> Result<VerifyReport, OpenError> {
    match Bundle::open_all(paths, None) {
        Ok(bundle) => Ok(match bundle.verify(threads, reporter) {
            Ok((_, report)) | Err(report) => report,
        }),
        Err(OpenError::NotFirst { .. }) => Ok(verify_alone(&VolumeSet::find(paths)?, reporter)),
        Err(error) => Err(error),
    }
}

/// Verifies volumes without the table of contents, by the digests at their ends.
fn verify_alone(set: &VolumeSet, reporter: &dyn Reporter) -> VerifyReport {
    let start = Instant::now();
    let mut report = VerifyReport { findings: first_findings(set), ..VerifyReport::default() };
    let mut volumes = BTreeMap::new();
    for volume in &set.volumes {
        report.stopped = reporter.stopping();
        if report.stopped {
            return report;
        }
        reporter.event(&Event::TaskStart { task: &volume.name, bytes: Some(volume.size) });
        let problem = match (volume.end, sealed_digests(volume, reporter)) {
            (_, Err(error)) => Some(Problem::Unreadable { reason: error.to_string() }),
            (None, Ok(_)) => Some(Problem::Truncated { at: volume.size }),
            (Some((end, _)), Ok((sealed, whole))) => {
                let right = end.sha256 == sealed;
                volumes.insert(volume.name.clone(), right.then_some(whole));
                let reason = "its content does not match the digest at its end".to_owned();
                (!right).then_some(Problem::Damaged { offset: 0, length: volume.size, reason })
            }
        };
        reporter.event(&Event::TaskEnd { task: &volume.name, bytes: volume.size });
        report.bytes += volume.size;
        if let Some(problem) = problem {
            volumes.insert(volume.name.clone(), None);
            report.findings.push(Finding { subject: volume.name.clone(), problem });
        }
    }
    set.folders.iter().for_each(|folder| verify_folder(folder, set, &[], &volumes, &mut report));
    report.seconds = start.elapsed().as_secs_f64();
    report
}

/// The digest of what is before a volume's end, and that of all of it.
fn sealed_digests(volume: &Volume, reporter: &dyn Reporter) -> io::Result<(Sha256, Sha256)> {
    let sealed = volume.end.map_or(volume.size, |(_, at)| at);
    let mut file = fs_err::File::open(&volume.path)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let (mut at, mut before_end) = (0u64, None);
    loop {
        let most = if at < sealed { sealed - at } else { u64::MAX };
        let count = (&mut file).take(most.min(buffer.len() as u64)).read(&mut buffer)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        at += count as u64;
        if at == sealed {
            before_end = Some(hasher.clone());
        }
        reporter.event(&Event::TaskProgress { task: &volume.name, bytes: at });
    }
    let digest = |hasher: sha2::Sha256| Sha256::from_bytes(hasher.finalize().into());
    Ok((digest(before_end.unwrap_or_else(|| hasher.clone())), digest(hasher)))
}

/// What shows without reading volumes.
fn first_findings(set: &VolumeSet) -> Vec<Finding> {
    let elsewhere = set
        .elsewhere
        .iter()
        .map(|number| Finding { subject: layout::volume_name(&set.name, *number), problem: Problem::Elsewhere });
    set.findings.iter().cloned().chain(elsewhere).collect()
}

/// Checks what lies beside the archive in one folder.
fn verify_folder(
    folder: &Path,
    set: &VolumeSet,
    programs: &[Program],
    volumes: &BTreeMap<String, Option<Sha256>>,
    report: &mut VerifyReport,
) {
    let mut wrong = |subject: &str, problem| {
        let finding = Finding { subject: subject.to_owned(), problem };
        // The manifest and `SHA256SUMS` both know the programs; one finding is enough.
        let known = |known: &Finding| known.subject == finding.subject;
        if !report.findings.iter().any(known) {
            report.findings.push(finding);
        }
    };
    for program in programs {
        match digest_of(&program.file.below(folder)) {
            Err(problem) => wrong(program.file.as_str(), problem),
            Ok((found, _)) if found != program.size => {
                wrong(program.file.as_str(), Problem::WrongSize { expected: program.size, found });
            }
            Ok((_, found)) if found != program.sha256 => {
                wrong(program.file.as_str(), Problem::WrongDigest { expected: program.sha256, found });
            }
            Ok(_) => {}
        }
    }
    let text = match fs_err::read(folder.join(layout::SHA256SUMS)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return wrong(layout::SHA256SUMS, Problem::Missing);
        }
        Err(error) => return wrong(layout::SHA256SUMS, Problem::Unreadable { reason: error.to_string() }),
    };
    let sums = match sums::parse(&String::from_utf8_lossy(&text)) {
        Ok(sums) => sums,
        Err(line) => {
            let reason = format!("line {line} is not a digest and a name");
            return wrong(layout::SHA256SUMS, Problem::Foreign { reason });
        }
    };
    // On one of several sticks it lists what is there; copied together, the last list stays.
    let listed = |volume: &Volume| sums.iter().any(|(name, _)| *name == volume.name);
    if let Some(volume) = set.volumes.first().filter(|_| !set.volumes.iter().any(listed)) {
        wrong(layout::SHA256SUMS, Problem::Foreign { reason: format!("it does not list `{}`", volume.name) });
    }
    for (name, expected) in sums {
        let digest = match volumes.get(&name) {
            Some(Some(digest)) => Ok(*digest),
            // Damaged, and reported with the place.
            Some(None) => continue,
            None => digest_of(&folder.join(&name)).map(|(_, digest)| digest),
        };
        match digest {
            Err(problem) => wrong(&name, problem),
            Ok(found) if found == expected => {}
            Ok(_) if layout::parse_recovery_name(&name).is_some() => {
                wrong(&name, recovery_volumes::problem(&folder.join(&name), set.bundle));
            }
            Ok(found) => wrong(&name, Problem::WrongDigest { expected, found }),
        }
    }
}
