//! Compares the engine with diffusers at full size: `compare_full_size FOLDER`, where
//! `scripts/reference/full_size.py FOLDER` has put a checkpoint and what diffusers makes of it.
#![expect(clippy::print_stderr, reason = "an example for people")]

use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: compare_full_size FOLDER")?;
    let folder = Path::new(&folder);
    let expected = candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu)?;
    let start = Instant::now();
    let model = engine::Model::open(&folder.join("sd15.safetensors"))?;
    eprintln!("loaded in {:.1?}: {:?}", start.elapsed(), model.info());
    compare(&expected, "context", &model.encode(&["a photo of an astronaut riding a horse"], 1)?.0)?;
    let noise = &expected["noise"];
    compare(&expected, "unet", &model.predict_noise(noise, 981.0, &expected["context"], None)?)?;
    let corner = noise.narrow(2, 0, 16)?.narrow(3, 0, 16)?;
    compare(&expected, "picture", &model.decode_latent(&corner)?)?;
    for side in [256, 512] {
        let mut settings = engine::GenerateSettings::recommended(model.info());
        settings.prompt = "a photo of an astronaut riding a horse".to_owned();
        (settings.width, settings.height, settings.steps) = (side, side, 2);
        let mut at = Instant::now();
        model.generate(&settings, &mut |step| {
            eprintln!("{side}x{side}, step {} of {}: {:.2?}", step.step, step.steps, at.elapsed());
            at = Instant::now();
            ControlFlow::Continue(())
        })?;
        eprintln!("{side}x{side}, decoding: {:.2?}", at.elapsed());
    }
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| eprintln!("{line}"));
    Ok(())
}

fn compare(expected: &HashMap<String, Tensor>, name: &str, found: &Tensor) -> Result<(), Box<dyn Error>> {
    let norm = |tensor: &Tensor| -> candle_core::Result<f32> { tensor.sqr()?.sum_all()?.sqrt()?.to_scalar() };
    let error = norm(&(found - &expected[name])?)? / norm(&expected[name])?;
    eprintln!("{name} {:?}: relative error {error:.2e}", found.dims());
    Ok(())
}
