//! Draws one picture: `generate MODEL PROMPT OUT.png [STEPS [SIDE [SAMPLER [SEED [PRECISION]]]]]`, with times on standard error.
#![expect(clippy::print_stderr, reason = "an example for people")]

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, prompt, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: generate MODEL PROMPT OUT.png [STEPS [SIDE [SAMPLER [SEED [PRECISION]]]]]".into());
    };
    let start = Instant::now();
    let mut model = engine::Model::open(Path::new(model))?;
    if let Some(precision) = rest.get(4) {
        model.set_precision(precision.parse()?);
    }
    eprintln!("{:?} loaded in {:.2?}", model.info(), start.elapsed());
    let mut settings = engine::GenerateSettings::recommended(model.info());
    settings.prompt = prompt.clone();
    if let Some(steps) = rest.first() {
        settings.steps = steps.parse()?;
    }
    if let Some(side) = rest.get(1) {
        settings.width = side.parse()?;
        settings.height = settings.width;
    }
    if let Some(sampler) = rest.get(2) {
        settings.sampler = sampler.parse()?;
    }
    if let Some(seed) = rest.get(3) {
        settings.seed = seed.parse()?;
    }
    let mut at = Instant::now();
    let start = at;
    let picture = model.generate(&settings, &mut |step| {
        eprintln!("step {}/{}: {:.2?}", step.step, step.steps, at.elapsed());
        at = Instant::now();
        ControlFlow::Continue(())
    })?;
    eprintln!(
        "decoding: {:.2?}; all: {:.2?} on {}",
        at.elapsed(),
        start.elapsed(),
        engine::machine_class(model.precision())
    );
    let used = engine::UsedFiles { model: engine::UsedFile::new(&model.info().name, ""), ..Default::default() };
    let text = engine::Recipe::new(settings, used).in_precision(model.precision()).infotext().to_string();
    fs_err::write(out, picture.to_png(&[("parameters", &text)])?)?;
    Ok(())
}
