//! `repair`: recovery data put a damaged bundle back together.

use crate::cli::RepairArgs;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::output::Output;
use ::install::RepairReport;
use manifest::ByteSize;

pub(crate) fn run(args: &RepairArgs, output: &Output) -> Outcome {
    let folder = home::absolute(&args.bundle)?;
    let further = args.with.iter().map(|folder| home::absolute(folder)).collect::<Outcome<Vec<_>>>()?;
    let report = ::install::repair_with(&folder, &further, ordered::default_threads(), output)?;
    let rebuilt = report.volumes.iter().map(|volume| volume.rebuilt).sum();
    let name = args.bundle.display();
    for finding in &report.unused {
        output.warn(format!("not used: {finding}"));
    }
    say_what_was_done(&report, output);
    let wrong = report.now.wrong().count();
    if wrong == 0 && !report.now.stopped {
        let text = match rebuilt {
            0 if !report.now.is_good() => {
                format!("what is in `{name}` is whole, nothing had to be repaired; the rest lies on other sticks")
            }
            _ if !report.now.is_good() => format!(
                "what is in `{name}` is whole again, every byte as it was: {} repaired; the rest lies on other sticks",
                ByteSize(rebuilt)
            ),
            0 => format!("`{name}` is whole, nothing had to be repaired"),
            _ => format!("`{name}` is whole again, every byte as it was: {} repaired", ByteSize(rebuilt)),
        };
        output.result(&report, text);
        return Ok(());
    }
    for finding in report.now.wrong() {
        output.problem(finding);
    }
    if report.beyond_help.is_empty() {
        return Err(Failure::new(format!(
            "`{name}` is still damaged, but every file in it can be installed: {wrong} finding(s); {} repaired",
            ByteSize(rebuilt)
        ))
        .with_hint(
            "copy what is named above again from where the bundle was made; or install it as it is, with `--salvage`",
        ));
    }
    let files: String = report.beyond_help.iter().map(|path| format!("\n    {path}")).collect();
    Err(Failure::new(format!(
        "`{name}` is still damaged: {wrong} finding(s); {} repaired. These files are beyond help:{files}",
        ByteSize(rebuilt)
    ))
    .with_hint(
        "copy the volumes that are named above again from where the bundle was made, or find a recovery volume and name its \
         folder with `--with`; then run `fieldforge repair` once more. To install everything else now: `fieldforge install \
         --salvage`",
    ))
}

fn say_what_was_done(report: &RepairReport, output: &Output) {
    for volume in &report.volumes {
        match (&volume.beyond_help, volume.recreated, volume.rebuilt) {
            (Some(reason), ..) => output.warn(format!("`{}`: {reason}", volume.name)),
            (None, true, bytes) => output.say(format!("`{}`: made again, {}", volume.name, ByteSize(bytes))),
            (None, false, 0) => {}
            (None, false, bytes) => output.say(format!("`{}`: {} repaired", volume.name, ByteSize(bytes))),
        }
    }
}
