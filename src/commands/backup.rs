//! `backup`: a whole home into a bundle.

use crate::cli::BackupArgs;
use crate::commands::freeze::freeze;
use crate::failure::Outcome;
use crate::home;
use crate::output::Output;
use ::install::Walk;
use manifest::FrozenKind;

pub(crate) fn run(args: &BackupArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    freeze(FrozenKind::Home, &home, &args.out, &args.freeze, || Ok(Walk::of_home(&home)?), output)
}
