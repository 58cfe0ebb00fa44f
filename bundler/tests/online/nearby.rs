//! Files that are on this machine already: the cache, hand-carried ones, `file` sources, two fetches at once.

use crate::harness::{Bench, MIB, digest_only, https, noise, only, stated, weights};
use bundler::Content;
use manifest::Confirmation;
use testkit::server::{Behaviour, Server};

#[test]
fn hand_carried_files_are_found_by_content_and_left_alone() {
    let bytes = weights(2 * MIB, 1);
    let mut bench = Bench::new();
    let carried = bench.sandbox.root().join("carried");
    fs_err::create_dir_all(carried.join("deep/er")).unwrap();
    fs_err::write(carried.join("decoy"), weights(2 * MIB, 2)).unwrap();
    let file = carried.join("deep/er/download (1)");
    fs_err::write(&file, &bytes).unwrap();
    bench.options.from = vec![carried];
    bench.options.offline = true;
    bench.checkpoint(&bytes, "https://unreachable.example/m");
    let fetched = bench.fetch().unwrap();
    assert_eq!(fetched.files[0].content, Content::Disk(file.clone()), "read where it is");
    assert!(fs_err::read(&file).unwrap() == bytes);
}

#[test]
fn offline_says_what_to_bring() {
    let mut bench = Bench::new();
    bench.options.offline = true;
    bench.component("model", "checkpoint", "m.safetensors", &stated(b"x"), &https("https://unreachable.example/m"));
    let (said, advised) = bench.refusal();
    assert!(
        said.contains("this is an offline run") && advised.contains("bring `m.safetensors` along"),
        "{said}\n{advised}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let mut bench = Bench::new();
    bench.options.from = vec!["/not/there".into()];
    bench.checkpoint(b"x", "https://unreachable.example/m");
    let (said, advised) = bench.refusal();
    assert!(said.contains("`/not/there`") && advised.contains("--from"), "{said}");
}

#[test]
fn local_files_are_read_in_place_and_verified() {
    let bytes = weights(1000, 3);
    let mut bench = Bench::new();
    let file = bench.sandbox.root().join("mine.safetensors");
    fs_err::write(&file, &bytes).unwrap();
    bench.component("mine", "lora", "mine.safetensors", "", "{ kind = 'file', path = 'mine.safetensors' }");
    let fetched = bench.fetch().unwrap();
    assert_eq!(fetched.files[0].content, Content::Disk(file.clone()));
    assert_eq!(fetched.files[0].file.confirmed, Confirmation::Local);
    assert_eq!(fetched.files[0].file.path.as_str(), "models/loras/mine.safetensors");

    // The lock remembers it; a file that changed since is refused.
    bench.lock = Some(fetched.lock);
    fs_err::write(&file, weights(1000, 4)).unwrap();
    let (said, advised) = bench.refusal();
    assert!(said.contains("its content is not the expected one") && advised.contains("delete `forge.lock`"), "{said}");
    fs_err::write(&file, b"PK\x03\x04 renamed .ckpt").unwrap();
    bench.lock = None;
    let (said, advised) = bench.refusal();
    assert!(said.contains("it is a pickle") && advised.contains(".safetensors"), "{said}");
}

#[test]
fn a_damaged_file_in_the_cache_is_fetched_again() {
    let bytes = weights(MIB, 5);
    let server = Server::start();
    let url = server.file("/m", bytes.clone(), Behaviour::Honest);
    let mut bench = Bench::new();
    bench.checkpoint(&bytes, &url);
    bench.fetch().unwrap();
    let kept = bench.finished().remove(0);
    let mut damaged = bytes.clone();
    damaged[MIB / 2] ^= 1;
    fs_err::write(&kept, damaged).unwrap();
    assert!(only(&bench.fetch().unwrap()) == bytes);
    assert_eq!(server.sent("/m"), 2 * bytes.len() as u64);
}

#[test]
fn two_fetches_at_once_share_the_work() {
    let bytes = weights(4 * MIB, 6);
    let server = Server::start();
    let url = server.file("/m", bytes.clone(), Behaviour::Slow(8 << 20));
    let mut bench = Bench::new();
    bench.checkpoint(&bytes, &url);
    let bench = &bench;
    std::thread::scope(|scope| {
        let both = [scope.spawn(move || bench.fetch()), scope.spawn(move || bench.fetch())];
        for fetch in both {
            assert!(only(&fetch.join().unwrap().unwrap()) == bytes);
        }
    });
    assert_eq!(server.sent("/m"), bytes.len() as u64, "one of them waited");
}

#[test]
fn one_content_under_two_names_is_fetched_once() {
    let bytes = noise(2 * MIB, 7);
    let server = Server::start();
    let url = server.file("/same", bytes.clone(), Behaviour::Honest);
    let mut bench = Bench::new();
    bench.component("one", "part", "one.bin", &digest_only(&bytes), &https(&url));
    bench.component("two", "part", "two.bin", &digest_only(&bytes), &https(&url));
    assert_eq!(bench.fetch().unwrap().files.len(), 2);
    assert_eq!(server.sent("/same"), bytes.len() as u64);
}

#[test]
fn a_disk_that_refuses_is_named() {
    let bytes = weights(MIB, 8);
    let server = Server::start();
    let url = server.file("/m", bytes.clone(), Behaviour::Honest);
    let mut bench = Bench::new();
    bench.checkpoint(&bytes, &url);
    // A folder that is not empty cannot be replaced by a file.
    let place = bench.options.cache.join("sha256").join(manifest::Sha256::of(&bytes).to_string());
    fs_err::create_dir_all(place.join("in the way")).unwrap();
    let error = bench.fetch().unwrap_err();
    assert!(
        error.to_string().contains("this machine could not store it") && error.to_string().contains("cache"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--cache"));
    // What arrived is not lost.
    fs_err::remove_dir_all(&place).unwrap();
    assert!(only(&bench.fetch().unwrap()) == bytes);
    assert_eq!(server.sent("/m"), bytes.len() as u64);
}
