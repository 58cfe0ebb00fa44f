//! Inherited descriptors: a connected socket among them would survive every other layer.
#![expect(unsafe_code, reason = "descriptors are closed and looked at by number")]

use super::explain;
use crate::Mechanism;
use std::io;

/// Closes every descriptor above 2 except these; sockets at 0 to 2 that lead to a network are
/// replaced by `/dev/null`.
pub(super) fn close_all_but(keep: &[i32]) -> Mechanism {
    let mut keep: Vec<i32> = keep.iter().copied().filter(|one| *one > 2).collect();
    keep.sort_unstable();
    keep.dedup();
    let closed = close_gaps(&keep).or_else(|_| close_listed(&keep));
    let standard = quiet_standard_sockets();
    let left = open_above_two(&keep);
    let kept = if keep.is_empty() { String::new() } else { format!(" except {keep:?}") };
    match (closed, left) {
        (Ok(()), Some(left)) if left.is_empty() => Mechanism::enforced(
            Mechanism::DESCRIPTORS,
            format!("every descriptor above 2{kept} is closed, as /proc/self/fd shows{standard}"),
        ),
        (Ok(()), None) => {
            Mechanism::enforced(Mechanism::DESCRIPTORS, format!("every descriptor above 2{kept} was closed{standard}"))
        }
        (_, Some(left)) => {
            Mechanism::missing(Mechanism::DESCRIPTORS, format!("these descriptors stayed open: {left:?}{standard}"))
        }
        (Err(error), None) => {
            Mechanism::missing(Mechanism::DESCRIPTORS, format!("{}{standard}", explain::error(&error)))
        }
    }
}

/// Ranges between the kept descriptors, from 3 upwards.
fn gaps(keep: &[i32]) -> Vec<(u32, u32)> {
    let mut first = 3_u32;
    let mut ranges = Vec::new();
    for one in keep.iter().filter_map(|one| u32::try_from(*one).ok()) {
        if one > first {
            ranges.push((first, one - 1));
        }
        first = one.saturating_add(1);
    }
    ranges.push((first, u32::MAX));
    ranges
}

fn close_gaps(keep: &[i32]) -> io::Result<()> {
    for (first, last) in gaps(keep) {
        // SAFETY: closes by number; the caller of the public functions owns none of these.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// For kernels before 5.9, which lack `close_range`.
fn close_listed(keep: &[i32]) -> io::Result<()> {
    let listed = open_above_two(keep).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSYS))?;
    for one in listed {
        // SAFETY: as above.
        unsafe { libc::close(one) };
    }
    Ok(())
}

/// Open descriptors above 2 that are not to be kept; `None` if `/proc` cannot tell.
fn open_above_two(keep: &[i32]) -> Option<Vec<i32>> {
    let listed: Vec<i32> = fs_err::read_dir("/proc/self/fd")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|one| *one > 2 && !keep.contains(one))
        .collect();
    // The listing's own descriptor is among them and closed by now.
    // SAFETY: asks for flags only; a bad number is an error value.
    Some(listed.into_iter().filter(|one| unsafe { libc::fcntl(*one, libc::F_GETFD) } >= 0).collect())
}

/// Address family of a socket; `None` if the descriptor is no socket.
fn family_of(descriptor: i32) -> Option<i32> {
    let mut family = 0_i32;
    let mut length = libc::socklen_t::try_from(size_of::<i32>()).unwrap_or(4);
    // SAFETY: both pointers are to live variables of the stated size.
    let result = unsafe {
        libc::getsockopt(descriptor, libc::SOL_SOCKET, libc::SO_DOMAIN, (&raw mut family).cast(), &raw mut length)
    };
    (result == 0).then_some(family)
}

/// Says what became of standard input, output and error, if they are sockets.
fn quiet_standard_sockets() -> String {
    let mut text = String::new();
    for descriptor in 0..=2 {
        match family_of(descriptor) {
            None => {}
            Some(libc::AF_UNIX) => {
                text += &format!("; descriptor {descriptor} is a local socket and stays");
            }
            Some(_) => {
                // SAFETY: a constant path; the new descriptor is closed again below.
                let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
                // SAFETY: replaces by number, or closes if there is nothing to put in its place.
                unsafe {
                    if null >= 0 {
                        libc::dup2(null, descriptor);
                        libc::close(null);
                    } else {
                        libc::close(descriptor);
                    }
                }
                text += &format!("; descriptor {descriptor} was a network socket and leads to /dev/null now");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::gaps;

    #[test]
    fn the_gaps_leave_out_exactly_what_is_kept() {
        assert_eq!(gaps(&[]), [(3, u32::MAX)]);
        assert_eq!(gaps(&[3]), [(4, u32::MAX)]);
        assert_eq!(gaps(&[3, 4, 9]), [(5, 8), (10, u32::MAX)]);
        assert_eq!(gaps(&[7]), [(3, 6), (8, u32::MAX)]);
    }
}
