use super::brownian::BrownianTree;
use crate::random_source::Generator;
use crate::{NoiseSettings, RandomSource, StepNoise};

/// All noise of one picture, in the order in which AUTOMATIC1111 or ComfyUI draw it.
///
/// # Shapes
/// - all noise: `[channels, height, width]`
pub struct ImageNoise {
    settings: NoiseSettings,
    seed: u64,
    size: [usize; 3],
    generator: Generator,
}

impl ImageNoise {
    /// The noise of `seed` for a latent of `size`: channels, height, width.
    pub fn new(settings: &NoiseSettings, seed: u64, size: [usize; 3]) -> Self {
        Self { settings: settings.clone(), seed, size, generator: settings.source.generator(seed) }
    }

    /// The noise to begin with. Call it first and once.
    pub fn first(&mut self) -> Vec<f32> {
        let settings = &self.settings;
        let [channels, height, width] = self.size;
        let from = match settings.resized_from {
            Some((width, height)) => [channels, height as usize / 8, width as usize / 8],
            None => self.size,
        };
        let own = self.generator.normal(channels * height * width);
        let fresh = |seed: u64| settings.source.generator(seed).normal(from.iter().product());
        let mut noise = if from == self.size { own.clone() } else { fresh(self.seed) };
        if settings.variation_strength > 0.0 {
            noise = slerp(settings.variation_strength, &noise, &fresh(settings.variation_seed), from);
        }
        if from != self.size {
            noise = pasted(own, self.size, &noise, from);
        }
        match settings.steps {
            StepNoise::Continued if settings.seed_delta == 0 => {}
            StepNoise::Continued => {
                self.generator = settings.source.generator(self.seed.wrapping_add(settings.seed_delta));
            }
            StepNoise::CpuNextSeed => self.generator = RandomSource::Cpu.generator(self.seed.wrapping_add(1)),
            StepNoise::NvSameSeed => self.generator = RandomSource::Nv.generator(self.seed),
        }
        noise
    }

    /// The next fresh noise.
    pub fn fresh(&mut self) -> Vec<f32> {
        self.generator.normal(self.size.iter().product())
    }

    /// The tree that SDE samplers take their noise from, between two noise levels.
    pub(super) fn tree(&self, smallest: f32, largest: f32) -> BrownianTree {
        let count = self.size.iter().product();
        BrownianTree::new(self.settings.source, self.seed, count, smallest.into(), largest.into())
    }
}

/// Spherical interpolation from `low` to `high` along the second dimension, as AUTOMATIC1111 has it: where both are
/// nearly parallel it blends, the wrong way round.
fn slerp(share: f32, low: &[f32], high: &[f32], [channels, height, width]: [usize; 3]) -> Vec<f32> {
    let column = |values: &[f32], channel: usize, x: usize| -> Vec<f32> {
        (0..height).map(|y| values[(channel * height + y) * width + x]).collect()
    };
    let columns: Vec<(usize, usize)> = (0..channels).flat_map(|c| (0..width).map(move |x| (c, x))).collect();
    let cosines: Vec<f32> = columns
        .iter()
        .map(|&(channel, x)| {
            let (low, high) = (column(low, channel, x), column(high, channel, x));
            let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
            let (of_low, of_high) = (norm(&low), norm(&high));
            low.iter().zip(&high).map(|(low, high)| (low / of_low) * (high / of_high)).sum()
        })
        .collect();
    if cosines.iter().sum::<f32>() / cosines.len() as f32 > 0.9995 {
        return low.iter().zip(high).map(|(low, high)| low * share + high * (1.0 - share)).collect();
    }
    let mut result = vec![0.0; low.len()];
    for (&(channel, x), cosine) in columns.iter().zip(cosines) {
        let angle = cosine.acos();
        let (of_low, of_high) = (((1.0 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin());
        for y in 0..height {
            let at = (channel * height + y) * width + x;
            result[at] = of_low * low[at] + of_high * high[at];
        }
    }
    result
}

/// `noise` of the size `from` laid over the middle of `around` of the size `size`, or its middle over all of it.
fn pasted(mut around: Vec<f32>, size: [usize; 3], noise: &[f32], from: [usize; 3]) -> Vec<f32> {
    // half the difference, rounded down, as an offset into one or the other
    let offset = |outer: usize, inner: usize| (outer as i64 - inner as i64).div_euclid(2);
    let (dx, dy) = (offset(size[2], from[2]), offset(size[1], from[1]));
    let span = |d: i64, inner: usize| (inner as i64 + 2 * d.min(0)).max(0) as usize;
    let (to_x, to_y) = (dx.max(0) as usize, dy.max(0) as usize);
    let (from_x, from_y) = ((-dx).max(0) as usize, (-dy).max(0) as usize);
    let (columns, rows) = (span(dx, from[2]), span(dy, from[1]));
    for channel in 0..size[0] {
        for y in 0..rows {
            let to = (channel * size[1] + to_y + y) * size[2] + to_x;
            let at = (channel * from[1] + from_y + y) * from[2] + from_x;
            around[to..to + columns].copy_from_slice(&noise[at..at + columns]);
        }
    }
    around
}
