//! Facts about the machine and the engine, for the page's System screen.

use crate::system;
use engine::Precision;
use serde_json::{Value, json};
use std::path::Path;

/// What can be known from inside the seal; `null` for what the system does not tell.
pub(crate) fn report(home: &Path, precision: Precision, loading: Option<&str>) -> Value {
    let cpus = fs_err::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim());
    let meminfo = fs_err::read_to_string("/proc/meminfo").unwrap_or_default();
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    json!({
        "processor": processor,
        "threads": std::thread::available_parallelism().map(usize::from).ok(),
        "kernels": engine::instructions(),
        "machine_class": engine::machine_class(precision),
        "precision": precision,
        "kernel": system::kernel(),
        "memory": {
            "total": kib(&meminfo, "MemTotal:"),
            "available": system::memory(),
            "process": kib(&status, "VmRSS:"),
        },
        "disk": { "free": system::free_space(home), "total": fs4::total_space(home).ok() },
        "loading": loading,
    })
}

/// The bytes of a line like `MemTotal:  16384 kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let report = report(&std::env::temp_dir(), Precision::F32, Some("spark"));
        assert_eq!(report["loading"], "spark");
        assert!(report["disk"]["free"].as_u64() <= report["disk"]["total"].as_u64());
        if cfg!(target_os = "linux") {
            assert!(report["memory"]["process"].as_u64() < report["memory"]["total"].as_u64(), "{report:#}");
        }
    }
}
