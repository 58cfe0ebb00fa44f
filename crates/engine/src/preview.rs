use candle_core::{Device, Tensor};

use crate::latent::LatentSize;
use crate::vae::LATENT_CHANNELS;
use crate::{EngineError, Model, Picture};

/// What a latent channel adds to red, green and blue (of -1 to 1), and what they are without it.
struct Colours {
    factors: [[f32; 3]; LATENT_CHANNELS],
    summands: [f32; 3],
}

/// A linear fit to Stable Diffusion 1.x's decoder, published by Kevin Turner in 2022 and used by many programs since;
/// 2.x has the same autoencoder.
const FIRST: Colours = Colours {
    factors: [[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]],
    summands: [0.0; 3],
};

/// A fit to XL's decoder by Timothy Alexis Vass ("Explaining the SDXL latent space", 2023), who gave it for bytes:
/// 60, 60, 60; -60, -5, 10; 25, 15, -5; -70, -50, -35 and 150, 140, 130.
const XL: Colours = Colours {
    factors: [
        [0.470_588, 0.470_588, 0.470_588],
        [-0.470_588, -0.039_216, 0.078_431],
        [0.196_078, 0.117_647, -0.039_216],
        [-0.549_02, -0.392_157, -0.274_51],
    ],
    summands: [0.176_471, 0.098_039, 0.019_608],
};

/// Latents up to this many positions a side are decoded for a preview.
const DECODED_SIDE: usize = 16;

/// A picture of a latent for a look while it is made: decoded in full where that is quick (up to 128 x 128 pixels), by
/// the tiny decoder where the model was opened with one, otherwise a rough one at an eighth of the size.
///
/// # Shapes
/// - latent: `[4, height, width]`, scaled to unit variance
pub(crate) fn preview(model: &Model, latent: &[f32], size: LatentSize) -> Result<Picture, EngineError> {
    if size.height.max(size.width) <= DECODED_SIDE {
        return model.decode(latent, size);
    }
    if let Some(decoder) = model.taesd() {
        let latent = Tensor::from_slice(latent, (1, LATENT_CHANNELS, size.height, size.width), &Device::Cpu)?;
        return picture(&decoder.forward(&latent.permute((0, 2, 3, 1))?.contiguous()?)?);
    }
    Ok(rough(latent, size, if model.family().is_xl() { &XL } else { &FIRST }))
}

/// The picture of `[1, height, width, 3]` values of -1 to 1.
fn picture(values: &Tensor) -> Result<Picture, EngineError> {
    let (_, height, width, _) = values.dims4()?;
    let rgb = values.flatten_all()?.to_vec1::<f32>()?.into_iter().map(byte).collect();
    Ok(Picture { width: width as u32, height: height as u32, rgb })
}

/// One pixel per position.
fn rough(latent: &[f32], size: LatentSize, colours: &Colours) -> Picture {
    let pixels = size.height * size.width;
    let mut rgb = Vec::with_capacity(3 * pixels);
    for pixel in 0..pixels {
        let mut sums = colours.summands;
        for (channel, factors) in latent.chunks_exact(pixels).zip(&colours.factors) {
            sums.iter_mut().zip(factors).for_each(|(sum, factor)| *sum += channel[pixel] * factor);
        }
        rgb.extend(sums.map(byte));
    }
    Picture { width: size.width as u32, height: size.height as u32, rgb }
}

fn byte(value: f32) -> u8 {
    ((value * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pixel_per_position() {
        let mut latent = vec![0.0; 4 * 6];
        latent[18] = 10.0; // the last channel of the first position: far below black
        let size = LatentSize { height: 2, width: 3 };
        let picture = rough(&latent, size, &FIRST);
        assert_eq!((picture.width, picture.height, picture.rgb.len()), (3, 2, 18));
        assert_eq!(picture.rgb[..6], [0, 0, 0, 128, 128, 128]);
        latent[18] = -1.0;
        assert_eq!(rough(&latent, size, &XL).rgb[..6], [220, 190, 165, 150, 140, 130]);
    }
}
