/// What decides, besides model and settings, the exact bytes of a picture: the architecture, and whether its processor
/// fuses multiplications with additions, for example `x86_64 fma`.
///
/// With the same build of the program, two machines of the same class make the same bytes; others differ in the last
/// bits of sums, and so in a few pixels by a little. Neither the number of threads nor the width of the registers
/// (AVX2, AVX-512) matters.
pub fn machine_class() -> String {
    let fused = if crate::kernels::fuses() { " fma" } else { "" };
    format!("{}{fused}", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_class_starts_with_the_architecture() {
        assert!(super::machine_class().starts_with(std::env::consts::ARCH));
    }
}
