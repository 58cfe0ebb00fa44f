//! One picture, from settings to what stands in its file. The command line and the server both draw through here.

use crate::library::Prepared;
use crate::loaded::Loaded;
use crate::models::ModelChoice;
use engine::image_ops::Mask;
use engine::{
    Control, EngineError, GenerateSettings, Inputs, Model, Picture, PictureFile, Recipe, Upscaler, UsedFile, UsedFiles,
};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A picture to draw, complete but for the weights.
pub(crate) struct Drawing {
    /// The checkpoint.
    pub(crate) choice: ModelChoice,
    /// Every number and word.
    pub(crate) settings: GenerateSettings,
    /// What is drawn from and with.
    pub(crate) ingredients: Ingredients,
}

/// Pictures, and the files of further models.
#[derive(Default)]
pub(crate) struct Ingredients {
    /// The picture to start from.
    pub(crate) init: Option<Picture>,
    /// What of it is drawn anew.
    pub(crate) mask: Option<Mask>,
    /// The checkpoint of the last steps.
    pub(crate) refiner: Option<ModelChoice>,
    /// The network that enlarges between the passes.
    pub(crate) hires_upscaler: Option<PathBuf>,
    /// The network that enlarges the result.
    pub(crate) upscale: Option<PathBuf>,
    /// ControlNets with their pictures.
    pub(crate) controls: Vec<ControlOrder>,
}

/// A ControlNet and what it follows.
pub(crate) struct ControlOrder {
    /// The network's file.
    pub(crate) net: PathBuf,
    /// The picture, or its edges.
    pub(crate) picture: Picture,
    /// Whether these are edges that were found here.
    pub(crate) canny: bool,
    /// How strongly it counts.
    pub(crate) weight: f32,
    /// The share of the way at which it begins.
    pub(crate) start: f32,
    /// The share of the way at which it ends.
    pub(crate) end: f32,
}

/// A finished picture and its papers.
pub(crate) struct Drawn {
    /// The picture.
    pub(crate) picture: Picture,
    /// AUTOMATIC1111's text about it.
    pub(crate) infotext: String,
    /// What is perhaps not what the person meant, one sentence each.
    pub(crate) remarks: Vec<String>,
}

/// How far a picture is: steps done, steps in all, and what it looks like.
pub(crate) type OnStep<'a> = dyn FnMut(u32, u32, &dyn Fn() -> Option<Picture>) -> ControlFlow<()> + 'a;

impl ControlOrder {
    /// Thresholds of the edges, as AUTOMATIC1111's extension has them.
    const CANNY: (u32, u32) = (100, 200);

    /// A control of full weight from beginning to end, by a picture or by its edges.
    pub(crate) fn new(net: PathBuf, file: &PictureFile, canny: bool) -> Self {
        let (low, high) = Self::CANNY;
        let picture = file.on_white();
        let picture = if canny { engine::canny(&picture, low, high) } else { picture };
        Self { net, picture, canny, weight: 1.0, start: 0.0, end: 1.0 }
    }

    /// In the words of AUTOMATIC1111's extension.
    fn infotext(&self) -> String {
        let (low, high) = Self::CANNY;
        let module = if self.canny { "canny" } else { "none" };
        let edges = if self.canny { format!("Threshold A: {low}, Threshold B: {high}, ") } else { String::new() };
        format!(
            "Module: {module}, Model: {}, Weight: {}, Resize Mode: Crop and Resize, {edges}Guidance Start: {}, \
             Guidance End: {}, Control Mode: Balanced",
            name_of(&self.net),
            self.weight,
            self.start,
            self.end
        )
    }
}

impl Ingredients {
    /// The files that are loaded when the picture is drawn.
    pub(crate) fn reads(&self) -> impl Iterator<Item = PathBuf> {
        let refiner = self.refiner.iter().flat_map(ModelChoice::reads);
        let controls = self.controls.iter().map(|control| control.net.clone());
        refiner.chain(self.hires_upscaler.clone()).chain(self.upscale.clone()).chain(controls)
    }
}

impl Drawing {
    /// Draws it. Nothing else may use the models of `loaded` meanwhile: LoRAs change them.
    ///
    /// # Errors
    /// What the engine cannot do or read; [`EngineError::Cancelled`] after a break.
    pub(crate) fn draw(&self, loaded: &mut Loaded, on_step: &mut OnStep<'_>) -> Result<Drawn, EngineError> {
        let Self { choice, settings, ingredients } = self;
        settings.check()?;
        loaded.keep_only(self);
        let model = loaded.model(choice)?;
        let refiner = ingredients.refiner.as_ref().map(|choice| loaded.model(choice)).transpose()?;
        if let Some(refiner) =
            refiner.as_ref().filter(|refiner| !std::ptr::eq(&raw const ***refiner, &raw const *model))
        {
            // It may have drawn another picture with LoRAs before.
            refiner.set_loras(&[])?;
        }
        let hires_upscaler = ingredients.hires_upscaler.as_deref().map(|path| loaded.upscaler(path)).transpose()?;
        let upscaler = ingredients.upscale.as_deref().map(|path| loaded.upscaler(path)).transpose()?;
        let nets = ingredients.controls.iter().map(|control| loaded.controlnet(&control.net));
        let nets = nets.collect::<Result<Vec<_>, _>>()?;
        let controls: Vec<Control<'_>> = nets
            .iter()
            .zip(&ingredients.controls)
            .map(|(net, ControlOrder { picture, weight, start, end, .. })| Control {
                net,
                picture,
                weight: *weight,
                start: *start,
                end: *end,
            })
            .collect();
        let inputs = Inputs {
            init: ingredients.init.as_ref(),
            mask: ingredients.mask.as_ref(),
            refiner: refiner.as_deref(),
            upscaler: hires_upscaler.as_deref(),
            controls: &controls,
        };
        let used = choice.library.prepare(&model, settings)?;
        let remarks = used.remarks.clone();
        let (picture, factor) = paint(&model, settings, &inputs, upscaler.as_deref(), on_step)?;
        Ok(Drawn { picture, infotext: self.infotext(used, factor), remarks })
    }

    /// What stands in the picture. The hash is the one that A1111 and CivitAI show: ten digits, or nothing when the
    /// digest is unknown.
    fn infotext(&self, used: Prepared, factor: u32) -> String {
        let Self { choice, settings, ingredients } = self;
        let hash = |choice: &ModelChoice| choice.sha256.map(|sha256| sha256.short()).unwrap_or_default();
        let vae = choice.vae();
        let files = UsedFiles {
            model: UsedFile::new(&choice.id, hash(choice)),
            vae: vae
                .map(|vae| UsedFile::new(vae.file_name(), vae.sha256.map(|sha256| sha256.short()).unwrap_or_default())),
            refiner: ingredients.refiner.as_ref().map(|refiner| UsedFile::new(&refiner.id, hash(refiner))),
            loras: used.loras,
            embeddings: used.embeddings,
        };
        let mut recipe = Recipe::new(settings.clone(), files).in_precision(choice.precision);
        let controls = ingredients.controls.iter().enumerate();
        recipe.other.extend(controls.map(|(at, control)| (format!("ControlNet {at}"), control.infotext())));
        if let Some(path) = &ingredients.upscale {
            recipe.other.extend(postprocessing(path, factor));
        }
        recipe.infotext().to_string()
    }
}

/// The entries of an enlarged picture, as AUTOMATIC1111 has them.
fn postprocessing(upscaler: &Path, factor: u32) -> [(String, String); 2] {
    [("Postprocess upscale by".to_owned(), factor.to_string()), ("Postprocess upscaler".to_owned(), name_of(upscaler))]
}

/// What a file is called: its name without ending.
fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Draws, and enlarges the result: this counts as a quarter of the steps, for nobody knows before how long it takes.
fn paint(
    model: &Model,
    settings: &GenerateSettings,
    inputs: &Inputs<'_>,
    upscaler: Option<&Upscaler>,
    on_step: &mut OnStep<'_>,
) -> Result<(Picture, u32), EngineError> {
    let more = |steps: u32| upscaler.map_or(0, |_| (steps / 4).max(1));
    let mut drawn = 0;
    let picture = model.generate_from(settings, inputs, &mut |step| {
        drawn = step.steps;
        on_step(step.step, step.steps + more(step.steps), &|| step.preview())
    })?;
    let Some(upscaler) = upscaler else { return Ok((picture, 1)) };
    let larger = enlarge(upscaler, &picture, (drawn, more(drawn)), on_step)?;
    Ok((larger, upscaler.factor()))
}

/// Enlarges a picture after `before` steps, as so many steps `more`.
fn enlarge(
    upscaler: &Upscaler,
    picture: &Picture,
    (before, more): (u32, u32),
    on_step: &mut OnStep<'_>,
) -> Result<Picture, EngineError> {
    upscaler.upscale(picture, &mut |done, all| {
        let share = u64::from(more) * done as u64 / all.max(1) as u64;
        on_step(before + u32::try_from(share).unwrap_or(more), before + more, &|| None)
    })
}

/// Enlarges a picture file as it is.
///
/// # Errors
/// As [`Drawing::draw`].
pub(crate) fn enlarge_file(
    file: &PictureFile,
    upscaler: &Path,
    loaded: &mut Loaded,
    on_step: &mut OnStep<'_>,
) -> Result<(Picture, Vec<(String, String)>), EngineError> {
    /// How finely the work is told.
    const PARTS: u32 = 100;
    let network = loaded.upscaler(upscaler)?;
    let picture = enlarge(&network, &file.on_white(), (0, PARTS), on_step)?;
    let entries = postprocessing(upscaler, network.factor()).map(|(key, value)| format!("{key}: {value}"));
    // What stands in the file stays true; AUTOMATIC1111 writes what came after under a name of its own.
    let old = file.infotext().map(|text| ("parameters".to_owned(), text.to_owned()));
    let others =
        ["prompt", "workflow"].into_iter().filter_map(|name| Some((name.to_owned(), file.text(name)?.to_owned())));
    let texts = old.into_iter().chain(others).chain([("postprocessing".to_owned(), entries.join(", "))]);
    Ok((picture, texts.collect()))
}
