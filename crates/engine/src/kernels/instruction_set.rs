//! Which of the compiled variants of a loop runs.

use std::sync::OnceLock;

use pulp::WithSimd;

/// Names an instruction set that is to be used instead of the best one: `portable`, `avx2` or `avx512`. For tests, and
/// for a machine whose processor is in doubt; a set that the processor lacks is not used.
const VARIABLE: &str = "FIELDFORGE_KERNELS";

/// The variants that can be told apart.
#[derive(Clone, Copy)]
enum InstructionSet {
    /// The best that the processor has.
    Best,
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
        _ => InstructionSet::Best,
    })
}

/// Runs `work` in the chosen variant.
#[inline(always)]
pub(crate) fn dispatch<W: WithSimd>(work: W) -> W::Output {
    match chosen() {
        InstructionSet::Best => pulp::Arch::new().dispatch(work),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2(simd) => pulp::Simd::vectorize(simd, work),
        InstructionSet::Portable => work.with_simd(pulp::Scalar),
    }
}

/// Whether multiplications and additions are fused in the chosen variant, which decides about the last bits of sums.
pub(crate) fn fuses() -> bool {
    match chosen() {
        InstructionSet::Best => {
            cfg!(target_arch = "aarch64") || {
                #[cfg(target_arch = "x86_64")]
                let fuses = pulp::x86::V3::is_available();
                #[cfg(not(target_arch = "x86_64"))]
                let fuses = false;
                fuses
            }
        }
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2(_) => true,
        InstructionSet::Portable => false,
    }
}
