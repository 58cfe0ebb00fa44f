//! `start`, and no arguments at all: what a person at the offline machine wants.

use crate::cli::{HomeArgs, PageArgs, StartArgs, TrustArgs};
use crate::commands::{install, selftest, serve};
use crate::failure::Outcome;
use crate::output::Output;
use crate::{home, stick};
use std::ffi::OsString;
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// More than a path ever has.
const MAX_PATH: u64 = 4096;

/// Ten lines for somebody who typed nothing and has no bundle.
const WELCOME: &str = "\
Fieldforge carries picture generation across an air gap.

  fieldforge demo                       see the whole journey on this machine, offline (under a minute)
  fieldforge generate \"a banana\"        draw one picture with the built-in model
  fieldforge serve                      open the page with the built-in model
  fieldforge catalog list               what can go into a bundle
  fieldforge bundle forge.toml -o DIR   download, check and pack it (needs internet)
  DIR/fieldforge                        on the offline machine: install, prove, open

`fieldforge --help` lists every command; `fieldforge doctor` looks at this machine.";

/// No arguments: guided beside a bundle, the page in a home, otherwise ten lines of what it can do.
pub(crate) fn without_arguments(output: &Output) -> Outcome {
    let beside = home::program_folder()?;
    let home = HomeArgs { home: std::env::var_os("FIELDFORGE_HOME").map(Into::into) };
    let page = PageArgs { port: None, no_browser: false, allow_unsealed: false };
    if home::is_bundle(&beside) {
        let home = HomeArgs { home: Some(ask_where(home::resolve(&home)?)?) };
        return run(&StartArgs { bundle: None, home, page, trust: TrustArgs::default(), no_serve: false }, output);
    }
    if home::is_home(&beside) {
        return serve::serve(&beside, &page, None, engine::Precision::best(), output);
    }
    output.result(&serde_json::json!({ "help": WELCOME }), WELCOME);
    Ok(())
}

/// Lets a person at a terminal choose another folder; everybody else gets the proposed one.
fn ask_where(proposed: PathBuf) -> Outcome<PathBuf> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) || home::is_home(&proposed) {
        return Ok(proposed);
    }
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "Install into `{}`? Press Enter, or type another folder: ", proposed.display())?;
    terminal.flush()?;
    let mut typed = String::new();
    std::io::stdin().lock().take(MAX_PATH).read_line(&mut typed)?;
    match typed.trim() {
        "" => Ok(proposed),
        folder => home::absolute(Path::new(folder)),
    }
}

/// Install, self-test, page; every step explained.
pub(crate) fn run(args: &StartArgs, output: &Output) -> Outcome {
    let folder = install::bundle_folder(args.bundle.as_deref())?;
    let home = home::resolve(&args.home)?;
    let steps = if args.no_serve { 2 } else { 3 };
    output.stop().gently(|| install_and_prove(args, &folder, &home, steps, output))?;
    if args.no_serve {
        output.result(&serde_json::json!({ "home": home }), format!("installed and proven in `{}`", home.display()));
        return Ok(());
    }
    stick::clean_up();
    output.say("[3/3] Open the page");
    serve::serve(&home, &args.page, None, engine::Precision::best(), output)
}

/// The arguments of the same run from another place: what was found out or asked is named.
fn again(args: &StartArgs, bundle: &Path, home: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if !arguments.iter().any(|word| word == "start") {
        arguments.extend(["start".into(), bundle.into(), "--home".into(), home.into()]);
    } else if args.bundle.is_none() {
        arguments.push(bundle.into());
    }
    arguments
}

fn install_and_prove(args: &StartArgs, folder: &Path, home: &Path, steps: u32, output: &Output) -> Outcome {
    output.step(1, steps, &format!("Install into `{}`", home.display()), || {
        let bundle = install::open(&[folder.to_path_buf()], home, output)?;
        let current = ::install::current(home)?;
        if current.is_some_and(|current| current.manifest.id() == bundle.manifest().id()) {
            output.say("this bundle is already installed there; nothing to do");
            return Ok(());
        }
        stick::step_off(&bundle, home, &again(args, &bundle.folder(), home), output);
        install::install(&bundle, home, install::trust(&args.trust)?, false, output).map(|_| ())
    })?;
    output.step(2, steps, "Draw a picture with the network shut off by the kernel", || {
        let report = selftest::in_home(home, args.page.allow_unsealed, output)?;
        output.say(selftest::one_line(&report));
        selftest::conclude(&report, home)
    })
}
