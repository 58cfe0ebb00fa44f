use super::{ImageSettings, InpaintFill, InpaintSettings};
use crate::image_ops::{Filter, Mask, Overlay, Region, ResizeMode, from_surroundings};
use crate::{EngineError, GenerateSettings, Picture};

/// A picture and mask, made ready to be drawn from: what AUTOMATIC1111's `img2img` does before it asks the model.
pub(crate) struct Canvas {
    /// What is encoded; of the size that is drawn, or of its own where the latent is resized.
    pub(crate) picture: Picture,
    /// What is to be drawn anew, of the size that is drawn. `None`: everything.
    pub(crate) mask: Option<Mask>,
    overlay: Option<Overlay>,
}

impl Canvas {
    /// `size` (width, height) is what the model draws. The mask may be of another size than the picture.
    ///
    /// # Errors
    /// [`EngineError::Setting`] if the picture cannot be extended.
    pub(crate) fn new(
        picture: &Picture,
        mask: Option<&Mask>,
        size: (u32, u32),
        image: &ImageSettings,
        inpaint: Option<&InpaintSettings>,
    ) -> Result<Self, EngineError> {
        let (width, height) = size;
        let Some(inpaint) = inpaint else {
            let picture = match image.resize_mode {
                ResizeMode::Latent => encodable(picture)?.clone(),
                mode => picture.fit(width, height, mode),
            };
            return Ok(Self { picture, mask: None, overlay: None });
        };
        let mask = mask.map(|mask| match (mask.width, mask.height) == (picture.width, picture.height) {
            true => mask.clone(),
            false => mask.resized(picture.width, picture.height, Filter::Lanczos),
        });
        let mask = mask.map(|mask| if inpaint.invert { mask.inverted() } else { mask });
        let (picture, mask) = inpaint.extend.apply(picture, mask.as_ref())?;
        let mask = mask.blurred(inpaint.mask_blur_x, inpaint.mask_blur_y);
        let (picture, mask, overlay) = match inpaint.only_masked {
            Some(padding) => {
                let (whole_width, whole_height) = (mask.width, mask.height);
                let everything = Region { x: 0, y: 0, width: whole_width, height: whole_height };
                let region = mask.bounds().unwrap_or(everything).padded(padding, whole_width, whole_height);
                let region = region.shaped_like(size, whole_width, whole_height);
                let overlay = Overlay::new(&picture, &mask, Some(region));
                let picture = picture.cropped(&region).fit(width, height, ResizeMode::Fill);
                (picture, mask.cropped(&region).fit(width, height, ResizeMode::Fill), overlay)
            }
            None => {
                let mode = match image.resize_mode {
                    ResizeMode::Latent => ResizeMode::Stretch, // a latent cannot be resized together with its mask
                    mode => mode,
                };
                let (picture, mask) = (picture.fit(width, height, mode), mask.fit(width, height, mode));
                let overlay = Overlay::new(&picture, &mask.doubled(), None);
                (picture, mask, overlay)
            }
        };
        let picture = match inpaint.fill {
            InpaintFill::Original => picture,
            _ => from_surroundings(&picture, &mask),
        };
        Ok(Self { picture, mask: Some(mask), overlay: Some(overlay) })
    }

    /// Height and width in pixels.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.picture.height as usize, self.picture.width as usize)
    }

    /// The result: what was drawn, below what had to stay.
    pub(crate) fn finish(&self, drawn: Picture) -> Picture {
        match &self.overlay {
            Some(overlay) => overlay.over(&drawn),
            None => drawn,
        }
    }
}

/// The picture, if the encoder can take it as it is.
fn encodable(picture: &Picture) -> Result<&Picture, EngineError> {
    let sides = GenerateSettings::SIDES;
    if sides.contains(&picture.width) && sides.contains(&picture.height) {
        return Ok(picture);
    }
    let found = format!("{}x{}", picture.width, picture.height);
    let expected = format!("{} to {} pixels a side for resize mode `latent`", sides.start(), sides.end());
    Err(EngineError::Setting { setting: "picture", found, expected })
}
