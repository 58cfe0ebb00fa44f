//! Faults that strace puts into system calls.

use super::place::{Ended, Lab, TRIAL};
use super::scenario::Scenario;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Calls that change what is on a disk.
pub(crate) const CHANGING: [&str; 16] = [
    "write",
    "pwrite64",
    "writev",
    "copy_file_range",
    "sendfile",
    "openat",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat2",
    "linkat",
    "mkdir",
    "unlink",
    "unlinkat",
];
/// Calls that read from one.
pub(crate) const READING: [&str; 4] = ["read", "pread64", "openat", "lseek"];

/// One moment in a run: a thread's n-th call of that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) number: u32,
}

/// What happens there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    /// The process is killed before the call does anything.
    Kill,
    /// The call fails, once.
    Once(&'static str),
    /// It fails from there on, every time.
    Onward(&'static str),
}

/// The words of strace, up to the program.
fn strace(log: &Path, calls: &str, inject: Option<String>) -> Vec<String> {
    let mut words: Vec<String> = ["strace", "-f", "-qq", "-y", "-s", "0", "-o"].map(Into::into).into();
    words.extend([log.display().to_string(), "-e".into(), format!("trace={calls}")]);
    words.extend(inject.into_iter().flat_map(|inject| ["-e".to_owned(), format!("inject={inject}")]));
    words
}

/// Runs the program without harm and lists every moment at which it touches a file of the trial.
pub(crate) fn points(lab: &Lab, folder: &Path, scenario: &Scenario, changing: bool) -> Vec<Point> {
    let log = folder.with_extension("log");
    let calls = if changing { CHANGING.join(",") } else { READING.join(",") };
    scenario.run(lab, folder, &strace(&log, &calls, None)).expect_success();
    let text = fs_err::read(&log).unwrap();
    fs_err::remove_file(&log).unwrap();
    let mut counts: HashMap<(String, String), u32> = HashMap::new();
    let mut found: BTreeMap<Point, ()> = BTreeMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        if !CHANGING.contains(&call) && !READING.contains(&call) {
            continue;
        }
        let count = counts.entry((thread.to_owned(), call.to_owned())).or_default();
        *count += 1;
        let writes = ["O_CREAT", "O_WRONLY", "O_RDWR"].iter().any(|flag| arguments.contains(flag));
        if touched(arguments).is_some() && (call != "openat" || writes == changing) {
            found.insert(Point { call: call.to_owned(), number: *count }, ());
        }
    }
    found.into_keys().collect()
}

/// The file below the trial's folder that a call named last.
fn touched(arguments: &str) -> Option<&str> {
    let (_, behind) = arguments.rsplit_once(&format!("/{TRIAL}"))?;
    let path = behind.trim_start_matches(|digit: char| digit.is_ascii_digit()).strip_prefix('/')?;
    path.split(['>', '"', '<']).next().filter(|path| !path.is_empty())
}

/// Runs the program with harm. Answers how it ended and which files of the trial were hit: nothing if the point was not
/// reached. Every thread has its own n-th call, so there can be several.
pub(crate) fn harmed(
    lab: &Lab,
    folder: &Path,
    scenario: &Scenario,
    point: &Point,
    harm: Harm,
) -> (Ended, Option<Vec<String>>) {
    let log = folder.with_extension("log");
    let Point { call, number } = point;
    let inject = match harm {
        Harm::Kill => format!("{call}:signal=KILL:when={number}"),
        Harm::Once(error) => format!("{call}:error={error}:when={number}"),
        Harm::Onward(error) => format!("{call}:error={error}:when={number}+"),
    };
    let ended = scenario.run(lab, folder, &strace(&log, call, Some(inject)));
    let text = fs_err::read(&log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let _ = fs_err::remove_file(&log);
    let injected = || text.lines().filter(|line| line.contains("(INJECTED)"));
    let reached = ended.killed || injected().next().is_some();
    let files = injected().filter_map(touched).map(str::to_owned).collect();
    (ended, reached.then_some(files))
}

/// Words for an error, of which one must be said.
pub(crate) fn words(error: &str) -> &'static [&'static str] {
    match error {
        "ENOSPC" => &["No space left on device", "disk is full"],
        "EIO" => &["Input/output error"],
        "EFBIG" => &["File too large"],
        "EROFS" => &["Read-only file system"],
        "ENODEV" => &["No such device"],
        _ => &["os error"],
    }
}
