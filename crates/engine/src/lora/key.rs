/// Which network of a model a key speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Network {
    UNet,
    /// The only text encoder, or the first of two.
    Text,
    /// The second text encoder of SDXL.
    Text2,
}

/// One tensor of a LoRA file: which layer it belongs to, and what it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) network: Network,
    /// The layer's path with `_` between its parts, in whatever naming the file has.
    pub(super) layer: String,
    pub(super) part: Part,
}

/// What a tensor is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    Up,
    Down,
    Mid,
    Alpha,
    /// DoRA's magnitudes as LyCORIS and kohya write them: the axis follows from the shape.
    DoraScale,
    /// DoRA's magnitudes as peft writes them: always one for each output.
    Magnitude,
    HadaW1A,
    HadaW1B,
    HadaW2A,
    HadaW2B,
    HadaT1,
    HadaT2,
    KronW1,
    KronW1A,
    KronW1B,
    KronW2,
    KronW2A,
    KronW2B,
    KronT2,
    /// A whole difference of the weight.
    Diff,
    /// A whole difference of the bias.
    DiffBias,
    /// IA3's factors.
    Factor,
    /// Whether IA3's factors belong to the inputs.
    OnInput,
}

/// Endings of keys: kohya and LyCORIS, peft (which may put the adapter's name between), and diffusers before peft.
const ENDINGS: [(&str, Part); 38] = [
    (".lora_up.weight", Part::Up),
    (".lora_down.weight", Part::Down),
    (".lora_mid.weight", Part::Mid),
    (".lora_B.weight", Part::Up),
    (".lora_A.weight", Part::Down),
    (".lora_B.default.weight", Part::Up),
    (".lora_A.default.weight", Part::Down),
    (".lora_B", Part::Up),
    (".lora_A", Part::Down),
    (".lora.up.weight", Part::Up),
    (".lora.down.weight", Part::Down),
    ("_lora.up.weight", Part::Up),
    ("_lora.down.weight", Part::Down),
    (".lora_linear_layer.up.weight", Part::Up),
    (".lora_linear_layer.down.weight", Part::Down),
    (".alpha", Part::Alpha),
    (".dora_scale", Part::DoraScale),
    (".lora_magnitude_vector", Part::Magnitude),
    (".lora_magnitude_vector.weight", Part::Magnitude),
    (".lora_magnitude_vector.default.weight", Part::Magnitude),
    (".hada_w1_a", Part::HadaW1A),
    (".hada_w1_b", Part::HadaW1B),
    (".hada_w2_a", Part::HadaW2A),
    (".hada_w2_b", Part::HadaW2B),
    (".hada_t1", Part::HadaT1),
    (".hada_t2", Part::HadaT2),
    (".lokr_w1", Part::KronW1),
    (".lokr_w1_a", Part::KronW1A),
    (".lokr_w1_b", Part::KronW1B),
    (".lokr_w2", Part::KronW2),
    (".lokr_w2_a", Part::KronW2A),
    (".lokr_w2_b", Part::KronW2B),
    (".lokr_t2", Part::KronT2),
    (".diff", Part::Diff),
    (".diff_b", Part::DiffBias),
    (".w_norm", Part::Diff),
    (".b_norm", Part::DiffBias),
    (".on_input", Part::OnInput),
];

/// Starts of keys, those that begin others first. `lycoris_` is how SimpleTuner names UNets; `text_encoders.` is how
/// ComfyUI saves what it trained or extracted.
const STARTS: [(&str, Network); 18] = [
    ("lora_unet_", Network::UNet),
    ("lora_te1_", Network::Text),
    ("lora_te2_", Network::Text2),
    ("lora_te_", Network::Text),
    ("lycoris_", Network::UNet),
    ("unet.", Network::UNet),
    ("text_encoder.", Network::Text),
    ("text_encoder_2.", Network::Text2),
    ("model.diffusion_model.", Network::UNet),
    ("diffusion_model.", Network::UNet),
    ("text_encoders.clip_l.transformer.", Network::Text),
    ("text_encoders.clip_h.transformer.", Network::Text),
    ("text_encoders.clip_g.transformer.", Network::Text2),
    ("conditioner.embedders.0.transformer.", Network::Text),
    ("conditioner.embedders.1.model.", Network::Text2),
    ("cond_stage_model.transformer.", Network::Text),
    ("cond_stage_model.model.", Network::Text),
    ("text_model.", Network::Text),
];

impl Key {
    /// What a tensor of this name is; `None` if its name is that of no LoRA-like tensor.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (layer, part) = ENDINGS
            .iter()
            .find_map(|&(ending, part)| Some((name.strip_suffix(ending)?, part)))
            .or_else(|| name.strip_suffix(".weight").map(|layer| (layer, Part::Factor)))?;
        // what peft puts before the names of the network that it wraps
        let layer = layer.strip_prefix("base_model.model.").unwrap_or(layer);
        let (network, path) = STARTS
            .iter()
            .find_map(|&(start, network)| Some((network, layer.strip_prefix(start)?)))
            .unwrap_or((Network::UNet, layer));
        let mut layer = path.replace(".processor.", ".").replace('.', "_");
        if network != Network::UNet
            && let Some(inner) = layer.strip_prefix("text_model_")
        {
            layer = inner.to_owned();
        }
        (!layer.is_empty()).then_some(Self { network, layer, part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> String {
        match Key::parse(name) {
            Some(key) => format!("{:?} {} {:?}", key.network, key.layer, key.part),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn every_naming_in_the_wild_is_read() {
        let query = "down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_q";
        let dotted = "down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q";
        let processor = "down_blocks.0.attentions.1.transformer_blocks.0.attn1.processor.to_q";
        for (name, part) in [
            (format!("lora_unet_{query}.lora_down.weight"), "Down"), // kohya
            (format!("lora_unet_{query}.dora_scale"), "DoraScale"),
            (format!("lora_unet_{query}.lokr_w2_a"), "KronW2A"), // LyCORIS
            (format!("lycoris_{query}.hada_t1"), "HadaT1"),      // SimpleTuner
            (format!("unet.{dotted}.lora_A.weight"), "Down"),    // diffusers with peft
            (format!("unet.{dotted}.lora_magnitude_vector"), "Magnitude"),
            (format!("unet.{dotted}.lora.up.weight"), "Up"), // diffusers 0.22
            (format!("unet.{processor}_lora.up.weight"), "Up"), // diffusers 0.17
            (format!("{processor}_lora.down.weight"), "Down"), // diffusers 0.13
            (format!("base_model.model.{dotted}.lora_B.weight"), "Up"), // peft alone
            (format!("base_model.model.{dotted}.lora_B.default.weight"), "Up"),
        ] {
            assert_eq!(parsed(&name), format!("UNet {query} {part}"), "{name}");
        }
        let query = "encoder_layers_3_self_attn_q_proj";
        let dotted = "text_model.encoder.layers.3.self_attn.q_proj";
        for (name, network) in [
            (format!("lora_te_text_model_{query}.alpha"), "Text"),
            (format!("lora_te1_text_model_{query}.alpha"), "Text"),
            (format!("lora_te2_text_model_{query}.alpha"), "Text2"),
            (format!("text_encoder.{dotted}.alpha"), "Text"),
            (format!("text_encoder_2.{dotted}.alpha"), "Text2"),
            (format!("text_encoders.clip_g.transformer.{dotted}.alpha"), "Text2"),
            (format!("base_model.model.{dotted}.alpha"), "Text"),
        ] {
            assert_eq!(parsed(&name), format!("{network} {query} Alpha"), "{name}");
        }
        assert_eq!(parsed("lora_unet_input_blocks_4_1_norm.w_norm"), "UNet input_blocks_4_1_norm Diff");
        assert_eq!(parsed("lora_te2_text_projection.lora_up.weight"), "Text2 text_projection Up");
        assert_eq!(parsed("lora_unet_out_2.weight"), "UNet out_2 Factor");
    }

    #[test]
    fn other_tensors_are_nothing() {
        for name in ["", ".alpha", "emb_params", "bundle_emb.cat.string_to_param.*", "lora_unet_", "lora_unet_.alpha"] {
            assert_eq!(parsed(name), "none", "{name}");
        }
    }
}
