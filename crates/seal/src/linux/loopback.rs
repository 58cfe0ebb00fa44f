//! Loopback in a network namespace of one's own, where it starts switched off.
#![expect(unsafe_code, reason = "interface flags are changed by ioctl")]

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

/// Switches `lo` on if it is off; says whether it was.
pub(crate) fn raise_loopback() -> io::Result<bool> {
    let socket = UnixDatagram::unbound()?; // any socket will do
    // SAFETY: zeroes are a value of this structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, letter) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *place = libc::c_char::from_ne_bytes([*letter]);
    }
    // SAFETY: both calls read and write the flags of this structure, which outlives them.
    unsafe {
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) != 0 {
            return Err(io::Error::last_os_error());
        }
        let up = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
        if request.ifr_ifru.ifru_flags & up != 0 {
            return Ok(false);
        }
        request.ifr_ifru.ifru_flags |= up;
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(true)
}
