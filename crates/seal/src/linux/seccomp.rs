//! Loads the system call filter into every thread and tries what it must refuse.
#![expect(unsafe_code, reason = "the filter is handed to the kernel, and refused calls are tried")]

use super::{explain, process};
use crate::{Machine, Mechanism, Policy, Program};
use std::io;

const SET_MODE_FILTER: libc::c_ulong = 1;
/// Give the filter to all threads at once, or to none.
const ALL_THREADS: libc::c_ulong = 1;

/// Installs the policy's filter; the second value is its hash if it holds.
pub(super) fn install(policy: Policy) -> (Mechanism, Option<String>) {
    let missing = |detail: String| (Mechanism::missing(Mechanism::SECCOMP, detail), None);
    let Some(machine) = Machine::native() else {
        return missing(format!("no filter is known for {}", std::env::consts::ARCH));
    };
    let program = policy.program(machine);
    let route = match load(&program) {
        Ok(route) => route,
        Err(reason) => return missing(reason),
    };
    let open = calls_that_pass();
    if !open.is_empty() {
        return missing(format!("{route} succeeded but these calls pass: {}", open.join(", ")));
    }
    let (threads, filtered) = process::filtered_threads();
    if filtered != 0 && filtered != threads {
        return missing(format!("only {filtered} of {threads} threads are filtered"));
    }
    let detail = format!(
        "{route}, {} instructions; socket, connect, sendto, sendmsg with MSG_FASTOPEN, sendmmsg \
         and io_uring were tried and refused; {filtered} of {threads} threads filtered",
        program.length()
    );
    (Mechanism::enforced(Mechanism::SECCOMP, detail), Some(program.sha256()))
}

/// Loads the filter for all threads; on kernels without that call only a lone thread can have it.
fn load(program: &Program) -> Result<&'static str, String> {
    let mut filter: Vec<libc::sock_filter> = program
        .instructions()
        .iter()
        .map(|one| libc::sock_filter { code: one.code, jt: one.jump_true, jf: one.jump_false, k: one.operand })
        .collect();
    let length = u16::try_from(filter.len()).map_err(|_| "the filter is too long".to_owned())?;
    let header = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    // SAFETY: the header and the instructions live until after the call, which copies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, ALL_THREADS, &raw const header) };
    if result == 0 {
        return Ok("seccomp(TSYNC)");
    }
    if result > 0 {
        return Err(format!("thread {result} has a filter of its own and could not join"));
    }
    let first = io::Error::last_os_error();
    let threads = process::threads();
    if threads > 1 {
        return Err(format!(
            "seccomp(TSYNC): {}; prctl would leave {} other threads unfiltered",
            explain::error(&first),
            threads - 1
        ));
    }
    // SAFETY: as above.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const header, 0, 0) };
    if result == 0 {
        return Ok("prctl(PR_SET_SECCOMP)");
    }
    Err(format!(
        "seccomp(TSYNC): {}; prctl(PR_SET_SECCOMP): {}",
        explain::error(&first),
        explain::error(&io::Error::last_os_error())
    ))
}

/// Tries calls that the filter must refuse with `EPERM`; names those that it let through.
///
/// Apart from `socket` they work on descriptor -1, so that nothing happens if they pass: the
/// kernel then answers `EBADF`.
fn calls_that_pass() -> Vec<&'static str> {
    let byte = 0_u8;
    // SAFETY: all zeroes is a value of these C structures.
    let (address, mut message) =
        unsafe { (std::mem::zeroed::<libc::sockaddr_in>(), std::mem::zeroed::<libc::msghdr>()) };
    message.msg_name = (&raw const address).cast_mut().cast();
    let length = size_of::<libc::sockaddr_in>();
    let mut passing = Vec::new();
    let mut judge = |name, result: libc::c_long| {
        let refused = result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EPERM);
        if !refused {
            passing.push(name);
        }
    };
    // SAFETY: every pointer is to a live variable; descriptor -1 is never open.
    unsafe {
        for (name, family, kind) in [
            ("socket(AF_INET)", libc::AF_INET, libc::SOCK_STREAM),
            ("socket(AF_INET6)", libc::AF_INET6, libc::SOCK_DGRAM),
            ("socket(AF_NETLINK)", libc::AF_NETLINK, libc::SOCK_RAW),
        ] {
            let result = libc::syscall(libc::SYS_socket, family, kind | libc::SOCK_CLOEXEC, 0);
            judge(name, result);
            if result >= 0 {
                libc::syscall(libc::SYS_close, result);
            }
        }
        judge("connect", libc::syscall(libc::SYS_connect, -1, &raw const address, length));
        judge("sendto", libc::syscall(libc::SYS_sendto, -1, &raw const byte, 1, 0, &raw const address, length));
        judge("sendmsg", libc::syscall(libc::SYS_sendmsg, -1, &raw const message, libc::MSG_FASTOPEN));
        judge("sendmmsg", libc::syscall(libc::SYS_sendmmsg, -1, std::ptr::null::<u8>(), 0, 0));
        judge("io_uring_setup", libc::syscall(libc::SYS_io_uring_setup, 0, std::ptr::null::<u8>()));
    }
    passing
}
