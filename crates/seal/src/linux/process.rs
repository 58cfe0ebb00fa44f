//! Facts about this process, read from `/proc` and `uname`.
#![expect(unsafe_code, reason = "uname fills a C structure")]

use std::ffi::CStr;

/// Threads of this process; 1 if `/proc` cannot tell, which the kernel then checks itself.
pub(super) fn threads() -> usize {
    fs_err::read_dir("/proc/self/task").map_or(1, |tasks| tasks.flatten().count().max(1))
}

/// A field of `/proc/self/status` or of one of its threads, such as `Seccomp`.
fn status_field(path: &str, field: &str) -> Option<String> {
    let text = fs_err::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == field).then(|| value.trim().to_owned())
    })
}

/// Whether a filter that we did not install holds this process already.
pub(super) fn is_filtered_already() -> bool {
    status_field("/proc/self/status", "Seccomp").is_some_and(|mode| mode != "0")
}

/// All threads, and those among them that the kernel shows under a filter.
pub(super) fn filtered_threads() -> (usize, usize) {
    let Ok(tasks) = fs_err::read_dir("/proc/self/task") else {
        return (1, 0);
    };
    let mut all = 0;
    let mut filtered = 0;
    for task in tasks.flatten() {
        let path = task.path().join("status");
        all += 1;
        if status_field(&path.to_string_lossy(), "Seccomp").as_deref() == Some("2") {
            filtered += 1;
        }
    }
    (all, filtered)
}

/// System, release and version of the kernel, as `uname -srv` prints them.
pub(super) fn kernel() -> String {
    // SAFETY: `utsname` is plain bytes, for which all zeroes is a value, and the call fills it.
    let names = unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        if libc::uname(&raw mut names) != 0 {
            return "Linux".to_owned();
        }
        names
    };
    let text = |field: &[libc::c_char]| {
        // SAFETY: the kernel ends every field with a zero byte within its length.
        unsafe { CStr::from_ptr(field.as_ptr()) }.to_string_lossy().into_owned()
    };
    format!("{} {} {}", text(&names.sysname), text(&names.release), text(&names.version))
}
