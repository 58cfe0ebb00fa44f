use std::io::Cursor;

use image_webp::WebPDecoder;

use super::exif::Exif;
use super::{PictureFile, Pixels, check_size, refused};
use crate::EngineError;

/// Reads a WebP, lossy or lossless; of an animation the first frame.
pub(super) fn read(file: &[u8]) -> Result<PictureFile, EngineError> {
    let broken = |error: image_webp::DecodingError| refused("WebP", error);
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size("WebP", u64::from(width), u64::from(height))?;
    decoder.set_memory_limit(PictureFile::LARGEST_TEXT);
    let size = decoder.output_buffer_size().ok_or_else(|| refused("WebP", "it is too large"))?;
    let mut bytes = vec![0; size];
    decoder.read_image(&mut bytes).map_err(broken)?;
    let exif = decoder.exif_metadata().map_err(broken)?.map(|exif| Exif::parse(&exif));
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    PictureFile::of(Pixels { kind: "WebP", width, height, channels, bytes }, Vec::new(), exif)
}
