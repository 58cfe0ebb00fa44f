//! Killed at any step, an installation leaves the one before in use and completes when run again.

use crate::kit;
use crate::kit::unsigned;
use install::{Bundle, InstallOptions, current, install, verify_home};
use manifest::{Sha256, Silent, layout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::sandbox::Sandbox;

/// Stands for the program: the test that this process runs when it is told what to install where.
#[test]
fn installs_when_told() {
    let told = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let sandbox = Sandbox::new();
    let bundle = told(BUNDLE).unwrap_or_else(|| kit::short_bundle(&sandbox, "bundle", 1).folder);
    let home = told(HOME).unwrap_or_else(|| kit::home(&sandbox));
    let options = InstallOptions { home, threads: 2, trust: unsigned(), ..Default::default() };
    install(&Bundle::open(&bundle).unwrap(), &options, &Silent).unwrap();
}

/// Names of variables that tell this program what to install where.
const BUNDLE: &str = "FIELDFORGE_TEST_BUNDLE";
const HOME: &str = "FIELDFORGE_TEST_HOME";

/// This program, told to install.
pub(crate) fn told_to_install(command: &mut Command, bundle: &Path, home: &Path) {
    command.args(["--exact", "killed::installs_when_told", "--nocapture"]);
    command.env(BUNDLE, bundle).env(HOME, home);
}

/// When to kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// At the entry of a thread's n-th call of that name (needs strace).
    Call(&'static str, u32),
    /// After so many milliseconds.
    After(u32),
}

/// Starts an installation and kills it. False when it was done before.
fn killed(bundle: &Path, home: &Path, moment: Moment) -> bool {
    let this = std::env::current_exe().unwrap();
    let mut command = match moment {
        Moment::Call(call, number) => {
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            command.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]).arg(this);
            command
        }
        Moment::After(_) => Command::new(this),
    };
    told_to_install(&mut command, bundle, home);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    if let Moment::After(milliseconds) = moment {
        std::thread::sleep(Duration::from_millis(milliseconds.into()));
        let _ = child.kill();
    }
    let status = child.wait().unwrap();
    // Neither done nor killed would mean that this test tests nothing.
    assert!(status.success() || status.code().is_none(), "{moment:?}: {status}");
    !status.success()
}

/// Whatever has a final name must be right.
fn nothing_wrong_has_a_final_name(home: &Path, right: &[Sha256]) {
    for (name, content) in kit::tree(home, &[]) {
        let record = [layout::MANIFEST, layout::RECEIPT, layout::CURRENT, layout::HOME_LOCK];
        if !name.ends_with(layout::PARTIAL_SUFFIX) && !record.iter().any(|record| name.ends_with(record)) {
            assert!(right.contains(&Sha256::of(&content)), "`{name}` is wrong");
        }
    }
}

#[test]
fn an_installation_killed_at_any_step_completes_when_run_again() {
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let sandbox = Sandbox::new();
    let first = kit::short_bundle(&sandbox, "first", 1);
    let mut contents = kit::short_contents(1);
    contents.truncate(4);
    contents.push(("parts/odds/two chunks.bin".to_owned(), testkit::sandbox::noise(9, (4 << 20) + 9)));
    let second = kit::pack_into(&sandbox, "second", &kit::input(&sandbox, "kit", &contents), None, 2);
    let right: Vec<Sha256> =
        first.manifest.files.iter().chain(&second.manifest.files).map(|file| file.sha256).collect();
    let once = |moment: Moment| {
        let home = sandbox.path(&format!("home {moment:?}"));
        let options = InstallOptions { home: home.clone(), threads: 2, trust: unsigned(), ..Default::default() };
        install(&Bundle::open(&first.folder).unwrap(), &options, &Silent).unwrap();
        let interrupted = killed(&second.folder, &home, moment);
        nothing_wrong_has_a_final_name(&home, &right);
        let now = current(&home).unwrap().expect("the generation before stays");
        assert!(interrupted || now.number == 2);
        assert!(verify_home(&home, 1, &Silent).unwrap().is_good());
        if now.number == 1 {
            let receipt = install(&Bundle::open(&second.folder).unwrap(), &options, &Silent).unwrap();
            assert_eq!(receipt.generation, 2, "{moment:?}");
        }
        let after = current(&home).unwrap().unwrap();
        assert_eq!((after.number, after.manifest.id()), (2, second.bundle_id));
        assert!(verify_home(&home, 1, &Silent).unwrap().is_good());
        let left: Vec<_> =
            Sandbox::files_below(&home).into_iter().filter(|name| name.contains(layout::PARTIAL_SUFFIX)).collect();
        assert!(left.iter().all(|name| name == "CURRENT.part"), "{left:?}");
        fs_err::remove_dir_all(&home).unwrap();
        interrupted
    };
    let kills = if strace {
        let calls = ["write", "fsync", "rename", "linkat", "mkdir"];
        calls.iter().map(|call| (1..60).take_while(|number| once(Moment::Call(call, *number))).count()).sum()
    } else {
        (0..60).step_by(2).filter(|milliseconds| once(Moment::After(*milliseconds))).count()
    };
    assert!(kills >= 20, "only {kills} kills hit");
}

#[test]
fn what_was_written_before_is_not_written_again() {
    let sandbox = Sandbox::new();
    let report = kit::bundle(&sandbox);
    let bundle = Bundle::open(&report.folder).unwrap();
    let options = InstallOptions { home: kit::home(&sandbox), trust: unsigned(), ..Default::default() };
    // A volume breaks off: everything before it is kept.
    let last = report.folder.join(&report.volumes.last().unwrap().0);
    let intact = fs_err::read(&last).unwrap();
    fs_err::write(&last, &intact[..intact.len() / 2]).unwrap();
    let error = install(&bundle, &options, &Silent).unwrap_err();
    assert!(error.to_string().contains("kept and will be continued"), "{error}");
    fs_err::write(&last, &intact).unwrap();
    let receipt = install(&bundle, &options, &Silent).unwrap();
    assert!(receipt.reused > 9 << 20 && receipt.written < 6 << 20, "{receipt:?}");
    assert_eq!(receipt.reused + receipt.written, receipt.bytes);
    assert!(verify_home(&options.home, 2, &Silent).unwrap().is_good());
}
