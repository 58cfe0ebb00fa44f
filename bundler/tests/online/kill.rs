//! `kill -9` in the middle, again and again: what was paid for once is not fetched twice.

use crate::harness::{Bench, MIB, only, weights};
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::server::{Behaviour, Server};

const PATH: &str = "/model.safetensors";
/// Tells the child what to fetch, and where to.
const CHILD: &str = "FIELDFORGE_TEST_FETCH_CHILD";

/// A child process runs this very test with `CHILD` set, fetches and is killed; the parent counts what the server sent.
#[test]
fn a_kill_costs_at_most_eight_mebibytes() {
    let bytes = weights(48 * MIB, 1);
    if let Ok(task) = std::env::var(CHILD) {
        let (url, cache) = task.split_once('\n').unwrap();
        let mut bench = Bench::new();
        bench.options.cache = cache.into();
        bench.checkpoint(&bytes, url);
        bench.fetch().unwrap();
        return;
    }
    let server = Server::start();
    let url = server.file(PATH, bytes.clone(), Behaviour::Slow(16 << 20));
    let mut bench = Bench::new();
    bench.checkpoint(&bytes, &url);
    let mut refetched = Vec::new();
    for kill in 1..=4u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::a_kill_costs_at_most_eight_mebibytes", "--nocapture"])
            .env(CHILD, format!("{url}\n{}", bench.options.cache.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while server.sent(PATH) < kill * 10 * MIB as u64 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(bench.finished().is_empty(), "killed in the middle");
        // What the server still had to say goes nowhere.
        std::thread::sleep(Duration::from_millis(200));
        refetched.push(server.sent(PATH));
    }
    server.file(PATH, bytes.clone(), Behaviour::Honest);
    assert!(only(&bench.fetch().unwrap()) == bytes);
    let twice = server.sent(PATH) - bytes.len() as u64;
    eprintln!("4 kills: {twice} bytes fetched twice ({} each)", twice / 4);
    assert!(twice <= 4 * 8 * MIB as u64, "{twice} bytes were fetched twice in 4 kills; sent at each: {refetched:?}");
    assert!(bench.unfinished().is_empty());
}
