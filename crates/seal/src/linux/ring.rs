//! The io_uring way out: a queue of requests that ordinary system call filters never see.
//!
//! Structures as in linux/io_uring.h; just enough of them to open a socket and to connect it.
#![expect(unsafe_code, reason = "the queue is memory shared with the kernel")]

use super::probe::raw_address;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

const OPEN_SOCKET: u8 = 45;
const CONNECT: u8 = 16;
const ENTRIES: u32 = 4;
const REQUESTS_AT: libc::off_t = 0x1000_0000;
const COMPLETIONS_AT: libc::off_t = 0x0800_0000;
const WAIT_FOR_ONE: u32 = 1;
/// Larger than both rings of four entries.
const RING_BYTES: usize = 4096;
const REQUEST_BYTES: usize = 64 * 4;

#[repr(C)]
#[derive(Default)]
struct Parameters {
    submission_entries: u32,
    completion_entries: u32,
    rest: [u32; 8],
    /// head, tail, mask, entries, flags, dropped, array, reserved, address (2)
    submission: [u32; 10],
    /// head, tail, mask, entries, overflow, completions, flags, reserved, address (2)
    completion: [u32; 10],
}

#[repr(C)]
#[derive(Default)]
struct Request {
    operation: u8,
    flags: u8,
    priority: u16,
    descriptor: i32,
    offset: u64,
    address: u64,
    length: u32,
    rest: [u32; 7],
}

/// Memory shared with the kernel.
struct Shared(*mut u8, usize);

impl Shared {
    fn map(ring: &OwnedFd, bytes: usize, offset: libc::off_t) -> io::Result<Self> {
        // SAFETY: a new mapping at a place that the kernel chooses.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                ring.as_raw_fd(),
                offset,
            )
        };
        if place == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(place.cast(), bytes))
    }

    /// The 32-bit word at an offset, if it lies inside.
    fn word(&self, offset: u32) -> io::Result<&AtomicU32> {
        let offset = offset as usize;
        if !offset.is_multiple_of(4) || offset + 4 > self.1 {
            return Err(io::Error::other("the kernel's ring lies outside its mapping"));
        }
        // SAFETY: aligned, inside the mapping, and alive as long as `self`.
        Ok(unsafe { AtomicU32::from_ptr(self.0.add(offset).cast()) })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `map` mapped.
        unsafe { libc::munmap(self.0.cast(), self.1) };
    }
}

struct Ring {
    descriptor: OwnedFd,
    parameters: Parameters,
    submissions: Shared,
    completions: Shared,
    requests: Shared,
}

impl Ring {
    fn new() -> io::Result<Self> {
        let mut parameters = Parameters::default();
        // SAFETY: the structure has the kernel's layout and outlives the call.
        let result = unsafe { libc::syscall(libc::SYS_io_uring_setup, ENTRIES, &raw mut parameters) };
        let descriptor = i32::try_from(result).unwrap_or(-1);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor for us.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self {
            submissions: Shared::map(&descriptor, RING_BYTES, 0)?,
            completions: Shared::map(&descriptor, RING_BYTES, COMPLETIONS_AT)?,
            requests: Shared::map(&descriptor, REQUEST_BYTES, REQUESTS_AT)?,
            descriptor,
            parameters,
        })
    }

    /// Hands in one request and waits for its result.
    fn perform(&self, request: Request) -> io::Result<i32> {
        let [_, tail, _, _, _, _, array, ..] = self.parameters.submission;
        // SAFETY: the first of the mapped requests, and nobody else writes there.
        unsafe { self.requests.0.cast::<Request>().write(request) };
        let tail = self.submissions.word(tail)?;
        let next = tail.load(Ordering::Acquire);
        self.submissions.word(array + (next % ENTRIES) * 4)?.store(0, Ordering::Relaxed);
        tail.store(next.wrapping_add(1), Ordering::Release);
        // SAFETY: plain numbers and no signal mask.
        let entered = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.descriptor.as_raw_fd(),
                1,
                1,
                WAIT_FOR_ONE,
                std::ptr::null::<u8>(),
                0_usize,
            )
        };
        if entered < 0 {
            return Err(io::Error::last_os_error());
        }
        let [head, _, _, entries, _, completions, ..] = self.parameters.completion;
        let entries = self.completions.word(entries)?.load(Ordering::Acquire).max(1);
        let head = self.completions.word(head)?;
        let position = head.load(Ordering::Acquire);
        let result = self.completions.word(completions + (position % entries) * 16 + 8)?;
        let result = result.load(Ordering::Acquire).cast_signed();
        head.store(position.wrapping_add(1), Ordering::Release);
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
    }
}

/// Opens a TCP socket through the queue and connects it to the canary.
pub(super) fn connect(canary: SocketAddr) -> io::Result<String> {
    let ring = Ring::new()?;
    let family = if canary.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = ring.perform(Request {
        operation: OPEN_SOCKET,
        descriptor: family,
        offset: 1, // SOCK_STREAM
        ..Request::default()
    })?;
    // SAFETY: the kernel just made this descriptor for us.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let (address, length) = raw_address(canary);
    let connected = ring.perform(Request {
        operation: CONNECT,
        descriptor: socket.as_raw_fd(),
        offset: u64::from(length),
        address: (&raw const address) as u64,
        ..Request::default()
    });
    Ok(match connected {
        Ok(_) => "a socket was opened and connected".to_owned(),
        Err(error) => format!("a socket was opened ({error} on connecting)"),
    })
}
