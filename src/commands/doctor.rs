//! `doctor`: what works on this machine, what does not, what to do.

use crate::cli::DoctorArgs;
use crate::commands::selftest;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Seconds};
use crate::self_test::{self, Verdict};
use crate::{home, system};
use manifest::ByteSize;
use serde::Serialize;
use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// A gibibyte is enough to install spark; real checkpoints say their own needs at install.
const LITTLE_DISK: u64 = 1 << 30;
const LITTLE_MEMORY: u64 = 4 << 30;

/// How one check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Problem,
}

#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct Checkup(Vec<Check>);

pub(crate) fn run(args: &DoctorArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    let mut checks = vec![
        ok("program", format!("{}, {}", crate::PROGRAM_VERSION, home::program()?.display())),
        ok("system", format!("{} {}", system::kernel(), std::env::consts::ARCH)),
        processor(),
        memory(),
        disk(&home),
    ];
    checks.push(installation(&home));
    checks.extend(drawing()?);
    checks.push(port());
    checks.push(clock());
    let problems = checks.iter().filter(|check| check.state == State::Problem).count();
    let checkup = Checkup(checks);
    output.result(&checkup, checkup.to_string().trim_end());
    match problems {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} problem(s) on this machine"))
            .with_hint("do what stands under each problem above, then run `fieldforge doctor` again")),
    }
}

fn ok(what: &'static str, found: impl Into<String>) -> Check {
    Check { what, state: State::Ok, found: found.into(), hint: None }
}

fn not_ok(what: &'static str, state: State, found: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { what, state, found: found.into(), hint: Some(hint.into()) }
}

fn processor() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ok("processor", format!("{cores} cores, {}, {}", std::env::consts::ARCH, engine::instructions()))
}

fn memory() -> Check {
    match system::memory() {
        None => ok("memory", "unknown on this system"),
        Some(bytes) if bytes < LITTLE_MEMORY => not_ok(
            "memory",
            State::Warning,
            ByteSize(bytes).to_string(),
            "enough for the built-in model; a real checkpoint at 512x512 takes about 6 GiB: close other programs first",
        ),
        Some(bytes) => ok("memory", ByteSize(bytes).to_string()),
    }
}

fn disk(home: &Path) -> Check {
    match system::free_space(home) {
        None => ok("disk", "unknown on this system"),
        Some(bytes) if bytes < LITTLE_DISK => not_ok(
            "disk",
            State::Warning,
            format!("{} free for `{}`", ByteSize(bytes), home.display()),
            "free some space, or choose another disk with --home",
        ),
        Some(bytes) => ok("disk", format!("{} free for `{}`", ByteSize(bytes), home.display())),
    }
}

fn installation(home: &Path) -> Check {
    match ::install::current(home) {
        Ok(Some(generation)) => {
            let missing: Vec<String> = generation
                .manifest
                .files
                .iter()
                .filter(|file| {
                    !fs_err::metadata(file.path.below(&generation.folder)).is_ok_and(|found| found.len() == file.size)
                })
                .map(|file| file.path.to_string())
                .chain(generation.receipt.missing.iter().map(ToString::to_string))
                .collect();
            let name = &generation.manifest.name;
            match missing.first() {
                None => ok(
                    "installed",
                    format!(
                        "\"{name}\", installation {}, all {} files there",
                        generation.number,
                        generation.manifest.files.len()
                    ),
                ),
                Some(first) => not_ok(
                    "installed",
                    State::Problem,
                    format!(
                        "\"{name}\": {} file(s) missing or of the wrong size, for example `{first}`",
                        missing.len()
                    ),
                    "install it again from the bundle; pictures stay: fieldforge install BUNDLE",
                ),
            }
        }
        Ok(None) => ok("installed", format!("nothing in `{}`; the built-in model works without", home.display())),
        Err(error) => not_ok("installed", State::Problem, error.to_string(), error.hint().unwrap_or_default()),
    }
}

/// Draws with the embedded model in a sealed child: the kernel's part and the engine's part.
fn drawing() -> Outcome<[Check; 2]> {
    let folder = std::env::temp_dir().join(format!("fieldforge-doctor-{}", std::process::id()));
    let report = self_test::run(&selftest::embedded()?, &folder, true, &manifest::Silent);
    let _ = fs_err::remove_dir_all(&folder);
    let report = report?;
    let missing: Vec<String> = report
        .seal
        .mechanisms
        .iter()
        .filter(|mechanism| !mechanism.enforced)
        .map(|mechanism| format!("{}: {}", mechanism.name, mechanism.detail))
        .collect();
    let level = format!("{:?}: {}", report.seal.level, report.seal_sentence.trim_end_matches('.'));
    let seal = match (report.seal.level, report.verdict) {
        (seal::Level::S0 | seal::Level::S1, _) => not_ok("seal", State::Problem, level, missing.join("; ")),
        (_, Verdict::Failed) => not_ok(
            "seal",
            State::Problem,
            format!("{level}, yet {}", report.reasons.join("; ")),
            "keep this machine off every network",
        ),
        _ if !missing.is_empty() => not_ok("seal", State::Warning, level, format!("not there: {}", missing.join("; "))),
        _ => ok(
            "seal",
            format!(
                "{level}; {} of {} ways out refused",
                report.attempts.iter().filter(|attempt| attempt.refused).count(),
                report.attempts.len()
            ),
        ),
    };
    let drawing = match &report.picture {
        Some(picture) => {
            ok("drawing", format!("spark drew \"{}\" in {}", picture.settings.prompt, Seconds(picture.draw_seconds)))
        }
        None => not_ok(
            "drawing",
            State::Problem,
            report.reasons.join("; "),
            "this program is damaged: copy it again from the bundle",
        ),
    };
    Ok([seal, drawing])
}

fn port() -> Check {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 7860)) {
        Ok(_) => ok("port", "7860 is free"),
        Err(error) => not_ok(
            "port",
            State::Warning,
            format!("7860 cannot be used: {error}"),
            "nothing to do: `fieldforge serve` takes the next free one and says so",
        ),
    }
}

fn clock() -> Check {
    let year = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| 1970 + time.as_secs() / 31_556_952);
    match year {
        2026.. => ok("clock", format!("the year is {year}")),
        _ => not_ok(
            "clock",
            State::Warning,
            format!("the year is {year}"),
            "set the clock; until then pictures carry wrong dates, everything else works",
        ),
    }
}

impl fmt::Display for Checkup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.0 {
            let mark = match check.state {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Problem => "PROBLEM",
            };
            writeln!(f, "{mark:8} {:10} {}", check.what, check.found)?;
            if let Some(hint) = &check.hint {
                writeln!(f, "{:19} -> {hint}", "")?;
            }
        }
        Ok(())
    }
}
