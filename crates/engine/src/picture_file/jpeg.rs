use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::exif::Exif;
use super::{PictureFile, Pixels, check_size, refused};
use crate::EngineError;

/// Reads a JPEG in grey, YCbCr, RGB or CMYK, baseline or progressive.
pub(super) fn read(file: &[u8]) -> Result<PictureFile, EngineError> {
    let broken = |error: zune_jpeg::errors::DecodeErrors| refused("JPEG", error);
    let side = usize::from(u16::MAX);
    let options =
        DecoderOptions::default().set_max_width(side).set_max_height(side).jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(file), options);
    decoder.decode_headers().map_err(broken)?;
    let info = decoder.info().ok_or_else(|| refused("JPEG", "it has no header"))?;
    check_size("JPEG", u64::from(info.width), u64::from(info.height))?;
    let exif = decoder.exif().map(|exif| Exif::parse(exif));
    let bytes = decoder.decode().map_err(broken)?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    PictureFile::of(Pixels { kind: "JPEG", width, height, channels: 3, bytes }, Vec::new(), exif)
}
