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

#[test]
fn a_container_without_namespaces_is_reported_as_what_it_is() {
    let place = Place::new();
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; \
                  exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \"$PROGRAM\" selftest --home home";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-ec", script]).env("PROGRAM", PROGRAM);
    place.furnish(&mut command);
    let ran = Ran::of(command.output().unwrap()).expect_success();
    assert!(ran.stdout.starts_with("Self-test: PASSED\n\nNetwork: S2"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("NO   network namespace") && ran.stdout.contains("max_user_namespaces=0"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_kernel_that_can_shut_off_nothing_proves_nothing() {
    let place = Place::new();
    let blind = |args: &[&str]| {
        let mut command = Command::new("strace");
        command.args([
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "inject=unshare,seccomp,prctl,landlock_create_ruleset:error=ENOSYS",
        ]);
        command.arg(PROGRAM).args(args);
        place.furnish(&mut command);
        Ran::of(command.output().unwrap())
    };
    let ran = blind(&["selftest", "--home", "home"]);
    ran.expect_refusal(&["could not shut off the network", "--allow-unsealed"]);
    assert!(ran.stdout.starts_with("Self-test: FAILED\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("S0, NOT SEALED"), "{}", ran.stdout);
    let allowed = blind(&["selftest", "--home", "home", "--allow-unsealed"]).expect_success();
    assert!(allowed.stdout.starts_with("Self-test: PASSED IN PART\n"), "{}", allowed.stdout);
    blind(&["serve", "--no-browser", "--home", "home"]).expect_refusal(&["cannot shut off the network"]);
}
