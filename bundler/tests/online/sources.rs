//! Every kind of source, and the lock.

use crate::harness::{Bench, MIB, https, noise, only, stated, weights};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use manifest::{Confirmation, Lock, Sha256};
use sha2::Digest as _;
use testkit::server::{Behaviour, Server};

fn integrity(bytes: &[u8]) -> String {
    format!("sha512-{}", BASE64.encode(sha2::Sha512::digest(bytes)))
}

#[test]
fn hubs_are_asked_at_their_addresses() {
    let bytes = weights(2 * MIB, 1);
    for (source, path) in [
        (
            "{ kind = 'huggingface', repo = 'o/m', revision = 'abc', file = 'v1/a b.safetensors' }",
            "/o/m/resolve/abc/v1/a%20b.safetensors",
        ),
        ("{ kind = 'civitai', version = 42 }", "/api/download/models/42"),
        (
            "{ kind = 'github', repo = 'o/m', tag = 'v1', asset = 'a.safetensors' }",
            "/o/m/releases/download/v1/a.safetensors",
        ),
    ] {
        let server = Server::start();
        server.file(path, bytes.clone(), Behaviour::Honest);
        let mut bench = Bench::new();
        bench.all_on(&server);
        bench.component("model", "checkpoint", "m.safetensors", &stated(&bytes), source);
        let fetched = bench.fetch().unwrap();
        assert!(only(&fetched) == bytes);
        assert_eq!(fetched.files[0].file.confirmed, Confirmation::Stated);
    }
}

#[test]
fn npm_packages_are_checked_against_the_registry() {
    let tgz = noise(2 * MIB, 2);
    for package in ["thing", "@own/thing"] {
        let server = Server::start();
        let tarball = server.file("/files/thing-1.0.0.tgz", tgz.clone(), Behaviour::Honest);
        server.npm_package(package, "1.0.0", &tarball, &integrity(&tgz));
        let mut bench = Bench::new();
        bench.all_on(&server);
        let source = format!("{{ kind = 'npm', package = '{package}', version = '1.0.0' }}");
        bench.component("thing", "part", "thing.tgz", "", &source);
        let fetched = bench.fetch().unwrap();
        assert!(only(&fetched) == tgz);
        assert_eq!(fetched.files[0].file.confirmed, Confirmation::Registry);
        assert_eq!(fetched.lock.components[0].files[0].sha256, Sha256::of(&tgz));

        let again = server.sent("/files/thing-1.0.0.tgz");
        bench.fetch().unwrap();
        assert_eq!(server.sent("/files/thing-1.0.0.tgz"), again, "known by what the registry said");
    }
}

#[test]
fn what_the_registry_denies_is_refused() {
    let server = Server::start();
    let tarball = server.file("/thing.tgz", noise(1000, 3), Behaviour::Honest);
    server.npm_package("thing", "1.0.0", &tarball, &integrity(b"other bytes"));
    let mut bench = Bench::new();
    bench.all_on(&server);
    bench.component("thing", "part", "thing.tgz", "", "{ kind = 'npm', package = 'thing', version = '1.0.0' }");
    assert!(bench.refusal().0.contains("expected sha512"));

    server.npm_package("thing", "2.0.0", &tarball, &integrity(b"x"));
    let (said, advised) = bench.refusal();
    assert!(said.contains("no version 1.0.0 of `thing`") && advised.contains("forge.toml"), "{said}");

    server.npm_package("thing", "1.0.0", &tarball, "");
    let (said, advised) = bench.refusal();
    assert!(said.contains("nobody vouches") && advised.contains("--trust-on-first-use"), "{said}");

    server.page("/thing", "application/json", "{]", Behaviour::Honest);
    assert!(bench.refusal().0.contains("unclear"));
}

#[test]
fn python_packages_are_found_in_both_kinds_of_index() {
    let wheel = noise(MIB + 5, 4);
    let name = "tool_box-1.0-py3-none-any.whl";
    for html in [false, true] {
        let server = Server::start();
        server.file("/packages/wheel", wheel.clone(), Behaviour::Honest);
        let describe = if html { Server::pypi_html } else { Server::pypi_json };
        describe(&server, "tool-box", name, "../../packages/wheel", &Sha256::of(&wheel).to_string());
        let mut bench = Bench::new();
        bench.all_on(&server);
        bench.component("tool", "part", name, "", "{ kind = 'pypi', package = 'Tool.Box', version = '1.0' }");
        let fetched = bench.fetch().unwrap();
        assert!(only(&fetched) == wheel);
        assert_eq!(fetched.files[0].file.confirmed, Confirmation::Registry);

        describe(&server, "tool-box", name, "../../packages/wheel", &Sha256::of(b"other").to_string());
        let mut other = Bench::new();
        other.all_on(&server);
        other.component("tool", "part", name, "", "{ kind = 'pypi', package = 'tool-box', version = '1.0' }");
        assert!(other.refusal().0.contains("its content is not the expected one"));
    }
}

#[test]
fn a_registry_that_stumbles_is_asked_again() {
    let server = Server::start();
    let mut bench = Bench::new();
    bench.all_on(&server);
    server.page("/thing", "application/json", "", Behaviour::ServerError { times: u32::MAX });
    bench.component("thing", "part", "thing.tgz", "", "{ kind = 'npm', package = 'thing', version = '1.0.0' }");
    let (said, _) = bench.refusal();
    assert!(said.contains("npm thing@1.0.0: the server is busy (HTTP 503)"), "{said}");
    assert_eq!(server.log().len(), 4, "as often as the options say");
}

#[test]
fn the_lock_pins_what_was_fetched() {
    let server = Server::start();
    let url = server.file("/a.bin", noise(5000, 5), Behaviour::Honest);
    let mut bench = Bench::new();
    bench.trust = true;
    bench.component("a", "part", "a.bin", "", &https(&url));
    let first = bench.fetch().unwrap();
    assert_eq!(first.lock.components[0].files[0].confirmed, Confirmation::FirstUse);
    let lock = Lock::parse("forge.lock", &first.lock.to_toml()).unwrap();
    assert_eq!(lock, first.lock);

    // With the lock nobody has to be trusted any more, and another content is refused.
    bench.trust = false;
    bench.lock = Some(lock.clone());
    assert_eq!(bench.fetch().unwrap().lock, lock);
    bench.options.cache = bench.sandbox.root().join("another cache");
    server.file("/a.bin", noise(5000, 6), Behaviour::Honest);
    let (said, _) = bench.refusal();
    assert!(said.contains(&format!("expected sha256 {}", lock.components[0].files[0].sha256)), "{said}");
}

#[test]
fn addresses_can_be_listed_for_another_program() {
    let tgz = noise(10, 7);
    let server = Server::start();
    let tarball = server.file("/thing.tgz", tgz.clone(), Behaviour::Honest);
    server.npm_package("thing", "1.0.0", &tarball, &integrity(&tgz));
    let mut bench = Bench::new();
    bench.all_on(&server);
    bench.component("thing", "part", "thing.tgz", "", "{ kind = 'npm', package = 'thing', version = '1.0.0' }");
    let mirrors = "{ kind = 'https', url = 'https://a.example/m' }, { kind = 'civitai', version = 7 }";
    bench.component("model", "checkpoint", "m.safetensors", &stated(b"m"), mirrors);
    let text = bundler::urls(&bench.plan().unwrap(), &bench.options).unwrap();
    let sha512: String = sha2::Sha512::digest(&tgz).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        text.contains(&format!("\n{tarball}\n  out=parts/thing/thing.tgz\n  checksum=sha-512={sha512}\n")),
        "{text}"
    );
    let civitai = server.url("/api/download/models/7");
    let digest = Sha256::of(b"m");
    let expected = format!(
        "\nhttps://a.example/m\t{civitai}\n  out=models/checkpoints/m.safetensors\n  checksum=sha-256={digest}\n"
    );
    assert!(text.contains(&expected), "{text}");
}
