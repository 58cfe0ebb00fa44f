//! Bundles on several sticks, and packing that goes on after an interruption.

use crate::kit;
use crate::kit::unsigned;
use bundler::{PackError, PackInput, PackOptions, PackReport, ReadBack, SigningKey, pack};
use install::{Bundle, InstallError, InstallOptions, OpenError, Receipt, current, install, verify, verify_home};
use manifest::{ByteSize, Event, Problem, Reporter, Sha256, Silent, StickRequest, layout};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::damage::{Damage, damage, swap};
use testkit::sandbox::{Sandbox, noise};

/// A person who puts in one stick after the other, and remembers what was said.
#[derive(Default)]
struct Person {
    sticks: Mutex<VecDeque<PathBuf>>,
    said: Mutex<Vec<String>>,
}

impl Person {
    fn with(sticks: &[&Path]) -> Self {
        let sticks = sticks.iter().map(|stick| stick.to_path_buf()).collect();
        Self { sticks: Mutex::new(sticks), said: Mutex::default() }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }
}

impl Reporter for Person {
    fn event(&self, event: &Event<'_>) {
        if let Event::Warning { text } | Event::Note { text } = event {
            self.said.lock().unwrap().push((*text).to_owned());
        }
    }

    fn can_ask(&self) -> bool {
        true
    }

    fn ask_for_stick(&self, request: &StickRequest<'_>) -> Option<PathBuf> {
        self.said.lock().unwrap().push(request.why.to_owned());
        self.sticks.lock().unwrap().pop_front()
    }
}

/// Stops when so many bytes are packed.
struct Impatient(u64, AtomicBool);

impl Reporter for Impatient {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::TaskProgress { task: "kit.tar.zst", bytes } if *bytes >= self.0) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn stopping(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }
}

/// Deals the volumes of a bundle out to sticks, as packing does.
fn deal(report: &PackReport, sandbox: &Sandbox, sticks: &[&[u32]]) -> Vec<PathBuf> {
    let deal = |(at, volumes): (usize, &&[u32])| {
        let folder = sandbox.path(&format!("stick {}", at + 1));
        fs_err::create_dir_all(&folder).unwrap();
        let names = volumes.iter().map(|number| layout::volume_name("kit", *number));
        let names = names.chain([layout::PROGRAM.to_owned(), layout::START_HERE.to_owned()]);
        let sums = names.map(|name| {
            let content = fs_err::read(report.folder.join(&name)).unwrap();
            fs_err::write(folder.join(&name), &content).unwrap();
            format!("{}  {name}\n", Sha256::of(&content))
        });
        let sums: String = sums.collect();
        fs_err::write(folder.join(layout::SHA256SUMS), sums).unwrap();
        folder
    };
    sticks.iter().enumerate().map(deal).collect()
}

/// Six volumes on three sticks; one file of five chunks lies on all of them.
fn on_three_sticks(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut contents = kit::short_contents(1);
    contents.push(("models/loras/long.safetensors".to_owned(), noise(7, (20 << 20) + 5)));
    let report = kit::pack_into(sandbox, "whole", &kit::input(sandbox, "kit", &contents), Some(5 << 20), 2);
    assert!(report.volumes.len() >= 5, "{:?}", report.volumes);
    let last = report.volumes.len() as u32;
    let rest: Vec<u32> = (4..=last).collect();
    deal(&report, sandbox, &[&[1], &[2, 3], &rest])
}

fn install_from(folders: &[&Path], home: &Path, reporter: &dyn Reporter) -> Result<Receipt, InstallError> {
    let folders: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    let options = InstallOptions {
        home: home.to_path_buf(),
        threads: 2,
        trust: unsigned(),
        program: Some(folders[0].join(layout::PROGRAM)),
        ..Default::default()
    };
    install(&Bundle::open_all(&folders, Some(home)).unwrap(), &options, reporter)
}

#[test]
fn sticks_are_installed_in_any_order_and_asked_for_by_number() {
    let sandbox = Sandbox::new();
    let sticks = on_three_sticks(&sandbox);
    let [one, two, three] = [&sticks[0], &sticks[1], &sticks[2]].map(PathBuf::as_path);
    for (home, order) in [("a", [two, three]), ("b", [three, two])] {
        let person = Person::with(&order);
        let home = sandbox.path(home);
        let receipt = install_from(&[one], &home, &person).unwrap();
        assert_eq!(receipt.written, receipt.bytes - receipt.reused);
        assert!(verify_home(&home, 1, &Silent).unwrap().is_good());
        let said = person.said();
        assert!(said.contains("volume 2 is not here: put in the stick that holds `kit.tar.zst.002`"), "{said}");
    }
    // The last one knows how many there are.
    let person = Person::with(&[three, two]);
    install_from(&[one], &sandbox.path("c"), &person).unwrap();
    assert!(person.said().contains("volumes 2 to 3 of "), "{}", person.said());
    // All at once, nobody is asked.
    let person = Person::with(&[]);
    install_from(&[three, one, two], &sandbox.path("d"), &person).unwrap();
    assert!(!person.said().contains("not here"), "{}", person.said());
}

#[test]
fn an_installation_goes_on_with_any_stick_after_a_restart() {
    let sandbox = Sandbox::new();
    let sticks = on_three_sticks(&sandbox);
    let home = kit::home(&sandbox);
    let error = install_from(&[&sticks[0]], &home, &Silent).unwrap_err();
    assert!(error.to_string().starts_with("volume 2 is not here: put in the stick that holds `kit.tar.zst.002`"));
    assert!(error.hint().unwrap().contains("`fieldforge install A B`"), "{error}");
    assert!(current(&home).unwrap().is_none());
    // Another run, and the first stick is not there any more.
    let error = install_from(&[&sticks[2]], &home, &Silent).unwrap_err();
    assert!(error.to_string().contains("not here"), "{error}");
    fs_err::rename(&sticks[0], sandbox.path("gone")).unwrap();
    let receipt = install_from(&[&sticks[1]], &home, &Silent).unwrap();
    assert!(receipt.reused > 5 << 20, "what the other sticks held was not written again: {receipt:?}");
    assert!(verify_home(&home, 1, &Silent).unwrap().is_good());
    assert!(home.join(layout::PROGRAM).is_file());
}

#[test]
fn the_stick_with_the_table_of_contents_comes_first_once() {
    let sandbox = Sandbox::new();
    let sticks = on_three_sticks(&sandbox);
    let error = Bundle::open(&sticks[1]).unwrap_err();
    assert!(matches!(error, OpenError::NotFirst { .. }));
    let text = error.to_string();
    assert!(
        text.contains("holds `kit.tar.zst.002`, `kit.tar.zst.003`; the table of contents is in volume 1"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("put in the stick that holds `kit.tar.zst.001`"));
}

#[test]
fn a_stick_that_does_not_help_is_named_and_another_asked_for() {
    let sandbox = Sandbox::new();
    let sticks = on_three_sticks(&sandbox);
    let other = Sandbox::new();
    let foreign = kit::short_bundle(&other, "bundle", 50).folder;
    let empty = sandbox.path("empty");
    fs_err::create_dir_all(&empty).unwrap();
    let person = Person::with(&[&sticks[0], &foreign, &empty, &sandbox.path("nowhere"), &sticks[1], &sticks[2]]);
    install_from(&[&sticks[0]], &kit::home(&sandbox), &person).unwrap();
    let said = person.said();
    for words in [
        "holds `kit.tar.zst.001`, which was read already, and not `kit.tar.zst.002`",
        "holds no volume of this bundle",
        "it is volume 1 of another bundle",
        "holds no volume of `kit`",
        "cannot be read",
    ] {
        assert!(said.contains(words), "`{words}` is not in\n{said}");
    }
}

#[test]
fn every_stick_is_verified_alone() {
    let sandbox = Sandbox::new();
    let sticks = on_three_sticks(&sandbox);
    for (at, stick) in sticks.iter().enumerate() {
        let report = verify(std::slice::from_ref(stick), 1, &Silent).unwrap();
        assert!(report.findings.iter().all(|finding| finding.problem == Problem::Elsewhere), "{at}: {report}");
        assert!(!report.findings.is_empty() && report.bytes > 0, "{at}: {report}");
        let sums = Command::new("sha256sum").args(["-c", "--quiet", layout::SHA256SUMS]).current_dir(stick).status();
        assert!(sums.unwrap().success());
    }
    assert!(verify(&sticks, 2, &Silent).unwrap().is_good());
    // One flipped bit on any of them is found there.
    for (stick, name) in [(0, "kit.tar.zst.001"), (1, "kit.tar.zst.003"), (2, "kit.tar.zst.005")] {
        let path = sticks[stick].join(name);
        damage(&path, Damage::FlippedBit { offset: 2_000_000, bit: 1 });
        let report = verify(&sticks[stick..=stick], 1, &Silent).unwrap();
        let wrong: Vec<_> = report.findings.iter().filter(|finding| finding.problem != Problem::Elsewhere).collect();
        assert!(!wrong.is_empty(), "{name}: {report}");
        damage(&path, Damage::FlippedBit { offset: 2_000_000, bit: 1 });
    }
    // What a stick lists and does not hold is missing, not elsewhere.
    fs_err::remove_file(sticks[1].join("kit.tar.zst.003")).unwrap();
    let report = verify(&sticks[1..2], 1, &Silent).unwrap();
    let missing = |problem: &Problem| {
        report.findings.iter().any(|finding| finding.problem == *problem && finding.subject == "kit.tar.zst.003")
    };
    assert!(missing(&Problem::Missing) && !missing(&Problem::Elsewhere), "{report}");
}

#[test]
fn swapped_empty_and_stale_volumes_on_a_stick_are_named() {
    let sandbox = Sandbox::new();
    let sticks = on_three_sticks(&sandbox);
    swap(&sticks[1].join("kit.tar.zst.002"), &sticks[1].join("kit.tar.zst.003"));
    let report = verify(&sticks[1..2], 1, &Silent).unwrap().to_string();
    assert!(report.contains("it is named like volume 2 and is volume 3"), "{report}");
    install_from(&[&sticks[0], &sticks[1], &sticks[2]], &sandbox.path("a"), &Silent).unwrap();
    fs_err::write(sticks[2].join("kit.tar.zst.004"), b"").unwrap();
    let report = verify(&sticks[2..], 1, &Silent).unwrap().to_string();
    assert!(report.contains("`kit.tar.zst.004`: does not belong here: it is empty (0 bytes)"), "{report}");
    assert!(report.contains("`kit.tar.zst.004`: missing"), "{report}");
    let other = Sandbox::new();
    let stale = kit::short_bundle(&other, "bundle", 50).folder;
    fs_err::copy(stale.join("kit.tar.zst.002"), sticks[2].join("kit.tar.zst.004")).unwrap();
    let report = verify(&sticks[2..], 1, &Silent).unwrap().to_string();
    assert!(
        report.contains("it is volume 2 of another bundle") && report.contains("perhaps of another edition"),
        "{report}"
    );
}

#[test]
fn every_stick_is_repaired_alone() {
    let sandbox = Sandbox::new();
    let input = kit::input(&sandbox, "kit", &kit::short_contents(1));
    let options = PackOptions { out: sandbox.path("whole"), volume_size: Some(ByteSize(78 << 10)), ..short() };
    let whole = pack(&input, &PackOptions { recovery: 50.0, ..options }, &Silent).unwrap();
    assert!(whole.volumes.len() >= 2, "{:?}", whole.volumes);
    let rest: Vec<u32> = (2..=whole.volumes.len() as u32).collect();
    let sticks = deal(&whole, &sandbox, &[&[1], &rest]);
    for (stick, name) in sticks.iter().zip(["kit.tar.zst.001", "kit.tar.zst.002"]) {
        let before = fs_err::read(stick.join(name)).unwrap();
        damage(&stick.join(name), Damage::FlippedBit { offset: 3000, bit: 1 });
        let report = install::repair(stick, 1, &Silent).unwrap();
        assert_eq!(report.now.wrong().count(), 0, "{}", report.now);
        assert!(fs_err::read(stick.join(name)).unwrap() == before, "{name}");
    }
}

/// All volumes of all sticks, copied into one folder by hand, are a bundle.
#[test]
fn sticks_copied_together_are_whole() {
    let sandbox = Sandbox::new();
    let sticks = on_three_sticks(&sandbox);
    let together = sandbox.path("together");
    fs_err::create_dir_all(&together).unwrap();
    for stick in &sticks {
        for name in Sandbox::files_below(stick) {
            fs_err::copy(stick.join(&name), together.join(&name)).unwrap();
        }
    }
    let report = verify(std::slice::from_ref(&together), 1, &Silent).unwrap();
    assert!(report.is_good(), "{report}");
}

/// What the hint says when recovery volumes are asked for on several sticks.
#[test]
fn a_bundle_copied_onto_sticks_by_hand_installs_and_survives_the_loss_of_one() {
    let sandbox = Sandbox::new();
    let options = PackOptions { recovery_volumes: 1, volume_size: Some(ByteSize(7 << 20)), ..PackOptions::default() };
    let report = kit::bundle_with(&sandbox, &kit::input(&sandbox, "kit", &kit::contents()), options);
    assert!(report.volumes.len() >= 3, "{:?}", report.volumes);
    // Whoever copies by hand copies the lists, too.
    let everywhere = [layout::PROGRAM, layout::START_HERE, layout::SHA256SUMS];
    let names = report.volumes.iter().chain(&report.recovery_volumes).map(|(name, _)| name.as_str());
    let stick = |name: &str| {
        let folder = sandbox.path(&format!("stick with {name}"));
        fs_err::create_dir_all(&folder).unwrap();
        for name in everywhere.iter().copied().chain([name]) {
            fs_err::copy(report.folder.join(name), folder.join(name)).unwrap();
        }
        folder
    };
    let sticks: Vec<PathBuf> = names.map(stick).collect();
    let all: Vec<&Path> = sticks.iter().take(report.volumes.len()).rev().map(PathBuf::as_path).collect();
    install_from(&all, &sandbox.path("home"), &Silent).unwrap();
    let whole = kit::tree(&report.folder, &[]);
    for lost in 0..sticks.len() {
        let together = sandbox.path(&format!("without {lost}"));
        fs_err::create_dir_all(&together).unwrap();
        for (_, stick) in sticks.iter().enumerate().filter(|(at, _)| *at != lost) {
            for name in Sandbox::files_below(stick) {
                fs_err::copy(stick.join(&name), together.join(&name)).unwrap();
            }
        }
        if lost + 1 < sticks.len() {
            assert!(install::repair(&together, 1, &Silent).unwrap().now.is_good());
        }
        let verdict = verify(std::slice::from_ref(&together), 1, &Silent).unwrap();
        // Without the recovery volume the bundle is whole, and that one is named.
        assert_eq!(verdict.is_good(), lost + 1 < sticks.len(), "{lost}: {verdict}");
        let bundle = kit::tree(&together, &[]);
        assert!(bundle.iter().all(|file| whole.contains(file)), "{lost}");
    }
}

fn options(sandbox: &Sandbox) -> PackOptions {
    let volume_size = Some(ByteSize(5 << 20));
    PackOptions { out: sandbox.path("out"), threads: 2, volume_size, ..PackOptions::default() }
}

fn long_input<'a>(sandbox: &Sandbox) -> PackInput<'a> {
    let contents = [("parts/odds/long.bin".to_owned(), noise(3, 17 << 20))];
    kit::input(sandbox, "kit", &contents)
}

fn short_input<'a>(sandbox: &Sandbox) -> PackInput<'a> {
    kit::input(sandbox, "kit", &kit::short_contents(1))
}

/// Three volumes of it.
fn short() -> PackOptions {
    PackOptions { threads: 1, volume_size: Some(ByteSize(8 << 10)), recovery: 0.0, ..PackOptions::default() }
}

#[test]
fn an_interrupted_packing_goes_on_behind_what_is_finished() {
    let key = SigningKey::parse(&SigningKey::generate(None).unwrap().secret, None).unwrap();
    let sandbox = Sandbox::new();
    let input = PackInput { key: Some(&key), ..long_input(&sandbox) };
    let stopped = pack(&input, &options(&sandbox), &Impatient(13 << 20, AtomicBool::new(false))).unwrap_err();
    assert!(matches!(stopped, PackError::Stopped(_)), "{stopped}");
    let first = sandbox.path("out/kit.tar.zst.001.part");
    let before = (fs_err::read(&first).unwrap(), fs_err::metadata(&first).unwrap().modified().unwrap());
    assert!(sandbox.path("out").join(layout::UNFINISHED).exists());
    let person = Person::default();
    let report = pack(&input, &options(&sandbox), &person).unwrap();
    assert!(person.said().contains("going on with an interrupted bundle: `kit.tar.zst.001`"), "{}", person.said());
    let first = report.folder.join("kit.tar.zst.001");
    assert!((fs_err::read(&first).unwrap(), fs_err::metadata(&first).unwrap().modified().unwrap()) == before);
    let bundle = Bundle::open(&report.folder).unwrap();
    assert_eq!(bundle.signature().unwrap().key(), key.public());
    assert!(bundle.verify(1, &Silent).is_ok());
    let names = Sandbox::files_below(&report.folder);
    assert!(!names.iter().any(|name| name == layout::PACKING || name == layout::UNFINISHED), "{names:?}");

    // Unsigned, the bytes are those of a packing that nobody interrupted.
    let input = long_input(&sandbox);
    let whole = pack(&input, &PackOptions { out: sandbox.path("whole"), ..options(&sandbox) }, &Silent).unwrap();
    let again = PackOptions { out: sandbox.path("again"), ..options(&sandbox) };
    pack(&input, &again, &Impatient(9 << 20, AtomicBool::new(false))).unwrap_err();
    pack(&input, &again, &Silent).unwrap();
    assert!(kit::tree(&whole.folder, &[]) == kit::tree(&again.out, &[]));
}

#[test]
fn what_differs_starts_over_and_says_why() {
    let sandbox = Sandbox::new();
    let mut input = long_input(&sandbox);
    let stop = || Impatient(9 << 20, AtomicBool::new(false));
    pack(&input, &options(&sandbox), &stop()).unwrap_err();
    let other = PackOptions { recovery: 5.0, ..options(&sandbox) };
    let person = Person::default();
    pack(&input, &other, &stop()).unwrap_err();
    pack(&input, &options(&sandbox), &person).unwrap();
    assert!(
        person.said().contains("it starts over: volume size or recovery data were chosen differently"),
        "{}",
        person.said()
    );
    input.made_by = "fieldforge test 2".to_owned();
    fs_err::remove_dir_all(sandbox.path("out")).unwrap();
    pack(&long_input(&sandbox), &options(&sandbox), &stop()).unwrap_err();
    // A kept volume that is damaged meanwhile is written again.
    damage(&sandbox.path("out/kit.tar.zst.001.part"), Damage::FlippedBit { offset: 99_999, bit: 3 });
    let person = Person::default();
    let report = pack(&long_input(&sandbox), &options(&sandbox), &person).unwrap();
    assert!(person.said().contains("written again"), "{}", person.said());
    assert!(Bundle::open(&report.folder).unwrap().verify(1, &Silent).is_ok());
    fs_err::remove_dir_all(sandbox.path("out")).unwrap();
    pack(&long_input(&sandbox), &options(&sandbox), &stop()).unwrap_err();
    let person = Person::default();
    let report = pack(&input, &options(&sandbox), &person).unwrap();
    assert!(person.said().contains("the files, their order or the program"), "{}", person.said());
    assert!(Bundle::open(&report.folder).unwrap().verify(1, &Silent).is_ok());
}

/// Stands for the program: the test that a child process runs when it is told what to do where.
const TASK: &str = "FIELDFORGE_TEST_TASK";
const PLACE: &str = "FIELDFORGE_TEST_PLACE";

/// This program, told to run a test of this file for a task.
fn this_for(task: &str, place: &Path) -> String {
    let this = std::env::current_exe().unwrap();
    format!(
        "{TASK}={task} {PLACE}='{}' exec '{}' --exact sticks::does_what_it_is_told --nocapture",
        place.display(),
        this.display()
    )
}

#[test]
fn does_what_it_is_told() {
    let (Ok(task), Some(place)) = (std::env::var(TASK), std::env::var_os(PLACE).map(PathBuf::from)) else { return };
    match task.as_str() {
        "full" => full_sticks(&place),
        "limit" => under_a_limit(&place),
        "pack" => {
            let options = PackOptions { out: place.join("out"), ..short() };
            pack(&short_input(&Sandbox::new()), &options, &Silent).unwrap();
        }
        other => panic!("{other}"),
    }
}

/// A test that needs mounts of its own; nothing where the system does not let users have any.
fn with_mounts(script: &str) {
    let possible = Command::new("unshare").args(["-Urm", "true"]).stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        return;
    }
    let output = Command::new("unshare").args(["-Urm", "sh", "-ec", script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn a_full_stick_ends_with_a_volume_and_the_next_one_goes_on() {
    let sandbox = Sandbox::new();
    let root = sandbox.root().display();
    let mounts: String = ["a 9m", "b 7m", "c 30m", "d 9m", "e 400k", "f 30m"]
        .iter()
        .map(|stick| stick.split_once(' ').unwrap())
        .map(|(name, size)| format!("mkdir '{root}/{name}'; mount -t tmpfs -o size={size} none '{root}/{name}'\n"))
        .collect();
    with_mounts(&format!("{mounts}{}", this_for("full", sandbox.root())));
}

fn full_sticks(root: &Path) {
    let sandbox = Sandbox::new();
    let input = long_input(&sandbox);
    let at = |name: &str| root.join(name).join("kit");
    let options = |out: &str, next: &[&str]| PackOptions {
        out: at(out),
        next: next.iter().map(|name| at(name)).collect(),
        threads: 2,
        ..PackOptions::default()
    };
    // Nobody to ask and nothing named: known before anything is written.
    let error = pack(&input, &options("a", &[]), &Silent).unwrap_err();
    assert!(matches!(error, PackError::NoSpace { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--next DIR"));
    assert!(!at("a").exists());
    // One further stick is not enough: what is finished stays, and another run goes on.
    let error = pack(&input, &options("a", &["b"]), &Silent).unwrap_err();
    assert!(error.to_string().contains("is full: `kit.tar.zst.001` to `kit.tar.zst.002` are complete"), "{error}");
    assert!(error.hint().unwrap().contains("--next DIR"));
    for name in ["a", "b"] {
        assert!(!at(name).join(layout::UNFINISHED).exists());
        let report = verify(&[at(name)], 1, &Silent).unwrap();
        assert!(report.findings.iter().all(|finding| finding.problem == Problem::Elsewhere), "{report}");
    }
    // The same stick again is noticed.
    let error = pack(&input, &options("a", &["b", "a"]), &Silent).unwrap_err();
    assert!(matches!(error, PackError::SameStick { stick: 1, .. }), "{error}");
    let report = pack(&input, &options("a", &["b", "c"]), &Silent).unwrap();
    assert_eq!(report.read_back, ReadBack::Memory, "a tmpfs has no medium");
    assert_eq!(report.volumes.len(), 3, "{:?}", report.volumes);
    let note = |name: &str| fs_err::read_to_string(at(name).join(layout::START_HERE)).unwrap();
    assert!(note("a").contains("It is stick 1 of several"), "{}", note("a"));
    assert!(note("c").contains("It is stick 3 of 3, the last one. On it lie\n    kit.tar.zst.003\n"), "{}", note("c"));
    let person = Person::with(&[&at("c"), &at("b")]);
    install_from(&[&at("a")], &sandbox.path("home"), &person).unwrap();
    assert!(verify_home(&sandbox.path("home"), 1, &Silent).unwrap().is_good());

    // A person is asked; a stick that is too small is refused, and another one asked for.
    let person = Person::with(&[&at("e"), &at("f")]);
    let report = pack(&input, &options("d", &[]), &person).unwrap();
    let said = person.said();
    assert!(said.contains("stick 1 is full and can be taken out: `kit.tar.zst.001` is complete"), "{said}");
    assert!(said.contains("Put in stick 2"), "{said}");
    assert_eq!(report.sticks.len(), 2);
    assert!(verify(&[at("d"), at("f")], 1, &Silent).unwrap().is_good());
}

/// `ulimit -f` plays a file system with short files; a write beyond it would be a signal or EFBIG.
#[test]
fn volumes_respect_the_limit_of_a_session() {
    let sandbox = Sandbox::new();
    // In units of 512 bytes or of 1 KiB, as the shell counts.
    let script = format!("ulimit -f 6000\n{}", this_for("limit", sandbox.root()));
    let output = Command::new("sh").args(["-ec", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn under_a_limit(root: &Path) {
    let sandbox = Sandbox::new();
    // The source must fit the limit, too.
    let contents: Vec<_> = (0..12).map(|at| (format!("parts/odds/{at}.bin"), noise(at, 2 << 20))).collect();
    let input = kit::input(&sandbox, "kit", &contents);
    let report = pack(&input, &PackOptions { out: root.join("out"), ..PackOptions::default() }, &Silent).unwrap();
    assert!(report.volumes.len() >= 4, "{:?}", report.volumes);
    assert!(verify(&[report.folder], 1, &Silent).unwrap().is_good());
}

#[test]
fn a_packing_killed_at_any_step_goes_on_to_the_same_bytes() {
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !strace {
        return;
    }
    let sandbox = Sandbox::new();
    let whole = pack(&short_input(&sandbox), &PackOptions { out: sandbox.path("whole"), ..short() }, &Silent);
    let whole = kit::tree(&whole.unwrap().folder, &[]);
    let mut kills = 0;
    for (call, moments) in [("fsync", 1..14), ("rename", 1..12), ("unlink", 1..3)] {
        for number in moments {
            let place = sandbox.path(&format!("{call} {number}"));
            fs_err::create_dir_all(&place).unwrap();
            let script = format!(
                "{TASK}=pack {PLACE}='{}' exec strace -f -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={number} '{}' --exact sticks::does_what_it_is_told",
                place.display(),
                std::env::current_exe().unwrap().display()
            );
            let status = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
            kills += u32::from(status.unwrap().code().is_none());
            let out = place.join("out");
            let unfinished = out.join(layout::UNFINISHED).exists();
            if !unfinished && out.join("kit.tar.zst.001").exists() {
                let report = verify(std::slice::from_ref(&out), 1, &Silent).unwrap();
                assert!(report.is_good(), "{call} {number}: {report}");
            }
            if unfinished || out.join(layout::PACKING).exists() || !out.join("kit.tar.zst.001").exists() {
                pack(&short_input(&sandbox), &PackOptions { out: out.clone(), ..short() }, &Silent).unwrap();
            }
            assert!(kit::tree(&out, &[]) == whole, "{call} {number}");
            fs_err::remove_dir_all(place).unwrap();
        }
    }
    assert!(kills >= 15, "only {kills} kills hit");
}
