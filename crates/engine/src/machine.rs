use crate::Precision;

/// What decides, besides model and settings, the exact bytes of a picture in this precision: the architecture, and whether
/// its processor fuses multiplications with additions, for example `x86_64 fma`. In bf16 it is also who made the
/// processor, and whether it multiplies bf16 numbers itself: `x86_64 fma bf16 AuthenticAMD`; what the instruction rounds
/// between its steps is not the same for all makers.
///
/// With the same build of the program, two machines of the same class make the same bytes; others differ in the last
/// bits of sums, and so in a few pixels by a little. Neither the number of threads nor the width of the registers
/// (AVX2, AVX-512) matters.
pub fn machine_class(precision: Precision) -> String {
    let fused = if crate::kernels::fuses() { " fma" } else { "" };
    let products = match precision {
        Precision::F32 => String::new(),
        Precision::Bf16 if crate::kernels::has_bf16() => format!(" bf16 {}", maker()),
        Precision::Bf16 => " bf16 rounded".to_owned(),
    };
    format!("{}{fused}{products}", std::env::consts::ARCH)
}

/// The instructions that this machine's pictures are computed with, for people: for example `AVX-512, AVX512-BF16`.
pub fn instructions() -> &'static str {
    crate::kernels::description()
}

/// Who made the processor, as it says itself.
#[cfg(target_arch = "x86_64")]
fn maker() -> String {
    let leaf = std::arch::x86_64::__cpuid(0);
    let letters = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes);
    String::from_utf8_lossy(letters.as_flattened()).into_owned()
}

/// Who made the processor: nobody says here.
#[cfg(not(target_arch = "x86_64"))]
fn maker() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_names_architecture_and_precision() {
        let exact = machine_class(Precision::F32);
        assert!(exact.starts_with(std::env::consts::ARCH) && !exact.contains("bf16"), "{exact}");
        assert!(machine_class(Precision::Bf16).starts_with(&format!("{exact} bf16 ")));
    }
}
