use super::{Mask, Region, ResizeMode, div255};
use crate::Picture;

/// The part of a picture that must stay as it is, with soft edges: laid over what was drawn.
pub struct Overlay {
    width: u32,
    height: u32,
    rgba: Vec<[u8; 4]>,
    /// Where in the picture the drawn part belongs; everywhere if `None`.
    region: Option<Region>,
}

impl Overlay {
    /// What `mask` leaves of `picture` (of one size).
    pub fn new(picture: &Picture, mask: &Mask, region: Option<Region>) -> Self {
        let rgba = masked(picture, mask).into_iter().map(straight).collect();
        Self { width: picture.width, height: picture.height, rgba, region }
    }

    /// The whole picture: `drawn` below, what must stay above it.
    pub fn over(&self, drawn: &Picture) -> Picture {
        let Self { width, height, .. } = *self;
        let mut below = Picture { width, height, rgb: vec![0; 3 * self.rgba.len()] };
        let place = self.region.unwrap_or(Region { x: 0, y: 0, width, height });
        below.paste(&drawn.fit(place.width, place.height, ResizeMode::Crop), place.x.into(), place.y.into());
        let rows = below.rgb.as_chunks::<3>().0.iter().enumerate();
        let inside = |at: usize| {
            let (x, y) = (at as u32 % width, at as u32 / width);
            (place.x..place.right()).contains(&x) && (place.y..place.bottom()).contains(&y)
        };
        let rgb = rows.flat_map(|(at, &[r, g, b])| {
            let [r, g, b, _] = over([r, g, b, if inside(at) { 255 } else { 0 }], self.rgba[at]);
            [r, g, b]
        });
        Picture { width, height, rgb: rgb.collect() }
    }
}

/// The picture where `mask` is not, with colours multiplied by their opacity: Pillow's paste through a mask.
pub(super) fn masked(picture: &Picture, mask: &Mask) -> Vec<[u8; 4]> {
    let pixels = picture.rgb.as_chunks::<3>().0.iter().zip(&mask.values);
    let pixel = |(&[r, g, b], &mask): (&[u8; 3], &u8)| {
        [r, g, b, 255].map(|value: u8| div255(u32::from(value) * u32::from(255 - mask)) as u8)
    };
    pixels.map(pixel).collect()
}

/// Colours freed of their opacity: Pillow's `RGBa` to `RGBA`.
pub(super) fn straight([r, g, b, alpha]: [u8; 4]) -> [u8; 4] {
    if alpha == 0 || alpha == 255 {
        return [r, g, b, alpha];
    }
    let [r, g, b] = [r, g, b].map(|value| (255 * u32::from(value) / u32::from(alpha)).min(255) as u8);
    [r, g, b, alpha]
}

/// One pixel above another: Pillow's `alpha_composite`.
pub(super) fn over(below: [u8; 4], above: [u8; 4]) -> [u8; 4] {
    let alpha = u32::from(above[3]);
    if alpha == 0 {
        return below;
    }
    let total = alpha * 255 + u32::from(below[3]) * (255 - alpha);
    let share = alpha * 255 * 255 * 128 / total;
    let rest = 255 * 128 - share;
    let round = |value: u32| ((value >> 8) + value) >> 8;
    let mix = |i: usize| (round(u32::from(above[i]) * share + u32::from(below[i]) * rest + (128 << 7)) >> 7) as u8;
    [mix(0), mix(1), mix(2), round(total + 128) as u8]
}
