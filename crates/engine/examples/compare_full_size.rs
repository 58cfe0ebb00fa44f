//! Compares the engine with diffusers at true sizes, draws a picture and states the memory it took:
//! `compare_full_size FOLDER sd15|sdxl [STEPS]`. `scripts/full-size` calls it.
#![expect(clippy::print_stderr, reason = "an example for people")]

use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Tensor};

const PROMPT: &str = "a photo of an astronaut riding a horse";
/// The largest relative error that passes.
const BOUND: f32 = 2e-3;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name, rest @ ..] = arguments.as_slice() else {
        return Err("usage: compare_full_size FOLDER sd15|sdxl [STEPS]".into());
    };
    let folder = Path::new(folder);
    let expected = candle_core::safetensors::load(folder.join(format!("{name}.expected.safetensors")), &Device::Cpu)?;
    let start = Instant::now();
    let model = engine::Model::open(&folder.join(format!("{name}.safetensors")))?;
    eprintln!("opened in {:.1?}: {:?}", start.elapsed(), model.info());
    let (context, pooled) = model.encode(&[PROMPT], 1)?;
    compare(&expected, "context", &context)?;
    if let Some(pooled) = &pooled {
        compare(&expected, "pooled", pooled)?;
    }
    let label = model.label(expected.get("pooled"), &[1024.0, 1024.0, 0.0, 0.0, 1024.0, 1024.0])?;
    let noise = &expected["noise"];
    compare(&expected, "unet", &model.predict_noise(noise, 981.0, &expected["context"], label.as_ref())?)?;
    let corner = noise.narrow(2, 0, 16)?.narrow(3, 0, 16)?;
    compare(&expected, "picture", &model.decode_latent(&corner)?)?;
    let mut settings = engine::GenerateSettings::recommended(model.info());
    settings.prompt = PROMPT.to_owned();
    settings.steps = rest.first().map_or(Ok(2), |steps| steps.parse())?;
    let size = format!("{}x{}", settings.width, settings.height);
    let mut at = Instant::now();
    let picture = model.generate(&settings, &mut |step| {
        eprintln!("{size}, step {} of {}: {:.1?}", step.step, step.steps, at.elapsed());
        at = Instant::now();
        ControlFlow::Continue(())
    })?;
    eprintln!("{size}, decoding: {:.1?}", at.elapsed());
    fs_err::write(folder.join(format!("{name}.png")), picture.to_png(&[])?)?;
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(" unknown").trim();
    eprintln!("most memory at one time: {}, with the file's pages ({})", memory("VmHWM:"), memory("RssFile:"));
    Ok(())
}

fn compare(expected: &HashMap<String, Tensor>, name: &str, found: &Tensor) -> Result<(), Box<dyn Error>> {
    let norm = |tensor: &Tensor| -> candle_core::Result<f32> { tensor.sqr()?.sum_all()?.sqrt()?.to_scalar() };
    let error = norm(&(found - &expected[name])?)? / norm(&expected[name])?;
    eprintln!("{name} {:?}: relative error {error:.2e}", found.dims());
    if error > BOUND { Err(format!("{name}: more than {BOUND:.0e}").into()) } else { Ok(()) }
}
