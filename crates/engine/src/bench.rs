//! How fast this machine computes: kernels at the sizes of Stable Diffusion 1.5, memory, and the parts of a model.

use std::hint::black_box;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use half::f16;
use rayon::prelude::*;
use serde::Serialize;

use crate::kernels::attention::{AttentionShape, attention};
use crate::kernels::convolution::{ConvolutionShape, convolution};
use crate::kernels::product::{Bias, product};
use crate::kernels::weight::{Elements, Weight};
use crate::{EngineError, Model, Precision};

/// Seconds that one measurement takes at least.
const LEAST_SECONDS: f64 = 0.3;

/// How fast one kind of layer is computed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelSpeed {
    /// Which one, with its size.
    pub name: String,
    /// The precision of its products.
    pub precision: Precision,
    /// Billions of multiplications and additions a second, as its definition counts them: a 3x3 convolution that takes a
    /// quarter of the products gets as many as if it took all.
    pub gflops: f64,
}

/// The kinds of layers that take the time, in both precisions; `before` is told the name of each one, and ends it with
/// `false`.
pub fn kernel_speeds(before: &mut dyn FnMut(&str) -> bool) -> Vec<KernelSpeed> {
    let mut speeds = Vec::new();
    for (name, gflop, run) in layers() {
        for precision in [Precision::F32, Precision::Bf16] {
            if !before(name) {
                return speeds;
            }
            let seconds = precision.during(|| best(&run));
            speeds.push(KernelSpeed { name: name.to_owned(), precision, gflops: gflop / seconds });
        }
    }
    speeds
}

/// A layer: its name, the billions of operations that its definition counts, and what computes it once.
type Layer = (&'static str, f64, Box<dyn Fn()>);

fn layers() -> Vec<Layer> {
    let dense = |name, rows: usize, inputs: usize, outputs: usize| -> Layer {
        let (x, w) = (numbers(rows * inputs), halves(inputs * outputs));
        let run = move || {
            let weight = Weight::new(Elements::F16(&w), outputs, inputs, 1);
            let mut out = vec![0.0; rows * outputs];
            product(|row, _| &x[row * inputs..][..inputs], &weight, Bias::None, &mut out);
            black_box(out);
        };
        (name, 2e-9 * (rows * inputs * outputs) as f64, Box::new(run))
    };
    let windows = |name, side: usize, channels: usize| -> Layer {
        let (x, w, bias) = (numbers(side * side * channels), halves(9 * channels * channels), numbers(channels));
        let shape = ConvolutionShape {
            batch: 1,
            height: side,
            width: side,
            inputs: channels,
            outputs: channels,
            stride: 1,
            margin: 1,
            doubled: None,
        };
        let run = move || {
            let weight = Weight::new(Elements::F16(&w), channels, channels, 9);
            black_box(convolution(&x, &weight, &bias, shape));
        };
        (name, 18e-9 * (side * side * channels * channels) as f64, Box::new(run))
    };
    let looks = |name, pixels: usize, width: usize, heads: usize| -> Layer {
        let [q, k, v] = [(); 3].map(|()| numbers(pixels * width));
        let shape = AttentionShape { batch: 1, queries: pixels, keys: pixels, width, heads, causal: false };
        let run = move || {
            black_box(attention(&q, &k, &v, shape));
        };
        (name, 4e-9 * (pixels * pixels * width) as f64, Box::new(run))
    };
    vec![
        dense("linear layer 1024 x 1280 -> 1280", 1024, 1280, 1280),
        windows("3x3 convolution 64 x 64, 320 channels", 64, 320),
        windows("3x3 convolution 16 x 16, 1280 channels", 16, 1280),
        windows("3x3 convolution 256 x 256, 128 channels", 256, 128),
        looks("attention 4096 pixels, 8 heads of 40", 4096, 320, 8),
        looks("attention 4096 pixels, 1 head of 512", 4096, 512, 1),
    ]
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.73).sin()).collect()
}

fn halves(count: usize) -> Vec<f16> {
    numbers(count).into_iter().map(f16::from_f32).collect()
}

/// Seconds of the fastest of several runs, the first of which does not count.
fn best(run: &dyn Fn()) -> f64 {
    run();
    let began = Instant::now();
    let mut least = f64::INFINITY;
    while began.elapsed().as_secs_f64() < LEAST_SECONDS {
        let at = Instant::now();
        run();
        least = least.min(at.elapsed().as_secs_f64());
    }
    least
}

/// Bytes a second that all cores together read from memory.
pub fn memory_bandwidth() -> f64 {
    // far more than any cache
    let numbers = vec![1_u64; 32 << 20];
    let read = || {
        black_box(numbers.par_chunks(1 << 16).map(|piece| piece.iter().fold(0, |sum, x| sum ^ x)).sum::<u64>());
    };
    size_of_val(&*numbers) as f64 / best(&read)
}

/// How long the parts of a model take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ModelSpeed {
    /// Width of the picture.
    pub width: u32,
    /// Height of the picture.
    pub height: u32,
    /// The precision of products.
    pub precision: Precision,
    /// Seconds for the text encoders, for a prompt and an empty negative prompt.
    pub text_seconds: f64,
    /// Seconds for one step with guidance: a call of the UNet with a batch of two.
    pub step_seconds: f64,
    /// Seconds for decoding the picture.
    pub decode_seconds: f64,
}

impl ModelSpeed {
    /// Seconds that a whole picture takes.
    pub fn picture_seconds(&self, steps: u32) -> f64 {
        self.text_seconds + f64::from(steps) * self.step_seconds + self.decode_seconds
    }

    /// Runs each part of `model` once for a picture of that size, after one run of the UNet that does not count.
    ///
    /// # Errors
    /// When a side is not a multiple of 8 that the engine draws; when the model's parts do not fit each other.
    pub fn measure(model: &Model, width: u32, height: u32) -> Result<Self, EngineError> {
        let settings = crate::GenerateSettings { width, height, ..crate::GenerateSettings::recommended(model.info()) };
        settings.check()?;
        let size = ((height / 8) as usize, (width / 8) as usize);
        let at = Instant::now();
        let (context, pooled) = model.encode(&["a lighthouse on a cliff", ""], 1)?;
        let text_seconds = at.elapsed().as_secs_f64();
        let label = model.label(pooled.as_ref(), &model.sizes(width, height, false))?;
        let noise = Tensor::randn(0_f32, 1.0, (2, model.info().inputs.channels(), size.0, size.1), &Device::Cpu)?;
        let step = || model.predict_noise(&noise, 500.0, &context, label.as_ref());
        step()?;
        let at = Instant::now();
        step()?;
        let step_seconds = at.elapsed().as_secs_f64();
        let latent = Tensor::zeros((1, 4, size.0, size.1), DType::F32, &Device::Cpu)?;
        let at = Instant::now();
        model.decode_latent(&latent)?;
        let decode_seconds = at.elapsed().as_secs_f64();
        Ok(Self { width, height, precision: model.precision(), text_seconds, step_seconds, decode_seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_measured_and_sizes_are_checked() {
        let spark = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/spark/spark.safetensors");
        let model = Model::open(spark.as_ref()).expect("spark");
        let found = ModelSpeed::measure(&model, 64, 72).expect("times");
        assert!(found.step_seconds > 0.0 && found.picture_seconds(2) > 2.0 * found.step_seconds);
        assert!(ModelSpeed::measure(&model, 63, 64).is_err());
    }

    #[test]
    fn stopping_is_heard_before_the_first_kernel() {
        assert_eq!(kernel_speeds(&mut |_| false), []);
    }
}
