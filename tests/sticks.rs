//! A bundle that fills several sticks, as a person at a terminal packs, verifies and installs it.

use crate::run::{PROGRAM, Place, tree};
use std::process::Command;

/// Runs a shell script in which users may mount; nothing where the system does not let them.
fn with_mounts(place: &Place, script: &str) -> Option<String> {
    let possible = Command::new("unshare").args(["-Urm", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-Urm", "sh", "-ec", script]);
    place.furnish(&mut command);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    Some(text)
}

#[test]
fn two_sticks_are_filled_checked_and_installed() {
    let place = Place::new();
    place.spark_bundle();
    let archive = tree(&place.path("kit")).into_iter().find(|name| name.ends_with(".tar.zst")).unwrap();
    let archive = fs_err::metadata(place.path("kit").join(archive)).unwrap().len();
    let program = fs_err::metadata(PROGRAM).unwrap().len();
    // The program lies on every stick; the first one has room for a part of the archive, the second one for the rest.
    let (first, second) = (program + archive * 6 / 10 + (1 << 20), program + archive + (2 << 20));
    let script = format!(
        "for stick in a b c; do mkdir $stick; done
        mount -t tmpfs -o size={first} none a
        mount -t tmpfs -o size={second} none b
        mount -t tmpfs -o size={first} none c
        p='{PROGRAM}'
        say() {{ echo \"== $*\"; }}
        say full; $p bundle --no-sign --out a/kit 2>&1 && exit 9 || test $? = 1
        say named; $p bundle --no-sign --out a/kit --next b/kit 2>&1
        say verify; $p verify a/kit 2>&1; $p verify b/kit 2>&1; $p verify b/kit a/kit 2>&1
        cat a/kit/START-HERE.txt b/kit/START-HERE.txt | grep '^It is stick'
        for stick in a b; do (cd $stick/kit && sha256sum -c --quiet SHA256SUMS); done
        say wrong stick; $p install b/kit --allow-unsigned --home home 2>&1 && exit 9 || test $? = 1
        say one; $p install a/kit --allow-unsigned --home home 2>&1 && exit 9 || test $? = 1
        say other; $p install b/kit --allow-unsigned --home home 2>&1
        test -x home/fieldforge
        say asked; printf 'a/kit\\nb/kit\\n' | script -qec \"'$p' install a/kit --allow-unsigned --home second\" /dev/null
        test -x second/fieldforge
        say off; mkfifo answer; touch said; here=$PWD
        script -qfec \"cd a; exec kit/fieldforge start --no-serve --allow-unsigned --home '$here/third'\" said < answer > /dev/null &
        exec 3> answer; n=0; until grep -q 'Press Enter' said; do sleep 0.1; n=$((n+1)); test $n -lt 600; done
        umount a; echo \"$PWD/b/kit\" >&3; wait $!; test -x third/fieldforge; cat said
        test -z \"$(ls -A ${{TMPDIR:-/tmp}} | grep fieldforge-copy)\"
        say end; mount -t tmpfs -o size={first} none a
        umount b; mount -t tmpfs -o size={second} none b
        say packing; printf 'c/kit\\nb/kit\\n' | script -qec \"'$p' bundle --no-sign --out c/kit\" /dev/null
        $p verify c/kit b/kit 2>&1"
    );
    let Some(text) = with_mounts(&place, &script) else { return };
    let part = |title: &str| {
        let after = text.split_once(&format!("== {title}\n")).unwrap_or_else(|| panic!("no {title} in\n{text}")).1;
        after.split("\n== ").next().unwrap_or_default().to_owned()
    };
    let said = |title: &str, words: &[&str]| {
        for words in words {
            assert!(part(title).contains(words), "{title}: `{words}` is not in\n{text}");
        }
    };
    said("full", &["free; the bundle needs about", "use several sticks: `--next DIR`"]);
    said("named", &["on several sticks", "from memory: this file system has no medium behind it"]);
    said("verify", &["what is in `a/kit` is whole", "is not here", "`b/kit`, `a/kit` is whole"]);
    said("verify", &["It is stick 1 of several", "It is stick 2 of 2, the last one"]);
    said(
        "wrong stick",
        &["the table of contents is in volume 1, on another stick", "hint: put in the stick that holds"],
    );
    said("one", &["volume 2 is not here: put in the stick that holds", "kept and will be continued", "hint: "]);
    said("other", &["installed in"]);
    said("asked", &["volume 2 is not here", "which was read already", "Press Enter when it is in", "installed in"]);
    // The first stick could be taken out while it asked, though the program was started from it, in a folder of it.
    said("off", &["volume 2 is not here", "[2/2] done in", "installed and proven in"]);
    said(
        "packing",
        &["stick 1 is full and can be taken out", "Put in stick 2", "holds stick 1 of this bundle already"],
    );
}

#[test]
fn a_bundle_goes_on_after_a_kill() {
    let place = Place::new();
    let arguments = ["bundle", "--no-sign", "--volume-size", "5MiB", "--out", "kit"];
    let mut child = place.command(PROGRAM).args(arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
    // Until the second volume is begun, or all is done.
    let (second, done) = (place.path("kit"), place.path("kit/SHA256SUMS"));
    let began = std::time::Instant::now();
    let begun = || tree(&second).iter().any(|name| name.ends_with(".tar.zst.002.part")) || done.exists();
    while !begun() && began.elapsed() < std::time::Duration::from_secs(300) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let _ = child.kill();
    let _ = child.wait();
    if done.exists() {
        return;
    }
    let kept = tree(&place.path("kit"));
    let ran = place.run(arguments).expect_success();
    if kept.iter().any(|name| name == "packing.json") {
        assert!(ran.stderr.contains("going on with an interrupted bundle"), "{}", ran.stderr);
    }
    place.run(["verify", "kit"]).expect_success();
    let names = tree(&place.path("kit"));
    assert!(!names.iter().any(|name| name.ends_with(".part") || name == "packing.json"), "{names:?}");
}
