//! Which characters a PNG text stands for.

/// A `tEXt` or `zTXt` value as it is meant: the format says Latin-1, yet many tools write UTF-8 there. What is valid
/// UTF-8 beyond ASCII is hardly ever meant as Latin-1.
pub(super) fn as_meant(latin1: &str) -> String {
    utf8_in(latin1).unwrap_or_else(|| latin1.to_owned())
}

/// Whether a text may be written as `tEXt`, so that every reader gets the same characters.
pub(super) fn fits_latin1(text: &str) -> bool {
    text.chars().all(|c| c != '\0' && u32::from(c) < 256) && utf8_in(text).is_none()
}

/// The UTF-8 that the Latin-1 bytes of `text` spell, if they do and are not plain ASCII.
fn utf8_in(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let bytes = text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<Vec<u8>, _>>().ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_in_a_latin1_field_is_recognized() {
        let stored: String = "№ 42 🍌 café".bytes().map(char::from).collect();
        assert_eq!(as_meant(&stored), "№ 42 🍌 café");
        assert_eq!(as_meant("café"), "café");
        assert!(fits_latin1("café") && !fits_latin1("№") && !fits_latin1("cafÃ©") && !fits_latin1("a\0b"));
    }
}
