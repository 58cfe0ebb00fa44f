use serde_json::{Map, Value};

use super::key::Network;

/// The settings that peft had in training, which diffusers writes into the file's metadata. Files of older versions
/// lack them; there `alpha` is the rank.
pub(super) struct PeftAlpha(Map<String, Value>);

impl PeftAlpha {
    /// Reads `lora_adapter_metadata`.
    pub(super) fn read(json: Option<&String>) -> Self {
        match json.map(|json| serde_json::from_str(json)) {
            Some(Ok(Value::Object(all))) => Self(all),
            _ => Self(Map::new()),
        }
    }

    /// What a layer's change is multiplied by; `None` if the file does not say.
    pub(super) fn scale(&self, network: Network, layer: &str, rank: usize) -> Option<f32> {
        let network = match network {
            Network::UNet => "unet",
            Network::Text => "text_encoder",
            Network::Text2 => "text_encoder_2",
        };
        let get = |key: &str| self.0.get(&format!("{network}.{key}"));
        // a pattern is the end of the layer's name
        let own = get("alpha_pattern").and_then(Value::as_object).and_then(|patterns| {
            let matches = |pattern: &str| {
                let pattern = pattern.replace('.', "_");
                layer.strip_suffix(pattern.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('_'))
            };
            patterns.iter().find(|(pattern, _)| matches(pattern)).map(|(_, alpha)| alpha)
        });
        let alpha = own.or_else(|| get("lora_alpha"))?.as_f64()?;
        let stabilized = get("use_rslora").and_then(Value::as_bool).unwrap_or(false);
        let rank = rank as f64;
        let scale = (alpha / if stabilized { rank.sqrt() } else { rank }) as f32;
        scale.is_finite().then_some(scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_that_of_the_layer_or_of_the_network() {
        let json = r#"{"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_q": 2.0}, "text_encoder.lora_alpha": 8,
                       "text_encoder.use_rslora": true}"#;
        let alpha = PeftAlpha::read(Some(&json.to_owned()));
        assert_eq!(alpha.scale(Network::UNet, "mid_block_attn1_to_k", 4), Some(2.0));
        assert_eq!(alpha.scale(Network::UNet, "mid_block_attn1_to_q", 4), Some(0.5));
        assert_eq!(alpha.scale(Network::Text, "q_proj", 16), Some(2.0));
        assert_eq!(alpha.scale(Network::Text2, "q_proj", 16), None);
        assert_eq!(PeftAlpha::read(Some(&"nonsense".to_owned())).scale(Network::UNet, "x", 4), None);
        assert_eq!(PeftAlpha::read(None).scale(Network::UNet, "x", 4), None);
    }
}
