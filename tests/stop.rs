//! Ctrl-C at various moments: the program stops where it can go on, says so, and goes on.

use crate::run::{PROGRAM, Place, Ran, tree};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

/// Enough that a signal finds the work under way.
const BIG: usize = 96 << 20;

/// A request with a large file of noise.
fn large_request(place: &Place) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = (0..BIG / 8)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    place.write("big.bin", &noise);
    let digest = manifest::Sha256::of(&noise);
    place.write(
        "forge.toml",
        format!(
            "name = \"trip\"\ninclude = [\"spark\"]\n[[component]]\nid = \"big\"\nkind = \"part\"\ntitle = \"Noise\"\n\
             licence = \"MIT\"\nfile = \"big.bin\"\nsha256 = \"{digest}\"\nsources = [{{ kind = \"file\", path = \"big.bin\" }}]\n"
        ),
    );
}

/// Runs the program with `--json` and sends `signal` when the first event comes that `moment` wants.
fn stop_at(place: &Place, args: &[&str], signal: &str, moment: impl Fn(&Value) -> bool) -> Ran {
    // whoever runs the tests may have signals ignored, as shells do for jobs in the background
    let mut command = place.command("env");
    command.arg("--default-signal=INT,TERM,HUP").arg(PROGRAM);
    command.args(args).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let (mut stdout, mut sent) = (String::new(), false);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        if !sent && moment(&event) {
            Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
            sent = true;
        }
        stdout.push_str(&line);
        stdout.push('\n');
    }
    assert!(sent, "the moment never came:\n{stdout}");
    Ran { code: child.wait().unwrap().code(), stdout, stderr: said.join().unwrap() }
}

/// The event says that `task` is under way.
fn under_way(task: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == "task-progress" && event["task"] == task && event["bytes"].as_u64() > Some(0)
}

fn begins(step: u64) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == "step" && event["number"] == step
}

/// Stopped as asked: the status, the words, the last event.
fn expect_stop(ran: &Ran, words: &str) {
    assert_eq!(ran.code, Some(130), "stdout:\n{}\nstderr:\n{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("Stopped. ") && ran.stderr.contains(words),
        "`{words}` is not said in:\n{}",
        ran.stderr
    );
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "stopped", "{last}");
}

#[test]
fn a_bundle_that_was_stopped_is_made_by_running_it_again() {
    let place = Place::new();
    large_request(&place);
    let args = ["bundle", "forge.toml", "--no-sign", "--out", "kit"];
    expect_stop(&stop_at(&place, &args, "-INT", under_way("big.bin")), "files are complete");
    expect_stop(&stop_at(&place, &args, "-TERM", begins(3)), "again to go on");
    expect_stop(&stop_at(&place, &args, "-HUP", under_way("what goes in")), "again to go on");
    expect_stop(&stop_at(&place, &args, "-INT", under_way("trip.tar.zst")), "bundle is not complete");
    assert!(!tree(&place.path("kit")).iter().any(|name| name.ends_with(".zst") || name == "SHA256SUMS"));
    let reading_back = |event: &Value| event["task"].as_str().is_some_and(|task| task.ends_with("(reading back)"));
    let ran = stop_at(&place, &args, "-INT", reading_back);
    // The last of it may have been read before the signal came.
    if ran.code != Some(0) {
        expect_stop(&ran, "again to go on");
        place.run(args).expect_success();
    }
    place.run(["verify", "kit"]).expect_success();
    place.run(["bundle", "forge.toml", "--no-sign", "--out", "straight"]).expect_success();
    for name in tree(&place.path("straight")) {
        let (one, other) = (place.path("kit").join(&name), place.path("straight").join(&name));
        assert!(fs_err::read(one).unwrap() == fs_err::read(other).unwrap(), "{name} differs");
    }
}

#[test]
fn an_installation_that_was_stopped_goes_on() {
    let place = Place::new();
    large_request(&place);
    place.run(["bundle", "forge.toml", "--no-sign", "--out", "kit"]).expect_success();
    let args = ["install", "kit", "--allow-unsigned", "--home", "home"];
    let far = |event: &Value| event["event"] == "task-progress" && event["bytes"].as_u64() > Some(40 << 20);
    expect_stop(&stop_at(&place, &args, "-INT", far), "the installation in use was not touched");
    assert!(!place.path("home/CURRENT").exists());
    let ran = place.run(args.iter().copied().chain(["--json"])).expect_success();
    let receipt: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert!(receipt["reused"].as_u64() > Some(20 << 20), "it went on from what was there: {receipt}");
    place.run(["verify", "home"]).expect_success();
    let installed = fs_err::read(place.path("home/generations/0001/parts/big/big.bin")).unwrap();
    assert!(installed == fs_err::read(place.path("big.bin")).unwrap());
    expect_stop(&stop_at(&place, &["verify", "kit"], "-INT", under_way("trip.tar.zst")), "was checked");
    expect_stop(&stop_at(&place, &["verify", "home"], "-INT", under_way("installed files")), "was checked");
    place.run(["selftest", "--home", "home"]).expect_success();
}

#[test]
fn a_backup_and_a_restoration_that_were_stopped_go_on() {
    let place = Place::new();
    large_request(&place);
    place.spark_bundle();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    fs_err::rename(place.path("big.bin"), place.path("home/outputs.bin")).unwrap();
    let far = |event: &Value| event["event"] == "task-progress" && event["bytes"].as_u64() > Some(40 << 20);
    let packing = |event: &Value| far(event) && event["task"].as_str().is_some_and(|task| task.ends_with(".tar.zst"));
    let args = ["backup", "--home", "home", "--out", "safe"];
    expect_stop(&stop_at(&place, &args, "-INT", far), "again to go on");
    expect_stop(&stop_at(&place, &args, "-TERM", packing), "again to go on");
    assert!(!place.path("safe/SHA256SUMS").exists());
    place.run(args).expect_success();
    place.run(["verify", "safe"]).expect_success();

    let args = ["restore", "safe", "--to", "again"];
    expect_stop(&stop_at(&place, &args, "-INT", far), "again to go on");
    assert!(!place.path("again/CURRENT").exists(), "all of it or nothing");
    place.run(args).expect_success();
    let mut there = tree(&place.path("home"));
    there.retain(|name| name != "home.lock");
    assert_eq!(tree(&place.path("again")), there);
    let big = |home: &str| fs_err::read(place.path(home).join("outputs.bin")).unwrap();
    assert!(big("again") == big("home"));
}

#[test]
fn the_page_stops_cleanly() {
    let place = Place::new();
    let serving = |event: &Value| event["event"] == "serving";
    let ran = stop_at(&place, &["serve", "--no-browser", "--home", "home"], "-INT", serving);
    assert_eq!(ran.code, Some(0), "stdout:\n{}\nstderr:\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("Stopped."), "{}", ran.stdout);
}
