//! A fresh network namespace: no interface is up, no route exists, nothing can be reached.
#![expect(unsafe_code, reason = "unshare has no safe form")]

use super::explain;
use crate::{FileRules, Mechanism, NamespaceChange};
use std::io;
use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt;

/// Moves this single-threaded process into a network namespace of its own.
pub(super) fn enter(rules: &FileRules) -> (Mechanism, Option<NamespaceChange>) {
    let before = current();
    match unshare_network(rules) {
        Ok(route) => check(before, &route),
        Err(refusals) => (Mechanism::missing(Mechanism::NETWORK_NAMESPACE, refusals), None),
    }
}

/// Tries the ways to a namespace; the error says why each failed.
fn unshare_network(rules: &FileRules) -> Result<String, String> {
    // SAFETY: reads a number.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let plain = || {
        unshare(libc::CLONE_NEWNET)
            .map(|()| "unshare(NEWNET)".to_owned())
            .map_err(|error| format!("unshare(NEWNET): {}", explain::error(&error)))
    };
    let with_user = || match unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) {
        Ok(()) => Ok(match write_maps(user, group) {
            Ok(()) => "unshare(NEWUSER, NEWNET)".to_owned(),
            Err(error) => format!("unshare(NEWUSER, NEWNET) without user mapping ({error})"),
        }),
        Err(error) => Err(format!("unshare(NEWUSER, NEWNET): {}", explain::namespace_refusal(&error))),
    };
    // A user namespace takes root's right to write where someone else is the owner.
    if user == 0 && !rules_belong_to_root(rules) {
        plain().or_else(|first| with_user().map_err(|second| format!("{second}; {first}")))
    } else {
        with_user().or_else(|first| plain().map_err(|second| format!("{first}; {second}")))
    }
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: plain numbers; this process has one thread, so nothing shared is pulled apart.
    if unsafe { libc::unshare(flags) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn rules_belong_to_root(rules: &FileRules) -> bool {
    let mut paths = rules.read_write.iter().chain(&rules.read_only);
    paths.all(|path| fs_err::metadata(path).is_ok_and(|facts| facts.uid() == 0))
}

/// Lets our own user and group exist inside, and nobody else.
fn write_maps(user: u32, group: u32) -> io::Result<()> {
    // Older kernels lack the file and ask for nothing.
    if let Err(error) = write_map("/proc/self/setgroups", "deny")
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    write_map("/proc/self/uid_map", &format!("{user} {user} 1"))?;
    write_map("/proc/self/gid_map", &format!("{group} {group} 1"))
}

/// The kernel takes a map in one write, and the file must not be truncated first.
fn write_map(path: &str, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut file = fs_err::OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// This process's network namespace, such as `net:[4026531833]`.
fn current() -> Option<String> {
    fs_err::read_link("/proc/self/ns/net").ok().map(|name| name.to_string_lossy().into_owned())
}

/// Looks whether the namespace is another one and truly empty.
fn check(before: Option<String>, route: &str) -> (Mechanism, Option<NamespaceChange>) {
    let missing = |detail: String| Mechanism::missing(Mechanism::NETWORK_NAMESPACE, detail);
    let change = match (before, current()) {
        (Some(before), Some(after)) if before != after => NamespaceChange { before, after },
        (Some(before), Some(_)) => {
            return (missing(format!("{route} succeeded but the namespace stayed {before}")), None);
        }
        _ => return (missing(format!("{route} succeeded but /proc/self/ns/net is hidden")), None),
    };
    // Loopback is down in a fresh namespace, so that not even 127.0.0.1 has a route. Connecting
    // a UDP socket looks the route up and sends nothing.
    for (own, target) in [("127.0.0.1:0", "127.0.0.1:9"), ("[::1]:0", "[::1]:9")] {
        if UdpSocket::bind(own).and_then(|socket| socket.connect(target)).is_ok() {
            let detail = format!("{route} succeeded but there is still a route to {target}");
            return (missing(detail), Some(change));
        }
    }
    let routes = fs_err::read_to_string("/proc/self/net/route")
        .map_or(0, |table| table.lines().skip(1).filter(|line| !line.trim().is_empty()).count());
    if routes > 0 {
        let detail = format!("{route} succeeded but {routes} routes exist");
        return (missing(detail), Some(change));
    }
    let detail = format!(
        "{route}: {} became {}; interfaces: {}; 0 routes; 127.0.0.1 and ::1 cannot be reached",
        change.before,
        change.after,
        interfaces()
    );
    (Mechanism::enforced(Mechanism::NETWORK_NAMESPACE, detail), Some(change))
}

fn interfaces() -> String {
    let Ok(table) = fs_err::read_to_string("/proc/self/net/dev") else {
        return "unknown".to_owned();
    };
    let names: Vec<&str> = table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    names.join(", ")
}
