//! Error numbers in words, with the settings of this system that usually stand behind them.

use std::io;

/// `EPERM` and the like by name, then the system's sentence.
pub(super) fn error(error: &io::Error) -> String {
    let name = match error.raw_os_error() {
        Some(libc::EPERM) => "EPERM",
        Some(libc::EACCES) => "EACCES",
        Some(libc::ENOSYS) => "ENOSYS",
        Some(libc::EINVAL) => "EINVAL",
        Some(libc::EBADF) => "EBADF",
        Some(libc::EFAULT) => "EFAULT",
        Some(libc::ENOSPC) => "ENOSPC",
        Some(libc::EUSERS) => "EUSERS",
        Some(libc::ENETUNREACH) => "ENETUNREACH",
        Some(libc::ECONNREFUSED) => "ECONNREFUSED",
        Some(libc::EAFNOSUPPORT) => "EAFNOSUPPORT",
        Some(libc::EPROTONOSUPPORT) => "EPROTONOSUPPORT",
        Some(libc::EOPNOTSUPP) => "EOPNOTSUPP",
        _ => return error.to_string(),
    };
    format!("{name}: {error}")
}

fn setting(path: &str) -> Option<String> {
    fs_err::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Why a namespace could not be made, as far as this system's settings tell.
pub(super) fn namespace_refusal(refusal: &io::Error) -> String {
    let mut reasons = Vec::new();
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        reasons.push(
            "AppArmor restricts unprivileged user namespaces \
             (kernel.apparmor_restrict_unprivileged_userns=1)",
        );
    }
    if setting("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        reasons.push("user namespaces are switched off (user.max_user_namespaces=0)");
    }
    if setting("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        reasons.push(
            "user namespaces are switched off for ordinary users \
             (kernel.unprivileged_userns_clone=0)",
        );
    }
    if super::process::is_filtered_already() {
        reasons.push("a filter from outside holds this process, as container profiles do");
    }
    if reasons.is_empty() && refusal.raw_os_error() == Some(libc::EPERM) {
        reasons.push("a security module or container profile of this system forbids it");
    }
    let mut text = error(refusal);
    if !reasons.is_empty() {
        text = format!("{text}; {}", reasons.join("; "));
    }
    text
}
