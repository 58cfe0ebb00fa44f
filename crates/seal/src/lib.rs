//! Cuts a process off from the network by the kernel, and proves it.
//!
//! Two processes are sealed. The **self-test child** calls [`isolate`] first thing after it was
//! started: it gets an empty network namespace, no socket of any kind, and only the files of its
//! [`FileRules`]. The **server** binds 127.0.0.1 and then calls [`seal_server`]: it can accept
//! and answer on that listener, and never open a connection of its own.
//!
//! Both return a [`SealReport`]: for every [`Mechanism`] whether it was *seen* to work after it
//! was switched on, and the [`Level`] that this adds up to. A mechanism that a system or container
//! lacks is reported, not an error. The proof is the [`probe`]: the sealed process tries every
//! known way out towards a [`Canary`] of its parent and returns one [`Attempt`] each, while the
//! parent counts what arrived. [`knock`] is the positive control: it shows that the canary hears.
//!
//! ```
//! let canary = seal::Canary::listen()?;
//! seal::knock(canary.address())?;
//! assert_eq!((canary.tcp_hits(), canary.udp_hits()), (1, 1));
//! // Now start a child that calls `isolate` and `probe`: the counts must stay as they are.
//!
//! let filter = seal::Policy::ServeOnly.program(seal::Machine::X86_64);
//! println!("{filter}\nSHA-256 {}", filter.sha256()); // what an auditor reads
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Order
//! Create the folders of the rules, bind the listener, start the browser, then seal, and only
//! then start threads: Landlock holds the calling thread and those that come after it (the filter
//! reaches all). No `File`, pipe, socket or io_uring may be alive across the call, because every
//! descriptor above 2 that is not kept is closed behind its owner's back.
//!
//! # What stops working
//! Sealing cannot be undone, and threads inherit it. Afterwards there is no name lookup, no new
//! socket, no program to start, no file outside the rules (`/tmp`, `/etc/localtime` and the
//! program's own file among them), no link, pipe or device to be made, and on the server no socket
//! option but those of `SOL_SOCKET` and `TCP_NODELAY`. Threads, `mmap`, `getrandom`, clocks,
//! `/proc/self`, and reading, writing, renaming and syncing inside the rules work as before.
//!
//! # What it does not cover
//! Another program of the same user that fetches a file from an allowed folder and sends it on,
//! and a network socket given to [`isolate_keeping`]: what the caller keeps open can be written to.

mod canary;
mod error;
mod file_rules;
mod filter;
mod level;
mod probe;
mod report;
#[cfg_attr(target_os = "linux", path = "linux/mod.rs")]
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod system;

pub use canary::{Canary, knock};
pub use error::SealError;
pub use file_rules::FileRules;
pub use filter::{Machine, Policy, Program};
pub use level::Level;
pub use probe::{Attempt, probe, probe_network_server, probe_with_listener};
pub use report::{Mechanism, NamespaceChange, SealReport};

use std::net::TcpListener;

/// Cuts this single-threaded process off: empty network namespace, no sockets, only these files.
///
/// Closes every descriptor above 2.
///
/// # Errors
/// Only for misuse: threads already run, or a path of the rules cannot be opened. A mechanism
/// that is not available is reported as such.
pub fn isolate(rules: &FileRules) -> Result<SealReport, SealError> {
    system::isolate(rules, &[])
}

/// Like [`isolate`], but these descriptors stay open as well.
///
/// # Errors
/// As [`isolate`].
pub fn isolate_keeping(rules: &FileRules, keep: &[i32]) -> Result<SealReport, SealError> {
    system::isolate(rules, keep)
}

/// Switches loopback on where it is off, as in a fresh network namespace (`unshare -n`).
///
/// Returns whether it was off. The caller needs it before it binds 127.0.0.1 there.
///
/// # Errors
/// If it is off and this process may not switch it on.
pub fn raise_loopback() -> std::io::Result<bool> {
    system::raise_loopback()
}

/// Seals a server that has bound its listener and started no thread yet.
///
/// Closes every descriptor above 2 except the listener.
///
/// # Errors
/// Only for misuse: the listener is not on loopback, or a path of the rules cannot be opened. A
/// mechanism that is not available is reported as such.
pub fn seal_server(listener: &TcpListener, rules: &FileRules) -> Result<SealReport, SealError> {
    system::seal_server(listener, &[], rules, &[])
}

/// Like [`seal_server`], for a server that other devices may reach: `network` listens at addresses of this machine on its
/// network, whichever they are. What the kernel refuses afterwards is the same: nothing can be opened from here.
///
/// # Errors
/// As [`seal_server`]; `listener` itself must be on loopback.
pub fn seal_network_server(
    listener: &TcpListener,
    network: &[TcpListener],
    rules: &FileRules,
) -> Result<SealReport, SealError> {
    system::seal_server(listener, network, rules, &[])
}

/// Like [`seal_server`], but these descriptors stay open as well.
///
/// # Errors
/// As [`seal_server`].
pub fn seal_server_keeping(listener: &TcpListener, rules: &FileRules, keep: &[i32]) -> Result<SealReport, SealError> {
    system::seal_server(listener, &[], rules, keep)
}
