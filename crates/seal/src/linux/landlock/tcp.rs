//! TCP rules: an extra layer, never the guarantee.

use super::ruleset::{
    BIND_AND_CONNECT_TCP, REFER, RulesetAttributes, allow, open_path, restrict, ruleset, version, why_absent,
};
use crate::Mechanism;
use crate::system::explain;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Refuses TCP, and nothing about files: a ruleset that leaves `REFER` out would forbid moving
/// files between folders, so it is handled and then allowed everywhere.
fn tcp_ruleset(version: u32) -> io::Result<OwnedFd> {
    let attributes = RulesetAttributes { files: REFER, network: BIND_AND_CONNECT_TCP, scoped: 0 };
    let ruleset = ruleset(version, attributes)?;
    allow(&ruleset, &open_path(Path::new("/"))?, REFER)?;
    Ok(ruleset)
}

/// Landlock's TCP rules: an extra layer, never the guarantee.
pub(in crate::system) fn refuse_tcp() -> Mechanism {
    let missing = |detail: String| Mechanism::missing(Mechanism::LANDLOCK_TCP, detail);
    let version = match version() {
        Ok(version) if version >= 4 => version,
        Ok(version) => {
            return missing(format!("this kernel's Landlock has version {version}, TCP rules need 4"));
        }
        Err(error) => return missing(why_absent(&error)),
    };
    let every_thread = match tcp_ruleset(version).and_then(|rules| restrict(&rules, version)) {
        Ok(every_thread) => every_thread,
        Err(error) => return missing(explain::error(&error)),
    };
    let refused = |result: io::Result<()>| result.is_err_and(|error| error.raw_os_error() == Some(libc::EACCES));
    if !refused(TcpListener::bind("127.0.0.1:0").map(drop)) {
        return missing("the kernel took the rules, but binding still works".to_owned());
    }
    if !refused(TcpStream::connect("127.0.0.1:9").map(drop)) {
        return missing("the kernel took the rules, but connecting still works".to_owned());
    }
    if !every_thread {
        return missing("holds this thread and new ones, but not those that ran before".to_owned());
    }
    Mechanism::enforced(
        Mechanism::LANDLOCK_TCP,
        "binding and connecting were tried and refused; covers neither UDP nor TCP Fast Open",
    )
}
