//! What the server was asked for, as a drawing: the other end of `server::GenerateRequest`.

use crate::drawing::{ControlOrder, Drawing, Ingredients};
use crate::models::ModelChoice;
use engine::image_ops::{Extension, Mask};
use engine::{
    EngineError, GenerateSettings, HiresSettings, ImageSettings, InpaintSettings, PictureFile, RefinerSettings,
    Sampler, SamplingSettings, UpscalerName,
};
use server::{GenerateError, GenerateRequest, Hires, Inpaint, PictureRef};

/// Reads the pictures and finds the files that a request names.
///
/// # Errors
/// When one of them is not there or cannot be used.
pub(crate) fn drawing(request: &GenerateRequest, choices: &[ModelChoice]) -> Result<Drawing, GenerateError> {
    let choice = choice(choices, &request.model)?;
    let settings = settings(request).map_err(failed)?;
    let library = &choice.library;
    let picture = |picture: &PictureRef| picture_file(request, picture);
    let hires_upscaler = match settings.hires.as_ref().map(|hires| &hires.upscaler) {
        Some(UpscalerName::Model(name)) => Some(library.installed_upscaler(name).map_err(failed)?),
        _ => None,
    };
    let mut controls = Vec::new();
    for control in &request.controls {
        let net = library.installed_controlnet(&control.net).map_err(failed)?;
        let order = ControlOrder::new(net, &picture(&control.picture)?, control.preprocess == "canny");
        controls.push(ControlOrder { weight: control.weight, start: control.start, end: control.end, ..order });
    }
    let mask = request.inpaint.as_ref().and_then(|inpaint| inpaint.mask.as_ref()).map(picture).transpose()?;
    let ingredients = Ingredients {
        init: request.init.as_ref().map(|init| picture(&init.picture)).transpose()?.map(|file| file.on_white()),
        mask: mask.map(|file| Mask::of_transparency(&file).unwrap_or_else(|| Mask::of(&file))),
        refiner: request.refiner.as_ref().map(|refiner| self::choice(choices, &refiner.model)).transpose()?.cloned(),
        hires_upscaler,
        upscale: request.upscale.as_deref().map(|name| library.installed_upscaler(name)).transpose().map_err(failed)?,
        controls,
    };
    Ok(Drawing { choice: choice.clone(), settings, ingredients })
}

/// The picture that a request names.
///
/// # Errors
/// When it is gone, or no picture.
pub(crate) fn picture_file(request: &GenerateRequest, picture: &PictureRef) -> Result<PictureFile, GenerateError> {
    let bytes = request.pictures.read(picture).map_err(|error| GenerateError::Failed {
        message: format!("the picture `{picture}` cannot be read: {error}"),
        hint: Some("it may have been deleted: choose another one, or send it again".to_owned()),
    })?;
    PictureFile::read(&bytes).map_err(failed)
}

/// What the engine says, as the server wants to hear it.
pub(crate) fn failed(error: EngineError) -> GenerateError {
    match error {
        EngineError::Cancelled => GenerateError::Cancelled,
        error => GenerateError::Failed { hint: error.hint(), message: error.to_string() },
    }
}

/// The model of that name.
pub(crate) fn choice<'a>(choices: &'a [ModelChoice], id: &str) -> Result<&'a ModelChoice, GenerateError> {
    choices.iter().find(|choice| choice.id == id).ok_or_else(|| GenerateError::Failed {
        message: format!("there is no model `{id}`"),
        hint: Some("choose a model from the list".to_owned()),
    })
}

fn settings(request: &GenerateRequest) -> Result<GenerateSettings, EngineError> {
    let (sampler, mut scheduler) = Sampler::with_scheduler(&request.sampler)?;
    if let Some(name) = &request.scheduler {
        scheduler = name.parse()?;
    }
    let mut settings = GenerateSettings {
        prompt: request.prompt.clone(),
        negative_prompt: request.negative_prompt.clone(),
        width: request.width,
        height: request.height,
        steps: request.steps,
        cfg_scale: request.cfg_scale,
        seed: request.seed,
        sampler,
        sampling: SamplingSettings { scheduler, eta: request.eta, ..SamplingSettings::default() },
        refiner: request
            .refiner
            .as_ref()
            .map(|refiner| RefinerSettings { model: refiner.model.clone(), switch_at: refiner.switch_at }),
        ..GenerateSettings::default()
    };
    settings.text.clip_skip = request.clip_skip.unwrap_or(settings.text.clip_skip);
    let noise = &mut settings.sampling.noise;
    if let Some(source) = &request.noise {
        noise.source = source.parse()?;
    }
    if let Some(variation) = &request.variation {
        (noise.variation_seed, noise.variation_strength) = (variation.seed, variation.strength);
    }
    if let Some(init) = &request.init {
        let resize_mode = init.resize_mode.parse()?;
        settings.image = Some(ImageSettings { strength: init.strength, resize_mode, ..ImageSettings::default() });
    }
    settings.inpaint = request.inpaint.as_ref().map(inpaint).transpose()?;
    settings.hires = request.hires.as_ref().map(|wish| hires(wish, &settings.sampling)).transpose()?;
    Ok(settings)
}

fn inpaint(wish: &Inpaint) -> Result<InpaintSettings, EngineError> {
    let server::Extend { left, right, top, bottom } = wish.extend;
    Ok(InpaintSettings {
        fill: wish.fill.parse()?,
        only_masked: wish.only_masked,
        mask_blur_x: wish.mask_blur,
        mask_blur_y: wish.mask_blur,
        invert: wish.invert,
        extend: Extension { left, right, top, bottom },
    })
}

fn hires(wish: &Hires, first: &SamplingSettings) -> Result<HiresSettings, EngineError> {
    let named = wish.sampler.as_deref().map(Sampler::with_scheduler).transpose()?;
    let own = named.map(|(_, scheduler)| scheduler).filter(|scheduler| *scheduler != engine::Scheduler::Automatic);
    let scheduler = wish.scheduler.as_deref().map(str::parse).transpose()?.or(own);
    Ok(HiresSettings {
        scale: wish.scale,
        size: wish.size,
        upscaler: UpscalerName::from(wish.upscaler.as_str()),
        strength: wish.strength,
        steps: wish.steps,
        cfg_scale: wish.cfg_scale,
        sampler: named.map(|(sampler, _)| sampler),
        sampling: scheduler.map(|scheduler| SamplingSettings { scheduler, ..first.clone() }),
        prompt: wish.prompt.clone(),
        negative_prompt: wish.negative_prompt.clone(),
    })
}
