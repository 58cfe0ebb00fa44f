use super::{Walk, heun, spacing};
use crate::EngineError;

/// Restart sampling (Xu et al. 2023) around Heun's method with AUTOMATIC1111's settings: from 20 steps on some of them go
/// back up from level 0.1 to level 2 once, from 36 on twice.
pub(super) fn restart(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    let pairs = pairs(walk.plan.sigmas());
    let mut level = pairs.first().map_or(0.0, |(sigma, _)| *sigma);
    for (i, &(sigma, next)) in pairs.iter().enumerate() {
        if level < sigma {
            walk.add_noise(&mut x, (sigma * sigma - level * level).sqrt());
        }
        let denoised = walk.denoised(&x, sigma)?;
        x = heun::step(walk, x, &denoised, sigma, next)?;
        walk.report_of(i, pairs.len(), &denoised)?;
        level = next;
    }
    Ok(x)
}

/// The levels before and after each step.
fn pairs(sigmas: &[f32]) -> Vec<(f32, f32)> {
    let steps = sigmas.len().saturating_sub(1);
    let (more, times) = match steps {
        0..20 => (0, 0),
        20..36 => (9, 1),
        _ => (steps / 4, 2),
    };
    let step_pairs = |levels: &[f32]| levels.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>();
    if times == 0 {
        return step_pairs(sigmas);
    }
    let mut levels = spacing::karras(sigmas[0].into(), sigmas[steps - 1].into(), 7.0, steps - more * times);
    levels.push(0.0);
    let nearest = |to: f32| {
        let distance = |i: &usize| (levels[*i] - to).abs();
        (0..levels.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    };
    let (low, high) = (nearest(0.1), nearest(2.0));
    let mut pairs = step_pairs(&levels);
    if high < low {
        let again = step_pairs(&spacing::karras(levels[high].into(), levels[low].into(), 7.0, more + 1));
        for _ in 0..times {
            pairs.splice(low..low, again.iter().copied());
        }
    }
    pairs
}
