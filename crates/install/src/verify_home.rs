//! Verification of what is installed.

use crate::files::check_files;
use crate::{InstallError, VerifyReport, generation};
use manifest::{Finding, Problem, Reporter, Stopped};
use std::path::Path;
use std::time::Instant;

/// Compares every file of the generation in use with its manifest. `threads` 0 means all there are, at most eight.
///
/// # Errors
/// When nothing is installed, or the generation's own records cannot be read. Damaged files are findings, not errors.
pub fn verify_home(home: &Path, threads: usize, reporter: &dyn Reporter) -> Result<VerifyReport, InstallError> {
    let start = Instant::now();
    let Some(current) = generation::current(home)? else {
        return Err(InstallError::NothingInstalled { home: home.to_path_buf() });
    };
    let entries = &current.manifest.files;
    let files: Vec<_> = entries.iter().map(|entry| (entry.path.below(&current.folder), entry)).collect();
    let threads = if threads == 0 { ordered::default_threads() } else { threads };
    let (mut findings, stopped) = match check_files(&files, threads, reporter, "installed files") {
        Ok(findings) => (findings, false),
        Err(Stopped) => (Vec::new(), true),
    };
    let missing = current.receipt.missing.iter();
    findings.extend(missing.map(|path| Finding { subject: path.to_string(), problem: Problem::Missing }));
    let bytes = if stopped { 0 } else { current.manifest.size() };
    Ok(VerifyReport { findings, bytes, seconds: start.elapsed().as_secs_f64(), stopped })
}
