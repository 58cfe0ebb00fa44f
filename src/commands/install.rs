//! `install`: a bundle into a home, all or nothing.

use crate::cli::{InstallArgs, TrustArgs};
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::{home, stick};
use ::install::{Bundle, InstallOptions, InstallPlan, OpenError, Receipt, Trust};
use manifest::{ByteSize, PublicKey, Reporter as _, StickRequest, layout};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &InstallArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    if args.roll_back {
        let generation = ::install::roll_back(&home)?;
        let text = format!(
            "`{}` is back at installation {}, \"{}\"",
            home.display(),
            generation.number,
            generation.manifest.name
        );
        output.result(&generation.receipt, text);
        return Ok(());
    }
    let mut folders = args.bundle.iter().map(|folder| home::absolute(folder)).collect::<Outcome<Vec<_>>>()?;
    if folders.is_empty() {
        folders.push(bundle_folder(None)?);
    }
    let trust = trust(&args.trust)?;
    let bundle = open(&folders, &home, output)?;
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.bundle.is_empty() {
        arguments.push(bundle.folder().into());
    }
    stick::step_off(&bundle, &home, &arguments, output);
    let receipt = install(&bundle, &home, trust, args.salvage, output)?;
    if !receipt.missing.is_empty() {
        return incomplete(&receipt, &home, output);
    }
    output.result(
        &receipt,
        format!(
            "installed in `{}`\n\nProve that it works offline:  '{program}' selftest\nOpen the page:                '{program}' serve",
            home.display(),
            program = home.join(layout::PROGRAM).display()
        ),
    );
    Ok(())
}

/// Names what is missing after the rest of a damaged bundle was installed.
fn incomplete(receipt: &Receipt, home: &Path, output: &Output) -> Outcome {
    let list = |names: Vec<String>| names.concat();
    let text = format!(
        "installed in `{}`, but not all of it. Damaged or missing in the bundle, and left out:\n{}These cannot be used:\n{}",
        home.display(),
        list(receipt.missing.iter().map(|path| format!("    {path}\n")).collect()),
        list(receipt.unusable.iter().map(|id| format!("    {id}\n")).collect()),
    );
    output.result(receipt, text.trim_end());
    let all = receipt.files + receipt.missing.len();
    Err(Failure::new(format!("the installation is incomplete: {} of {all} files are missing", receipt.missing.len()))
        .with_hint(format!(
            "install the same bundle again from a whole copy; or run `fieldforge inventory --home '{}'`, carry its file \
             back and have a small bundle made for it (`fieldforge bundle --have`), then install that",
            home.display()
        )))
}

/// The bundle that was named, or the one that the program lies in.
pub(crate) fn bundle_folder(named: Option<&Path>) -> Outcome<PathBuf> {
    if let Some(folder) = named {
        return home::absolute(folder);
    }
    let beside = home::program_folder()?;
    if home::is_bundle(&beside) {
        return Ok(beside);
    }
    Err(Failure::usage("no bundle was named, and none lies beside this program")
        .with_hint("name the bundle's folder, for example: fieldforge install /media/usb/kit"))
}

/// Reads the keys that were named.
pub(crate) fn trust(args: &TrustArgs) -> Outcome<Trust> {
    let keys = args.trust.iter().map(|named| {
        named.parse::<PublicKey>().or_else(|error| {
            let text = fs_err::read_to_string(named).map_err(|_| {
                Failure::usage(format!("`{named}` is neither a key nor a file")).with_hint(format!("a key: {error}"))
            })?;
            text.parse().map_err(|error| Failure::usage(format!("`{named}`: {error}")))
        })
    });
    Ok(Trust {
        keys: keys.collect::<Outcome<_>>()?,
        allow_unsigned: args.allow_unsigned,
        allow_older: args.allow_older,
    })
}

/// Opens a bundle, whichever of its sticks is put in first.
pub(crate) fn open(folders: &[PathBuf], home: &Path, output: &Output) -> Outcome<Bundle> {
    let mut folders = folders.to_vec();
    loop {
        let error = match Bundle::open_all(&folders, Some(home)) {
            Ok(bundle) => return Ok(bundle),
            Err(error) => error,
        };
        let (OpenError::NotFirst { folder, first, .. }, true) = (&error, output.can_ask()) else {
            return Err(error.into());
        };
        let why = format!("{error}: put in the stick that holds `{first}`");
        match output.ask_for_stick(&StickRequest { why: &why, folder }) {
            Some(folder) => folders = vec![folder],
            None => return Err(error.into()),
        }
    }
}

/// Installs the bundle, with the program beside it.
pub(crate) fn install(bundle: &Bundle, home: &Path, trust: Trust, salvage: bool, output: &Output) -> Outcome<Receipt> {
    let options = InstallOptions {
        program: Some(program_for(bundle, &bundle.folder())?),
        home: home.to_path_buf(),
        trust,
        salvage,
        ..InstallOptions::default()
    };
    let plan = InstallPlan::new(bundle, &options)?;
    output.say(plan.to_string().trim_end());
    let receipt = ::install::install(bundle, &options, output)?;
    output.say(format!("{} files, {}", receipt.files, ByteSize(receipt.bytes)));
    Ok(receipt)
}

/// The bundle's own program for this machine; the running one if the bundle has none.
fn program_for<State>(bundle: &Bundle<State>, folder: &Path) -> Outcome<PathBuf> {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let own = bundle.manifest().programs.iter().find(|program| program.target == target);
    match own.map(|program| program.file.below(folder)).filter(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => home::program(),
    }
}
