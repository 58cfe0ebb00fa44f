use std::fmt;

use super::filter::{Filter, Taps, cubic};

/// How a latent is enlarged: torch's `interpolate`. The names are AUTOMATIC1111's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LatentUpscale {
    /// Linear interpolation: "Latent".
    Bilinear,
    /// Linear interpolation that counts every position when it shrinks.
    BilinearAntialiased,
    /// Cubic interpolation (a = -0.75).
    Bicubic,
    /// Cubic interpolation (a = -0.5) that counts every position when it shrinks.
    BicubicAntialiased,
    /// The nearest position, counted from the upper left corners.
    Nearest,
    /// The nearest position, counted from the centres.
    NearestExact,
}

impl LatentUpscale {
    /// All ways, in AUTOMATIC1111's order.
    pub const ALL: [Self; 6] = [
        Self::Bilinear,
        Self::BilinearAntialiased,
        Self::Bicubic,
        Self::BicubicAntialiased,
        Self::Nearest,
        Self::NearestExact,
    ];

    /// AUTOMATIC1111's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "Latent",
            Self::BilinearAntialiased => "Latent (antialiased)",
            Self::Bicubic => "Latent (bicubic)",
            Self::BicubicAntialiased => "Latent (bicubic antialiased)",
            Self::Nearest => "Latent (nearest)",
            Self::NearestExact => "Latent (nearest-exact)",
        }
    }

    fn taps(self, inputs: usize, outputs: usize) -> Vec<Taps> {
        let scale = f64::from(inputs as f32 / outputs as f32);
        let last = inputs.saturating_sub(1);
        let one = |at: f64| Taps { first: (at as usize).min(last), weights: vec![1.0] };
        let row = |i: usize| match self {
            Self::Nearest => one(i as f64 * scale),
            Self::NearestExact => one((i as f64 + 0.5) * scale),
            Self::Bilinear => {
                let at = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
                let first = (at as usize).min(last);
                let part = if first == last { 0.0 } else { at - first as f64 };
                Taps { first, weights: if part == 0.0 { vec![1.0] } else { vec![1.0 - part, part] } }
            }
            _ => clamped_cubic((i as f64 + 0.5) * scale - 0.5, last),
        };
        match self {
            Self::BilinearAntialiased => Filter::Bilinear.taps(inputs, outputs, 0.0, inputs as f64),
            Self::BicubicAntialiased => Filter::Bicubic.taps(inputs, outputs, 0.0, inputs as f64),
            _ => (0..outputs).map(row).collect(),
        }
    }
}

impl fmt::Display for LatentUpscale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The four positions around `at`, those outside replaced by the outermost.
fn clamped_cubic(at: f64, last: usize) -> Taps {
    let floor = at.floor();
    let place = |offset: f64| (floor + offset).clamp(0.0, last as f64) as usize;
    let first = place(-1.0);
    let mut weights = vec![0.0; place(2.0) - first + 1];
    for offset in [-1.0, 0.0, 1.0, 2.0] {
        weights[place(offset) - first] += cubic((at - floor - offset).abs(), -0.75);
    }
    Taps { first, weights }
}

/// A latent at another size.
///
/// # Shapes
/// - latent: `[channels, height, width]` of `from` (height, width); result: `[channels, height, width]` of `to`
pub fn interpolate(latent: &[f32], from: (usize, usize), to: (usize, usize), how: LatentUpscale) -> Vec<f32> {
    let (down, across) = (how.taps(from.0, to.0), how.taps(from.1, to.1));
    let mut out = Vec::with_capacity(latent.len() / (from.0 * from.1).max(1) * to.0 * to.1);
    for channel in latent.chunks_exact((from.0 * from.1).max(1)) {
        let rows: Vec<Vec<f64>> = channel
            .chunks_exact(from.1)
            .map(|row| across.iter().map(|taps| weighted(taps, |at| f64::from(row[at]))).collect())
            .collect();
        for taps in &down {
            out.extend((0..to.1).map(|x| weighted(taps, |at| rows[at][x]) as f32));
        }
    }
    out
}

fn weighted(taps: &Taps, value: impl Fn(usize) -> f64) -> f64 {
    taps.weights.iter().enumerate().map(|(i, weight)| weight * value(taps.first + i)).sum()
}
