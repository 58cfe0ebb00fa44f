//! Every refusal: the file, the reason and what to do now; exit status 1; nothing half-written under a final name.

use crate::run::{PROGRAM, Place, Ran, tree};
use std::path::Path;
use std::process::Command;

/// Nothing that looks finished, and nothing half-written, lies in `folder`.
fn expect_nothing_in(folder: &Path) {
    let found: Vec<String> = tree(folder).into_iter().filter(|name| !folder.join(name).is_dir()).collect();
    assert!(found.is_empty(), "left behind in {}: {found:?}", folder.display());
}

fn request(component: &str) -> String {
    format!(
        "name = \"kit\"\n\n[[component]]\nid = \"mine\"\nkind = \"checkpoint\"\nfamily = \"sd1\"\ntitle = \"Mine\"\nlicence = \"MIT\"\nfile = \"mine.safetensors\"\n{component}\n"
    )
}

/// Runs a shell script as root of a user namespace of its own, where it may mount.
fn in_mount_namespace(place: &Place, script: &str) -> Ran {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]).env("PROGRAM", PROGRAM);
    place.furnish(&mut command);
    Ran::of(command.output().unwrap())
}

#[test]
fn a_missing_request() {
    let place = Place::new();
    place
        .run(["bundle", "nowhere/forge.toml", "--out", "kit"])
        .expect_refusal(&["nowhere/forge.toml", "check the spelling"]);
    assert!(!place.path("kit").exists());
}

#[test]
fn a_request_that_is_not_toml() {
    let place = Place::new();
    place.write("forge.toml", "name = \"kit\"\ninclude = [spark]\n");
    place.run(["plan", "forge.toml"]).expect_refusal(&["forge.toml", "line 2"]);
}

#[test]
fn an_unknown_component_names_its_neighbours() {
    let place = Place::new();
    place.write("forge.toml", "name = \"kit\"\ninclude = [\"sd1.5\"]\n");
    place.run(["bundle", "forge.toml", "--out", "kit"]).expect_refusal(&["`sd1.5`", "sd15", "fieldforge catalog list"]);
    place.run(["catalog", "show", "juggernaut"]).expect_refusal(&["`juggernaut`", "did you mean `juggernaut-xl"]);
    assert!(!place.path("kit").exists());
}

#[test]
fn a_digest_nobody_knows_is_refused_until_trusted() {
    let place = Place::new();
    place
        .run(["plan", "--add", "juggernaut-xl-lightning"])
        .expect_refusal(&["juggernaut-xl-lightning", "--trust-on-first-use"]);
    place.run(["plan", "--add", "juggernaut-xl-lightning", "--trust-on-first-use"]).expect_success();
}

#[test]
fn a_missing_file() {
    let place = Place::new();
    place.write("forge.toml", request("sources = [{ kind = \"file\", path = \"weights/mine.safetensors\" }]"));
    place.run(["bundle", "forge.toml", "--out", "kit"]).expect_refusal(&["weights/mine.safetensors"]);
    assert!(!place.path("kit").exists());
    assert!(!place.path("forge.lock").exists());
}

#[test]
fn a_file_with_another_digest() {
    let place = Place::new();
    place.write("mine.safetensors", "these are other bytes");
    let digest = "0".repeat(64);
    place.write(
        "forge.toml",
        request(&format!("sha256 = \"{digest}\"\nsources = [{{ kind = \"file\", path = \"mine.safetensors\" }}]")),
    );
    let ran = place.run(["bundle", "forge.toml", "--out", "kit"]);
    ran.expect_refusal(&["mine.safetensors", &digest]);
    assert!(!place.path("kit").exists());
}

#[test]
fn a_pickle_is_recognized_by_content_whatever_its_name() {
    let place = Place::new();
    let mut zip = b"PK\x03\x04\x00\x00\x08\x08\x00\x00".to_vec();
    zip.extend([0; 16]);
    zip.extend(b"\x10\x00\x00\x00archive/data.pklFB");
    zip.extend([0; 64]);
    for (name, bytes) in
        [("mine.safetensors", zip.as_slice()), ("model.ckpt", b"\x80\x02}q\x00(X\x05\x00\x00\x00state")]
    {
        place.write(name, bytes);
        place.run(["generate", "x", "--model", name]).expect_refusal(&[name, "pickle"]);
    }
    place.write("forge.toml", request("sources = [{ kind = \"file\", path = \"mine.safetensors\" }]"));
    place.run(["bundle", "forge.toml", "--out", "kit"]).expect_refusal(&["mine.safetensors", "pickle"]);
    assert!(!place.path("kit").exists());
    assert!(!place.path("picture.png").exists());
}

#[test]
fn a_checkpoint_with_a_hostile_header() {
    let place = Place::new();
    let header = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    for (name, bytes) in [
        ("huge.safetensors", u64::MAX.to_le_bytes().to_vec()),
        ("long.safetensors", (1u64 << 40).to_le_bytes().iter().chain(b"{}").copied().collect()),
        ("deep.safetensors", header(&"[".repeat(100_000))),
        ("outside.safetensors", header(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,99999999999]}}"#)),
        (
            "overflow.safetensors",
            header(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#),
        ),
        ("backwards.safetensors", header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#)),
        ("empty.safetensors", Vec::new()),
        ("page.safetensors", b"<!DOCTYPE html><html><body>Please log in</body></html>".to_vec()),
        ("pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".to_vec()),
    ] {
        place.write(name, bytes);
        place.run(["generate", "x", "--model", name]).expect_refusal(&[name]);
    }
    assert!(!place.path("picture.png").exists());
}

#[test]
fn a_damaged_bundle_is_found_and_never_installed() {
    let place = Place::new();
    let kit = place.spark_bundle();
    let archive = kit.join("fieldforge-kit.tar.zst");
    let whole = fs_err::read(&archive).unwrap();

    fs_err::write(&archive, &whole[..whole.len() / 2]).unwrap();
    place.run(["verify", "kit"]).expect_refusal(&["fieldforge-kit.tar.zst", "damaged"]);
    place.run(["install", "kit", "--home", "home"]).expect_refusal(&["fieldforge-kit.tar.zst"]);
    assert!(!place.path("home/CURRENT").exists());

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    fs_err::write(&archive, &flipped).unwrap();
    place.run(["verify", "kit"]).expect_refusal(&["models/checkpoints/spark.safetensors"]);
    place.run(["install", "kit", "--home", "home"]).expect_refusal(&["fieldforge-kit.tar.zst"]);
    assert!(!place.path("home/CURRENT").exists());
    let finished = tree(&place.path("home")).into_iter().find(|name| name.ends_with(".safetensors"));
    assert_eq!(finished, None, "a damaged checkpoint has its final name");

    // The same home takes the good copy afterwards.
    fs_err::write(&archive, &whole).unwrap();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    place.run(["verify", "home"]).expect_success();

    // And a file that rots after the installation is found.
    let installed = tree(&place.path("home")).into_iter().find(|name| name.ends_with("spark.safetensors")).unwrap();
    let installed = place.path("home").join(installed);
    let mut bytes = fs_err::read(&installed).unwrap();
    bytes[9_000_000] ^= 1; // too little to change the picture, and still found
    fs_err::remove_file(&installed).unwrap();
    fs_err::write(&installed, bytes).unwrap();
    place.run(["verify", "home"]).expect_refusal(&["spark.safetensors"]);
    place.run(["selftest", "--home", "home"]).expect_refusal(&[
        "self-test failed",
        "spark.safetensors",
        "does not match the manifest",
    ]);
}

#[test]
fn something_that_is_no_bundle() {
    let place = Place::new();
    place.write("folder/readme.txt", "hello");
    for command in ["verify", "inspect", "install"] {
        place.run([command, "folder"]).expect_refusal(&["folder"]);
        place.run([command, "nowhere"]).expect_refusal(&["nowhere"]);
    }
    place.write("folder/kit.tar.zst", "not an archive at all");
    for command in ["verify", "inspect", "install"] {
        place.run([command, "folder"]).expect_refusal(&["kit.tar.zst"]);
    }
}

#[test]
fn a_full_disk() {
    let place = Place::new();
    place.spark_bundle();
    fs_err::create_dir(place.path("disk")).unwrap();
    let ran = in_mount_namespace(
        &place,
        "mount -t tmpfs -o size=4m none disk; \"$PROGRAM\" install kit --home disk/home || code=$?; find disk -type f; exit $code",
    );
    ran.expect_refusal(&["free"]);
    assert!(!ran.stdout.contains("safetensors"), "{}", ran.stdout);

    let ran = in_mount_namespace(
        &place,
        "mount -t tmpfs -o size=4m none disk; \"$PROGRAM\" bundle --out disk/kit || code=$?; find disk -type f; exit $code",
    );
    ran.expect_refusal(&["free"]);
    assert!(!ran.stdout.contains("tar.zst"), "{}", ran.stdout);

    let ran = in_mount_namespace(
        &place,
        "mount -t tmpfs -o size=4k none disk; \"$PROGRAM\" generate x --out disk/picture.png || code=$?; find disk -type f; exit $code",
    );
    ran.expect_refusal(&["picture.png", "No space left"]);
    assert_eq!(ran.stdout, "", "half a picture was left");
}

#[test]
fn a_target_that_cannot_be_written_to() {
    let place = Place::new();
    place.spark_bundle();
    fs_err::create_dir(place.path("disk")).unwrap();
    for command in ["install kit --home disk/home", "bundle --out disk/kit", "generate x --out disk/picture.png"] {
        let ran = in_mount_namespace(&place, &format!("mount -t tmpfs -o ro none disk; \"$PROGRAM\" {command}"));
        ran.expect_refusal(&["disk", "ead-only"]);
    }
    expect_nothing_in(&place.path("disk"));
}

#[test]
fn folders_of_other_people_are_left_alone() {
    let place = Place::new();
    place.write("mine/photos.tar.zst", "years of photos");
    place.write("mine/cache/letters.txt", "dear");
    let before = tree(&place.path("mine"));
    place.run(["bundle", "--out", "mine"]).expect_refusal(&["`", "mine", "not empty"]);
    place.run(["bundle", "--out", "mine", "--replace"]).expect_refusal(&["mine", "not empty"]);
    place.run(["demo", "--no-serve", "--out", "mine"]).expect_refusal(&["mine", "not empty"]);
    assert_eq!(tree(&place.path("mine")), before);
    // A bundle of ours is replaced when asked for, whole or damaged.
    let archive = place.spark_bundle().join("fieldforge-kit.tar.zst");
    fs_err::write(&archive, "damaged").unwrap();
    place.run(["bundle", "--out", "kit"]).expect_refusal(&["not empty", "--replace"]);
    place.run(["bundle", "--out", "kit", "--replace"]).expect_success();
    place.run(["verify", "kit"]).expect_success();
}

#[test]
fn an_occupied_port() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    place.run(["serve", "--no-browser", "--port", &port, "--home", "home"]).expect_refusal(&[&port, "taken", "--port"]);
}

#[test]
fn impossible_settings() {
    let place = Place::new();
    for (args, word) in [
        (&["--size", "65x64"] as &[&str], "65"),
        (&["--size", "8x8"], "8"),
        (&["--steps", "0"], "steps"),
        (&["--cfg", "nan"], "CFG"),
        (&["--sampler", "magic"], "magic"),
        (&["--model", "no-such-model"], "no-such-model"),
        (&["--out", "no/such/folder/x.png"], "no/such/folder"),
    ] {
        let ran = place.run(["generate", "x"].iter().chain(args));
        ran.expect_refusal(&[word]);
    }
    assert!(!place.path("picture.png").exists());
}

#[test]
fn settings_of_other_clients_that_cannot_be_read_are_named() {
    let place = Place::new();
    place.write(".npmrc/file", "");
    let ran = place.run(["plan", "--print-urls"]).expect_success();
    let npmrc = place.path(".npmrc").display().to_string();
    let said = format!("`{npmrc}`: Is a directory (os error 21): what it says about servers and accounts is not used");
    assert!(ran.stderr.contains("warning: ") && ran.stderr.contains(&said), "{}", ran.stderr);
}
