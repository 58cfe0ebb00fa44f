//! `verify`: every byte of a bundle or of a home. All findings, then one verdict.

use crate::cli::VerifyArgs;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::output::{Output, Seconds};
use ::install::{Bundle, VerifyReport};
use manifest::ByteSize;
use std::path::Path;

pub(crate) fn run(args: &VerifyArgs, output: &Output) -> Outcome {
    let folder = home::absolute(&args.folder)?;
    let installed = home::is_home(&folder);
    let report = if installed {
        ::install::verify_home(&folder, ordered::default_threads(), output)?
    } else {
        bundle(&folder, output)?
    };
    conclude(&report, &args.folder.display().to_string(), installed, output)
}

/// Reads a whole bundle.
pub(crate) fn bundle(folder: &Path, output: &Output) -> Outcome<VerifyReport> {
    Ok(match Bundle::open(folder)?.verify(ordered::default_threads(), output) {
        Ok((_, report)) | Err(report) => report,
    })
}

/// Prints all findings, then the verdict.
pub(crate) fn conclude(report: &VerifyReport, name: &str, installed: bool, output: &Output) -> Outcome {
    for finding in &report.findings {
        output.problem(finding);
    }
    if report.stopped {
        let so_far = if report.findings.is_empty() { "" } else { "; what was wrong so far stands above" };
        return Err(Failure::stopped(format!("not all of `{name}` was checked{so_far}"))
            .with_hint("run the same command again: it begins anew"));
    }
    if report.findings.is_empty() {
        let text = format!("`{name}` is whole: {} checked in {}", ByteSize(report.bytes), Seconds(report.seconds));
        output.result(report, text);
        return Ok(());
    }
    let hint = if installed {
        "install it again from the bundle: pictures and settings stay; `fieldforge install BUNDLE`"
    } else {
        "copy the bundle again from where it was made; `fieldforge verify` tells at once whether the copy is good"
    };
    Err(Failure::new(format!("`{name}` is damaged: {} finding(s)", report.findings.len())).with_hint(hint))
}
