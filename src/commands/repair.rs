//! `repair`: recovery data put a damaged bundle back together.

use crate::cli::RepairArgs;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::output::Output;
use manifest::ByteSize;

pub(crate) fn run(args: &RepairArgs, output: &Output) -> Outcome {
    let folder = home::absolute(&args.bundle)?;
    let report = ::install::repair(&folder, ordered::default_threads(), output)?;
    let rebuilt = report.volumes.iter().map(|volume| volume.rebuilt).sum();
    let name = args.bundle.display();
    if report.now.is_good() {
        let text = match rebuilt {
            0 => format!("`{name}` is whole, nothing had to be repaired"),
            _ => format!("`{name}` is whole again, every byte as it was: {} repaired", ByteSize(rebuilt)),
        };
        output.result(&report, text);
        return Ok(());
    }
    for volume in &report.volumes {
        if let Some(reason) = &volume.beyond_help {
            output.warn(format!("`{}`: {reason}", volume.name));
        }
    }
    for finding in &report.now.findings {
        output.problem(finding);
    }
    Err(Failure::new(format!(
        "`{name}` is still damaged: {} finding(s); {} repaired",
        report.now.findings.len(),
        ByteSize(rebuilt)
    ))
    .with_hint("copy what is named above again from where the bundle was made, then run `fieldforge repair` once more"))
}
