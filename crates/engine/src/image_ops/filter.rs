use std::f64::consts::PI;

/// How a picture is resized. The names and results are Pillow's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// The mean of the pixels below.
    Box,
    /// Linear interpolation.
    Bilinear,
    /// Cubic interpolation (a = -0.5).
    Bicubic,
    /// A windowed sinc over three pixels to each side.
    Lanczos,
}

impl Filter {
    /// Pixels to each side that count when the picture keeps its size.
    fn support(self) -> f64 {
        match self {
            Self::Nearest | Self::Box => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Nearest | Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => cubic(x.abs(), -0.5),
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }

    /// What each of `outputs` pixels takes from a row of `inputs`, of which the part `from..to` is stretched over them.
    /// Where the row shrinks, the filter widens, so that every pixel counts.
    pub(super) fn taps(self, inputs: usize, outputs: usize, from: f64, to: f64) -> Vec<Taps> {
        let scale = (to - from) / outputs as f64;
        if self == Self::Nearest {
            let at = |i: usize| ((from + (i as f64 + 0.5) * scale) as usize).min(inputs.saturating_sub(1));
            return (0..outputs).map(|i| Taps { first: at(i), weights: vec![1.0] }).collect();
        }
        let stretch = scale.max(1.0);
        let support = self.support() * stretch;
        let row = |i: usize| {
            let center = from + (i as f64 + 0.5) * scale;
            let first = ((center - support + 0.5).max(0.0) as usize).min(inputs);
            let end = ((center + support + 0.5) as usize).clamp(first, inputs);
            let weights: Vec<f64> =
                (first..end).map(|x| self.weight((x as f64 - center + 0.5) * (1.0 / stretch))).collect();
            let sum: f64 = weights.iter().sum();
            let weights = if sum == 0.0 { weights } else { weights.iter().map(|weight| weight / sum).collect() };
            Taps { first, weights }
        };
        (0..outputs).map(row).collect()
    }
}

/// The neighbouring inputs that one output is made of.
pub(super) struct Taps {
    /// The first of them.
    pub(super) first: usize,
    /// What each contributes.
    pub(super) weights: Vec<f64>,
}

/// Keys' cubic convolution at distance `x >= 0`.
pub(super) fn cubic(x: f64, a: f64) -> f64 {
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}
