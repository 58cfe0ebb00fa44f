//! `no_new_privs`: no program started from here gains rights, and filters need no root.
#![expect(unsafe_code, reason = "prctl has no safe form")]

use super::explain;
use crate::Mechanism;
use std::io;

pub(super) fn give_up_new_ones() -> Mechanism {
    // SAFETY: plain numbers, no memory involved.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let error = io::Error::last_os_error();
    // SAFETY: as above.
    let found = unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) };
    if found == 1 {
        Mechanism::enforced(Mechanism::NO_NEW_PRIVILEGES, "the kernel reports the flag as set")
    } else if set != 0 {
        Mechanism::missing(Mechanism::NO_NEW_PRIVILEGES, explain::error(&error))
    } else {
        Mechanism::missing(Mechanism::NO_NEW_PRIVILEGES, "the kernel accepted the flag but does not report it")
    }
}
