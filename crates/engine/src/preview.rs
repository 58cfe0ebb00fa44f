use crate::Picture;
use crate::vae::LATENT_CHANNELS;

/// What one unit of each latent channel adds to red, green and blue (of -1 to 1): a linear fit to Stable Diffusion
/// 1.x's decoder, published by Kevin Turner in 2022 and used by many programs since.
const FACTORS: [[f32; 3]; LATENT_CHANNELS] =
    [[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]];

/// A rough picture of a latent, one pixel per position.
///
/// # Shapes
/// - latent: `[4, height, width]`, scaled to unit variance
pub(crate) fn rough(latent: &[f32], height: usize, width: usize) -> Picture {
    let pixels = height * width;
    let mut rgb = Vec::with_capacity(3 * pixels);
    for pixel in 0..pixels {
        let mut colours = [0.0_f32; 3];
        for (channel, factors) in FACTORS.iter().enumerate() {
            let value = latent[channel * pixels + pixel];
            for (colour, factor) in colours.iter_mut().zip(factors) {
                *colour += value * factor;
            }
        }
        let byte = |value: f32| ((value * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8;
        rgb.extend(colours.map(byte));
    }
    Picture { width: width as u32, height: height as u32, rgb }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pixel_per_position() {
        let mut latent = vec![0.0; 4 * 6];
        latent[18] = 10.0; // the last channel of the first position: far below black
        let picture = rough(&latent, 2, 3);
        assert_eq!((picture.width, picture.height, picture.rgb.len()), (3, 2, 18));
        assert_eq!(picture.rgb[..6], [0, 0, 0, 128, 128, 128]);
    }
}
