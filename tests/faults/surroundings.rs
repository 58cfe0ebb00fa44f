//! Machines that are not like ours: clocks, rights, limits, names and disks.

use super::place::{Ended, Lab, copy};
use super::scenario::{Scenario, Scenarios};
use super::tally::{sample, tally};
use super::tree::{difference, tree};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is different, and what must come of it.
struct Surrounding {
    name: &'static str,
    /// The words before the program.
    before: Vec<String>,
    /// A folder below the trial's in which everything happens.
    folder: String,
    /// Every file belongs to somebody without rights, who runs the program.
    nobody: bool,
    must: Must,
}

#[derive(Clone, Copy)]
enum Must {
    /// It works as anywhere else.
    Work,
    /// It works, or says which of these words is why not, and nothing came of it.
    WorkOrSay(&'static [&'static str]),
}

fn shell(script: &str) -> Vec<String> {
    ["sh", "-ec", &format!("{script}\nexec \"$0\" \"$@\"")].map(str::to_owned).into()
}

/// As root of a user namespace, where one may mount.
fn mounting(script: &str) -> Vec<String> {
    let mut words: Vec<String> = ["unshare", "--user", "--map-root-user", "--mount"].map(str::to_owned).into();
    words.extend(shell(script));
    words
}

/// A library that sets the clock of the programs that load it.
fn clock(lab: &Lab) -> PathBuf {
    let folder = lab.folder();
    let source = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdlib.h>\n#include <time.h>\n\
        int clock_gettime(clockid_t id, struct timespec *now) {\n\
          int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, \"clock_gettime\");\n\
          int result = real(id, now);\n\
          if (id == CLOCK_REALTIME) now->tv_sec = atoll(getenv(\"CLOCK\")) + now->tv_sec % 1000;\n\
          return result;\n}\n";
    fs_err::write(folder.join("clock.c"), source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o", "clock.so", "clock.c", "-ldl"]).current_dir(&folder);
    assert!(compiler.status().unwrap().success());
    folder.join("clock.so")
}

fn surroundings(lab: &Lab) -> Vec<Surrounding> {
    let clock = clock(lab);
    let at =
        |seconds: i64| vec!["env".to_owned(), format!("LD_PRELOAD={}", clock.display()), format!("CLOCK={seconds}")];
    let plain = |name, before, must| Surrounding { name, before, folder: String::new(), nobody: false, must };
    let work = |name, before| plain(name, before, Must::Work);
    let named = |name, folder: String| Surrounding { folder, ..work(name, Vec::new()) };
    let mut all = vec![
        work("clock in 1970", at(0)),
        work("clock before 1970", at(-100_000)),
        work("clock in 2099", at(4_090_000_000)),
        work("umask 077", shell("umask 077")),
        work("umask 000", shell("umask 0")),
        work("no more than 20 open files", shell("ulimit -n 20")),
        plain(
            "no more than 6 open files",
            shell("ulimit -n 6"),
            Must::WorkOrSay(&["Too many open files", "error while loading"]),
        ),
        plain("no file larger than 100 KiB", shell("ulimit -f 200"), Must::WorkOrSay(&["File too large", "ulimit -f"])),
        plain("no file larger than 4 KiB", shell("ulimit -f 8"), Must::WorkOrSay(&["File too large", "ulimit -f"])),
        named("a folder with 200 characters", "long name ".repeat(20)),
        named("a folder of many scripts", "\u{5b} a'b \"c\" $d `e` \u{1f980} ümläut \u{202e}".to_owned()),
        plain("no home folder", shell("unset HOME"), Must::Work),
        work("no environment at all", vec!["env".to_owned(), "-i".to_owned()]),
    ];
    if is_root() {
        let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).into();
        all.push(Surrounding { nobody: true, ..work("nobody", words) });
    }
    all
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn one(lab: &Lab, surrounding: &Surrounding, scenario: &Scenario) -> Result<usize, String> {
    let outer = lab.folder();
    let folder = if surrounding.folder.is_empty() { outer.clone() } else { outer.join(surrounding.folder.trim()) };
    copy(&scenario.template, &folder);
    if surrounding.nobody {
        let status = Command::new("chown").args(["-R", "65534:65534"]).arg(&outer).status().unwrap();
        assert!(status.success());
    }
    let mut command = lab.command(&folder, &surrounding.before, &scenario.args);
    let ended = Ended::of(&mut command);
    let loss =
        |what: &str| Err(format!("{}, {}: {what}: {:?}\n{}", surrounding.name, scenario.name, ended.code, ended.said));
    let found = tree(&folder);
    let right = found == scenario.after;
    let result = match surrounding.must {
        _ if ended.said.contains("panicked") || !matches!(ended.code, Some(0 | 1 | 127)) => loss("it broke"),
        _ if ended.code == Some(0) && right => Ok(1),
        _ if ended.code == Some(0) => loss(&difference(&scenario.after, &found)),
        Must::Work => loss("it does not work"),
        Must::WorkOrSay(words) if !words.iter().any(|word| ended.said.contains(word)) => loss("it does not say why"),
        Must::WorkOrSay(_) => {
            let again = lab.run(&folder, &[], &scenario.args);
            let found = tree(&folder);
            match again.code == Some(0) && found == scenario.after {
                true => Ok(1),
                false => loss(&format!("afterwards: {} {}", difference(&scenario.after, &found), again.said)),
            }
        }
    };
    fs_err::remove_dir_all(&outer).unwrap();
    result
}

#[test]
fn clocks_rights_limits_and_names() {
    let lab = Lab::new();
    lab.open_to_everybody();
    let scenarios = Scenarios::new(&lab);
    let surroundings = surroundings(&lab);
    let cases: Vec<_> = surroundings.iter().flat_map(|one| scenarios.plain().map(move |other| (one, other))).collect();
    tally("surroundings", &sample(cases, 80), |(surrounding, scenario)| one(&lab, surrounding, scenario));
}

/// Runs a command behind a mount; answers exit status and what was said.
fn mounted(lab: &Lab, folder: &Path, mount: &str, args: &str) -> Ended {
    let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
    lab.run(folder, &mounting(mount), &args)
}

#[test]
fn disks_that_are_full_or_cannot_be_written_to() {
    let lab = Lab::new();
    let scenarios = Scenarios::new(&lab);
    let read_only = |folder: &str| format!("mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}");
    let full = |size: &str| format!("mkdir -p disk; mount -t tmpfs -o size={size} none disk");
    let bundle = "bundle forge.toml --out disk/kit --cache cache --no-sign";
    let install = "install kit --home disk/home --allow-unsigned";
    // Scenario for what is there; what is mounted; the command; the words of a refusal, none if it must work.
    let cases: Vec<(&str, String, &str, &[&str])> = vec![
        ("install", read_only("kit"), "install kit --home home --allow-unsigned", &[]),
        ("install", read_only("kit"), "verify kit", &[]),
        ("install over another", read_only("kit"), "install kit --home home --allow-unsigned", &[]),
        ("update", read_only("kit"), "install kit --home home --allow-unsigned", &[]),
        ("bundle", read_only("weights"), "bundle forge.toml --out kit --cache cache --no-sign", &[]),
        ("install over another", read_only("home"), "install kit --home home --allow-unsigned", &["ead-only", "home"]),
        ("install over another", read_only("home"), "verify home", &[]),
        ("roll back", read_only("home"), "install --roll-back --home home", &["ead-only", "home"]),
        ("gc", read_only("home"), "gc --home home", &["ead-only", "home"]),
        ("repair", read_only("kit"), "repair kit", &["ead-only", "kit.tar.zst.00"]),
        ("install", full("2m"), install, &["free", "disk/home"]),
        ("install", full("16k"), install, &["free", "disk/home"]),
        ("bundle", full("1m"), bundle, &["free", "disk/kit"]),
        ("bundle", full("40m"), bundle, &["free", "disk/kit"]),
        ("inventory", full("8k"), "inventory --home home --out disk/have.json", &[]),
        (
            "inventory",
            format!("{}; echo full > disk/full", full("4k")),
            "inventory --home home --out disk/have.json",
            &["have.json", "No space left"],
        ),
    ];
    tally("disks", &cases, |(scenario, mount, args, words)| {
        let scenario = scenarios.all.iter().find(|known| known.name == *scenario).unwrap();
        let folder = lab.copy_of(&scenario.template);
        let ended = mounted(&lab, &folder, mount, args);
        let loss = |what: &str| Err(format!("{mount}; {args}: {what}: {:?}\n{}", ended.code, ended.said));
        let result = match words {
            _ if ended.said.contains("panicked") => loss("it panicked"),
            [] if ended.code != Some(0) => loss("it does not work"),
            [] => Ok(1),
            _ if ended.code != Some(1) => loss("it is not refused"),
            words if !words.iter().all(|word| ended.said.contains(word)) => loss("it does not say why"),
            _ if tree(&folder) != scenario.before && scenario.name != "bundle" => loss("something is different"),
            _ => Ok(1),
        };
        fs_err::remove_dir_all(&folder).unwrap();
        result
    });
}
