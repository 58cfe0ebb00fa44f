use safetensors::Dtype;

use super::Header;

/// How a file's weights were squeezed, if they were: the engine reads F16, BF16, F32 and F64 only.
pub(super) fn quantization(header: &Header) -> Option<&'static str> {
    let named = |part: &str| header.tensors().any(|(name, _)| name.contains(part));
    if named(".quant_state.bitsandbytes__nf4") {
        return Some("bitsandbytes' NF4");
    }
    if named(".quant_state.bitsandbytes__fp4") {
        return Some("bitsandbytes' FP4");
    }
    if named(".quant_state.") || named(".weight.absmax") || named(".weight_format") {
        return Some("bitsandbytes");
    }
    if named(".qweight") || named(".wscales") {
        return Some("integers with scales");
    }
    header.tensors().find_map(|(name, entry)| match entry.dtype() {
        Dtype::F8_E4M3 | Dtype::F8_E5M2 | Dtype::F8_E8M0 => Some("FP8"),
        Dtype::F6_E2M3 | Dtype::F6_E3M2 => Some("FP6"),
        Dtype::F4 => Some("FP4"),
        Dtype::I8 | Dtype::U8 if name.ends_with(".weight") => Some("8-bit integers"),
        _ => None,
    })
}
