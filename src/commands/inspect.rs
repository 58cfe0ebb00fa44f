//! `inspect`: what a bundle holds.

use crate::cli::InspectArgs;
use crate::failure::Outcome;
use crate::home;
use crate::output::Output;

pub(crate) fn run(args: &InspectArgs, output: &Output) -> Outcome {
    let inspection = ::install::inspect(&home::absolute(&args.bundle)?)?;
    output.result(&inspection, inspection.to_string().trim_end());
    Ok(())
}
