//! Pictures as files: ours are written as PNG; those that people bring are read as PNG, JPEG or WebP.

mod exif;
mod jpeg;
mod png;
mod text;
mod webp;

use crate::{EngineError, Picture};
use exif::Exif;

/// A picture that somebody brings, with what is written in its file.
///
/// Turned upright as its EXIF orientation says; of an animation the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFile {
    /// Its colours. Where it is transparent they mean nothing: see [`PictureFile::on_white`].
    pub picture: Picture,
    /// How opaque each pixel is, row by row from the top: `width * height` bytes. Absent: it is opaque everywhere.
    pub alpha: Option<Vec<u8>>,
    /// Its texts, each with its name: the keyword of a PNG chunk (`parameters`, `prompt`, `workflow`), or
    /// `UserComment` for that field of EXIF.
    pub texts: Vec<(String, String)>,
}

impl PictureFile {
    /// Pictures with more pixels are refused before memory is taken for them.
    pub const LARGEST: u64 = 1 << 26;
    /// Texts that are longer together, in bytes, are refused.
    pub const LARGEST_TEXT: usize = 32 << 20;

    /// Reads a file of any of the three kinds, told apart by content.
    ///
    /// # Errors
    /// [`EngineError::PictureFile`] for anything else, and for one that is damaged or too large.
    pub fn read(file: &[u8]) -> Result<Self, EngineError> {
        match file {
            [0x89, b'P', b'N', b'G', ..] => png::read(file),
            [0xff, 0xd8, 0xff, ..] => shielded("JPEG", || jpeg::read(file)),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => shielded("WebP", || webp::read(file)),
            _ => Err(refused("picture", "its first bytes are those of no PNG, JPEG or WebP")),
        }
    }

    /// The infotext that stands in it, wherever tools put it: `parameters` of a PNG, else `UserComment` of EXIF.
    pub fn infotext(&self) -> Option<&str> {
        self.text("parameters").or_else(|| self.text("UserComment"))
    }

    /// The first text of that name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str())
    }

    /// The picture with white behind what is transparent, as AUTOMATIC1111 takes it into image to image.
    pub fn on_white(&self) -> Picture {
        let mut picture = self.picture.clone();
        if let Some(alpha) = &self.alpha {
            for (colour, &alpha) in picture.rgb.as_chunks_mut::<3>().0.iter_mut().zip(alpha) {
                let alpha = u32::from(alpha);
                for part in colour {
                    *part = ((u32::from(*part) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
                }
            }
        }
        picture
    }

    /// Puts together what a decoder gave: 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha) bytes a pixel.
    fn of(pixels: Pixels, texts: Vec<(String, String)>, exif: Option<Exif>) -> Result<Self, EngineError> {
        let Pixels { kind, width, height, channels, bytes } = pixels;
        let expected = u64::from(width) * u64::from(height) * channels as u64;
        if bytes.len() as u64 != expected {
            return Err(refused(kind, format!("{} bytes of colour where {expected} belong", bytes.len())));
        }
        let alpha = match channels {
            2 => Some(bytes.as_chunks::<2>().0.iter().map(|&[_, alpha]| alpha).collect()),
            4 => Some(bytes.as_chunks::<4>().0.iter().map(|&[_, _, _, alpha]| alpha).collect()),
            _ => None,
        };
        let rgb = match channels {
            1 => bytes.iter().flat_map(|&grey| [grey; 3]).collect(),
            2 => bytes.as_chunks::<2>().0.iter().flat_map(|&[grey, _]| [grey; 3]).collect(),
            3 => bytes,
            _ => bytes.as_chunks::<4>().0.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect(),
        };
        let alpha = alpha.filter(|alpha: &Vec<u8>| alpha.iter().any(|&alpha| alpha < 255));
        let mut file = Self { picture: Picture { width, height, rgb }, alpha, texts };
        if let Some(exif) = exif {
            file.turn(exif.orientation);
            file.texts.extend(exif.user_comment.map(|comment| ("UserComment".to_owned(), comment)));
        }
        Ok(file)
    }

    /// Turns and mirrors it so that row 0 is the top: EXIF orientation 1 to 8 (EXIF 2.3, tag 274).
    fn turn(&mut self, orientation: u16) {
        if !(2..=8).contains(&orientation) {
            return;
        }
        let (width, height) = (self.picture.width as usize, self.picture.height as usize);
        let sideways = orientation >= 5;
        let (new_width, new_height) = if sideways { (height, width) } else { (width, height) };
        // where pixel (x, y) of the upright picture lies in the stored one
        let source = |x: usize, y: usize| {
            let (x, y) = if sideways { (y, x) } else { (x, y) };
            let x = if matches!(orientation, 2 | 3 | 7 | 8) { width - 1 - x } else { x };
            let y = if matches!(orientation, 3 | 4 | 6 | 7) { height - 1 - y } else { y };
            y * width + x
        };
        let places: Vec<usize> =
            (0..new_height).flat_map(|y| (0..new_width).map(move |x| (x, y))).map(|(x, y)| source(x, y)).collect();
        let pixels = self.picture.rgb.as_chunks::<3>().0;
        self.picture.rgb = places.iter().filter_map(|&at| pixels.get(at)).flatten().copied().collect();
        if let Some(alpha) = &mut self.alpha {
            *alpha = places.iter().filter_map(|&at| alpha.get(at)).copied().collect();
        }
        (self.picture.width, self.picture.height) = (new_width as u32, new_height as u32);
    }
}

/// What a decoder gave.
struct Pixels {
    kind: &'static str,
    width: u32,
    height: u32,
    channels: usize,
    bytes: Vec<u8>,
}

fn refused(kind: &'static str, reason: impl ToString) -> EngineError {
    EngineError::PictureFile { kind, reason: reason.to_string() }
}

/// Refuses a picture that states a size beyond [`PictureFile::LARGEST`], or none.
fn check_size(kind: &'static str, width: u64, height: u64) -> Result<(), EngineError> {
    match width.checked_mul(height) {
        Some(1..=PictureFile::LARGEST) => Ok(()),
        _ => Err(refused(kind, format!("it states a size of {width}x{height}"))),
    }
}

/// Runs a decoder that is not ours: should it panic, the file is refused.
fn shielded(
    kind: &'static str,
    read: impl FnOnce() -> Result<PictureFile, EngineError> + std::panic::UnwindSafe,
) -> Result<PictureFile, EngineError> {
    std::panic::catch_unwind(read).unwrap_or_else(|_| Err(refused(kind, "its decoder failed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(orientation: u16) -> PictureFile {
        // 1 2 3
        // 4 5 6
        let pixels = Pixels {
            kind: "test",
            width: 3,
            height: 2,
            channels: 2,
            bytes: (1..=6).flat_map(|i| [i, 10 * i]).collect(),
        };
        PictureFile::of(pixels, Vec::new(), Some(Exif { orientation, user_comment: None })).expect("a picture")
    }

    #[test]
    fn all_eight_orientations_are_turned_upright() {
        for (orientation, width, expected) in [
            (0, 3, [1, 2, 3, 4, 5, 6]),
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
            (9, 3, [1, 2, 3, 4, 5, 6]),
        ] {
            let file = file(orientation);
            let grey: Vec<u8> = file.picture.rgb.iter().step_by(3).copied().collect();
            assert_eq!((file.picture.width, grey), (width, expected.to_vec()), "orientation {orientation}");
            assert_eq!(file.alpha, Some(expected.iter().map(|grey| grey * 10).collect()));
        }
    }

    #[test]
    fn what_is_transparent_becomes_white() {
        let pixels = Pixels {
            kind: "test",
            width: 3,
            height: 1,
            channels: 4,
            bytes: vec![10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 255, 128],
        };
        let file = PictureFile::of(pixels, Vec::new(), None).expect("a picture");
        assert_eq!(file.on_white().rgb, [10, 20, 30, 255, 255, 255, 127, 177, 255]);
        assert_eq!(file.alpha, Some(vec![255, 0, 128]));
    }

    #[test]
    fn other_files_are_refused() {
        for bytes in [&b""[..], b"<html>", b"GIF89a", b"\x89PNG", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBPVP8 "] {
            assert!(matches!(PictureFile::read(bytes), Err(EngineError::PictureFile { .. })), "{bytes:?}");
        }
    }

    /// Red left half, blue right half, white upper left quarter; see `tests/pictures/make.py`.
    fn assert_is_the_picture(file: &PictureFile, tolerance: u8) {
        assert_eq!((file.picture.width, file.picture.height), (24, 16));
        for (x, y, expected) in [(4, 12, [255, 0, 0]), (20, 12, [0, 0, 255]), (20, 3, [0, 0, 255]), (4, 3, [255; 3])] {
            let found = file.picture.rgb.as_chunks::<3>().0[y * 24 + x];
            let far = found.iter().zip(expected).any(|(found, expected)| found.abs_diff(expected) > tolerance);
            assert!(!far, "({x}, {y}) is {found:?}, not {expected:?}");
        }
    }

    #[test]
    fn pictures_of_other_programs_are_read() {
        let infotext = "a café 🍌, \"ripe\"\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 24x16";
        for (name, bytes, tolerance, text) in [
            ("turned.jpg", &include_bytes!("../../tests/pictures/turned.jpg")[..], 20, Some(infotext)),
            ("progressive.jpg", include_bytes!("../../tests/pictures/progressive.jpg"), 20, None),
            ("cmyk.jpg", include_bytes!("../../tests/pictures/cmyk.jpg"), 20, None),
            ("lossy.webp", include_bytes!("../../tests/pictures/lossy.webp"), 40, Some(infotext)),
            ("alpha.webp", include_bytes!("../../tests/pictures/alpha.webp"), 0, None),
            ("animated.webp", include_bytes!("../../tests/pictures/animated.webp"), 0, None),
        ] {
            let file = PictureFile::read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_is_the_picture(&file, tolerance);
            assert_eq!(file.infotext(), text, "{name}");
            assert_eq!(file.alpha.is_some(), name == "alpha.webp", "{name}");
            let mut damaged = bytes.to_vec();
            for at in 0..damaged.len() {
                damaged[at] ^= 0xa5;
                let _ = PictureFile::read(&damaged);
                let _ = PictureFile::read(&bytes[..at]);
                damaged[at] ^= 0xa5;
            }
        }
        let grey = PictureFile::read(include_bytes!("../../tests/pictures/grey.jpg")).expect("a picture");
        assert!(grey.picture.rgb.as_chunks::<3>().0.iter().all(|[red, green, blue]| red == green && green == blue));
    }
}
