//! What this program asks of the operating system beyond std: read from `/proc` where there is one, else unknown.

use std::path::Path;

/// The kernel's name and release.
pub(crate) fn kernel() -> String {
    let release = fs_err::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned()
}

/// Memory in bytes that programs can still take.
pub(crate) fn memory() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Free bytes on the disk that `folder`, or the nearest folder above it that exists, lies on.
pub(crate) fn free_space(folder: &Path) -> Option<u64> {
    folder.ancestors().find(|folder| folder.exists()).and_then(|folder| fs4::available_space(folder).ok())
}

/// Whether this program was started with `signal` ignored, as `nohup` does with SIGHUP.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let text = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = signal.checked_sub(1).and_then(|bit| u32::try_from(bit).ok()).unwrap_or(u32::MAX);
    mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_ignored_signal_is_known() {
        // The run-time of Rust ignores SIGPIPE; nobody can ignore SIGKILL.
        assert_eq!(super::is_ignored(13), cfg!(target_os = "linux"));
        assert!(!super::is_ignored(9) && !super::is_ignored(0) && !super::is_ignored(i32::MAX));
    }

    #[test]
    fn this_machine_has_memory_and_disk() {
        if cfg!(target_os = "linux") {
            assert!(super::memory().unwrap() > 1 << 20);
        }
        assert!(super::free_space(std::path::Path::new("no/such/folder")).is_none_or(|bytes| bytes > 0));
        assert!(super::free_space(&std::env::temp_dir()).unwrap() > 0);
    }
}
