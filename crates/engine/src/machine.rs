use crate::kernels;

/// What decides, besides model and settings, the exact bytes of a picture: the architecture and the instruction sets
/// between which the matrix product chooses at run time, for example `x86_64 avx2 fma avx512f`.
///
/// With the same build of the program, two machines of the same class make the same bytes; others differ in the last bits of sums, and so in a few pixels
/// by a little. Neither the number of threads nor the sizes of caches matter.
pub fn machine_class() -> String {
    let mut class = std::env::consts::ARCH.to_owned();
    for feature in features() {
        class.push(' ');
        class.push_str(feature);
    }
    class
}

/// Does once what the first generation would do besides computing: starts rayon's threads and lets the matrix product
/// look up the sizes of the CPU's caches (on Linux in `/sys`; where that cannot be read it tries to run `lscpu`).
///
/// Call it before a process seals itself off, so that nothing of this is refused later. Results do not depend on it.
pub fn warm_up() {
    let side = 128;
    let ones = vec![1.0; side * side];
    kernels::matrix::dense(&ones, &ones, None, side, side, &mut vec![0.0; side * side]);
}

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
