//! The probe must be able to fail: with the filter that one would write first, it gets out.

use crate::parent::{Case, User, command, findings, for_users, room};
use libtest_mimic::{Failed, Trial};
use seal::{Canary, Level};

pub(crate) fn trials() -> Vec<Trial> {
    let cases: &[(&str, Case)] = &[
        ("without a seal the probe gets out by every way to the canary", unsealed),
        ("a naive filter leaks through TCP Fast Open, ours does not", fast_open),
        ("a naive filter leaks through io_uring, ours does not", ring),
    ];
    cases.iter().flat_map(|(name, case)| for_users(name, *case)).collect()
}

fn unsealed(user: User) -> Result<(), Failed> {
    let canary = Canary::listen()?;
    let address = canary.address().to_string();
    let found = findings(command(user, "naive", &["none", &address]))?;
    let passed = found.passed();
    let connect = format!("TCP connect to {address}");
    let send = format!("UDP send to {address}");
    let mut ways = vec![connect.as_str(), &send, "TCP Fast Open on a new socket", "TCP Fast Open on own listener"];
    if ring_is_there() {
        ways.push("io_uring socket");
    }
    for way in &ways {
        assert!(passed.contains(way), "{way} is not among {passed:?}");
    }
    assert_eq!((canary.tcp_hits(), canary.udp_hits()), (ways.len() as u64 - 1, 1));
    for way in ["start another program", "setns", "sendmmsg", "AF_NETLINK socket", "request_key"] {
        assert!(passed.contains(&way), "{way} is not among {passed:?}");
    }
    Ok(())
}

/// Whether this system lets ordinary users have io_uring at all.
fn ring_is_there() -> bool {
    let disabled = fs_err::read_to_string("/proc/sys/kernel/io_uring_disabled");
    disabled.is_ok_and(|value| value.trim() == "0")
}

fn fast_open(user: User) -> Result<(), Failed> {
    compare(user, "naive, io_uring closed", "TCP Fast Open on own listener")
}

fn ring(user: User) -> Result<(), Failed> {
    if !ring_is_there() {
        // This system closed the hole for everybody; the other case shows that the probe works.
        return Ok(());
    }
    compare(user, "naive, sending closed", "io_uring socket")
}

fn compare(user: User, around: &str, way: &str) -> Result<(), Failed> {
    let canary = Canary::listen()?;
    let address = canary.address().to_string();
    let found = findings(command(user, "naive", &[around, &address]))?;
    let attempt = found.attempts.iter().find(|attempt| attempt.what == way).expect(way);
    assert!(!attempt.refused, "the naive filter was expected to leak: {attempt:?}");
    assert_eq!(canary.tcp_hits(), 1, "the leak must be heard: {attempt:?}");
    for plain in [format!("TCP connect to {address}"), format!("UDP send to {address}")] {
        assert!(!found.passed().contains(&plain.as_str()), "{plain}");
    }

    let room = room(user);
    let found = findings(command(user, "hardened", &[&address, room.path().to_str().unwrap()]))?;
    assert_eq!(found.report().level, Level::S2, "{:#?}", found.report());
    assert_eq!(found.passed(), Vec::<&str>::new());
    assert_eq!((canary.tcp_hits(), canary.udp_hits()), (1, 0));
    Ok(())
}
