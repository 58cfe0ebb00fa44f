//! Text in PNG files.

/// The signature and the header, which come first in every PNG file.
const FIRST: usize = 8 + 25;

/// Puts texts behind the header of a PNG file (`tEXt`, or `iTXt` for what is not ASCII); what is no PNG file is given
/// back as it is, and a text whose name is none is left out.
#[must_use]
pub fn with_texts(png: &[u8], texts: &[(String, String)]) -> Vec<u8> {
    let (Some(first), Some(rest)) = (png.get(..FIRST), png.get(FIRST..)) else { return png.to_vec() };
    let mut whole = first.to_vec();
    for (name, text) in texts {
        let fits = !name.is_empty() && name.len() < 80 && name.chars().all(|letter| letter.is_ascii_graphic());
        let (kind, between): (&[u8], &[u8]) = if text.is_ascii() { (b"tEXt", &[0]) } else { (b"iTXt", &[0; 5]) };
        let body = [kind, name.as_bytes(), between, text.as_bytes()].concat();
        let Some(length) = u32::try_from(body.len() - 4).ok().filter(|_| fits) else { continue };
        whole.extend_from_slice(&length.to_be_bytes());
        whole.extend_from_slice(&body);
        whole.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    }
    whole.extend_from_slice(rest);
    whole
}
