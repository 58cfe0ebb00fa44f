//! `generate`: one picture into a file, sealed.

use crate::cli::GenerateArgs;
use crate::drawing::Drawing;
use crate::failure::{Failure, Outcome};
use crate::loaded::Loaded;
use crate::output::{Output, Seconds};
use crate::picture_request::{self, PictureRequest};
use crate::{atomic, home, models, picture_facts};
use engine::{GenerateSettings, Infotext, Recipe, UpscalerName};
use manifest::{Event, Reporter as _};
use seal::FileRules;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Serialize)]
struct Reported<'a> {
    picture: &'a Path,
    settings: &'a engine::GenerateSettings,
    model: &'a str,
    precision: engine::Precision,
    seconds: f64,
}

pub(crate) fn run(args: &GenerateArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    let text = args.prompt_from.as_deref().map(infotext).transpose()?;
    let recipe = text.as_ref().map(|text| Recipe::understand(text, &GenerateSettings::default()));
    let mut choice = match (&args.model, &recipe) {
        (None, Some(recipe)) => model_of(recipe, &home, output)?,
        (wanted, _) => models::choose(&home, wanted.as_deref())?,
    };
    choice.precision = args.precision.precision;
    let out = home::absolute(&args.out)?;
    let folder = out.parent().map(Path::to_path_buf).unwrap_or_default();
    if !folder.is_dir() {
        return Err(Failure::new(format!("the folder `{}` for the picture does not exist", folder.display()))
            .with_hint(format!("make it first: mkdir -p '{}'", folder.display())));
    }
    let told = text.as_ref().and_then(|text| text.get("Seed")?.trim().parse().ok());
    let seed = match args.seed.or(told) {
        Some(seed) => seed,
        None => random_seed()?,
    };
    let mut request = PictureRequest::read(&args.pictures, &args.larger, &home, &choice)?;
    if let Some(refiner) = &mut request.ingredients.refiner {
        refiner.precision = choice.precision;
    }
    if let Some(Recipe { settings: GenerateSettings { hires: Some(hires), .. }, .. }) = &recipe
        && let (UpscalerName::Model(name), None) = (&hires.upscaler, &args.larger.hires)
    {
        request.ingredients.hires_upscaler = Some(choice.library.installed_upscaler(name)?);
    }
    shut_off(&choice, request.ingredients.reads(), &folder, output)?;

    let mut loaded = Loaded::default();
    let mut settings = models::starting_settings(Some(loaded.model(&choice)?.info()), &choice.recommended, "");
    if let Some(text) = &text {
        settings = Recipe::understand(text, &settings).settings;
        // what it was drawn from, and by which other model, is not in the file
        (settings.image, settings.inpaint, settings.refiner) = (None, None, None);
    }
    settings.prompt = args.prompt.clone().unwrap_or(settings.prompt);
    settings.negative_prompt = args.negative.clone().unwrap_or(settings.negative_prompt);
    settings.seed = seed;
    if let Some(size) = &args.size {
        (settings.width, settings.height) = parse_size(size)?;
    }
    settings.steps = args.steps.unwrap_or(settings.steps);
    settings.cfg_scale = args.cfg.unwrap_or(settings.cfg_scale);
    if let Some(sampler) = &args.sampler {
        models::choose_sampler(&mut settings, sampler)?;
    }
    if let Some(scheduler) = &args.scheduler {
        models::choose_scheduler(&mut settings, scheduler)?;
    }
    if let Some(source) = &args.noise {
        settings.sampling.noise.source = source.parse()?;
    }
    settings.text.clip_skip = args.clip_skip.unwrap_or(settings.text.clip_skip);
    request.apply(&mut settings, args.size.is_some() || text.is_some());

    let mut drawing = Drawing { choice, settings, ingredients: request.ingredients };
    let first = drawing.settings.clone();
    for index in 0..args.batch {
        drawing.settings = first.of_batch(index);
        let Drawing { choice, settings, .. } = &drawing;
        let began = Instant::now();
        let task = format!("{} steps", settings.steps);
        output.event(&Event::Note { text: &format!("drawing \"{}\" with {}, {task}", settings.prompt, choice.id) });
        let drawn = drawing.draw(&mut loaded, &mut |_, _, _| ControlFlow::Continue(()))?;
        if index == 0 {
            drawn.remarks.iter().for_each(|remark| output.warn(remark));
        }
        let seconds = began.elapsed().as_secs_f64();
        let (out, shown) = (numbered(&out, index), numbered(&args.out, index));
        atomic::write(&out, &drawn.picture.to_png(&[("parameters", &drawn.infotext)])?)?;
        output.result(
            &Reported { picture: &out, settings, model: &choice.id, precision: choice.precision, seconds },
            format!(
                "`{}`: {}x{}, seed {}, drawn in {}",
                shown.display(),
                drawn.picture.width,
                drawn.picture.height,
                settings.seed,
                Seconds(seconds)
            ),
        );
    }
    Ok(())
}

/// What stands in a picture about how it was drawn.
fn infotext(path: &Path) -> Outcome<Infotext> {
    let file = picture_request::picture(path)?;
    let of_invoke = || picture_facts::invoke::infotext(file.text(picture_facts::invoke::KEYWORD)?);
    file.infotext().map(Infotext::parse).or_else(of_invoke).ok_or_else(|| {
        Failure::new(format!("`{}` does not say how it was drawn", path.display())).with_hint(
            "only pictures with the text of AUTOMATIC1111, InvokeAI or this program do; give a prompt instead",
        )
    })
}

/// The model that a picture was drawn with, else the default one.
fn model_of(recipe: &Recipe, home: &Path, output: &Output) -> Outcome<models::ModelChoice> {
    if let Some(choice) = picture_facts::model_of(recipe, &models::available(home)?) {
        return Ok(choice.clone());
    }
    let default = models::choose(home, None)?;
    if !recipe.files.model.name.is_empty() {
        let drawn = &recipe.files.model;
        output
            .warn(format!("`{drawn}`, which drew that picture, is not installed here; drawing with `{}`", default.id));
    }
    Ok(default)
}

/// The name of picture `index`, counted from 0: `picture.png`, `picture-2.png`, …
fn numbered(path: &Path, index: u32) -> PathBuf {
    if index == 0 {
        return path.to_path_buf();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{}{ending}", index + 1))
}

/// From here on the kernel refuses the network and every file but the models and the target folder.
fn shut_off(
    choice: &models::ModelChoice,
    more: impl Iterator<Item = PathBuf>,
    folder: &Path,
    output: &Output,
) -> Outcome {
    let read_only = choice.reads().into_iter().chain(more).collect();
    let report = seal::isolate(&FileRules { read_write: vec![folder.to_path_buf()], read_only })?;
    if report.level == seal::Level::S0 {
        output.warn("the kernel of this machine cannot shut off the network for this program; it sends nothing anyway");
    }
    Ok(())
}

pub(crate) fn parse_size(text: &str) -> Outcome<(u32, u32)> {
    let sides = text
        .split_once(['x', 'X', '×'])
        .and_then(|(width, height)| Some((width.trim().parse().ok()?, height.trim().parse().ok()?)));
    sides.ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a size")).with_hint("write width and height in pixels: --size 512x768")
    })
}

/// A seed below 2^32, as A1111's, from the operating system.
pub(crate) fn random_seed() -> Outcome<u64> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(format!("the system gave no random number: {error}")).with_hint("choose one: --seed 1")
    })?;
    Ok(u64::from(u32::from_le_bytes(bytes)))
}
