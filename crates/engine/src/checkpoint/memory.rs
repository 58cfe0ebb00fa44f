//! How much memory widened weights may take.

/// What is assumed of a machine that does not tell: 8 GiB.
const ASSUMED: u64 = 8 << 30;

/// Bytes that a model's widened weights may occupy: half of the memory that is free when the model is opened.
/// The rest is for the pictures: SDXL's decoder takes about 5 GB at 1024 x 1024.
pub(super) fn limit() -> u64 {
    available().unwrap_or(ASSUMED) / 2
}

/// Memory that can be had without swapping, as Linux tells it, within the limit of the control group.
fn available() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    let machine = meminfo(&text)?;
    let group = |name: &str| -> Option<u64> {
        fs_err::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    };
    Some(match (group("memory.max"), group("memory.current")) {
        (Some(most), Some(used)) => machine.min(most.saturating_sub(used)),
        _ => machine,
    })
}

/// The line `MemAvailable: N kB`.
fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_available_memory_is_read_from_its_line() {
        assert_eq!(meminfo("MemTotal: 5 kB\nMemAvailable:   22950636 kB\n"), Some(22_950_636 * 1024));
        assert_eq!(meminfo("MemTotal: 5 kB\n"), None);
        assert_eq!(meminfo("MemAvailable: 18446744073709551615 kB\n"), None);
    }
}
