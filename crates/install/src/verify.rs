//! Verification: everything that is wrong with a bundle, not only the first thing.

use crate::files::digest_of;
use crate::stream::{Piece, StreamOptions, stream};
use crate::{Bundle, Unverified, Verified, sums};
use manifest::{ByteSize, Event, Finding, Problem, Reporter, Segment, Sha256, Stopped, layout};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
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
        let mut report = VerifyReport { findings: self.set.findings.clone(), ..VerifyReport::default() };
        let volumes = self.verify_archive(threads, reporter, &mut report);
        if !report.stopped {
            self.verify_folder(&volumes, &mut report);
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

    /// Checks what lies beside the archive.
    fn verify_folder(&self, volumes: &BTreeMap<String, Option<Sha256>>, report: &mut VerifyReport) {
        let folder = &self.set.folder;
        let mut wrong = |subject: &str, problem| {
            let finding = Finding { subject: subject.to_owned(), problem };
            // The manifest and `SHA256SUMS` both know the programs; one finding is enough.
            let known = |known: &Finding| known.subject == finding.subject;
            if !report.findings.iter().any(known) {
                report.findings.push(finding);
            }
        };
        for program in &self.manifest.programs {
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
        for volume in &self.set.volumes {
            if !sums.iter().any(|(name, _)| *name == volume.name) {
                wrong(layout::SHA256SUMS, Problem::Foreign { reason: format!("it does not list `{}`", volume.name) });
            }
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
                Ok(found) if found != expected => wrong(&name, Problem::WrongDigest { expected, found }),
                Ok(_) => {}
            }
        }
    }
}
