//! Bundle → carry → install → self-test → generate → serve, as a user types it.

use crate::run::{PROGRAM, Place, Ran, tree};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A folder as other people have it.
const ELSEWHERE: &str = "Dokumente von Jürgen/写真 stick";

const REQUEST: &str = r#"
name = "field-kit"
include = ["spark", "fieldforge-page"]

[[component]]
id = "icons"
kind = "part"
title = "Icon set"
licence = "ISC"
file = "lucide-static-1.62.0.tgz"
sources = [{ kind = "npm", package = "lucide-static", version = "1.62.0" }]

[[component]]
id = "sd-parsers"
kind = "part"
title = "A reader for picture metadata"
licence = "MIT"
file = "sd_parsers-0.6-py3-none-any.whl"
sources = [{ kind = "pypi", package = "sd-parsers", version = "0.6" }]
"#;

fn picture_size(path: &Path) -> (u32, u32, String) {
    let decoder = png::Decoder::new(BufReader::new(fs_err::File::open(path).unwrap()));
    let reader = decoder.read_info().unwrap();
    let info = reader.info();
    let text = info
        .uncompressed_latin1_text
        .iter()
        .find(|chunk| chunk.keyword == "parameters")
        .map(|chunk| chunk.text.clone());
    (info.width, info.height, text.unwrap_or_default())
}

/// Width and height of what spark draws when nothing else is asked for.
fn spark_size() -> (u32, u32) {
    let written: serde_json::Value = serde_json::from_str(include_str!("../models/spark/spark_info.json")).unwrap();
    let side = written["resolution"].as_u64().unwrap().try_into().unwrap();
    (side, side)
}

#[test]
fn the_demo_walks_the_whole_way() {
    let place = Place::new();
    let ran = place.run(["demo", "--no-serve", "--out", "demo"]).expect_success();
    for step in
        ["[1/8] Fetch", "[2/8] Pack", "[3/8] Verify", "[4/8] Carry", "[5/8] Install", "[6/8] Prove", "[7/8] Generate"]
    {
        assert!(ran.stderr.contains(step), "{step} is missing in:\n{}", ran.stderr);
    }
    assert_eq!(ran.stderr.matches("done in").count(), 7, "every step says its time:\n{}", ran.stderr);
    let report: serde_json::Value =
        serde_json::from_slice(&fs_err::read(place.path("demo/self-test.json")).unwrap()).unwrap();
    assert_eq!(report["verdict"], "passed", "{report:#}");
    assert_eq!(report["picture"]["comparison"]["equal_bytes"], true);
    assert_eq!(report["canary"]["heard_sealed"], 0);
    let (width, height, text) = picture_size(&place.path("demo/picture.png"));
    assert_eq!((width, height), spark_size());
    assert!(text.starts_with("a banana\nSteps: 20, Sampler: Euler"), "{text}");
    for name in [
        "demo/bundle/START-HERE.txt",
        "demo/bundle/SHA256SUMS",
        "demo/bundle/fieldforge",
        "demo/home/CURRENT",
        "demo/home/fieldforge",
    ] {
        assert!(place.path(name).is_file(), "{name} is missing");
    }
    // Once more over itself, because a person tries things twice, and with no network at all.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", PROGRAM, "demo", "--no-serve", "--out", "demo", "--quiet"]);
    place.furnish(&mut command);
    Ran::of(command.output().unwrap()).expect_success();
}

#[test]
#[expect(clippy::print_stderr, reason = "whoever reads the test's output should know what was skipped")]
fn a_bundle_with_parts_from_npm_and_pypi_works_elsewhere_without_any_network() {
    let place = Place::new();
    place.write("wish/forge.toml", REQUEST);
    let ran = place.run(["bundle", "wish/forge.toml", "--out", "kit", "--volume-size", "8MB"]);
    if ran.code != Some(0)
        && ["failed to lookup", "Connection refused", "timed out", "unreachable"]
            .iter()
            .any(|why| ran.stderr.contains(why))
    {
        eprintln!("skipped: no package registry can be reached from here\n{}", ran.stderr);
        return;
    }
    ran.expect_success();
    let lock = fs_err::read_to_string(place.path("wish/forge.lock")).unwrap();
    assert_eq!(lock.matches("confirmed = \"registry\"").count(), 2, "both registries vouched for their files:\n{lock}");

    // The lock pins the bytes: packed again, offline, the same archive comes out. (Signatures hold random numbers.)
    for out in ["kit unsigned", "kit again"] {
        let again = ["bundle", "wish/forge.toml", "--volume-size", "8MB", "--offline", "--no-sign", "--out", out];
        place.run(again).expect_success();
    }
    let volumes: Vec<String> = tree(&place.path("kit")).into_iter().filter(|name| name.contains(".tar.zst")).collect();
    assert!(volumes.len() >= 2, "{volumes:?}");
    for name in &volumes {
        assert!(
            fs_err::read(place.path("kit unsigned").join(name)).unwrap()
                == fs_err::read(place.path("kit again").join(name)).unwrap(),
            "{name} differs"
        );
    }

    // Carried: another folder, another user's home, no network at all.
    fs_err::create_dir_all(place.path(ELSEWHERE)).unwrap();
    fs_err::rename(place.path("kit"), place.path(ELSEWHERE).join("kit")).unwrap();
    let program = place.path(ELSEWHERE).join("kit/fieldforge");
    let alone = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]).arg(&program).args(args);
        place.furnish(&mut command);
        command.env("HOME", place.path(ELSEWHERE).join("Zuhause"));
        Ran::of(command.output().unwrap())
    };
    alone(&["verify", &place.path(ELSEWHERE).join("kit").display().to_string()]).expect_success();
    let ran = alone(&["start", "--no-serve"]).expect_success();
    assert!(ran.stderr.contains("[1/2] Install"), "{}", ran.stderr);
    let home = place.path(ELSEWHERE).join("Zuhause/fieldforge");
    let text = fs_err::read_to_string(home.join("self-test/self-test.txt")).unwrap();
    assert!(text.starts_with("Self-test: PASSED\n"), "{text}");
    assert!(text.contains("equal bytes"), "{text}");
    let files = tree(&home);
    for name in ["lucide-static-1.62.0.tgz", "sd_parsers-0.6-py3-none-any.whl", "spark.safetensors", "LICENSE-APACHE"] {
        assert!(files.iter().any(|file| file.ends_with(name)), "{name} is not installed:\n{files:#?}");
    }

    // Moved again after the installation: nothing in it knows where it was.
    let moved = place.path("moved home");
    fs_err::rename(&home, &moved).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net"]).arg(moved.join("fieldforge")).arg("selftest");
    place.furnish(&mut command);
    Ran::of(command.output().unwrap()).expect_success();
}

#[test]
fn the_same_seed_draws_the_same_picture_and_the_text_says_how() {
    let place = Place::new();
    for out in ["a.png", "b.png"] {
        place.run(["generate", "a rocket", "--seed", "5", "--out", out]).expect_success();
    }
    place
        .run(["generate", "a rocket", "--seed", "6", "--sampler", "DPM++ 2M Karras", "--out", "c.png"])
        .expect_success();
    assert_eq!(fs_err::read(place.path("a.png")).unwrap(), fs_err::read(place.path("b.png")).unwrap());
    assert_ne!(fs_err::read(place.path("a.png")).unwrap(), fs_err::read(place.path("c.png")).unwrap());
    let (.., text) = picture_size(&place.path("c.png"));
    assert!(text.contains("Sampler: DPM++ 2M, Schedule type: Karras") && text.contains("Seed: 6"), "{text}");
}

#[test]
fn an_installation_can_be_taken_back() {
    let place = Place::new();
    place.spark_bundle();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    place.write("second/forge.toml", "name = \"second\"\ninclude = [\"spark\"]\n[self-test]\nprompt = \"a rocket\"\n");
    place.run(["bundle", "second/forge.toml", "--out", "second kit"]).expect_success();
    place.run(["install", "second kit", "--home", "home"]).expect_success();
    place.run(["selftest", "--home", "home"]).expect_success();
    let report = fs_err::read_to_string(place.path("home/self-test/self-test.txt")).unwrap();
    assert!(report.contains("\"a rocket\""), "{report}");
    place.run(["install", "--roll-back", "--home", "home"]).expect_success();
    place.run(["selftest", "--home", "home"]).expect_success();
    let report = fs_err::read_to_string(place.path("home/self-test/self-test.txt")).unwrap();
    assert!(report.contains("\"a banana\""), "{report}");
}

/// A running `fieldforge serve`, ended when dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Serving {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').parse();
        let address = address.unwrap_or_else(|_| panic!("the server printed no address but {line:?}"));
        Self { child, address }
    }

    /// One request; the answer's head and body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (String, Vec<u8>) {
        self.exchange(method, path, "application/json", body.as_bytes())
    }

    /// Sends a file; the answer's head and body.
    pub(crate) fn send(&self, path: &str, kind: &str, file: &[u8]) -> (String, Vec<u8>) {
        self.exchange("POST", path, kind, file)
    }

    fn exchange(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len().saturating_sub(4));
        let body = answer.split_off((end + 4).min(answer.len()));
        (String::from_utf8_lossy(&answer).into_owned(), body)
    }

    pub(crate) fn json(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let (head, body) = self.ask(method, path, body);
        let text = String::from_utf8_lossy(&body);
        let whole = text.find(['{', '[']).map_or("", |at| &text[at..]);
        let mut values = serde_json::Deserializer::from_str(whole).into_iter();
        values.next().and_then(Result::ok).unwrap_or_else(|| panic!("{method} {path}: {head}\n{text}"))
    }

    /// Draws one picture through the queue and waits for its file's name.
    pub(crate) fn draw(&self, body: &str) -> String {
        let job = self.json("POST", "/api/v1/generate", body);
        let id = job["jobs"][0]["id"].as_str().unwrap_or_else(|| panic!("{job:#}")).to_owned();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            let job = self.json("GET", &format!("/api/v1/jobs/{id}"), "");
            match job["state"].as_str() {
                Some("done") => return job["picture"].as_str().unwrap().to_owned(),
                Some("failed" | "cancelled") => panic!("{job:#}"),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        panic!("no picture after a minute");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // When the child is strace, the server is its child and would outlive it.
        let id = self.child.id();
        let children = fs_err::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for server in children.split_whitespace() {
            let _ = Command::new("kill").arg(server).status();
        }
        if children.is_empty() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

#[test]
fn the_page_is_served_sealed_and_draws() {
    let place = Place::new();
    let mut command = place.command(PROGRAM);
    command.args(["serve", "--no-browser", "--home", "home"]);
    let serving = Serving::start(command);
    assert!(serving.address.ip().is_loopback());
    let (head, page) = serving.ask("GET", "/", "");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("default-src 'self'"), "{head}");
    assert!(String::from_utf8_lossy(&page).contains("<title>"));
    let status = serving.json("GET", "/api/v1/status", "");
    assert_eq!(status["models"][0]["id"], "spark", "{status:#}");
    let seal = serving.json("GET", "/api/v1/seal", "");
    assert!(matches!(seal["level"].as_str(), Some("S2" | "S3")), "{seal:#}");
    assert!(seal["attempts"].as_array().unwrap().iter().all(|attempt| attempt["refused"] == true), "{seal:#}");
    let name = serving.draw(r#"{"prompt":"a star","seed":3}"#);
    let (width, height, text) = picture_size(&place.path("home/outputs").join(format!("{name}.png")));
    assert_eq!((width, height), spark_size());
    assert!(text.starts_with("a star\n"), "{text}");
    let history = serving.json("GET", "/api/v1/pictures", "");
    assert_eq!(history["pictures"][0]["settings"]["seed"], 3, "{history:#}");
}

#[test]
fn a_taken_port_is_no_obstacle_unless_it_was_asked_for() {
    let place = Place::new();
    // A server of another test may have 7860 now and give it back at any moment: wait until it is ours. Whoever keeps it
    // longer is no test, and then it is taken as well.
    let began = Instant::now();
    let mut taken = std::net::TcpListener::bind("127.0.0.1:7860");
    while taken.is_err() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
        taken = std::net::TcpListener::bind("127.0.0.1:7860");
    }
    let mut command = place.command(PROGRAM);
    command.args(["serve", "--no-browser", "--home", "home"]);
    let serving = Serving::start(command);
    assert_ne!(serving.address.port(), 7860);
}

/// Every file of a folder with its mode and digest, but what only the machine at hand needs.
fn digests(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let facts = |name: String| {
        let path = folder.join(&name);
        let metadata = fs_err::symlink_metadata(&path).unwrap();
        let content = if metadata.is_file() { fs_err::read(&path).unwrap() } else { Vec::new() };
        format!("{name} {:o} {}", metadata.permissions().mode(), manifest::Sha256::of(&content))
    };
    tree(folder).into_iter().filter(|name| name != manifest::layout::HOME_LOCK).map(facts).collect()
}

#[test]
fn a_home_survives_that_its_machine_is_lost() {
    let place = Place::new();
    place.spark_bundle();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    place.run(["selftest", "--home", "home"]).expect_success();
    let draw = |home: &str, out: &str| {
        let args = ["generate", "a banana", "--seed", "7", "--size", "64x64", "--home", home, "--out", out];
        place.run(args).expect_success();
        fs_err::read(place.path(out)).unwrap()
    };
    let picture = draw("home", "before.png");
    place.write("home/outputs/2026/before.png", &picture);
    place.write("home/outputs/trash/name with : and trailing dot.", "thrown away");

    // A whole backup; one with what was added since; one of a home that did not change.
    place.run(["backup", "--home", "home", "--out", "first"]).expect_success();
    place.write("home/outputs/2026/after.png", "another picture");
    std::thread::sleep(Duration::from_secs(4));
    place.run(["backup", "--home", "home", "--out", "second", "--have", "first"]).expect_success();
    let inventory = place.path("second/inventory.json").display().to_string();
    let ran =
        place.run(["backup", "--home", "home", "--out", "third", "--have", &inventory, "--json"]).expect_success();
    let line = ran.stdout.lines().last().unwrap();
    let made: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&made["edition"], &made["new_files"]), (&3.into(), &0.into()), "{made:#}");
    assert!(made["packed_bytes"].as_u64().unwrap() < 200_000, "{made:#}");
    let sums =
        Command::new("sha256sum").args(["--quiet", "-c", "SHA256SUMS"]).current_dir(place.path("first")).status();
    assert!(sums.unwrap().success());
    place.run(["verify", "third"]).expect_success();

    // The machine is lost. Elsewhere, under another path, with the program of the backup.
    let before = digests(&place.path("home"));
    fs_err::remove_dir_all(place.path("home")).unwrap();
    fs_err::remove_dir_all(place.path("kit")).unwrap();
    let program = place.path("first/fieldforge");
    let restore = |bundles: &[&str]| {
        let mut command = place.command(&program);
        command.arg("restore").args(bundles).args(["--to", "another place/forge"]);
        Ran::of(command.output().unwrap())
    };
    restore(&["third", "first"]).expect_refusal(&["edition 3 of `home-backup`", "edition 2 of `home-backup`"]);
    restore(&["second", "third", "first"]).expect_success();
    assert_eq!(digests(&place.path("another place/forge")), before);
    assert!(draw("another place/forge", "after.png") == picture, "the picture is another one");
    let mut command = place.command(place.path("another place/forge/fieldforge"));
    Ran::of(command.arg("selftest").output().unwrap()).expect_success();
    restore(&["second", "third", "first"]).expect_refusal(&["not an empty folder"]);
    place.run(["install", "first", "--home", "elsewhere"]).expect_refusal(&["is a backup of a home"]);
}

#[test]
fn a_backup_names_what_it_could_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.spark_bundle();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    let secret = place.write("home/outputs/secret.png", "nobody may read this");
    fs_err::set_permissions(&secret, PermissionsExt::from_mode(0o000)).unwrap();
    // Root may read everything.
    if fs_err::read(&secret).is_ok() {
        fs_err::remove_file(&secret).unwrap();
        fs_err::os::unix::fs::symlink("/proc/self/mem", place.path("home/outputs/link")).unwrap();
        let mut command = place.command("mkfifo");
        assert!(command.arg("home/outputs/pipe").status().unwrap().success());
        let ran = place.run(["backup", "--home", "home", "--out", "first"]).expect_success();
        assert!(ran.stderr.contains("`outputs/pipe` is not in it: it is a pipe"), "{}", ran.stderr);
        assert!(ran.stderr.contains("`outputs/link` is a link out of the folder"), "{}", ran.stderr);
    } else {
        let ran = place.run(["backup", "--home", "home", "--out", "first"]);
        ran.expect_refusal(&["is not complete", "`outputs/secret.png` is not in it", "may not read"]);
    }
    place.run(["restore", "first", "--to", "again"]).expect_success();
    place.run(["backup", "--home", "home", "--out", "home/inside"]).expect_refusal(&["lies inside"]);
}
