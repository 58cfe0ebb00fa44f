//! `verify`: every byte of a bundle or of a home. All findings, then one verdict.

use crate::cli::VerifyArgs;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::output::{Output, Seconds};
use ::install::VerifyReport;
use manifest::{ByteSize, Finding, Problem};
use std::path::Path;

pub(crate) fn run(args: &VerifyArgs, output: &Output) -> Outcome {
    let folders = args.folders.iter().map(|folder| home::absolute(folder)).collect::<Outcome<Vec<_>>>()?;
    let home = folders.first().filter(|folder| folders.len() == 1 && home::is_home(folder));
    let report = match home {
        Some(home) => ::install::verify_home(home, ordered::default_threads(), output)?,
        None => ::install::verify(&folders, ordered::default_threads(), output)?,
    };
    let names: Vec<_> = args.folders.iter().map(|folder| folder.display().to_string()).collect();
    conclude(&report, &names.join("`, `"), home.is_some(), output)
}

/// Reads a whole bundle.
pub(crate) fn bundle(folder: &Path, output: &Output) -> Outcome<VerifyReport> {
    Ok(::install::verify(&[folder.to_path_buf()], ordered::default_threads(), output)?)
}

/// Prints all findings, then the verdict.
pub(crate) fn conclude(report: &VerifyReport, name: &str, installed: bool, output: &Output) -> Outcome {
    let elsewhere = |finding: &&Finding| finding.problem == Problem::Elsewhere;
    let missing: Vec<_> =
        report.findings.iter().filter(elsewhere).map(|finding| format!("`{}`", finding.subject)).collect();
    let wrong = report.findings.len() - missing.len();
    for finding in report.findings.iter().filter(|finding| !elsewhere(finding)) {
        output.problem(finding);
    }
    if report.stopped {
        let so_far = if wrong == 0 { "" } else { "; what was wrong so far stands above" };
        return Err(Failure::stopped(format!("not all of `{name}` was checked{so_far}"))
            .with_hint("run the same command again: it begins anew"));
    }
    let checked = format!("{} checked in {}", ByteSize(report.bytes), Seconds(report.seconds));
    if report.findings.is_empty() {
        output.result(report, format!("`{name}` is whole: {checked}"));
        return Ok(());
    }
    if wrong == 0 {
        let text = format!(
            "what is in `{name}` is whole: {checked}. The rest of the bundle lies on other sticks, which can be checked one \
             by one: {} is not here",
            missing.join(", ")
        );
        output.result(report, text);
        return Ok(());
    }
    let hint = if installed {
        "install it again from the bundle: pictures and settings stay; `fieldforge install BUNDLE`".to_owned()
    } else {
        format!(
            "`fieldforge repair {name}` computes what is damaged again if the bundle has recovery data for it; or copy the bundle again from where it was made"
        )
    };
    Err(Failure::new(format!("`{name}` is damaged: {wrong} finding(s)")).with_hint(hint))
}
