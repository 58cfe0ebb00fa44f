/// What decides, besides model and settings, the exact bytes of a picture: the architecture and the instruction sets
/// between which the matrix product chooses at run time, for example `x86_64 avx2 fma avx512f`.
///
/// With the same build of the program, two machines of the same class make the same bytes; others differ in the last
/// bits of sums, and so in a few pixels by a little. Neither the number of threads nor the sizes of caches matter.
pub fn machine_class() -> String {
    let mut class = std::env::consts::ARCH.to_owned();
    for feature in features() {
        class.push(' ');
        class.push_str(feature);
    }
    class
}

/// Where Linux tells the sizes of the processor's caches. The matrix product looks there at its first use and tries to
/// run `lscpu` if it may not read it; a process that seals itself off should keep this folder readable. It decides about
/// speed only, never about results.
pub const PROCESSOR_FACTS: &str = "/sys/devices/system/cpu";

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let detected = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    detected.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect()
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    if std::arch::is_aarch64_feature_detected!("neon") { vec!["neon"] } else { Vec::new() }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_class_starts_with_the_architecture() {
        assert!(super::machine_class().starts_with(std::env::consts::ARCH));
    }
}
