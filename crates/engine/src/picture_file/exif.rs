//! The two fields of EXIF that matter here (EXIF 2.3, a TIFF 6.0 structure): which way is up, and the user's comment.

/// What was found; anything that is missing or broken reads as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exif {
    /// Tag 274, 1 to 8; 0 if absent.
    pub(super) orientation: u16,
    /// Tag 37510: where AUTOMATIC1111 and others put the infotext of JPEG and WebP.
    pub(super) user_comment: Option<String>,
}

const ORIENTATION: u16 = 274;
const EXIF_FOLDER: u16 = 34665;
const USER_COMMENT: u16 = 37510;

impl Exif {
    /// Reads a block that begins with the TIFF header, or with `Exif\0\0` before it.
    pub(super) fn parse(block: &[u8]) -> Self {
        let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
        Self::read(block).unwrap_or_default()
    }

    fn read(block: &[u8]) -> Option<Self> {
        let big_endian = match block.get(..4)? {
            b"MM\0*" => true,
            b"II*\0" => false,
            _ => return None,
        };
        let tiff = Tiff { block, big_endian };
        let mut exif = Self::default();
        let first = tiff.number(4, 4)? as usize;
        let mut below = None;
        tiff.each(first, |tag, kind, value| match tag {
            ORIENTATION => exif.orientation = tiff.integer(kind, value).unwrap_or_default() as u16,
            EXIF_FOLDER => below = tiff.integer(kind, value),
            USER_COMMENT => exif.user_comment = comment(value, big_endian),
            _ => {}
        });
        if let Some(folder) = below {
            tiff.each(folder as usize, |tag, _, value| {
                if tag == USER_COMMENT {
                    exif.user_comment = comment(value, big_endian);
                }
            });
        }
        Some(exif)
    }
}

struct Tiff<'a> {
    block: &'a [u8],
    big_endian: bool,
}

impl<'a> Tiff<'a> {
    fn number(&self, at: usize, size: usize) -> Option<u32> {
        let bytes = self.block.get(at..at.checked_add(size)?)?;
        let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        Some(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    /// A SHORT or LONG value.
    fn integer(&self, kind: u32, value: &[u8]) -> Option<u32> {
        let size = match kind {
            3 => 2,
            4 => 4,
            _ => return None,
        };
        Tiff { block: value, big_endian: self.big_endian }.number(0, size)
    }

    /// Calls `found` with tag, type and bytes of every entry of the folder at `start`.
    fn each(&self, start: usize, mut found: impl FnMut(u16, u32, &'a [u8])) -> Option<()> {
        for entry in 0..self.number(start, 2)? as usize {
            let at = start.checked_add(2 + entry * 12)?;
            let (tag, kind) = (self.number(at, 2)?, self.number(at + 2, 2)?);
            let size = match kind {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 => 4,
                5 | 10 | 12 => 8,
                _ => continue,
            };
            let length = (self.number(at + 4, 4)? as usize).checked_mul(size)?;
            let place = if length <= 4 { at + 8 } else { self.number(at + 8, 4)? as usize };
            if let Some(value) = place.checked_add(length).and_then(|end| self.block.get(place..end)) {
                found(tag as u16, kind, value);
            }
        }
        Some(())
    }
}

/// The characters of a user's comment: eight bytes name the code, `UNICODE` being UTF-16. Its byte order should be the
/// block's, yet the customary writer always stores the big-endian one; whichever gives more ASCII is meant.
fn comment(value: &[u8], big_endian: bool) -> Option<String> {
    let text = match value.split_at_checked(8) {
        Some((b"UNICODE\0", text)) => {
            let pairs = text.as_chunks::<2>().0;
            let zeros = |at: usize| pairs.iter().filter(|pair| pair[at] == 0).count();
            let big_endian = match zeros(0).cmp(&zeros(1)) {
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => big_endian,
            };
            let units =
                pairs.iter().map(|&pair| if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) });
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        Some((b"ASCII\0\0\0" | b"\0\0\0\0\0\0\0\0", text)) => String::from_utf8_lossy(text).into_owned(),
        _ => String::from_utf8_lossy(value).into_owned(),
    };
    let text = text.trim_end_matches(['\0', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with orientation 6 and a comment in the folder below.
    fn block(big_endian: bool, comment: &[u8]) -> Vec<u8> {
        let short = |value: u16| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        let long = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut block = if big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        block.extend(long(8));
        block.extend(short(2));
        block.extend([short(ORIENTATION), short(3)].concat());
        block.extend([long(1)].concat());
        block.extend([short(6), short(0)].concat());
        block.extend([short(EXIF_FOLDER), short(4)].concat());
        block.extend([long(1), long(38), long(0)].concat());
        block.extend(short(1));
        block.extend([short(USER_COMMENT), short(7)].concat());
        block.extend([long(comment.len() as u32), long(56), long(0)].concat());
        block.extend(comment);
        block
    }

    #[test]
    fn orientation_and_comment_are_read_in_every_spelling() {
        let text = "a café 🍌\nSteps: 20";
        let utf16 =
            |bytes: fn(u16) -> [u8; 2]| [b"UNICODE\0".to_vec(), text.encode_utf16().flat_map(bytes).collect()].concat();
        for comment in [
            utf16(u16::to_be_bytes),
            utf16(u16::to_le_bytes),
            [b"ASCII\0\0\0", text.as_bytes()].concat(),
            [b"\0\0\0\0\0\0\0\0", text.as_bytes()].concat(),
            [text.as_bytes(), b"\0"].concat(),
        ] {
            for big_endian in [false, true] {
                let found = Exif::parse(&[b"Exif\0\0".to_vec(), block(big_endian, &comment)].concat());
                assert_eq!(found, Exif { orientation: 6, user_comment: Some(text.to_owned()) });
            }
        }
    }

    #[test]
    fn a_broken_block_reads_as_nothing() {
        let whole = block(false, b"ASCII\0\0\0x");
        for end in 0..38 {
            let _ = Exif::parse(&whole[..end]);
        }
        assert_eq!(Exif::parse(b"II*\0\xff\xff\xff\xff"), Exif::default());
        assert_eq!(Exif::parse(b""), Exif::default());
    }
}
