use super::Walk;
use crate::EngineError;

/// Multistep consistency sampling (Luo et al. 2023, algorithm 3): to the picture, and back up with fresh noise.
pub(super) fn lcm(walk: &mut Walk<'_>, mut x: Vec<f32>) -> Result<Vec<f32>, EngineError> {
    for (i, sigma, next) in walk.levels() {
        let denoised = walk.denoised(&x, sigma)?;
        walk.report(i, &denoised)?;
        x = denoised;
        if next > 0.0 {
            walk.add_noise(&mut x, next);
        }
    }
    Ok(x)
}
