use crate::image_ops::Mask;
use crate::{Control, EngineError, GenerateSettings, HiresSettings, Model, Picture, Upscaler, UpscalerName};

/// What a generation starts from besides settings: pictures and further models.
#[derive(Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// The picture to start from, for [`GenerateSettings::image`].
    pub init: Option<&'a Picture>,
    /// What of it is drawn anew, for [`GenerateSettings::inpaint`].
    pub mask: Option<&'a Mask>,
    /// The model of [`GenerateSettings::refiner`].
    pub refiner: Option<&'a Model>,
    /// The network that [`GenerateSettings::hires`] names, if it names one.
    pub upscaler: Option<&'a Upscaler>,
    /// ControlNets with the pictures that they follow.
    pub controls: &'a [Control<'a>],
}

impl Inputs<'_> {
    /// # Errors
    /// [`EngineError::MissingInput`] for a setting whose input is not there, [`EngineError::Setting`] for an input that
    /// cannot be used.
    pub(super) fn check(&self, settings: &GenerateSettings) -> Result<(), EngineError> {
        let missing = |setting, input| Err(EngineError::MissingInput { setting, input });
        let inpaint = settings.inpaint.as_ref();
        if (settings.image.is_some() || inpaint.is_some()) && self.init.is_none() {
            return missing("image to image", "a picture to start from");
        }
        if inpaint.is_some_and(|inpaint| inpaint.extend.is_none()) && self.mask.is_none() {
            return missing("inpainting", "a mask");
        }
        let by_network = |hires: &HiresSettings| matches!(hires.upscaler, UpscalerName::Model(_));
        if settings.hires.as_ref().is_some_and(by_network) && self.upscaler.is_none() {
            return missing("the second pass", "the network that enlarges for it");
        }
        if settings.refiner.is_some() && self.refiner.is_none() {
            return missing("the refiner", "its model");
        }
        self.init.map_or(Ok(()), Picture::check)?;
        self.mask.map_or(Ok(()), Mask::check)
    }
}
