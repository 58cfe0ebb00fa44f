//! What `generate` was asked to do with pictures and further models, read before the process is sealed.

use crate::cli::{LargerArgs, PictureArgs};
use crate::drawing::{ControlOrder, Ingredients};
use crate::failure::{Failure, Outcome};
use crate::models::{self, ModelChoice};
use engine::image_ops::Mask;
use engine::{
    GenerateSettings, HiresSettings, ImageSettings, InpaintSettings, PictureFile, RefinerSettings, UpscalerName,
};
use std::path::Path;

/// Pictures, further models, and the settings that go with them.
pub(crate) struct PictureRequest {
    /// What is drawn from and with.
    pub(crate) ingredients: Ingredients,
    image: Option<ImageSettings>,
    inpaint: Option<InpaintSettings>,
    hires: Option<HiresSettings>,
    refiner: Option<RefinerSettings>,
}

impl PictureRequest {
    /// Reads the pictures and finds the models.
    pub(crate) fn read(args: &PictureArgs, larger: &LargerArgs, home: &Path, choice: &ModelChoice) -> Outcome<Self> {
        let init = args.init.as_deref().map(picture).transpose()?.map(|file| file.on_white());
        let mask = args.mask.as_deref().map(picture).transpose()?.map(|file| Mask::of(&file));
        let mut hires = hires(larger)?;
        let mut hires_upscaler = None;
        if let Some(HiresSettings { upscaler: UpscalerName::Model(name), .. }) = &mut hires {
            let path = choice.library.upscaler(name)?;
            // a file is named in the picture, not where it lies
            *name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            hires_upscaler = Some(path);
        }
        let (refiner, refiner_choice) = larger.refiner.as_deref().map(|text| refiner(text, home)).transpose()?.unzip();
        Ok(Self {
            image: init.is_some().then(|| image(args)).transpose()?,
            inpaint: inpaint(args, mask.is_some())?,
            hires,
            refiner,
            ingredients: Ingredients {
                init,
                mask,
                refiner: refiner_choice,
                hires_upscaler,
                upscale: larger.upscale.as_deref().map(|name| choice.library.upscaler(name)).transpose()?,
                controls: args.control.iter().map(|text| control(text, choice)).collect::<Outcome<_>>()?,
            },
        })
    }

    /// Takes over what was asked for. Without a size a picture keeps its own, as far as the model can draw it.
    pub(crate) fn apply(&self, settings: &mut GenerateSettings, sized: bool) {
        if let (Some(init), false) = (&self.ingredients.init, sized) {
            let extend = self.inpaint.as_ref().map(|inpaint| inpaint.extend).unwrap_or_default();
            let part = self.inpaint.as_ref().is_some_and(|inpaint| inpaint.only_masked.is_some());
            if !part {
                let area = u64::from(settings.width) * u64::from(settings.height);
                (settings.width, settings.height) = drawn_size(extend.size(init), area);
            }
        }
        settings.image.clone_from(&self.image);
        settings.inpaint.clone_from(&self.inpaint);
        settings.hires = self.hires.clone().or_else(|| settings.hires.take());
        settings.refiner.clone_from(&self.refiner);
    }
}

/// The size to draw a picture of this size at: its own in multiples of 8, or with its proportions about as many pixels
/// as the model is used to, if it has more than twice as many.
fn drawn_size((width, height): (u32, u32), usual: u64) -> (u32, u32) {
    let sides = GenerateSettings::SIDES;
    let area = f64::from(width) * f64::from(height);
    let scale = if area > 2.0 * usual as f64 { (usual as f64 / area).sqrt() } else { 1.0 };
    let side = |side: u32| {
        let eighths = (f64::from(side) * scale / 8.0).round() as u32;
        (8 * eighths).clamp(*sides.start(), *sides.end())
    };
    (side(width), side(height))
}

/// A picture file that somebody named.
///
/// # Errors
/// When it is none, with what to do.
pub(crate) fn picture(path: &Path) -> Outcome<PictureFile> {
    let bytes = fs_err::read(path)?;
    PictureFile::read(&bytes).map_err(|error| {
        Failure::new(format!("`{}` cannot be used: {error}", path.display()))
            .with_hint(error.hint().unwrap_or_else(|| "save it as PNG, JPEG or WebP first".to_owned()))
    })
}

fn image(args: &PictureArgs) -> Outcome<ImageSettings> {
    let mut image = ImageSettings::default();
    image.strength = args.strength.unwrap_or(image.strength);
    if let Some(mode) = &args.resize_mode {
        image.resize_mode = mode.parse()?;
    }
    Ok(image)
}

fn inpaint(args: &PictureArgs, masked: bool) -> Outcome<Option<InpaintSettings>> {
    if !masked && args.extend.is_none() {
        return Ok(None);
    }
    let mut inpaint = InpaintSettings { only_masked: args.only_masked, invert: args.invert_mask, ..Default::default() };
    if let Some(fill) = &args.inpaint_fill {
        inpaint.fill = fill.parse()?;
    }
    if let Some(blur) = args.mask_blur {
        (inpaint.mask_blur_x, inpaint.mask_blur_y) = (blur, blur);
    }
    if let Some(edges) = &args.extend {
        inpaint.extend = edges.parse()?;
    }
    Ok(Some(inpaint))
}

fn hires(args: &LargerArgs) -> Outcome<Option<HiresSettings>> {
    let Some(scale) = &args.hires else { return Ok(None) };
    let mut hires = HiresSettings::default();
    if let Ok(factor) = scale.parse() {
        hires.scale = factor;
    } else {
        hires.size = Some(crate::commands::generate::parse_size(scale)?);
    }
    if let Some(name) = &args.hires_upscaler {
        hires.upscaler = UpscalerName::from(name.as_str());
    }
    hires.strength = args.hires_strength.unwrap_or(hires.strength);
    hires.steps = args.hires_steps;
    hires.prompt = args.hires_prompt.clone().unwrap_or_default();
    hires.negative_prompt = args.hires_negative.clone().unwrap_or_default();
    Ok(Some(hires))
}

/// `NAME=FILE`: a ControlNet, and the picture that it follows; `NAME=canny:FILE` follows that picture's edges.
fn control(text: &str, choice: &ModelChoice) -> Outcome<ControlOrder> {
    let (name, file) = text.split_once('=').ok_or_else(|| {
        Failure::usage(format!("`{text}` is no ControlNet with a picture"))
            .with_hint("write for example --control canny=edges.png, or --control canny=canny:photo.jpg")
    })?;
    let edges = file.strip_prefix("canny:");
    let picture = picture(Path::new(edges.unwrap_or(file)))?;
    Ok(ControlOrder::new(choice.library.controlnet(name)?, &picture, edges.is_some()))
}

/// `NAME@0.8`: the model, and the share of the steps after which it takes over.
fn refiner(text: &str, home: &Path) -> Outcome<(RefinerSettings, ModelChoice)> {
    let (name, share) = text.rsplit_once('@').unwrap_or((text, "0.8"));
    let switch_at = share.trim().parse().map_err(|_| {
        Failure::usage(format!("`{share}` is no share of the steps")).with_hint("write for example --refiner NAME@0.8")
    })?;
    let choice = models::choose(home, Some(name))?;
    Ok((RefinerSettings { model: choice.id.clone(), switch_at }, choice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_size_unless_they_are_too_large() {
        assert_eq!(drawn_size((500, 700), 512 * 512), (504, 704));
        assert_eq!(drawn_size((4000, 3000), 512 * 512), (592, 440));
        assert_eq!(drawn_size((10, 3000), 512 * 512), (64, 2048));
        assert_eq!(drawn_size((64, 64), 64 * 64), (64, 64));
    }
}
