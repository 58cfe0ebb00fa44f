use std::collections::BTreeMap;

use super::change::Change;
use super::key::Network;
use crate::checkpoint::Family;

/// What a LoRA was trained on, as far as its file tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) family: Option<Family>,
    /// Features per token that its UNet is conditioned on.
    pub(super) context: Option<usize>,
}

/// Widths of the text that the UNets of each family look at.
const CONTEXTS: [(usize, Family); 4] =
    [(768, Family::Sd1), (1024, Family::Sd2), (2048, Family::Sdxl), (1280, Family::SdxlRefiner)];

/// What trainers write as `ss_base_model_version` and `modelspec.architecture`, longest first where one begins another.
const VERSIONS: [(&str, Family); 9] = [
    ("sdxl", Family::Sdxl),
    ("sd_v1", Family::Sd1),
    ("sd_v2", Family::Sd2),
    ("sd3", Family::Sd3),
    ("flux", Family::Flux),
    ("stable-diffusion-xl", Family::Sdxl),
    ("stable-diffusion-v1", Family::Sd1),
    ("stable-diffusion-v2", Family::Sd2),
    ("stable-diffusion-3", Family::Sd3),
];

impl Base {
    /// Judges by shapes first, then by names, then by what the trainer wrote.
    pub(super) fn of<'a>(
        layers: impl Iterator<Item = (Network, &'a str, Option<&'a Change>)> + Clone,
        metadata: &BTreeMap<String, String>,
    ) -> Self {
        let width = |network: Network, ending: &str| {
            let found = layers.clone().find(|(own, name, _)| *own == network && name.ends_with(ending));
            found.and_then(|(_, _, change)| change?.inputs())
        };
        let context = width(Network::UNet, "attn2_to_k").or_else(|| width(Network::UNet, "attn2_to_v"));
        if let Some(context) = context {
            let family = CONTEXTS.iter().find(|(width, _)| *width == context).map(|(_, family)| *family);
            return Self { family, context: Some(context) };
        }
        let deep = |name: &str| {
            let number = name.split_once("transformer_blocks_").and_then(|(_, rest)| rest.split('_').next());
            number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number > 0)
        };
        let xl = layers.clone().any(|(network, name, _)| network == Network::Text2 || deep(name));
        let by_text = || (width(Network::Text, "self_attn_q_proj")? == 1024).then_some(Family::Sd2);
        let family = xl.then_some(Family::Sdxl).or_else(|| Self::written(metadata)).or_else(by_text);
        Self { family, context: None }
    }

    /// What the trainer wrote.
    fn written(metadata: &BTreeMap<String, String>) -> Option<Family> {
        let versions =
            ["ss_base_model_version", "modelspec.architecture"].into_iter().filter_map(|key| metadata.get(key));
        let known = |version: &String| VERSIONS.iter().find(|(start, _)| version.starts_with(start));
        let family = versions.filter_map(known).map(|(_, family)| *family).next();
        family.or_else(|| (metadata.get("ss_v2")? == "True").then_some(Family::Sd2))
    }

    /// The family of a network that this engine has no names for, by the names in the file.
    pub(super) fn foreign(keys: &[&str]) -> Option<Family> {
        let any = |words: &[&str]| keys.iter().any(|key| words.iter().any(|word| key.contains(word)));
        if any(&["single_transformer_blocks", "double_blocks", "single_blocks"]) {
            return Some(Family::Flux);
        }
        if any(&["joint_blocks", "lora_te3_", "text_encoder_3."]) {
            return Some(Family::Sd3);
        }
        let other =
            |key: &str| ["lora_transformer_", "transformer.", "lora_prior_"].iter().any(|start| key.starts_with(start));
        keys.iter().any(|key| other(key)).then_some(Family::Unknown)
    }

    /// Whether it can be used with a model.
    pub(super) fn fits(self, family: Family, context: Option<usize>) -> bool {
        match (self.context, context, self.family) {
            (Some(own), Some(context), _) => own == context,
            (_, _, Some(own)) => own == family,
            _ => true,
        }
    }

    /// A noun phrase for messages.
    pub(super) fn description(self) -> String {
        match (self.family, self.context) {
            (Some(family), _) => family.description().to_owned(),
            (None, Some(context)) => format!("a model whose text has {context} features"),
            (None, None) => "an unknown model".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_names(names: &[(Network, &'static str)], metadata: &[(&str, &str)]) -> Option<Family> {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Base::of(names.iter().map(|(network, name)| (*network, *name, None)), &metadata).family
    }

    #[test]
    fn a_base_is_known_by_names_or_by_what_was_written() {
        let first = (Network::UNet, "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q");
        let deep = (Network::UNet, "input_blocks_7_1_transformer_blocks_9_attn1_to_q");
        assert_eq!(of_names(&[first], &[]), None);
        assert_eq!(of_names(&[first, deep], &[]), Some(Family::Sdxl));
        assert_eq!(of_names(&[(Network::Text2, "x")], &[]), Some(Family::Sdxl));
        assert_eq!(of_names(&[first], &[("ss_base_model_version", "sd_v1")]), Some(Family::Sd1));
        assert_eq!(of_names(&[first], &[("ss_v2", "True")]), Some(Family::Sd2));
        assert_eq!(of_names(&[first], &[("ss_v2", "False")]), None);
        let architecture = [("modelspec.architecture", "stable-diffusion-xl-v1-base/lora")];
        assert_eq!(of_names(&[first], &architecture), Some(Family::Sdxl));
    }

    #[test]
    fn other_networks_are_known_by_their_names() {
        let of = |key: &'static str| Base::foreign(&[key]);
        assert_eq!(of("transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"), Some(Family::Flux));
        assert_eq!(of("lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight"), Some(Family::Flux));
        assert_eq!(of("lora_te3_encoder_block_0.lora_up.weight"), Some(Family::Sd3));
        assert_eq!(of("lora_transformer_blocks_0.lora_up.weight"), Some(Family::Unknown));
        assert_eq!(of("lora_unet_up_blocks_1_attentions_0_proj_in.lora_up.weight"), None);
    }

    #[test]
    fn a_network_fits_the_models_of_its_family() {
        let base = Base { family: Some(Family::Sd1), context: None };
        assert!(base.fits(Family::Sd1, Some(768)));
        assert!(!base.fits(Family::Sdxl, Some(2048)));
        let tiny = Base { family: None, context: Some(128) };
        assert!(tiny.fits(Family::Sd1, Some(128)) && !tiny.fits(Family::Sd1, Some(768)));
    }
}
