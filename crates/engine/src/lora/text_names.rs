use std::ops::Range;

/// A layer of a text encoder as transformers names it, inside a tensor of the file.
pub(super) struct TextLayer {
    /// The layer's path without `text_model.`.
    pub(super) name: String,
    /// Whether the tensor is the layer's bias.
    pub(super) bias: bool,
    /// Which thirds of the tensor it is; the whole tensor if `None`.
    pub(super) third: Option<usize>,
    /// Whether the file has inputs before outputs.
    pub(super) transposed: bool,
}

impl TextLayer {
    fn whole(name: String, bias: bool) -> Self {
        Self { name, bias, third: None, transposed: false }
    }

    /// The rows of a tensor of `rows` rows that belong to it.
    pub(super) fn rows(&self, rows: usize) -> Range<usize> {
        match self.third {
            Some(third) => third * (rows / 3)..(third + 1) * (rows / 3),
            None => 0..rows,
        }
    }
}

/// The layers inside a tensor of CLIP's own text encoder; `tensor` is what follows the encoder's prefix.
pub(super) fn clip(tensor: &str) -> Vec<TextLayer> {
    let name = tensor.strip_prefix("text_model.").unwrap_or(tensor);
    let layer = match name.rsplit_once('.') {
        Some((layer, "weight")) => TextLayer::whole(layer.to_owned(), false),
        Some((layer, "bias")) => TextLayer::whole(layer.to_owned(), true),
        _ => return Vec::new(),
    };
    vec![layer]
}

/// The layers inside a tensor of OpenCLIP's text encoder, where queries, keys and values are one tensor.
pub(super) fn open_clip(tensor: &str) -> Vec<TextLayer> {
    let whole = |name: &str, bias| vec![TextLayer::whole(name.to_owned(), bias)];
    match tensor {
        "token_embedding.weight" => return whole("embeddings.token_embedding", false),
        "positional_embedding" => return whole("embeddings.position_embedding", false),
        "ln_final.weight" => return whole("final_layer_norm", false),
        "ln_final.bias" => return whole("final_layer_norm", true),
        "text_projection" => {
            return vec![TextLayer { transposed: true, ..TextLayer::whole(tensor.to_owned(), false) }];
        }
        _ => {}
    }
    let Some((number, layer)) = tensor.strip_prefix("transformer.resblocks.").and_then(|rest| rest.split_once('.'))
    else {
        return Vec::new();
    };
    let (layer, bias) = match layer {
        "attn.in_proj_weight" | "attn.in_proj_bias" => {
            let part = |(third, letter)| TextLayer {
                third: Some(third),
                ..TextLayer::whole(format!("encoder.layers.{number}.self_attn.{letter}_proj"), layer.ends_with("bias"))
            };
            return ["q", "k", "v"].into_iter().enumerate().map(part).collect();
        }
        _ => match layer.rsplit_once('.') {
            Some((layer, "weight")) => (layer, false),
            Some((layer, "bias")) => (layer, true),
            _ => return Vec::new(),
        },
    };
    let layer = match layer {
        "attn.out_proj" => "self_attn.out_proj",
        "ln_1" => "layer_norm1",
        "ln_2" => "layer_norm2",
        "mlp.c_fc" => "mlp.fc1",
        "mlp.c_proj" => "mlp.fc2",
        _ => return Vec::new(),
    };
    whole(&format!("encoder.layers.{number}.{layer}"), bias)
}
