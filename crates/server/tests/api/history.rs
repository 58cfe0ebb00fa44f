//! Pictures stay, come back, and survive everything but a full disk.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use server::Facts;

use crate::fake::{Fake, png};
use crate::running::Running;

fn ids(page: &serde_json::Value) -> Vec<String> {
    let pictures = page["pictures"].as_array().expect("pictures");
    pictures.iter().map(|picture| picture["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn the_history_is_paged_and_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = Running::at(&folder.path().join("outputs"), Arc::new(Fake::default()), Facts::default());
    for seed in 0..5 {
        running.finished(&running.order(&format!(r#"{{"prompt":"number {seed}","seed":{seed}}}"#)));
    }
    let all = running.get("/api/v1/pictures").json();
    let newest_first: Vec<u64> = all["pictures"]
        .as_array()
        .expect("pictures")
        .iter()
        .map(|picture| picture["settings"]["seed"].as_u64().expect("a seed"))
        .collect();
    assert_eq!(newest_first, [4, 3, 2, 1, 0]);
    assert_eq!(all["more"], false);
    running.stop();

    let running = Running::at(&folder.path().join("outputs"), Arc::new(Fake::default()), Facts::default());
    assert_eq!(running.get("/api/v1/pictures").json(), all);
    let names = ids(&all);
    let first = running.get("/api/v1/pictures?limit=2").json();
    assert_eq!((ids(&first).as_slice(), &first["more"]), (&names[..2], &true.into()));
    let second = running.get(&format!("/api/v1/pictures?limit=3&before={}", names[1])).json();
    assert_eq!((ids(&second).as_slice(), &second["more"]), (&names[2..], &false.into()));
    for (query, refusal) in [
        ("limit=0", (400, "out_of_range")),
        ("limit=501", (400, "out_of_range")),
        ("limit=x", (400, "out_of_range")),
        ("before=nobody", (404, "unknown_picture")),
    ] {
        let reply = running.get(&format!("/api/v1/pictures?{query}"));
        assert_eq!(reply.refusal(), (refusal.0, refusal.1.to_owned()), "{query}");
    }
}

#[test]
fn a_deleted_picture_can_be_brought_back() {
    let running = Running::fast();
    let job = running.finished(&running.order(r#"{"prompt":"a cat"}"#));
    let id = job["picture"].as_str().expect("a picture").to_owned();
    let before = running.get(&format!("/outputs/{id}.png")).body;
    let mut events = running.connect().listen();

    assert_eq!(running.send("DELETE", &format!("/api/v1/pictures/{id}")).status, 204);
    assert_eq!(events.until("removed")["id"], id.as_str());
    assert_eq!(running.get(&format!("/outputs/{id}.png")).refusal(), (404, "unknown_picture".to_owned()));
    assert_eq!(ids(&running.get("/api/v1/pictures").json()), [""; 0]);
    assert_eq!(running.files(), [".trash"]);
    let again = running.send("DELETE", &format!("/api/v1/pictures/{id}"));
    assert_eq!(again.refusal(), (404, "unknown_picture".to_owned()));

    let restored = running.send("POST", &format!("/api/v1/pictures/{id}/restore"));
    assert_eq!((restored.status, &restored.json()["id"]), (200, &id.as_str().into()));
    assert_eq!(events.until("picture"), restored.json());
    assert_eq!(running.get(&format!("/outputs/{id}.png")).body, before);
    let again = running.send("POST", &format!("/api/v1/pictures/{id}/restore"));
    assert_eq!(again.refusal(), (409, "already_there".to_owned()));
    for foreign in ["nobody", "..%2F..%2Fetc%2Fpasswd", ".trash", "%2e%2e"] {
        let reply = running.send("POST", &format!("/api/v1/pictures/{foreign}/restore"));
        assert_eq!(reply.refusal(), (404, "not_in_trash".to_owned()), "{foreign}");
    }
}

#[test]
fn foreign_files_in_the_folder_are_shown_or_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let outputs = folder.path().join("outputs");
    fs_err::create_dir(&outputs).expect("a folder");
    let put = |name: &str, bytes: &[u8]| fs_err::write(outputs.join(name), bytes).expect("written");
    put("mein Käse.png", &png(16, 24, None));
    put("broken.png", b"\x89PNG\r\n\x1a\nrubbish");
    put("cut.png", &png(16, 16, None)[..40]);
    put("empty.png", b"");
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"bad-\xff.png");
        fs_err::write(outputs.join(name), png(8, 8, None)).expect("written");
    }
    let running = Running::at(&outputs, Arc::new(Fake::default()), Facts::default());
    let page = running.get("/api/v1/pictures").json();
    assert_eq!(ids(&page), ["mein Käse"]);
    assert_eq!(page["pictures"][0]["settings"], serde_json::Value::Null);
    let reported: Vec<&str> = page["unreadable"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| file["file"].as_str().expect("a name"))
        .collect();
    assert!(["broken.png", "cut.png", "empty.png"].iter().all(|name| reported.contains(name)), "{reported:?}");
    assert_eq!(reported.len(), if cfg!(target_os = "linux") { 4 } else { 3 });
    let url = page["pictures"][0]["url"].as_str().expect("an address");
    assert_eq!(running.get(url).body, png(16, 24, None));
    let download = running.get(&format!("{url}?download=1"));
    assert_eq!(
        download.header("content-disposition"),
        Some("attachment; filename=\"mein_K_se.png\"; filename*=UTF-8''mein%20K%C3%A4se.png")
    );
    let etag = download.header("etag").expect("a tag").to_owned();
    let same = running.connect().request("GET", url, &[("If-None-Match", &etag)], b"");
    assert_eq!((same.status, same.body.len()), (304, 0));
    fs_err::remove_file(outputs.join("mein Käse.png")).expect("removed");
    assert_eq!(running.get(url).refusal(), (410, "gone".to_owned()));
}

#[test]
fn a_folder_that_goes_away_fails_the_job_and_names_itself() {
    let running = Running::fast();
    fs_err::remove_dir_all(&running.outputs).expect("removed");
    fs_err::write(&running.outputs, b"a file in the way").expect("written");
    let job = running.finished(&running.order(r#"{"prompt":"a cat"}"#));
    assert_eq!((&job["state"], &job["error"]["code"]), (&"failed".into(), &"not_saved".into()));
    let message = job["error"]["message"].as_str().expect("a text");
    assert!(message.contains(&running.outputs.display().to_string()), "{message}");
    fs_err::remove_file(&running.outputs).expect("removed");
    assert_eq!(running.finished(&running.order(r#"{"prompt":"a cat"}"#))["state"], "done");
}

/// A file system of 64 KiB, where the system lets us make one (root on Linux).
struct TinyDisk(tempfile::TempDir);

impl TinyDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = folder.path().join("outputs");
        fs_err::create_dir(&disk).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(&disk)
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("outputs")
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_fails_the_job_and_leaves_no_half_file() {
    let Some(disk) = TinyDisk::mount() else {
        // Without the right to mount, the kernel's always-full device stands for the disk.
        let error = fs_err::write("/dev/full", b"x").map_err(|error| error.kind());
        assert_ne!(error, Ok(()));
        return;
    };
    let mut running = Running::at(&disk.path(), Arc::new(Fake::default()), Facts::default());
    assert_eq!(running.finished(&running.order(r#"{"prompt":"small"}"#))["state"], "done");
    let before = running.files();
    let job = running.finished(&running.order(r#"{"prompt":"noise","width":512,"height":512}"#));
    assert_eq!((&job["state"], &job["error"]["code"]), (&"failed".into(), &"not_saved".into()));
    let message = job["error"]["message"].as_str().expect("a text");
    assert!(message.contains(".png") && message.contains("No space left"), "{message}");
    assert!(job["error"]["hint"].as_str().expect("a hint").contains("make room"));
    assert_eq!(running.files(), before);
    assert_eq!(running.finished(&running.order(r#"{"prompt":"small"}"#))["state"], "done");
    running.stop();
}
