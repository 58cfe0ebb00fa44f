//! What happens to pictures and masks before a model sees them and after it has drawn.
//!
//! Everything here works on bytes as Pillow does, to the bit where a test against Pillow says so: the pictures that
//! other programs fed to the same model came out of Pillow. [`interpolate`] does the same for latents as torch does.

mod blur;
mod composite;
mod extend;
mod fill;
mod filter;
mod fit;
mod interpolate;
mod mask;
mod region;
mod resample;

pub use composite::Overlay;
pub use extend::Extension;
pub use fill::from_surroundings;
pub use filter::Filter;
pub use fit::ResizeMode;
pub use interpolate::{LatentUpscale, interpolate};
pub use mask::Mask;
pub use region::Region;

/// `value / 255` to the nearest, for products of two bytes: Pillow's `DIV255`.
fn div255(value: u32) -> u32 {
    let value = value + 128;
    ((value >> 8) + value) >> 8
}
