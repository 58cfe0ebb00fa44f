//! Every way in which a server can fail, and what the user is told.

use crate::harness::{Bench, MIB, digest_only, https, only, stated, weights};
use manifest::Sha256;
use std::time::{Duration, Instant};
use testkit::server::{Behaviour, Server};

const PATH: &str = "/model.safetensors";

/// A bench that asks for one checkpoint which the server has in its own way.
fn bench(bytes: &[u8], behaviour: Behaviour) -> (Bench, Server) {
    let server = Server::start();
    let url = server.file(PATH, bytes, behaviour);
    let mut bench = Bench::new();
    bench.checkpoint(bytes, &url);
    (bench, server)
}

/// The server recovers, and so does the fetch.
fn recovers(bytes: &[u8], behaviour: Behaviour) -> (Bench, Server) {
    let (bench, server) = bench(bytes, behaviour);
    assert!(only(&bench.fetch().unwrap()) == bytes);
    assert!(bench.unfinished().is_empty());
    (bench, server)
}

/// The fetch fails with these words in message and hint.
fn refuses(bytes: &[u8], behaviour: Behaviour, message: &str, hint: &str) -> (Bench, Server) {
    let (bench, server) = bench(bytes, behaviour);
    let (said, advised) = bench.refusal();
    assert!(said.contains("`model.safetensors` of `model` could not be fetched") && said.contains("http://127.0.0.1"));
    assert!(said.contains(message), "{said}");
    assert!(advised.contains(hint), "{advised}");
    (bench, server)
}

#[test]
fn an_honest_server_sends_every_byte_once() {
    let bytes = weights(5 * MIB + 17, 1);
    let (bench, server) = recovers(&bytes, Behaviour::Honest);
    assert_eq!(server.sent(PATH), bytes.len() as u64);
    assert!(server.log().len() >= 6, "in parts");
    let requests = server.log().len();
    bench.fetch().unwrap();
    assert_eq!(server.log().len(), requests, "the second time everything is there");
}

#[test]
fn small_and_empty_files_arrive() {
    for size in [0, 1, 100, MIB, MIB + 1] {
        let bytes = vec![7; size];
        let server = Server::start();
        let url = server.file("/part.bin", bytes.clone(), Behaviour::Honest);
        let mut bench = Bench::new();
        bench.component("part", "part", "part.bin", &digest_only(&bytes), &https(&url));
        assert_eq!(only(&bench.fetch().unwrap()), bytes, "{size}");
    }
}

#[test]
fn a_cut_connection_goes_on_where_it_ended() {
    let bytes = weights(4 * MIB, 2);
    let (_, server) = recovers(&bytes, Behaviour::CutAfter { bytes: 600_000, times: 3 });
    assert!(server.sent(PATH) <= bytes.len() as u64 + 3 * 600_000);
}

#[test]
fn a_connection_that_is_always_cut_is_given_up() {
    let bytes = weights(3 * MIB, 3);
    let (bench, server) = refuses(
        &bytes,
        Behaviour::CutAfter { bytes: 1000, times: u32::MAX },
        "the connection ended after 1000",
        "run the same command again",
    );
    server.file(PATH, bytes.clone(), Behaviour::Honest);
    assert!(only(&bench.fetch().unwrap()) == bytes);
}

#[test]
fn silence_is_noticed() {
    let bytes = weights(3 * MIB, 4);
    let (mut bench, server) = bench(&bytes, Behaviour::StallAfter { bytes: 10, times: u32::MAX });
    bench.options.timeouts.stall = Duration::from_millis(500);
    let began = Instant::now();
    let (said, advised) = bench.refusal();
    assert!(said.contains("nothing arrived for 0.5 seconds"), "{said}");
    assert!(advised.contains("check the connection"), "{advised}");
    assert!(began.elapsed() < Duration::from_secs(15));
    server.file(PATH, bytes.clone(), Behaviour::StallAfter { bytes: 500_000, times: 1 });
    assert!(only(&bench.fetch().unwrap()) == bytes);
}

#[test]
fn a_server_without_ranges_sends_it_whole() {
    let bytes = weights(3 * MIB, 5);
    let (_, server) = recovers(&bytes, Behaviour::IgnoreRange);
    assert_eq!(server.sent(PATH), bytes.len() as u64);
}

#[test]
fn two_versions_are_never_spliced() {
    let (old, new) = (weights(6 * MIB, 6), weights(6 * MIB, 7));
    for stated_digest in [true, false] {
        let server = Server::start();
        let url = server.file(PATH, old.clone(), Behaviour::ChangeAfter { requests: 3, to: new.clone() });
        let mut bench = Bench::new();
        bench.trust = true;
        let more = if stated_digest { digest_only(&new) } else { String::new() };
        bench.component("model", "checkpoint", "model.safetensors", &more, &https(&url));
        assert!(only(&bench.fetch().unwrap()) == new);
    }
}

#[test]
fn impostors_are_named() {
    let bytes = weights(2 * MIB, 8);
    let login = "fetch it with a browser";
    refuses(&bytes, Behaviour::LoginPage, "it is a web page", login);
    refuses(&bytes, Behaviour::DisguisedLoginPage, "it is a web page", login);
    refuses(&bytes, Behaviour::LfsPointer, "git-LFS pointer", "/resolve/");
    refuses(&bytes, Behaviour::Gzip, "compressed (`gzip`)", "plain file");
}

#[test]
fn impostors_are_named_without_a_size_too() {
    for (behaviour, message) in [
        (Behaviour::DisguisedLoginPage, "it is a web page"),
        (Behaviour::LfsPointer, "git-LFS pointer"),
        (Behaviour::WrongBytes, "its content is not the expected one"),
    ] {
        let bytes = weights(2 * MIB, 9);
        let server = Server::start();
        let url = server.file(PATH, bytes.clone(), behaviour);
        let mut bench = Bench::new();
        bench.component("model", "checkpoint", "model.safetensors", &digest_only(&bytes), &https(&url));
        let (said, _) = bench.refusal();
        assert!(said.contains(message), "{said}");
        assert!(bench.unfinished().is_empty());
    }
}

#[test]
fn pickles_are_refused_by_content() {
    for (start, message) in [(&b"PK\x03\x04\0\0archive/data.pkl"[..], "zip archive"), (b"\x80\x02}q\0.", "bare pickle")]
    {
        let mut bytes = start.to_vec();
        bytes.resize(3 * MIB, 0);
        let (bench, server) = refuses(&bytes, Behaviour::Honest, message, ".safetensors");
        assert!(server.sent(PATH) <= MIB as u64, "the beginning suffices");
        assert!(bench.unfinished().is_empty());
    }
}

#[test]
fn a_busy_server_is_given_its_time() {
    let bytes = weights(MIB, 10);
    let began = Instant::now();
    recovers(&bytes, Behaviour::TooManyRequests { retry_after: 1, times: 1 });
    assert!(began.elapsed() >= Duration::from_secs(1));
    recovers(&bytes, Behaviour::ServerError { times: 2 });
    let began = Instant::now();
    let busy = Behaviour::TooManyRequests { retry_after: 3600, times: u32::MAX };
    refuses(&bytes, busy, "asks to wait 3600 seconds", "later");
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn wrong_bytes_of_the_right_length_are_refused() {
    let bytes = weights(3 * MIB, 11);
    let (bench, _server) =
        refuses(&bytes, Behaviour::WrongBytes, &format!("expected sha256 {}", Sha256::of(&bytes)), "do not use");
    let said = bench.refusal().0;
    assert!(said.contains("found    sha256 "), "{said}");
    assert!(bench.unfinished().is_empty(), "what is wrong is deleted");
}

#[test]
fn the_next_source_helps() {
    let bytes = weights(2 * MIB, 12);
    let server = Server::start();
    let bad = server.file("/bad", bytes.clone(), Behaviour::WrongBytes);
    let gone = server.file("/gone", bytes.clone(), Behaviour::NotFound);
    let good = server.file("/good", bytes.clone(), Behaviour::Honest);
    let mut bench = Bench::new();
    let sources = [&gone, &bad, &good].map(|url| https(url)).join(", ");
    bench.component("model", "checkpoint", "model.safetensors", &stated(&bytes), &sources);
    let fetched = bench.fetch().unwrap();
    assert!(only(&fetched) == bytes);
    assert_eq!(server.sent("/good"), bytes.len() as u64);
}

#[test]
fn a_source_that_dies_half_way_is_followed_by_the_next() {
    let bytes = weights(6 * MIB, 13);
    let server = Server::start();
    let dying = server.file("/dying", bytes.clone(), Behaviour::ChangeAfter { requests: 4, to: Vec::new() });
    let good = server.file("/good", bytes.clone(), Behaviour::Honest);
    let mut bench = Bench::new();
    let sources = [&dying, &good].map(|url| https(url)).join(", ");
    bench.component("model", "checkpoint", "model.safetensors", &stated(&bytes), &sources);
    assert!(only(&bench.fetch().unwrap()) == bytes);
}

#[test]
fn wrong_lengths_are_refused() {
    let bytes = weights(2 * MIB, 14);
    let (bench, server) = refuses(
        &bytes,
        Behaviour::Longer(vec![1; 5000]),
        &format!("expected {} bytes, the server offers", bytes.len()),
        "do not use",
    );
    assert!(bench.unfinished().is_empty());
    assert!(server.sent(PATH) <= MIB as u64);
    refuses(&bytes, Behaviour::Endless(5000), "longer than the stated", "do not use");
}

#[test]
fn a_body_without_length_arrives() {
    recovers(&weights(2 * MIB, 15), Behaviour::Endless(0));
}

#[test]
fn odd_ranges_are_refused() {
    let bytes = weights(3 * MIB, 16);
    refuses(&bytes, Behaviour::OddRange, "another stretch of the file", "run it again later");
    recovers(&bytes, Behaviour::FalseEnd { times: 1 });
}

#[test]
fn missing_files_are_named() {
    refuses(&weights(100, 17), Behaviour::NotFound, "does not have it (HTTP 404)", "still exists");
}

#[test]
fn several_failures_are_reported_together() {
    let server = Server::start();
    let gone = server.url("/gone");
    let mut bench = Bench::new();
    bench.component("one", "part", "one.bin", &digest_only(b"1"), &https(&gone));
    bench.component("two", "part", "two.bin", &digest_only(b"2"), &https(&gone));
    let (said, _) = bench.refusal();
    assert!(said.contains("`one.bin` of `one`") && said.contains("`two.bin` of `two`"), "{said}");
}

#[test]
fn a_redirect_to_an_unprotected_address_is_not_followed() {
    // 192.0.2.1 is reserved for documentation: were it asked, the test would hang until the timeout.
    let bytes = weights(100, 18);
    let began = Instant::now();
    let elsewhere = Behaviour::RedirectTo("http://192.0.2.1/model.safetensors".to_owned());
    refuses(&bytes, elsewhere, "unprotected connection: http://192.0.2.1/model.safetensors", "https://");
    assert!(began.elapsed() < Duration::from_secs(3));
    let (bench, server) = bench(&bytes, Behaviour::NotFound);
    server.file(PATH, bytes.clone(), Behaviour::RedirectTo(server.url(PATH)));
    assert!(bench.refusal().0.contains("redirects in circles"));
}

#[test]
fn a_full_disk_is_noticed_before_the_first_byte() {
    let server = Server::start();
    let url = server.file("/huge.bin", vec![0; 100], Behaviour::Honest);
    let mut bench = Bench::new();
    let more = format!("{}\nsize = {}", digest_only(b"x"), 1u64 << 60);
    bench.component("huge", "part", "huge.bin", &more, &https(&url));
    let (said, advised) = bench.refusal();
    assert!(said.contains("are still to be fetched") && said.contains("1048576 TiB"), "{said}");
    assert!(advised.contains("--cache"), "{advised}");
    assert!(server.log().is_empty());
}
