//! Ways out that only Linux has, each tried with raw system calls.
#![expect(unsafe_code, reason = "a way out has to be tried as an attacker would try it")]

use super::{explain, ring};
use crate::Attempt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Every Linux way out, towards the canary only.
pub(crate) fn attempts(canary: SocketAddr, spare: Option<TcpListener>, listens_on: &[SocketAddr]) -> Vec<Attempt> {
    let mut attempts = vec![
        Attempt::of("TCP Fast Open on a new socket", fast_open_on_new_socket(canary)),
        Attempt::of("TCP Fast Open on own listener", fast_open_on_listener(canary, spare)),
        Attempt::of("io_uring socket", ring::connect(canary)),
        inherited_sockets(listens_on),
    ];
    attempts.extend(FAMILIES.iter().map(|(name, family, kind, protocol)| {
        let opened = socket(*family, *kind, *protocol).map(|_| "a socket was opened".to_owned());
        Attempt::of(name, opened)
    }));
    attempts.extend(refused_calls());
    attempts
}

const FAMILIES: &[(&str, i32, i32, i32)] = &[
    ("AF_UNIX socket", libc::AF_UNIX, libc::SOCK_STREAM, 0),
    ("AF_INET TCP socket", libc::AF_INET, libc::SOCK_STREAM, 0),
    ("AF_INET UDP socket", libc::AF_INET, libc::SOCK_DGRAM, 0),
    ("AF_INET ping socket", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
    ("AF_INET raw socket", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW),
    ("AF_INET MPTCP socket", libc::AF_INET, libc::SOCK_STREAM, 262),
    ("AF_INET SCTP socket", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
    ("AF_INET6 TCP socket", libc::AF_INET6, libc::SOCK_STREAM, 0),
    ("AF_INET6 UDP socket", libc::AF_INET6, libc::SOCK_DGRAM, 0),
    ("AF_NETLINK socket", libc::AF_NETLINK, libc::SOCK_RAW, 0),
    ("AF_PACKET socket", libc::AF_PACKET, libc::SOCK_RAW, 0),
    ("AF_VSOCK socket", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    ("AF_BLUETOOTH socket", libc::AF_BLUETOOTH, libc::SOCK_RAW, 1),
    ("AF_ALG socket", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ("AF_XDP socket", libc::AF_XDP, libc::SOCK_RAW, 0),
    ("AF_CAN socket", libc::AF_CAN, libc::SOCK_RAW, 1),
    ("AF_TIPC socket", libc::AF_TIPC, libc::SOCK_RDM, 0),
    ("AF_RDS socket", libc::AF_RDS, libc::SOCK_SEQPACKET, 0),
    ("AF_SMC socket", 43, libc::SOCK_STREAM, 0),
    ("AF_QIPCRTR socket", 42, libc::SOCK_DGRAM, 0),
];

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let descriptor = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// An address as the kernel reads it, and its length.
pub(super) fn raw_address(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: zeroes are a value of this structure.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let place = &raw mut storage;
    let length = match address {
        SocketAddr::V4(address) => {
            // SAFETY: `sockaddr_storage` is large and aligned enough for every family.
            unsafe {
                let place = place.cast::<libc::sockaddr_in>();
                (*place).sin_family = libc::AF_INET as libc::sa_family_t;
                (*place).sin_port = address.port().to_be();
                (*place).sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
            }
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(address) => {
            // SAFETY: as above.
            unsafe {
                let place = place.cast::<libc::sockaddr_in6>();
                (*place).sin6_family = libc::AF_INET6 as libc::sa_family_t;
                (*place).sin6_port = address.port().to_be();
                (*place).sin6_addr.s6_addr = address.ip().octets();
            }
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, libc::socklen_t::try_from(length).unwrap_or(0))
}

fn fast_open_on_new_socket(canary: SocketAddr) -> io::Result<String> {
    let family = if canary.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = socket(family, libc::SOCK_STREAM, 0)?;
    send_fast_open(socket.as_raw_fd(), canary)
}

/// The hole of filters that refuse `socket` and `connect` only: a listener that is shut down
/// becomes an ordinary socket again, and `sendmsg` with `MSG_FASTOPEN` connects it.
fn fast_open_on_listener(canary: SocketAddr, spare: Option<TcpListener>) -> io::Result<String> {
    let listener = match spare {
        Some(listener) => listener,
        None => TcpListener::bind("127.0.0.1:0")?,
    };
    // SAFETY: a descriptor that we own; if it is refused, sending is tried all the same.
    unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
    send_fast_open(listener.as_raw_fd(), canary)
}

fn send_fast_open(socket: RawFd, canary: SocketAddr) -> io::Result<String> {
    let (mut address, length) = raw_address(canary);
    let mut text = *b"leaked!";
    let mut part = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    // SAFETY: zeroes are a value of this structure; the pointers are to live variables.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = (&raw mut address).cast();
        message.msg_namelen = length;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        libc::sendmsg(socket, &raw const message, libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL)
    };
    if sent >= 0 {
        return Ok(format!("sendmsg(MSG_FASTOPEN) sent {sent} bytes"));
    }
    let by_message = io::Error::last_os_error();
    // SAFETY: as above.
    let sent = unsafe {
        libc::sendto(
            socket,
            text.as_ptr().cast(),
            text.len(),
            libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL,
            (&raw const address).cast(),
            length,
        )
    };
    if sent >= 0 { Ok(format!("sendto(MSG_FASTOPEN) sent {sent} bytes")) } else { Err(by_message) }
}

/// Sockets that came from outside. Those whose own address is on loopback, or one at which this server listens, are our
/// clients', also after they hung up.
fn inherited_sockets(listens_on: &[SocketAddr]) -> Attempt {
    let listed: Vec<RawFd> = fs_err::read_dir("/proc/self/fd").map_or_else(
        |_| (3..1024).collect(),
        |entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
                .filter(|one| *one > 2)
                .collect()
        },
    );
    let open: Vec<RawFd> = listed.into_iter().filter(|one| leads_outside(*one, listens_on)).collect();
    let result = if open.is_empty() {
        Err(io::Error::other("no such socket is open"))
    } else {
        Ok(format!("descriptors {open:?} are sockets"))
    };
    Attempt::of("inherited socket", result)
}

/// Whether a descriptor is a socket, does not listen, and has another address of its own than loopback and these.
fn leads_outside(descriptor: RawFd, listens_on: &[SocketAddr]) -> bool {
    // SAFETY: `stat` and `sockaddr_storage` are plain numbers, the calls fill them, and a bad
    // descriptor is an error value.
    unsafe {
        let mut facts: libc::stat = std::mem::zeroed();
        if libc::fstat(descriptor, &raw mut facts) != 0 || facts.st_mode & libc::S_IFMT != libc::S_IFSOCK {
            return false;
        }
        let mut listening = 0_i32;
        let mut length = libc::socklen_t::try_from(size_of::<i32>()).unwrap_or(0);
        let answer = libc::getsockopt(
            descriptor,
            libc::SOL_SOCKET,
            libc::SO_ACCEPTCONN,
            (&raw mut listening).cast(),
            &raw mut length,
        );
        if answer == 0 && listening != 0 {
            return false;
        }
        let mut own: libc::sockaddr_storage = std::mem::zeroed();
        let mut length = libc::socklen_t::try_from(size_of_val(&own)).unwrap_or(0);
        let answer = libc::getsockname(descriptor, (&raw mut own).cast(), &raw mut length);
        let place = &raw const own;
        let own = match i32::from(own.ss_family) {
            _ if answer != 0 => None,
            libc::AF_INET => {
                let own = *place.cast::<libc::sockaddr_in>();
                let bytes = own.sin_addr.s_addr.to_ne_bytes();
                Some(SocketAddr::from((bytes, u16::from_be(own.sin_port))))
            }
            libc::AF_INET6 => {
                let own = *place.cast::<libc::sockaddr_in6>();
                Some(SocketAddr::from((own.sin6_addr.s6_addr, u16::from_be(own.sin6_port))))
            }
            _ => None,
        };
        !own.is_some_and(|own| is_a_clients(own, listens_on))
    }
}

/// Whether a socket with this address of its own was accepted by us.
fn is_a_clients(own: SocketAddr, listens_on: &[SocketAddr]) -> bool {
    own.ip().is_loopback() || listens_on.contains(&own)
}

/// Calls on descriptors, processes and programs that do not exist: a filter answers `EPERM`, a
/// kernel that would have obeyed answers something else, and nothing happens either way.
fn refused_calls() -> Vec<Attempt> {
    let nothing = std::ptr::null::<u8>();
    let (address, length) = raw_address(SocketAddr::from(([127, 0, 0, 1], 9)));
    let one = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
    // SAFETY: zeroes are a value of this structure.
    let message: libc::msghdr = unsafe { std::mem::zeroed() };
    let program = c"/nonexistent/program";
    let mut attempts = Vec::new();
    let mut judge = |what: &str, result: libc::c_long| {
        let error = io::Error::last_os_error();
        if what.starts_with("socket") && result >= 0 {
            // SAFETY: a descriptor that the call just made.
            unsafe { libc::syscall(libc::SYS_close, result) };
        }
        let refused = result == -1 && matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS));
        let detail = match (refused, result) {
            (true, _) => explain::error(&error),
            (false, -1) => format!("the kernel took the call: {}", explain::error(&error)),
            (false, value) => format!("the kernel took the call and answered {value}"),
        };
        attempts.push(Attempt { what: what.to_owned(), refused, detail });
    };
    let destination = &raw const address;
    // SAFETY: no call below can take effect: descriptor -1 and process 0x7fff_fff0 do not exist,
    // the program's path does not exist, and the pointers are to live variables.
    unsafe {
        judge("connect again", libc::syscall(libc::SYS_connect, -1, destination, length));
        judge("bind", libc::syscall(libc::SYS_bind, -1, destination, length));
        judge("listen", libc::syscall(libc::SYS_listen, -1, 1));
        judge("sendto with a destination", libc::syscall(libc::SYS_sendto, -1, nothing, 0, 0, destination, length));
        judge(
            "sendmsg with MSG_FASTOPEN",
            libc::syscall(libc::SYS_sendmsg, -1, &raw const message, libc::MSG_FASTOPEN),
        );
        judge("sendmmsg", libc::syscall(libc::SYS_sendmmsg, -1, nothing, 0, 0));
        judge("io_uring_enter", libc::syscall(libc::SYS_io_uring_enter, -1, 0, 0, 0, nothing, 0));
        judge("io_uring_register", libc::syscall(libc::SYS_io_uring_register, -1, 0, nothing, 0));
        judge(
            "start another program",
            libc::c_long::from(libc::execve(
                program.as_ptr(),
                [std::ptr::null()].as_ptr(),
                [std::ptr::null()].as_ptr(),
            )),
        );
        judge("setns", libc::syscall(libc::SYS_setns, -1, libc::CLONE_NEWNET));
        judge("unshare", libc::syscall(libc::SYS_unshare, 0));
        judge("ptrace", libc::syscall(libc::SYS_ptrace, 16, NOBODY, nothing, nothing));
        judge(
            "process_vm_writev",
            libc::syscall(libc::SYS_process_vm_writev, NOBODY, &raw const one, 1, &raw const one, 1, 0),
        );
        judge("pidfd_getfd", libc::syscall(libc::SYS_pidfd_getfd, -1, 0, 0));
        judge("bpf", libc::syscall(libc::SYS_bpf, -1, nothing, 0));
        judge("open_by_handle_at", libc::syscall(libc::SYS_open_by_handle_at, -1, nothing, 0));
        judge("mount", libc::syscall(libc::SYS_mount, nothing, nothing, nothing, 0, nothing));
        judge("request_key", libc::syscall(libc::SYS_request_key, c"user".as_ptr(), c"none".as_ptr(), nothing, 0));
        judge("userfaultfd", libc::syscall(libc::SYS_userfaultfd, -1));
        judge("typing into the terminal", libc::syscall(libc::SYS_ioctl, -1, libc::TIOCSTI, nothing));
        judge("interface settings", libc::syscall(libc::SYS_ioctl, -1, 0x8914, nothing));
        judge("a call newer than this program", libc::syscall(0x3fff, 0));
        #[cfg(target_arch = "x86_64")]
        judge("socket by its x32 number", libc::syscall(0x4000_0029, 2, 1, 0));
    }
    attempts
}

/// A process number above the kernel's limit of 2^22.
const NOBODY: i32 = 0x7fff_fff0;

#[cfg(test)]
mod tests {
    use super::is_a_clients;
    use std::net::SocketAddr;

    #[test]
    fn a_connection_at_an_address_where_we_listen_is_a_clients() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let listens_on = [address("127.0.0.1:7860"), address("192.168.1.5:7860"), address("[fd00::5]:7860")];
        for own in ["127.0.0.1:40000", "[::1]:7860", "192.168.1.5:7860", "[fd00::5]:7860"] {
            assert!(is_a_clients(address(own), &listens_on), "{own}");
        }
        for own in ["192.168.1.5:7861", "192.168.1.6:7860", "[fd00::6]:7860", "0.0.0.0:7860"] {
            assert!(!is_a_clients(address(own), &listens_on), "{own}");
        }
        assert!(!is_a_clients(address("192.168.1.5:7860"), &[]));
    }
}
