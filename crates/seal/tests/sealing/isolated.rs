//! The self-test child, in good and in blocked surroundings.

use crate::child::Findings;
use crate::parent::{Case, User, command, findings, for_users, is_administrator, may_be_nobody, room};
use libtest_mimic::{Failed, Trial};
use seal::{Canary, Level, Mechanism};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

pub(crate) fn trials() -> Vec<Trial> {
    let cases: &[(&str, Case)] = &[
        ("isolated child: every way out is closed and work goes on", everything),
        ("isolated child: a container without namespaces", container),
        ("isolated child: a system without user namespaces", no_user_namespaces),
        ("isolated child: a user namespace that cannot be mapped", no_mapping),
        ("isolated child: root works in somebody else's folder", foreign_folder),
        ("isolated child: inside a network that is empty already", empty_network),
        ("canary: switches loopback on where it is off", canary),
        ("isolated child: a kernel without Landlock", no_landlock),
        ("isolated child: a kernel without TSYNC", old_seccomp),
        ("isolated child: a kernel without filters", no_seccomp),
        ("isolated child: a kernel without anything", nothing),
        ("isolated child: a kernel without close_range", no_close_range),
        ("isolated child: success that is a lie is found out", lies),
        ("isolated child: threads and missing paths are misuse", misuse),
        ("isolated child: inherited sockets are closed", inherited),
        ("isolated child: 32-bit calls kill", foreign_call),
    ];
    cases.iter().flat_map(|(name, case)| for_users(name, *case)).collect()
}

/// Runs the child with a canary that is known to hear; no hit may come from the child.
fn isolate(user: User, around: &str) -> Result<(Findings, (u64, u64)), Failed> {
    let canary = Canary::listen()?;
    seal::knock(canary.address())?;
    assert_eq!((canary.tcp_hits(), canary.udp_hits()), (1, 1), "the positive control");
    let room = room(user);
    let address = canary.address().to_string();
    let path = room.path().to_str().unwrap();
    let findings = findings(command(user, "isolate", &[around, &address, path]))?;
    assert_eq!(findings.broken, Vec::<String>::new());
    Ok((findings, (canary.tcp_hits() - 1, canary.udp_hits() - 1)))
}

#[track_caller]
fn assert_sealed(findings: &Findings, hits: (u64, u64), level: Level) {
    assert_eq!(findings.report().level, level, "{:#?}", findings.report());
    assert_eq!(findings.passed(), Vec::<&str>::new());
    assert!(findings.attempts.len() > 45, "{}", findings.attempts.len());
    assert_eq!(hits, (0, 0));
}

fn everything(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "none")?;
    assert_sealed(&findings, hits, Level::S3);
    assert_eq!(findings.reached, Vec::<String>::new());
    let report = findings.report();
    for mechanism in &report.mechanisms {
        assert!(mechanism.enforced, "{mechanism:?}");
    }
    assert_eq!(report.mechanisms.len(), 6);
    let change = report.network_namespace.as_ref().unwrap();
    assert_ne!(change.before, change.after);
    assert_eq!((report.threads, report.threads_sealed), (1, 1));
    let policy = seal::Policy::NoSockets.program(seal::Machine::native().unwrap());
    assert_eq!(report.filter_sha256, Some(policy.sha256()));
    assert_eq!(findings.threads, ["NoNewPrivs:1 Seccomp:2"]);
    Ok(())
}

fn container(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "container")?;
    assert_sealed(&findings, hits, Level::S2);
    let (enforced, detail) = findings.detail(Mechanism::NETWORK_NAMESPACE);
    assert!(!enforced);
    assert!(detail.contains("EPERM") && detail.contains("container"), "{detail}");
    assert_eq!(findings.report().network_namespace, None);
    Ok(())
}

fn no_user_namespaces(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "no user namespaces")?;
    let (enforced, detail) = findings.detail(Mechanism::NETWORK_NAMESPACE);
    if user == User::Current && is_administrator() {
        assert_sealed(&findings, hits, Level::S3);
        assert!(enforced && detail.starts_with("unshare(NEWNET): net:"), "{detail}");
    } else {
        assert_sealed(&findings, hits, Level::S2);
        assert!(!enforced && detail.contains("EPERM"), "{detail}");
    }
    Ok(())
}

fn no_mapping(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "no mapping")?;
    assert_sealed(&findings, hits, Level::S3);
    let (_, detail) = findings.detail(Mechanism::NETWORK_NAMESPACE);
    assert!(detail.contains("without user mapping"), "{detail}");
    Ok(())
}

fn foreign_folder(user: User) -> Result<(), Failed> {
    if user == User::Nobody || !may_be_nobody() {
        return Ok(());
    }
    let room = room(User::Nobody);
    let path = room.path().to_str().unwrap();
    let findings = findings(command(User::Current, "isolate", &["none", "127.0.0.1:9", path]))?;
    assert_eq!(findings.broken, Vec::<String>::new());
    assert_eq!(findings.report().level, Level::S3);
    let (_, detail) = findings.detail(Mechanism::NETWORK_NAMESPACE);
    assert!(detail.starts_with("unshare(NEWNET): net:"), "{detail}");
    Ok(())
}

fn empty_network(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "empty network")?;
    assert_sealed(&findings, hits, Level::S3);
    Ok(())
}

fn canary(user: User) -> Result<(), Failed> {
    assert_eq!(findings(command(user, "canary", &[]))?.broken, Vec::<String>::new());
    Ok(())
}

fn no_landlock(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "no landlock")?;
    assert_sealed(&findings, hits, Level::S3);
    for name in [Mechanism::LANDLOCK_FILES, Mechanism::LANDLOCK_TCP] {
        let (enforced, detail) = findings.detail(name);
        assert!(!enforced && detail.contains("ENOSYS"), "{detail}");
    }
    // The files are indeed in reach, so the report tells the truth.
    assert!(findings.reached.contains(&"read outside".to_owned()), "{:?}", findings.reached);
    Ok(())
}

fn old_seccomp(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "old seccomp")?;
    assert_sealed(&findings, hits, Level::S3);
    let (_, detail) = findings.detail(Mechanism::SECCOMP);
    assert!(detail.starts_with("prctl(PR_SET_SECCOMP)"), "{detail}");
    Ok(())
}

fn no_seccomp(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "no seccomp")?;
    // The namespace still keeps everything in, but sockets can be made: not "sealed".
    assert_eq!(findings.report().level, Level::S1, "{:#?}", findings.report());
    assert_eq!(hits, (0, 0));
    let (enforced, detail) = findings.detail(Mechanism::SECCOMP);
    assert!(!enforced && detail.contains("ENOSYS") && detail.contains("EINVAL"), "{detail}");
    assert_eq!(findings.report().filter_sha256, None);
    assert!(findings.passed().contains(&"AF_NETLINK socket"));
    let outside = findings.attempts.iter().filter(|attempt| attempt.what.contains("192.0.2.1"));
    assert_eq!(outside.count(), 0, "nothing but the canary may be tried without a filter");
    Ok(())
}

fn nothing(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "no seccomp, no landlock")?;
    assert_eq!(findings.report().level, Level::S0, "{:#?}", findings.report());
    assert_eq!(hits, (0, 0), "the namespace alone keeps the canary away");
    Ok(())
}

fn no_close_range(user: User) -> Result<(), Failed> {
    let (findings, hits) = isolate(user, "no close_range")?;
    assert_sealed(&findings, hits, Level::S3);
    assert!(findings.detail(Mechanism::DESCRIPTORS).0);
    Ok(())
}

fn lies(user: User) -> Result<(), Failed> {
    for (around, name, level, found_out) in [
        ("lying unshare", Mechanism::NETWORK_NAMESPACE, Level::S2, "succeeded but the namespace stayed"),
        ("lying seccomp", Mechanism::SECCOMP, Level::S1, "succeeded but these calls pass: socket(AF_INET)"),
        ("lying landlock", Mechanism::LANDLOCK_FILES, Level::S3, "reading `/etc/passwd` still works"),
    ] {
        let (findings, _) = isolate(user, around)?;
        assert_eq!(findings.report().level, level, "{:#?}", findings.report());
        let (enforced, detail) = findings.detail(name);
        assert!(!enforced && detail.contains(found_out), "{detail}");
    }
    Ok(())
}

fn misuse(user: User) -> Result<(), Failed> {
    let room = room(user);
    let path = room.path().to_str().unwrap();
    let found = findings(command(user, "threaded", &[path]))?.error.unwrap_or_default();
    assert!(found.starts_with("this process already runs 2 threads"), "{found}");
    let absent = format!("{path}/absent");
    let found = findings(command(user, "rules", &[&absent]))?.error.unwrap_or_default();
    assert!(found.contains(&absent) && found.contains("No such file"), "{found}");
    Ok(())
}

fn inherited(user: User) -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let kept_open = TcpStream::connect(listener.local_addr()?)?;
    let as_input = TcpStream::connect(listener.local_addr()?)?;
    #[expect(unsafe_code, reason = "the parent forgets to close the socket on exec")]
    // SAFETY: changes a flag of a descriptor that we own.
    unsafe {
        libc::fcntl(kept_open.as_raw_fd(), libc::F_SETFD, 0)
    };
    let room = room(user);
    let descriptor = kept_open.as_raw_fd().to_string();
    let path = room.path().to_str().unwrap();
    let mut child = command(user, "inherited", &[&descriptor, path]);
    child.stdin(std::os::fd::OwnedFd::from(as_input));
    let findings = findings(child)?;
    drop(kept_open);
    assert_eq!(findings.reached, Vec::<String>::new());
    let (enforced, detail) = findings.detail(Mechanism::DESCRIPTORS);
    assert!(enforced && detail.contains("descriptor 0 was a network socket"), "{detail}");
    for _ in 0..2 {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut listener.accept()?.0, &mut text)?;
        assert_eq!(text, "", "the child wrote into an inherited socket");
    }
    Ok(())
}

fn foreign_call(user: User) -> Result<(), Failed> {
    use std::os::unix::process::ExitStatusExt;
    if !cfg!(target_arch = "x86_64") {
        return Ok(());
    }
    let room = room(user);
    let status = command(user, "foreign call", &[room.path().to_str().unwrap()]).status()?;
    assert_eq!(status.signal(), Some(libc::SIGSYS), "{status}");
    Ok(())
}
