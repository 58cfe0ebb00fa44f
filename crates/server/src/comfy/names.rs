//! ComfyUI's names of samplers and schedulers, and ours.

use crate::Generate;

/// ComfyUI's name and ours. ComfyUI's `ddim` is Euler's method on its scheduler's levels; its `…_gpu` differ only in the
/// machine that makes the noise.
const SAMPLERS: &[(&str, &str)] = &[
    ("euler", "Euler"),
    ("euler_ancestral", "Euler a"),
    ("heun", "Heun"),
    ("dpm_2", "DPM2"),
    ("dpm_2_ancestral", "DPM2 a"),
    ("lms", "LMS"),
    ("dpmpp_2s_ancestral", "DPM++ 2S a"),
    ("dpmpp_sde", "DPM++ SDE"),
    ("dpmpp_sde_gpu", "DPM++ SDE"),
    ("dpmpp_2m", "DPM++ 2M"),
    ("dpmpp_2m_sde", "DPM++ 2M SDE"),
    ("dpmpp_2m_sde_gpu", "DPM++ 2M SDE"),
    ("dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun"),
    ("dpmpp_2m_sde_heun_gpu", "DPM++ 2M SDE Heun"),
    ("dpmpp_3m_sde", "DPM++ 3M SDE"),
    ("dpmpp_3m_sde_gpu", "DPM++ 3M SDE"),
    ("ddpm", "DDPM"),
    ("lcm", "LCM"),
    ("ddim", "Euler"),
    ("uni_pc", "UniPC"),
    ("uni_pc_bh2", "UniPC BH2"),
];

const SCHEDULERS: &[(&str, &str)] = &[
    ("normal", "Normal"),
    ("simple", "Simple"),
    ("karras", "Karras"),
    ("exponential", "Exponential"),
    ("sgm_uniform", "SGM Uniform"),
    ("ddim_uniform", "DDIM"),
    ("beta", "Beta"),
    ("kl_optimal", "KL Optimal"),
];

/// ComfyUI's names of the samplers that this engine has.
pub(crate) fn samplers(generate: &dyn Generate) -> Vec<String> {
    known(SAMPLERS, &generate.samplers())
}

/// ComfyUI's names of the schedulers that this engine has.
pub(crate) fn schedulers(generate: &dyn Generate) -> Vec<String> {
    known(SCHEDULERS, &generate.schedulers())
}

/// Our name of a sampler.
pub(crate) fn sampler(name: &str) -> Option<&'static str> {
    ours(SAMPLERS, name)
}

/// Our name of a scheduler.
pub(crate) fn scheduler(name: &str) -> Option<&'static str> {
    ours(SCHEDULERS, name)
}

fn known(table: &[(&str, &str)], installed: &[String]) -> Vec<String> {
    let has = |ours: &str| installed.iter().any(|name| name == ours);
    table.iter().filter(|(_, ours)| has(ours)).map(|(name, _)| (*name).to_owned()).collect()
}

fn ours(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}
