//! A picture in the history, read back from its own PNG file.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use serde::Serialize;
use serde_json::Value;

use crate::GenerateRequest;

/// A picture as the page sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Picture {
    /// The file's name without `.png`.
    pub(crate) id: String,
    pub(crate) url: String,
    /// A small JPEG of it, its longest side 320 pixels.
    pub(crate) thumbnail: String,
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    pub(crate) created: String,
    pub(crate) starred: bool,
    /// It lies in the trash.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
    /// From the `fieldforge` chunk, if it is there and whole.
    pub(crate) settings: Option<GenerateRequest>,
    /// The `parameters` chunk: A1111's infotext.
    pub(crate) infotext: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model_hash: Option<String>,
}

/// What a PNG file says about itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PngFacts {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) settings: Option<GenerateRequest>,
    pub(crate) infotext: Option<String>,
    pub(crate) model_hash: Option<String>,
}

/// Most characters of a text chunk that the page is shown.
const MAX_TEXT: usize = 64 * 1024;

/// Reads size and text chunks; the pixels are not decoded.
///
/// # Errors
/// A sentence for a person: no PNG, damaged before the pixels, or cut off.
pub(crate) fn read_png(mut file: impl BufRead + Seek) -> Result<PngFacts, String> {
    if !ends_whole(&mut file).map_err(|error| error.to_string())? {
        return Err("it is cut off or not a PNG file: the end mark is missing".to_owned());
    }
    let decoder = png::Decoder::new_with_limits(file, png::Limits { bytes: 8 << 20 });
    let reader = decoder.read_info().map_err(|error| format!("it is not a whole PNG file: {error}"))?;
    let info = reader.info();
    let json: Option<Value> = text_of(info, "fieldforge").and_then(|text| serde_json::from_str(&text).ok());
    let model_hash =
        json.as_ref().and_then(|json| json.get("model_hash")).and_then(Value::as_str).map(|hash| shortened(hash, 128));
    let settings = json.and_then(|json| {
        let nested = json.get("settings").cloned();
        serde_json::from_value(nested.unwrap_or(json)).ok()
    });
    let infotext = text_of(info, "parameters").map(|text| shortened(&text, MAX_TEXT));
    Ok(PngFacts { width: info.width, height: info.height, settings, infotext, model_hash })
}

impl PngFacts {
    /// The picture under its name; `created` in seconds since the epoch.
    pub(crate) fn named(self, id: &str, created: u64) -> Picture {
        Picture {
            id: id.to_owned(),
            url: format!("/outputs/{}.png", crate::target::encode(id)),
            thumbnail: format!("/thumbnails/{}.jpg", crate::target::encode(id)),
            width: self.width,
            height: self.height,
            created: crate::clock::iso(created),
            starred: false,
            deleted: false,
            settings: self.settings,
            infotext: self.infotext,
            model_hash: self.model_hash,
        }
    }
}

impl Picture {
    /// The same picture in the trash: its addresses say so.
    pub(crate) fn in_trash(mut self) -> Self {
        self.deleted = true;
        self.url.push_str("?deleted=1");
        self.thumbnail.push_str("?deleted=1");
        self
    }
}

/// The first text chunk with this keyword, of any of the three kinds.
fn text_of(info: &png::Info<'_>, keyword: &str) -> Option<String> {
    let plain = info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == keyword);
    if let Some(chunk) = plain {
        return Some(chunk.text.clone());
    }
    let utf8 = info.utf8_text.iter().find(|chunk| chunk.keyword == keyword);
    if let Some(chunk) = utf8 {
        return chunk.get_text().ok();
    }
    info.compressed_latin1_text.iter().find(|chunk| chunk.keyword == keyword)?.get_text().ok()
}

fn shortened(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// Looks for the `IEND` chunk near the end (some programs append a few bytes); leaves the
/// position at the start.
fn ends_whole(file: &mut (impl BufRead + Seek)) -> io::Result<bool> {
    const TAIL: u64 = 1024;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    Read::take(&mut *file, TAIL).read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(tail.windows(8).any(|window| window == b"IEND\xaeB\x60\x82"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Cursor;

    /// A grey picture with the given text chunks.
    pub(crate) fn png_with(width: u32, height: u32, texts: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        for (keyword, text) in texts {
            encoder.add_itxt_chunk((*keyword).to_owned(), (*text).to_owned()).expect("a keyword");
        }
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&vec![128; (width * height) as usize]).expect("pixels");
        writer.finish().expect("an end");
        bytes
    }

    const SETTINGS: &str = r#"{"model":"spark","prompt":"ein Käse 🧀","negative_prompt":"","width":64,"height":64,"steps":20,"cfg_scale":7.1,"seed":42,"sampler":"Euler","model_hash":"abc","later":1}"#;

    #[test]
    fn settings_and_infotext_come_back() {
        let png = png_with(8, 16, &[("parameters", "a\nSteps: 20, Seed: 42"), ("fieldforge", SETTINGS)]);
        let facts = read_png(Cursor::new(png)).expect("reads");
        assert_eq!((facts.width, facts.height), (8, 16));
        assert_eq!(facts.infotext.as_deref(), Some("a\nSteps: 20, Seed: 42"));
        assert_eq!(facts.model_hash.as_deref(), Some("abc"));
        let settings = facts.settings.expect("settings");
        assert_eq!((settings.prompt.as_str(), settings.seed, settings.cfg_scale), ("ein Käse 🧀", 42, 7.1));
    }

    #[test]
    fn settings_may_stand_one_level_deeper() {
        let png = png_with(8, 8, &[("fieldforge", &format!(r#"{{"version":1,"settings":{SETTINGS}}}"#))]);
        assert_eq!(read_png(Cursor::new(png)).expect("reads").settings.map(|settings| settings.seed), Some(42));
    }

    #[test]
    fn foreign_text_leaves_the_picture_readable() {
        for text in ["", "{", "[]", "null", r#"{"model":3}"#, "\u{1}"] {
            let png = png_with(8, 8, &[("fieldforge", text)]);
            assert_eq!(read_png(Cursor::new(png)).expect("reads").settings, None, "{text}");
        }
    }

    #[test]
    fn damage_is_told() {
        let png = png_with(8, 8, &[("fieldforge", SETTINGS)]);
        for length in 0..png.len() - 1 {
            assert!(read_png(Cursor::new(&png[..length])).is_err(), "{length} bytes pass for a whole picture");
        }
        for index in 0..24 {
            let mut broken = png.clone();
            broken[index] ^= 0x40;
            assert!(read_png(Cursor::new(broken)).is_err(), "a wrong byte {index} goes unnoticed");
        }
        assert!(read_png(Cursor::new(b"GIF89a IEND\xaeB\x60\x82")).is_err());
    }
}
