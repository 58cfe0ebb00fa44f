use std::collections::BTreeMap;
use std::fmt;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};

use super::FileKind;
use crate::EngineError;

/// Headers beyond this size are refused before anything is allocated (the limit of the reference implementation).
const LARGEST_HEADER: u64 = 100_000_000;

/// The checked header of a safetensors file: every tensor lies inside the file, none overlaps another, no byte is
/// left over, and every size was computed without overflow.
#[derive(Clone, Debug)]
pub struct Header {
    tensors: BTreeMap<String, TensorEntry>,
    metadata: BTreeMap<String, String>,
    data_start: usize,
}

/// One tensor's type, shape and place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorEntry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
    /// Which of a model's files it is in.
    #[serde(skip)]
    file: usize,
}

impl TensorEntry {
    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|&side| side as u64).product()
    }

    /// Its bytes, counted from the end of the header.
    pub(super) fn range(&self) -> (u64, u64) {
        self.data_offsets
    }

    /// Which of a model's files it is in.
    pub(super) fn file(&self) -> usize {
        self.file
    }

    /// Size in bytes by type and shape; `None` if that overflows.
    fn size(&self) -> Option<u64> {
        let elements = self.shape.iter().try_fold(1_u64, |product, &side| product.checked_mul(side as u64))?;
        let bits = elements.checked_mul(self.dtype.bitsize() as u64)?;
        (bits % 8 == 0).then_some(bits / 8)
    }
}

impl Header {
    /// Parses the header at the start of `bytes`; `length` is the length of the whole file, named `file` in errors.
    /// `bytes` may end anywhere behind the header.
    ///
    /// # Errors
    /// For anything but a sound safetensors file: the kind of file it is instead, the bytes it lacks, or what its
    /// header gets wrong.
    pub fn parse(file: &str, bytes: &[u8], length: u64) -> Result<Self, EngineError> {
        let start = bytes.get(..FileKind::BYTES_NEEDED).unwrap_or(bytes);
        if let Some(error) = FileKind::of(start).refusal(file, start) {
            return Err(error);
        }
        let broken = |reason: String| EngineError::BrokenHeader { file: file.to_owned(), reason };
        let size = header_size(bytes).ok_or_else(|| broken("it is shorter than 8 bytes".to_owned()))?;
        if size > LARGEST_HEADER {
            return Err(broken(format!("it claims to be {size} bytes long, more than the {LARGEST_HEADER} allowed")));
        }
        let data_start = size + 8;
        if data_start > length {
            return Err(EngineError::Truncated { file: file.to_owned(), expected: data_start, found: length });
        }
        let json = usize::try_from(data_start).ok().and_then(|end| bytes.get(8..end));
        let json = json.ok_or_else(|| broken("it could not be read whole".to_owned()))?;
        let entries: Entries = serde_json::from_slice(json).map_err(|error| broken(error.to_string()))?;
        check_layout(file, &entries.tensors, data_start, length)?;
        Ok(Self { tensors: entries.tensors, metadata: entries.metadata, data_start: data_start as usize })
    }

    /// The header of a model that is spread over several files, still without tensors.
    pub(super) fn of(metadata: BTreeMap<String, String>) -> Self {
        Self { tensors: BTreeMap::new(), metadata, data_start: 0 }
    }

    /// Adds a tensor of the file with this number.
    pub(super) fn insert(&mut self, name: String, entry: TensorEntry, file: usize) {
        self.tensors.insert(name, TensorEntry { file, ..entry });
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.tensors.retain(|name, _| keep(name));
    }

    /// How many bytes from the start of a file [`Header::parse`] needs, as the file claims: 8 plus the header's size.
    /// `None` if `start` is too short to say, or claims more than any sound file has.
    pub fn bytes_needed(start: &[u8]) -> Option<u64> {
        header_size(start).filter(|&size| size <= LARGEST_HEADER).map(|size| size + 8)
    }

    /// One tensor.
    pub fn get(&self, name: &str) -> Option<&TensorEntry> {
        self.tensors.get(name)
    }

    /// All tensors in the order of their names.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorEntry)> {
        self.tensors.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The free-form `__metadata__`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Where the tensors' bytes start in the file.
    pub(super) fn data_start(&self) -> usize {
        self.data_start
    }
}

fn header_size(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Every tensor's bytes fit its shape, follow each other without gap or overlap, and end with the file.
fn check_layout(
    file: &str,
    tensors: &BTreeMap<String, TensorEntry>,
    data_start: u64,
    length: u64,
) -> Result<(), EngineError> {
    let broken = |reason: String| EngineError::BrokenHeader { file: file.to_owned(), reason };
    for (name, entry) in tensors {
        let size =
            entry.size().ok_or_else(|| broken(format!("the size of tensor `{name}` ({:?}) overflows", entry.shape)))?;
        let (start, end) = entry.data_offsets;
        if end.checked_sub(start) != Some(size) {
            let reason = format!("tensor `{name}` needs {size} bytes but claims the range {start}..{end}");
            return Err(broken(reason));
        }
    }
    let mut by_place: Vec<(&String, (u64, u64))> =
        tensors.iter().map(|(name, entry)| (name, entry.data_offsets)).collect();
    by_place.sort_by_key(|&(_, range)| range);
    let mut at = 0;
    for (name, (start, end)) in by_place {
        if start < at {
            return Err(broken(format!("tensor `{name}` overlaps another one")));
        }
        if start > at {
            return Err(broken(format!("{} bytes before tensor `{name}` belong to no tensor", start - at)));
        }
        at = end;
    }
    let expected = data_start.checked_add(at).ok_or_else(|| broken("its offsets overflow".to_owned()))?;
    if expected > length {
        return Err(EngineError::Truncated { file: file.to_owned(), expected, found: length });
    }
    if expected < length {
        return Err(broken(format!("{} bytes at the end of the file belong to no tensor", length - expected)));
    }
    Ok(())
}

/// The JSON object of a header; a key that appears twice is an error.
struct Entries {
    tensors: BTreeMap<String, TensorEntry>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Entries { tensors: BTreeMap::new(), metadata: BTreeMap::new() };
        let mut metadata_seen = false;
        while let Some(key) = map.next_key::<String>()? {
            let twice = if key == "__metadata__" {
                let Unique(metadata) = map.next_value()?;
                entries.metadata = metadata;
                std::mem::replace(&mut metadata_seen, true)
            } else {
                entries.tensors.insert(key.clone(), map.next_value()?).is_some()
            };
            if twice {
                return Err(A::Error::custom(format!("`{key}` appears twice")));
            }
        }
        Ok(entries)
    }
}

/// A string map without repeated keys.
struct Unique(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UniqueVisitor;
        impl<'de> Visitor<'de> for UniqueVisitor {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if values.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("`{key}` appears twice in `__metadata__`")));
                    }
                }
                Ok(Unique(values))
            }
        }
        deserializer.deserialize_map(UniqueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str, data: u64) -> Result<Header, String> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        let length = bytes.len() as u64 + data;
        Header::parse("m.safetensors", &bytes, length).map_err(|error| error.to_string())
    }

    fn refusal(json: &str, data: u64) -> String {
        parse(json, data).map(|_| "accepted".to_owned()).unwrap_or_else(|error| error)
    }

    #[test]
    fn a_sound_header_is_read() {
        let header = parse(
            r#"{"__metadata__":{"name":"x"},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}}  "#,
            12,
        )
        .expect("a sound header");
        assert_eq!(header.get("b").map(|entry| entry.shape().to_vec()), Some(vec![2]));
        assert_eq!(header.metadata()["name"], "x");
        assert_eq!(header.tensors().map(|(_, entry)| entry.elements()).sum::<u64>(), 4);
    }

    #[test]
    fn every_lie_in_a_header_has_its_own_message() {
        let tensor = |offsets: &str| format!(r#"{{"a":{{"dtype":"F16","shape":[2],"data_offsets":{offsets}}}}}"#);
        let pair = |first: &str, second: &str| {
            format!(
                r#"{{"a":{{"dtype":"F16","shape":[2],"data_offsets":{first}}},"b":{{"dtype":"F16","shape":[2],"data_offsets":{second}}}}}"#
            )
        };
        let cases = [
            (tensor("[0,4]"), 3, "is truncated: its header describes 66 bytes, the file has 65"),
            (tensor("[0,4]"), 5, "1 bytes at the end of the file belong to no tensor"),
            (tensor("[0,5]"), 5, "tensor `a` needs 4 bytes but claims the range 0..5"),
            (tensor("[4,0]"), 4, "tensor `a` needs 4 bytes but claims the range 4..0"),
            (tensor("[8,12]"), 12, "8 bytes before tensor `a` belong to no tensor"),
            (tensor("[-1,3]"), 4, "invalid value"),
            (pair("[0,4]", "[2,6]"), 6, "tensor `b` overlaps another one"),
            (pair("[0,4]", "[0,4]"), 4, "tensor `b` overlaps another one"),
            (
                r#"{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#.to_owned(),
                8,
                "the size of tensor `a` ([4294967296, 4294967296]) overflows",
            ),
            (tensor("[0,4]").replace("\"F16\"", "\"F17\""), 4, "unknown variant `F17`"),
            (
                r#"{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}"#.to_owned(),
                1,
                "`a` appears twice",
            ),
            (r#"{"__metadata__":{"k":"1","k":"2"}}"#.to_owned(), 0, "`k` appears twice in `__metadata__`"),
            (r#"{"__metadata__":{},"__metadata__":{}}"#.to_owned(), 0, "`__metadata__` appears twice"),
            (format!("{{\"a\":{}", "[".repeat(100_000)), 0, "broken safetensors header"),
            (format!("{{\"__metadata__\":{}", "{\"a\":".repeat(100_000)), 0, "broken safetensors header"),
        ];
        for (json, data, expected) in cases {
            let found = refusal(&json, data);
            assert!(found.contains(expected), "expected `{expected}`, found `{found}`");
        }
    }

    #[test]
    fn a_header_longer_than_the_file_or_than_allowed_is_refused_unread() {
        let mut bytes = 5000_u64.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        let error = Header::parse("m", &bytes, 10).expect_err("too short");
        assert_eq!(error.to_string(), "`m` is truncated: its header describes 5008 bytes, the file has 10");
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = Header::parse("m", &bytes, 10).expect_err("too long");
        assert!(error.to_string().contains("claims to be 18446744073709551615 bytes long"), "{error}");
        assert_eq!(Header::bytes_needed(&bytes), None);
    }
}
