//! Which of the compiled variants of a loop runs.

use std::sync::OnceLock;

use pulp::WithSimd;

/// Names an instruction set that is to be used instead of the best one: `portable`, `avx2`, `avx512` (without its bf16
/// instructions) or `best`. For tests, and for a machine whose processor is in doubt; a set that the processor lacks is
/// not used.
const VARIABLE: &str = "FIELDFORGE_KERNELS";

/// The variants that can be told apart.
#[derive(Clone, Copy)]
enum InstructionSet {
    /// The best that the processor has.
    Best,
    /// The best without instructions for bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    Portable,
}

fn chosen() -> InstructionSet {
    static CHOSEN: OnceLock<InstructionSet> = OnceLock::new();
    *CHOSEN.get_or_init(|| match std::env::var(VARIABLE).as_deref() {
        Ok("portable") => InstructionSet::Portable,
        #[cfg(target_arch = "x86_64")]
        Ok("avx2") => pulp::x86::V3::try_new().map_or(InstructionSet::Portable, InstructionSet::Avx2),
        #[cfg(target_arch = "x86_64")]
        Ok("avx512") => InstructionSet::Avx512,
        _ => InstructionSet::Best,
    })
}

/// Runs `work` in the chosen variant.
#[inline(always)]
pub(crate) fn dispatch<W: WithSimd>(work: W) -> W::Output {
    match chosen() {
        InstructionSet::Best => pulp::Arch::new().dispatch(work),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => pulp::Arch::new().dispatch(work),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2(simd) => pulp::Simd::vectorize(simd, work),
        InstructionSet::Portable => work.with_simd(pulp::Scalar),
    }
}

/// Whether multiplications and additions are fused in the chosen variant, which decides about the last bits of sums.
pub(crate) fn fuses() -> bool {
    match chosen() {
        InstructionSet::Portable => false,
        #[cfg(target_arch = "x86_64")]
        _ => pulp::x86::V3::is_available(),
        #[cfg(not(target_arch = "x86_64"))]
        _ => cfg!(target_arch = "aarch64"),
    }
}

/// Whether the chosen variant multiplies bf16 numbers by the processor's own instruction (AVX512-BF16).
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_bf16() -> bool {
    matches!(chosen(), InstructionSet::Best)
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bf16")
}

/// Whether the chosen variant multiplies bf16 numbers by the processor's own instruction: not on this architecture.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const fn has_bf16() -> bool {
    false
}

/// What the chosen variant uses, for people: for example `AVX-512, AVX512-BF16`.
pub(crate) fn description() -> &'static str {
    match chosen() {
        InstructionSet::Portable => "no vectors",
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2(_) => "AVX2, FMA",
        #[cfg(target_arch = "x86_64")]
        _ if has_bf16() => "AVX-512, AVX512-BF16",
        #[cfg(target_arch = "x86_64")]
        _ if pulp::x86::V4::is_available() => "AVX-512",
        #[cfg(target_arch = "x86_64")]
        _ if pulp::x86::V3::is_available() => "AVX2, FMA",
        #[cfg(target_arch = "x86_64")]
        _ => "SSE2",
        #[cfg(not(target_arch = "x86_64"))]
        InstructionSet::Best => {
            if cfg!(target_arch = "aarch64") {
                "NEON"
            } else {
                "no vectors"
            }
        }
    }
}
