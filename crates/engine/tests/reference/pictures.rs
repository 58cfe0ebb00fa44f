//! Picture operations against Pillow, OpenCV and torch.

use candle_core::Tensor;
use engine::Picture;
use engine::image_ops::{Filter, LatentUpscale, Mask, Overlay, Region, ResizeMode, from_surroundings, interpolate};

use crate::support::{Golden, assert_close, values};

/// `picture` of `scripts/reference/pictures.py`.
pub(crate) fn picture(width: u32, height: u32) -> Picture {
    let value = |x: u32, y: u32, c: u32| ((x * 5 + y * 3 + c * 60 + (x / 7 + y / 5) % 3 * 90) % 256) as u8;
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Picture { width, height, rgb: pixels.flat_map(|(x, y)| [0, 1, 2].map(|c| value(x, y, c))).collect() }
}

/// `mask` of `scripts/reference/pictures.py`.
pub(crate) fn mask(width: u32, height: u32) -> Mask {
    let value = |x: u32, y: u32| {
        if (x, y) == (width - 3, height - 2) {
            return 200;
        }
        if y == height / 2 && x < width / 3 {
            return (x * 4 % 256) as u8;
        }
        let inside = (width / 3..width / 2).contains(&x) && (height / 4..height / 2).contains(&y);
        if inside { 255 } else { 0 }
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Mask { width, height, values: pixels.map(|(x, y)| value(x, y)).collect() }
}

/// Every byte must be that of the reference.
fn assert_same(what: &str, found: &[u8], expected: &Tensor) {
    let expected: Vec<u8> = expected.flatten_all().and_then(|tensor| tensor.to_vec1()).expect("bytes");
    assert_eq!(found.len(), expected.len(), "{what}: size");
    let different: Vec<usize> = (0..found.len()).filter(|&i| found[i] != expected[i]).collect();
    let largest = different.iter().map(|&i| found[i].abs_diff(expected[i])).max();
    assert!(
        different.is_empty(),
        "{what}: {} of {} bytes differ by up to {largest:?}, first at {}",
        different.len(),
        found.len(),
        different[0]
    );
}

/// Width and height at the end of a golden's name.
fn size(name: &str) -> (u32, u32) {
    let (_, size) = name.rsplit_once('.').expect("a size");
    let (first, second) = size.split_once('x').expect("two sides");
    (first.parse().expect("a number"), second.parse().expect("a number"))
}

#[test]
fn resizing_equals_pillow() {
    let golden = Golden::load("pictures");
    let filters = [Filter::Nearest, Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];
    let mut seen = 0;
    for filter in filters {
        for name in golden.names().filter(|name| name.starts_with(&format!("resized.{filter:?}."))) {
            let (width, height) = size(name);
            assert_same(name, &picture(37, 23).resized(width, height, filter).rgb, golden.get(name));
            seen += 1;
        }
    }
    assert_eq!(seen, 30);
}

#[test]
fn resize_modes_equal_automatic1111() {
    let golden = Golden::load("pictures");
    let mut seen = 0;
    for mode in [ResizeMode::Crop, ResizeMode::Fill] {
        for name in golden.names().filter(|name| name.starts_with(&format!("fit.{mode}."))) {
            let (width, height) = size(name);
            assert_same(name, &picture(37, 23).fit(width, height, mode).rgb, golden.get(name));
            seen += 1;
        }
    }
    assert_eq!(seen, 14);
}

#[test]
fn blurred_masks_equal_opencv() {
    let golden = Golden::load("pictures");
    for (x, y, name) in
        [(4.0, 4.0, "4.4"), (0.0, 3.0, "0.3"), (2.5, 0.0, "2.5.0"), (1.0, 12.0, "1.12"), (0.3, 40.0, "0.3.40")]
    {
        let name = format!("blurred.{name}");
        assert_same(&name, &mask(37, 23).blurred(x, y).values, golden.get(&name));
    }
}

#[test]
fn filling_from_surroundings_equals_pillow() {
    let golden = Golden::load("pictures");
    let filled = |mask: &Mask| from_surroundings(&picture(mask.width, mask.height), mask);
    assert_same("filled.hard", &filled(&mask(37, 23)).rgb, golden.get("filled.hard"));
    assert_same("filled.soft", &filled(&mask(37, 23).blurred(4.0, 4.0)).rgb, golden.get("filled.soft"));
    let large = filled(&mask(300, 200).blurred(4.0, 4.0));
    let part = large.cropped(&Region { x: 90, y: 40, width: 80, height: 70 });
    assert_same("filled.large", &part.rgb, golden.get("filled.large"));
}

#[test]
fn pasting_back_equals_pillow() {
    let region = Region { x: 3, y: 2, width: 30, height: 20 };
    let overlay = Overlay::new(&picture(37, 23), &mask(37, 23).blurred(2.0, 2.0), Some(region));
    assert_same("pasted", &overlay.over(&picture(64, 64)).rgb, Golden::load("pictures").get("pasted"));
}

#[test]
fn enlarged_latents_equal_torch() {
    let golden = Golden::load("pictures");
    let latent = values(golden.get("latent"));
    for how in LatentUpscale::ALL {
        for (height, width) in [(18, 26), (13, 13), (5, 7)] {
            let found = interpolate(&latent, (9, 13), (height, width), how);
            let found = Tensor::from_vec(found, (1, 4, height, width), &candle_core::Device::Cpu).expect("a latent");
            let expected = golden.get(&format!("interpolated.{how}.{height}x{width}"));
            assert_close(&format!("{how} {height}x{width}"), &found, expected, 1e-6);
        }
    }
}
