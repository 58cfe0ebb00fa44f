use super::Mask;
use super::blur::box_gaussian;
use super::composite::{masked, over, straight};
use crate::Picture;

/// Blurs (in pixels) whose results are laid over each other, and how often each.
const LAYERS: [(f32, usize); 6] = [(256.0, 1), (64.0, 1), (16.0, 2), (4.0, 4), (2.0, 2), (0.0, 1)];

/// The picture with the masked part painted over in the blurred colours around it: AUTOMATIC1111's fill mode "fill".
pub fn from_surroundings(picture: &Picture, mask: &Mask) -> Picture {
    let kept = masked(picture, mask).into_flattened();
    let mut filled = vec![[0; 4]; kept.len() / 4];
    for (radius, times) in LAYERS {
        let layer = box_gaussian::<4>(kept.clone(), picture.width as usize, radius);
        for (pixel, &above) in filled.iter_mut().zip(layer.as_chunks::<4>().0) {
            let above = straight(above);
            for _ in 0..times {
                *pixel = over(*pixel, above);
            }
        }
    }
    Picture { rgb: filled.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(), ..*picture }
}
