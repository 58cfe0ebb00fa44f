//! What `generate` was asked to do with pictures and further models, read before the process is sealed.

use crate::cli::{LargerArgs, PictureArgs};
use crate::failure::{Failure, Outcome};
use crate::models::{self, ModelChoice};
use engine::image_ops::Mask;
use engine::{
    Control, ControlNet, GenerateSettings, HiresSettings, ImageSettings, InpaintSettings, Inputs, Model, Picture,
    PictureFile, RefinerSettings, Upscaler, UpscalerName,
};
use std::path::{Path, PathBuf};

/// Pictures, and where the further models lie.
pub(crate) struct PictureRequest {
    init: Option<Picture>,
    mask: Option<Mask>,
    image: Option<ImageSettings>,
    inpaint: Option<InpaintSettings>,
    hires: Option<HiresSettings>,
    refiner: Option<(RefinerSettings, ModelChoice)>,
    hires_upscaler: Option<PathBuf>,
    upscale: Option<PathBuf>,
    controls: Vec<(PathBuf, Picture)>,
}

/// The further models, loaded.
pub(crate) struct Helpers {
    refiner: Option<Model>,
    hires_upscaler: Option<Upscaler>,
    controls: Vec<ControlNet>,
    /// What the result is enlarged with.
    pub(crate) upscale: Option<Upscaler>,
}

impl PictureRequest {
    /// Reads the pictures and finds the models.
    pub(crate) fn read(args: &PictureArgs, larger: &LargerArgs, home: &Path, choice: &ModelChoice) -> Outcome<Self> {
        let init = args.init.as_deref().map(picture).transpose()?.map(|file| file.on_white());
        let mask = args.mask.as_deref().map(picture).transpose()?.map(|file| Mask::of(&file));
        let hires = hires(larger)?;
        let named = hires.as_ref().and_then(|hires| match &hires.upscaler {
            UpscalerName::Model(name) => Some(name.as_str()),
            _ => None,
        });
        let upscaler = |name: &str| choice.library.upscaler(name);
        Ok(Self {
            image: init.is_some().then(|| image(args)).transpose()?,
            inpaint: inpaint(args, mask.is_some())?,
            hires_upscaler: named.map(upscaler).transpose()?,
            upscale: larger.upscale.as_deref().map(upscaler).transpose()?,
            refiner: larger.refiner.as_deref().map(|text| refiner(text, home)).transpose()?,
            controls: args.control.iter().map(|text| control(text, choice)).collect::<Outcome<_>>()?,
            init,
            mask,
            hires,
        })
    }

    /// The files that are loaded after sealing.
    pub(crate) fn reads(&self) -> impl Iterator<Item = PathBuf> {
        let refiner = self.refiner.iter().filter_map(|(_, choice)| choice.path.clone());
        let controls = self.controls.iter().map(|(net, _)| net.clone());
        refiner.chain(self.hires_upscaler.clone()).chain(self.upscale.clone()).chain(controls)
    }

    /// Loads the further models.
    pub(crate) fn load(&self) -> Outcome<Helpers> {
        let upscaler = |path: &Option<PathBuf>| path.as_deref().map(Upscaler::open).transpose();
        Ok(Helpers {
            refiner: self.refiner.as_ref().map(|(_, choice)| choice.load()).transpose()?,
            hires_upscaler: upscaler(&self.hires_upscaler)?,
            upscale: upscaler(&self.upscale)?,
            controls: self.controls.iter().map(|(net, _)| ControlNet::open(net)).collect::<Result<_, _>>()?,
        })
    }

    /// Takes over what was asked for. Without a size a picture keeps its own, as far as the model can draw it.
    pub(crate) fn apply(&self, settings: &mut GenerateSettings, sized: bool) {
        if let (Some(init), false) = (&self.init, sized) {
            let extend = self.inpaint.as_ref().map(|inpaint| inpaint.extend).unwrap_or_default();
            let part = self.inpaint.as_ref().is_some_and(|inpaint| inpaint.only_masked.is_some());
            if !part {
                let area = u64::from(settings.width) * u64::from(settings.height);
                (settings.width, settings.height) = drawn_size(extend.size(init), area);
            }
        }
        settings.image.clone_from(&self.image);
        settings.inpaint.clone_from(&self.inpaint);
        settings.hires.clone_from(&self.hires);
        settings.refiner = self.refiner.as_ref().map(|(settings, _)| settings.clone());
    }

    /// The ControlNets with their pictures.
    pub(crate) fn controls<'a>(&'a self, helpers: &'a Helpers) -> Vec<Control<'a>> {
        helpers.controls.iter().zip(&self.controls).map(|(net, (_, picture))| Control::new(net, picture)).collect()
    }

    /// What the engine starts from.
    pub(crate) fn inputs<'a>(&'a self, helpers: &'a Helpers, controls: &'a [Control<'a>]) -> Inputs<'a> {
        Inputs {
            init: self.init.as_ref(),
            mask: self.mask.as_ref(),
            refiner: helpers.refiner.as_ref(),
            upscaler: helpers.hires_upscaler.as_ref(),
            controls,
        }
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

fn picture(path: &Path) -> Outcome<PictureFile> {
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
    Ok(Some(hires))
}

/// `NAME=FILE`: a ControlNet, and the picture that it follows; `NAME=canny:FILE` follows that picture's edges.
fn control(text: &str, choice: &ModelChoice) -> Outcome<(PathBuf, Picture)> {
    let (name, file) = text.split_once('=').ok_or_else(|| {
        Failure::usage(format!("`{text}` is no ControlNet with a picture"))
            .with_hint("write for example --control canny=edges.png, or --control canny=canny:photo.jpg")
    })?;
    let picture = match file.strip_prefix("canny:") {
        Some(file) => engine::canny(&picture(Path::new(file))?.on_white(), 100, 200),
        None => picture(Path::new(file))?.on_white(),
    };
    Ok((choice.library.controlnet(name)?, picture))
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
