use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::key::Network;
use super::text_names::{TextLayer, clip, open_clip};
use super::unet_names::UnetNames;

/// Where the layers of a model lie in its tensors, under every name that LoRA files call them.
///
/// A table is built rather than names taken apart: `_` separates the parts of a path and also occurs inside them, so
/// only the names that exist tell which is which.
pub(super) struct ModelNames {
    layers: HashMap<(Network, String), Layer>,
    context: Option<usize>,
}

/// A layer's tensors.
#[derive(Clone, Default)]
pub(super) struct Layer {
    pub(super) weight: Option<Place>,
    pub(super) bias: Option<Place>,
}

/// A layer's weight or bias inside a tensor of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The tensor, as single files call it.
    pub(super) tensor: String,
    /// The layer's elements in the tensor.
    pub(super) elements: Range<usize>,
    /// The layer's shape: `[outputs, inputs, ..]`.
    pub(super) shape: Vec<usize>,
    /// Whether the tensor has inputs before outputs.
    pub(super) transposed: bool,
}

impl Place {
    /// Whether it is the UNet's first convolution, which has more inputs in models for inpainting and editing.
    pub(super) fn is_widened(&self) -> bool {
        self.tensor == "model.diffusion_model.input_blocks.0.0.weight"
    }
}

const UNET: &str = "model.diffusion_model.";

type Split = fn(&str) -> Vec<TextLayer>;

/// Prefixes of text encoders, how their tensors divide into layers, and which text encoder of a LoRA they are. The
/// refiner's only one is SDXL's second.
const TEXT: [(&str, Split, &[Network]); 5] = [
    ("cond_stage_model.transformer.", clip, &[Network::Text]),
    ("cond_stage_model.model.", open_clip, &[Network::Text]),
    ("conditioner.embedders.0.transformer.", clip, &[Network::Text]),
    ("conditioner.embedders.1.model.", open_clip, &[Network::Text2]),
    ("conditioner.embedders.0.model.", open_clip, &[Network::Text, Network::Text2]),
];

impl ModelNames {
    /// Takes a model's tensors by the names of the single-file layout, with their shapes.
    pub(super) fn of<'a>(tensors: impl Iterator<Item = (&'a str, &'a [usize])> + Clone) -> Self {
        let unet: BTreeSet<&str> =
            tensors.clone().filter_map(|(name, _)| Some(name.strip_prefix(UNET)?.rsplit_once('.')?.0)).collect();
        let diffusers = UnetNames::of(&unet);
        let mut names = Self { layers: HashMap::new(), context: None };
        for (tensor, shape) in tensors {
            if let Some(name) = tensor.strip_prefix(UNET) {
                names.add_unet(&diffusers, tensor, name, shape);
            }
            for (prefix, split, networks) in TEXT {
                if let Some(name) = tensor.strip_prefix(prefix) {
                    for layer in split(name) {
                        names.add_text(networks, tensor, &layer, shape);
                    }
                }
            }
        }
        names
    }

    fn add_unet(&mut self, diffusers: &UnetNames, tensor: &str, name: &str, shape: &[usize]) {
        let (layer, bias) = match name.rsplit_once('.') {
            Some((layer, "weight")) => (layer, false),
            Some((layer, "bias")) => (layer, true),
            _ => return,
        };
        if let (true, [_, width]) = (name.ends_with("attn2.to_k.weight"), shape) {
            self.context = Some(*width);
        }
        let place = Place {
            tensor: tensor.to_owned(),
            elements: 0..shape.iter().product(),
            shape: shape.to_vec(),
            transposed: false,
        };
        let other = diffusers.diffusers(layer);
        for name in [Some(layer), other.as_deref()].into_iter().flatten() {
            self.add(Network::UNet, name, bias, &place);
            // diffusers before peft left the number out
            if let Some(name) = name.strip_suffix(".to_out.0") {
                self.add(Network::UNet, &format!("{name}.to_out"), bias, &place);
            }
        }
    }

    fn add_text(&mut self, networks: &[Network], tensor: &str, layer: &TextLayer, shape: &[usize]) {
        let [rows, rest @ ..] = shape else { return };
        let row: usize = rest.iter().product();
        let own = layer.rows(*rows);
        let mut shape = vec![own.len()];
        shape.extend(rest);
        if layer.transposed {
            shape.reverse();
        }
        let place = Place {
            tensor: tensor.to_owned(),
            elements: own.start * row..own.end * row,
            shape,
            transposed: layer.transposed,
        };
        for &network in networks {
            self.add(network, &layer.name, layer.bias, &place);
            // diffusers before peft called them as in the UNet
            for letter in ["q", "k", "v", "out"] {
                if let Some(name) = layer.name.strip_suffix(&format!(".self_attn.{letter}_proj")) {
                    self.add(network, &format!("{name}.self_attn.to_{letter}"), layer.bias, &place);
                }
            }
        }
    }

    fn add(&mut self, network: Network, name: &str, bias: bool, place: &Place) {
        let layer = self.layers.entry((network, name.replace('.', "_"))).or_default();
        let side = if bias { &mut layer.bias } else { &mut layer.weight };
        side.get_or_insert_with(|| place.clone());
    }

    /// The layer that a LoRA file calls by this name.
    pub(super) fn get(&self, network: Network, layer: &str) -> Option<&Layer> {
        self.layers.get(&(network, layer.to_owned()))
    }

    /// Features per token that the UNet is conditioned on.
    pub(super) fn context(&self) -> Option<usize> {
        self.context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tensors: &[(&str, &[usize])]) -> ModelNames {
        ModelNames::of(tensors.iter().copied())
    }

    fn found(names: &ModelNames, network: Network, layer: &str) -> String {
        let Some(layer) = names.get(network, layer) else { return "none".to_owned() };
        let show = |place: &Option<Place>| {
            let Some(place) = place else { return "-".to_owned() };
            let turned = if place.transposed { " transposed" } else { "" };
            format!("{}[{:?}] {:?}{turned}", place.tensor, place.elements, place.shape)
        };
        format!("{} {}", show(&layer.weight), show(&layer.bias))
    }

    #[test]
    fn a_unet_has_two_names_for_every_layer() {
        let names = names(&[
            ("model.diffusion_model.input_blocks.0.0.weight", &[8, 4, 3, 3]),
            ("model.diffusion_model.input_blocks.0.0.bias", &[8]),
            ("model.diffusion_model.input_blocks.1.0.in_layers.2.weight", &[8, 8, 3, 3]),
            ("model.diffusion_model.input_blocks.2.0.in_layers.2.weight", &[8, 8, 3, 3]),
            ("model.diffusion_model.input_blocks.3.0.op.weight", &[8, 8, 3, 3]),
            ("model.diffusion_model.input_blocks.4.0.in_layers.2.weight", &[8, 8, 3, 3]),
            ("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", &[8, 6]),
            ("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_out.0.weight", &[8, 8]),
            ("model.diffusion_model.middle_block.2.out_layers.3.weight", &[8, 8, 3, 3]),
            ("model.diffusion_model.output_blocks.0.0.in_layers.2.weight", &[8, 8, 3, 3]),
            ("model.diffusion_model.output_blocks.0.1.conv.weight", &[8, 8, 3, 3]),
            ("model.diffusion_model.output_blocks.1.0.in_layers.2.weight", &[8, 8, 3, 3]),
            ("model.diffusion_model.label_emb.0.2.weight", &[8, 8]),
        ]);
        assert_eq!(names.context(), Some(6));
        for (original, diffusers) in [
            ("input_blocks_0_0", "conv_in"),
            ("input_blocks_2_0_in_layers_2", "down_blocks_0_resnets_1_conv1"),
            ("input_blocks_3_0_op", "down_blocks_0_downsamplers_0_conv"),
            ("input_blocks_4_0_in_layers_2", "down_blocks_1_resnets_0_conv1"),
            (
                "input_blocks_4_1_transformer_blocks_0_attn2_to_k",
                "down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k",
            ),
            (
                "input_blocks_4_1_transformer_blocks_0_attn2_to_out_0",
                "down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out",
            ),
            ("middle_block_2_out_layers_3", "mid_block_resnets_1_conv2"),
            ("output_blocks_0_1_conv", "up_blocks_0_upsamplers_0_conv"),
            ("output_blocks_1_0_in_layers_2", "up_blocks_1_resnets_0_conv1"),
            ("label_emb_0_2", "add_embedding_linear_2"),
        ] {
            let found = found(&names, Network::UNet, original);
            assert_ne!(found, "none", "{original}");
            assert_eq!(found, self::found(&names, Network::UNet, diffusers), "{diffusers}");
        }
        let first = "model.diffusion_model.input_blocks.0.0";
        assert_eq!(
            found(&names, Network::UNet, "conv_in"),
            format!("{first}.weight[0..288] [8, 4, 3, 3] {first}.bias[0..8] [8]")
        );
    }

    #[test]
    fn openclips_one_tensor_for_three_layers_is_divided() {
        let block = "conditioner.embedders.1.model.transformer.resblocks.5.attn.in_proj";
        let names = names(&[
            (&format!("{block}_weight"), &[12, 4]),
            (&format!("{block}_bias"), &[12]),
            ("conditioner.embedders.1.model.text_projection", &[4, 6]),
            ("conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight", &[8, 2]),
        ]);
        let key = "encoder_layers_5_self_attn_k_proj";
        assert_eq!(found(&names, Network::Text2, key), format!("{block}_weight[16..32] [4, 4] {block}_bias[4..8] [4]"));
        assert_eq!(found(&names, Network::Text2, "encoder_layers_5_self_attn_to_v").split(' ').nth(1), Some("[4,"));
        assert_eq!(
            found(&names, Network::Text2, "text_projection"),
            "conditioner.embedders.1.model.text_projection[0..24] [6, 4] transposed -"
        );
        assert_eq!(found(&names, Network::Text, key), "none");
        assert_ne!(found(&names, Network::Text, "encoder_layers_0_mlp_fc1"), "none");
    }
}
