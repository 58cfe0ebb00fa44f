//! The sealed child: seals itself, tries to get out, draws.

use super::{Answer, DrawnPicture, Order};
use crate::failure::{Failure, Outcome};
use crate::models::ModelChoice;
use engine::{GenerateSettings, Recipe, UsedFile, UsedFiles};
use seal::{FileRules, Level, SealReport};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// More than an order ever needs.
const MAX_ORDER: u64 = 1 << 20;

/// Reads an order from stdin, carries it out sealed, answers on stdout. Must run before any thread exists.
pub(crate) fn run() -> Outcome {
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_ORDER).read_to_string(&mut text)?;
    let order: Order = serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("this command is part of the self-test, not for use by hand ({error})"))
    })?;
    let mut choice = order.model.as_deref().map_or_else(ModelChoice::embedded, ModelChoice::file);
    choice.recommended.prediction = order.prediction.or(choice.recommended.prediction);
    choice.precision = order.precision;
    let read_only = choice.reads().into_iter().chain(order.vae.clone()).collect();
    let seal = seal::isolate(&FileRules { read_write: Vec::new(), read_only })?;
    let attempts = try_to_get_out(&seal, order.canary);
    let (picture, png) = match draw(&choice, order.vae.as_deref(), &order.settings) {
        Ok((picture, png)) => (Ok(picture), png),
        Err(failure) => (Err(failure.to_string()), Vec::new()),
    };
    let answer = Answer { seal, attempts, picture };
    let line = serde_json::to_string(&answer).map_err(Failure::new)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.write_all(&png)?;
    stdout.flush()?;
    Ok(())
}

/// The positive control: an unsealed child that knocks at the canary.
pub(crate) fn knock(canary: SocketAddr) -> Outcome {
    Ok(seal::knock(canary)?)
}

/// Without any seal nothing is tried: it would really go out.
fn try_to_get_out(seal: &SealReport, canary: SocketAddr) -> Vec<seal::Attempt> {
    match seal.level {
        Level::S0 => Vec::new(),
        level => seal::probe(canary, level),
    }
}

fn draw(choice: &ModelChoice, vae: Option<&Path>, settings: &GenerateSettings) -> Outcome<(DrawnPicture, Vec<u8>)> {
    let began = Instant::now();
    let model = choice.load_with(vae)?;
    let load_seconds = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let picture = model.generate(settings, &mut |_| ControlFlow::Continue(()))?;
    let draw_seconds = began.elapsed().as_secs_f64();
    let used = UsedFiles { model: UsedFile::new(&model.info().name, ""), ..UsedFiles::default() };
    let text = Recipe::new(settings.clone(), used).in_precision(model.precision()).infotext().to_string();
    let png = picture.to_png(&[("parameters", &text)])?;
    let drawn = DrawnPicture {
        png_length: png.len(),
        load_seconds,
        draw_seconds,
        machine_class: super::machine_class(model.precision()),
    };
    Ok((drawn, png))
}
