//! What cannot be done is refused before the first write, with what to do instead.

use crate::kit;
use crate::kit::unsigned;
use install::{Bundle, InstallError, InstallOptions, OpenError, current, install, verify_home};
use manifest::{Silent, layout};
use std::path::Path;
use std::process::Command;
use testkit::sandbox::Sandbox;

/// A small file system of its own, for as long as this lives. Only root can have one.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(folder: &'a Path, options: &str) -> Option<Self> {
        fs_err::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(folder).output();
        done.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    fn remount(&self, options: &str) {
        assert!(
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0).status().unwrap().success()
        );
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

fn refusal(bundle: &Path, home: &Path) -> InstallError {
    let options = InstallOptions { home: home.to_path_buf(), trust: unsigned(), ..Default::default() };
    let error = install(&Bundle::open(bundle).unwrap(), &options, &Silent).unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    error
}

#[test]
fn a_home_inside_the_bundle_is_refused() {
    let sandbox = Sandbox::new();
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    let error = refusal(&report.folder, &report.folder.join("home"));
    assert!(matches!(error, InstallError::HomeInBundle { .. }), "{error}");
    assert!(!report.folder.join("home").exists());
}

#[test]
fn a_path_that_would_be_too_long_is_refused() {
    let sandbox = Sandbox::new();
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    let deep = (0..40).fold(sandbox.path("deep"), |path, _| path.join("x".repeat(100)));
    let error = refusal(&report.folder, &deep);
    assert!(matches!(error, InstallError::PathTooLong { .. }), "{error}");
}

#[test]
fn a_file_in_the_way_is_refused() {
    let sandbox = Sandbox::new();
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    let file = sandbox.write("file", b"");
    let error = refusal(&report.folder, &file.join("home"));
    assert!(error.to_string().contains("is not a folder"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_larger_than_the_limit_is_refused_before_the_first_write() {
    let sandbox = Sandbox::new();
    let report = kit::bundle(&sandbox);
    let home = kit::home(&sandbox);
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -f 4096; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    crate::killed::told_to_install(&mut command, &report.folder, &home);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("FileTooLarge"), "{said}");
    assert!(!home.exists());
}

#[test]
fn a_second_installation_waits_its_turn() {
    let sandbox = Sandbox::new();
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    let home = kit::home(&sandbox);
    // A file that was left behind blocks nobody.
    sandbox.write("home/home.lock", b"12345\n");
    let options = InstallOptions { home: home.clone(), trust: unsigned(), ..Default::default() };
    install(&Bundle::open(&report.folder).unwrap(), &options, &Silent).unwrap();
    let held = std::fs::OpenOptions::new().write(true).open(home.join(layout::HOME_LOCK)).unwrap();
    held.lock().unwrap();
    let error = refusal(&report.folder, &home);
    assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
    drop(held);
    install(&Bundle::open(&report.folder).unwrap(), &options, &Silent).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_noticed_before_and_survived_during() {
    let sandbox = Sandbox::new();
    let report = kit::bundle(&sandbox);
    let first = kit::short_bundle(&sandbox, "first", 1);
    let place = sandbox.path("small");
    let Some(_mounted) = Mounted::new(&place, "size=8m") else {
        // Without root there is no small disk. A limit on file sizes is the nearest thing.
        return a_file_larger_than_the_limit_is_refused_before_the_first_write();
    };
    let home = place.join("home");
    let error = refusal(&report.folder, &home);
    assert!(matches!(error, InstallError::NoSpace { .. }), "{error}");
    assert!(!home.exists());
    let options = InstallOptions { home: home.clone(), trust: unsigned(), ..Default::default() };
    install(&Bundle::open(&first.folder).unwrap(), &options, &Silent).unwrap();
    let forced = InstallOptions { skip_preflight: true, ..options };
    let error = install(&Bundle::open(&report.folder).unwrap(), &forced, &Silent).unwrap_err();
    assert!(matches!(error, InstallError::Full(_)), "{error}");
    assert_eq!(current(&home).unwrap().unwrap().number, 1);
    assert!(verify_home(&home, 1, &Silent).unwrap().is_good());
    let names = Sandbox::files_below(&home);
    assert!(names.iter().all(|name| !name.contains(layout::PARTIAL_SUFFIX)), "the disk is free again: {names:?}");
}

#[test]
fn a_read_only_target_is_refused() {
    let sandbox = Sandbox::new();
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    let place = sandbox.path("read-only");
    let mounted = Mounted::new(&place, "size=8m");
    if let Some(mounted) = &mounted {
        mounted.remount("ro");
    } else {
        let mut rights = fs_err::metadata(&place).unwrap().permissions();
        rights.set_readonly(true);
        fs_err::set_permissions(&place, rights).unwrap();
    }
    let error = refusal(&report.folder, &place.join("home"));
    assert!(matches!(error, InstallError::NotWritable { .. }), "{error}");
    let input = kit::input(&sandbox, "kit", &kit::short_contents(1));
    let options = bundler::PackOptions { out: place.join("out"), threads: 1, ..bundler::PackOptions::default() };
    let error = bundler::pack(&input, &options, &Silent).unwrap_err();
    assert!(matches!(error, bundler::PackError::ReadOnly(_)), "{error}");
    drop(mounted);
}

#[test]
fn what_is_no_bundle_is_named() {
    let sandbox = Sandbox::new();
    let open = |path: &Path| {
        let error = Bundle::open(path).unwrap_err();
        assert!(error.hint().is_some());
        error
    };
    assert!(matches!(open(&sandbox.path("nowhere")), OpenError::NotFound { .. }));
    assert!(matches!(open(sandbox.root()), OpenError::NoBundle { .. }));
    let file = sandbox.write("x/kit.tar.zst", b"not a bundle");
    assert!(matches!(open(&file), OpenError::NotOurs { .. }));
    assert!(matches!(open(&sandbox.write("y/readme.txt", b"hello")), OpenError::NotOurs { .. }));
    let report = kit::short_bundle(&sandbox, "bundle", 1);
    sandbox.write("bundle/other.tar.zst", b"another");
    assert!(matches!(open(&report.folder), OpenError::Several { .. }));
    // Naming one of them helps.
    Bundle::open(&report.folder.join("kit.tar.zst.001")).unwrap();
    sandbox.write(&format!("bundle/{}", layout::UNFINISHED), b"");
    assert!(matches!(open(&report.folder.join("kit.tar.zst.001")), OpenError::Unfinished { .. }));
}
