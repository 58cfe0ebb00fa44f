//! What the kernel saw: every network call of install, self-test, generation and server, by strace.

use crate::journey::Serving;
use crate::run::{PROGRAM, Place, Ran};
use std::process::Command;

/// Calls that would talk to somebody: a destination that is neither loopback nor a local socket.
fn outside(trace: &str) -> Vec<&str> {
    trace
        .lines()
        .filter(|line| ["connect(", "sendto(", "sendmsg(", "sendmmsg(", "bind("].iter().any(|call| line.contains(call)))
        .filter(|line| line.contains("sa_family=") || line.contains("sin_addr") || line.contains("sin6_addr"))
        .filter(|line| {
            // AF_UNSPEC carries no address: the probe uses it to see the call itself refused.
            let local = ["AF_UNIX", "AF_UNSPEC", "127.0.0.1", "\"::1\""].iter().any(|place| line.contains(place));
            !local
        })
        .collect()
}

fn strace(place: &Place, log: &str, args: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=network", "-s", "64", "-o"]).arg(place.path(log)).arg(PROGRAM).args(args);
    place.furnish(&mut command);
    command
}

#[test]
fn the_filter_of_this_test_sees_what_it_should() {
    let bad = "123 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"192.0.2.1\")}, 16) = 0";
    let good = "123 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0";
    assert_eq!(outside(&format!("{bad}\n{good}")), [bad]);
}

#[test]
fn nothing_is_sent_outside_by_install_selftest_generate_and_serve() {
    let place = Place::new();
    place.spark_bundle();
    for (log, args) in [
        ("install.log", &["install", "kit", "--home", "home"] as &[&str]),
        ("selftest.log", &["selftest", "--home", "home"]),
        ("generate.log", &["generate", "a star", "--home", "home"]),
        ("doctor.log", &["doctor", "--home", "home"]),
    ] {
        Ran::of(strace(&place, log, args).output().unwrap()).expect_success();
        let trace = fs_err::read_to_string(place.path(log)).unwrap();
        assert_eq!(outside(&trace), [] as [&str; 0], "{args:?}");
    }
    let serving = Serving::start(strace(&place, "serve.log", &["serve", "--no-browser", "--home", "home"]));
    serving.draw(r#"{"prompt":"a star","seed":3}"#);
    drop(serving);
    let trace = fs_err::read_to_string(place.path("serve.log")).unwrap();
    assert!(trace.contains("accept4(") || trace.contains("accept("), "the trace saw the server");
    assert_eq!(outside(&trace), [] as [&str; 0]);
}
