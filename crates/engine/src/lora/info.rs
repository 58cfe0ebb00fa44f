use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// What a LoRA file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LoraInfo {
    /// The title or the name that it was trained under; the file's own name if neither is there.
    pub name: String,
    /// The family of models that it was trained for, as in [`crate::ModelInfo::family`], if the file tells.
    pub family: Option<String>,
    /// What it is made of: `LoRA`, `LoCon`, `DoRA`, `LoHa`, `LoKr`, `IA3`, `full difference`, the most frequent first.
    pub kinds: Vec<String>,
    /// The most frequent rank.
    pub rank: Option<usize>,
    /// Whether it changes the UNet.
    pub unet: bool,
    /// Whether it changes a text encoder.
    pub text_encoder: bool,
    /// Words that its author says call it up.
    pub trigger_words: Vec<String>,
    /// Words of its training captions, the most frequent first, at most [`LoraInfo::TAGS`].
    pub tags: Vec<TagCount>,
    /// The checkpoint that it was trained on.
    pub base_model: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// What its author says of it.
    pub description: Option<String>,
    /// Under which terms it was published.
    pub license: Option<String>,
    /// The size of picture that it was trained on, as written.
    pub resolution: Option<String>,
    /// CLIP skip of its training.
    pub clip_skip: Option<u32>,
}

/// How often a word stood in the captions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TagCount {
    /// The word or phrase.
    pub tag: String,
    /// How often.
    pub count: u64,
}

impl LoraInfo {
    /// How many tags are kept.
    pub const TAGS: usize = 100;
    /// Longest text that is kept, in characters: what is longer is a mistake or meant to harm.
    const LONGEST: usize = 2000;

    /// What kohya's trainer (`ss_…`) and Stability's ModelSpec (`modelspec.…`) write; the fields that follow from the
    /// tensors stay empty.
    pub(super) fn written(metadata: &BTreeMap<String, String>, file_name: &str) -> Self {
        let text = |key: &str| {
            let value = metadata.get(key)?.trim();
            let kept: String = value.chars().take(Self::LONGEST).collect();
            // kohya writes what Python prints for nothing
            (!kept.is_empty() && kept != "None").then_some(kept)
        };
        let first = |keys: [&str; 2]| keys.into_iter().find_map(text);
        let words = text("modelspec.trigger_phrase").unwrap_or_default();
        Self {
            name: first(["modelspec.title", "ss_output_name"]).unwrap_or_else(|| file_name.to_owned()),
            trigger_words: words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            tags: metadata.get("ss_tag_frequency").map(|json| tags(json)).unwrap_or_default(),
            base_model: text("ss_sd_model_name"),
            author: text("modelspec.author"),
            description: first(["modelspec.description", "modelspec.usage_hint"]),
            license: text("modelspec.license"),
            resolution: first(["modelspec.resolution", "ss_resolution"]),
            clip_skip: text("ss_clip_skip").and_then(|number| number.parse().ok()),
            ..Self::default()
        }
    }
}

/// The counts of all folders together: `{"10_folder": {"tag": count, …}, …}`.
fn tags(json: &str) -> Vec<TagCount> {
    let Ok(Value::Object(folders)) = serde_json::from_str(json) else { return Vec::new() };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (tag, count) in folders
        .into_iter()
        .filter_map(|(_, folder)| match folder {
            Value::Object(tags) => Some(tags),
            _ => None,
        })
        .flatten()
    {
        let tag = tag.trim().to_owned();
        if let (false, true, Some(count)) = (tag.is_empty(), tag.len() <= LoraInfo::LONGEST, count.as_u64()) {
            let sum = counts.entry(tag).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    let mut tags: Vec<TagCount> = counts.into_iter().map(|(tag, count)| TagCount { tag, count }).collect();
    tags.sort_by_key(|tag| std::cmp::Reverse(tag.count));
    tags.truncate(LoraInfo::TAGS);
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(metadata: &[(&str, &str)]) -> LoraInfo {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LoraInfo::written(&metadata, "file")
    }

    #[test]
    fn what_trainers_write_is_read() {
        let info = written(&[
            ("ss_output_name", "inkwash_v3"),
            ("ss_tag_frequency", r#"{"10_ink":{"ink wash":12," tree":3},"5_more":{"tree":20,"":9,"odd":"x"}}"#),
            ("modelspec.trigger_phrase", "inkwash, sumi-e ,"),
            ("ss_clip_skip", "2"),
            ("ss_sd_model_name", "None"),
        ]);
        assert_eq!(info.name, "inkwash_v3");
        let tags: Vec<(&str, u64)> = info.tags.iter().map(|tag| (tag.tag.as_str(), tag.count)).collect();
        assert_eq!(tags, [("tree", 23), ("ink wash", 12)]);
        assert_eq!(info.trigger_words, ["inkwash", "sumi-e"]);
        assert_eq!((info.clip_skip, info.base_model), (Some(2), None));
    }

    #[test]
    fn nonsense_is_left_out() {
        let deep = "[".repeat(100_000);
        for json in ["", "[]", "{\"a\":1}", "{\"a\":{\"b\":-1}}", &deep] {
            assert_eq!(written(&[("ss_tag_frequency", json)]).tags, [], "{}", &json[..json.len().min(20)]);
        }
        assert_eq!(written(&[]).name, "file");
        let long = "x".repeat(5000);
        assert_eq!(written(&[("modelspec.description", &long)]).description.map(|text| text.len()), Some(2000));
        let many: Vec<String> = (0..500).map(|i| format!("\"t{i}\":{i}")).collect();
        let json = format!("{{\"a\":{{{}}}}}", many.join(","));
        assert_eq!(written(&[("ss_tag_frequency", &json)]).tags.len(), LoraInfo::TAGS);
    }
}
