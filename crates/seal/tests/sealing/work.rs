//! What must go on working inside the seal, and what must not.

use std::io::{Read, Seek, Write};
use std::path::Path;

/// What a generation does: threads, reading a mapped model, randomness, writing a picture.
pub(crate) fn ordinary_work(room: &Path) -> Vec<String> {
    let mut broken = Vec::new();
    let mut check = |what: &str, result: std::io::Result<()>| {
        if let Err(error) = result {
            broken.push(format!("{what}: {error}"));
        }
    };
    check("threads", {
        let handles: Vec<_> = (0..4_u64)
            .map(|seed| std::thread::Builder::new().spawn(move || (0..10_000).fold(seed, |a, b| a ^ b)))
            .collect();
        handles.into_iter().try_for_each(|handle| {
            handle.map(|handle| {
                handle.join().unwrap();
            })
        })
    });
    check("processors", std::thread::available_parallelism().map(drop));
    let out = room.join("out");
    check(
        "write, rename, remove",
        (|| {
            fs_err::create_dir(out.join("part"))?;
            let mut file = fs_err::File::create(out.join("part/picture.png"))?;
            file.write_all(&[1; 5000])?;
            file.set_len(4000)?;
            file.sync_all()?;
            fs_err::rename(out.join("part/picture.png"), out.join("picture.png"))?;
            fs_err::remove_dir(out.join("part"))?;
            let folder = fs_err::File::open(&out)?;
            folder.sync_all()?;
            assert_eq!(fs_err::read(out.join("picture.png"))?.len(), 4000);
            fs_err::remove_file(out.join("picture.png"))
        })(),
    );
    check(
        "read and map the model",
        (|| {
            let mut file = fs_err::File::open(room.join("model"))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            file.rewind()?;
            assert_eq!(bytes.len(), 100_000);
            map_and_sum(file.file(), bytes.len())
        })(),
    );
    check("randomness", {
        let mut bytes = [0_u8; 32];
        fs_err::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes))
    });
    check("/proc/self/status", fs_err::read("/proc/self/status").map(drop));
    check("/dev/null", fs_err::OpenOptions::new().write(true).open("/dev/null").map(drop));
    let _ = std::collections::HashMap::<u8, u8>::new();
    broken
}

#[expect(unsafe_code, reason = "maps a file as the engine does")]
fn map_and_sum(file: &std::fs::File, length: usize) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: a private read-only mapping of a file that nobody changes, unmapped at the end.
    unsafe {
        let place = libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0);
        if place == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let bytes = std::slice::from_raw_parts(place.cast::<u8>(), length);
        assert!(bytes.iter().all(|byte| *byte == 7));
        libc::munmap(place, length);
    }
    Ok(())
}

/// What must be refused with all mechanisms in force.
pub(crate) fn forbidden_work(room: &Path) -> Vec<String> {
    let mut reached = Vec::new();
    let mut refuse = |what: &str, result: std::io::Result<()>| {
        if result.is_ok() {
            reached.push(what.to_owned());
        }
    };
    refuse("read outside", fs_err::read(room.join("outside/secret")).map(drop));
    refuse("write outside", fs_err::write(room.join("outside/new"), "x"));
    refuse("list outside", fs_err::read_dir(room.join("outside")).map(drop));
    refuse("remove outside", fs_err::remove_file(room.join("outside/secret")));
    refuse("write to the model", fs_err::OpenOptions::new().write(true).open(room.join("model")).map(drop));
    refuse(
        "move out",
        (|| {
            fs_err::write(room.join("out/moved"), "x")?;
            fs_err::rename(room.join("out/moved"), room.join("outside/moved"))
        })(),
    );
    refuse(
        "follow a link out",
        (|| {
            std::os::unix::fs::symlink(room.join("outside/secret"), room.join("out/link"))?;
            fs_err::read(room.join("out/link")).map(drop)
        })(),
    );
    refuse("read /etc/passwd", fs_err::read("/etc/passwd").map(drop));
    refuse("read the parent's memory map", fs_err::read("/proc/1/maps").map(drop));
    refuse("go out through /proc/self/root", fs_err::read("/proc/self/root/etc/passwd").map(drop));
    refuse("write to a file of /proc/self", fs_err::write("/proc/self/oom_score_adj", "0"));
    refuse("start a program", std::process::Command::new("/bin/true").status().map(drop));
    reached
}
