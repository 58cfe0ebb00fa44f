use std::collections::BTreeSet;

/// Names of a residual block's layers in the original code and in diffusers.
const RESIDUAL: [(&str, &str); 6] = [
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
];

/// Names of layers outside the blocks.
const OUTSIDE: [(&str, &str); 7] = [
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("input_blocks.0.0", "conv_in"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
];

/// How the layers of one UNet are called in diffusers.
///
/// The original code numbers all blocks through; diffusers counts levels, and blocks in each level. Where the levels
/// begin follows from which blocks change the picture's size.
pub(super) struct UnetNames {
    /// For each `input_blocks.N`: its level and its place there, or the level that it halves.
    inputs: Vec<Place>,
    outputs: Vec<Place>,
}

/// Where diffusers has a numbered block.
#[derive(Clone, Copy)]
struct Place {
    level: usize,
    index: usize,
    /// Whether the block is or ends with a change of size.
    resizes: bool,
}

impl UnetNames {
    /// Looks at the layers' names of the original code, without what comes before `input_blocks`.
    pub(super) fn of(layers: &BTreeSet<&str>) -> Self {
        let has = |name: String| layers.contains(name.as_str());
        let places = |side: &str, first: usize, resizes: &dyn Fn(usize) -> bool| {
            let (mut level, mut index) = (0, 0);
            let mut places = Vec::new();
            for number in first.. {
                if !has(format!("{side}.{number}.0.in_layers.2")) && !has(format!("{side}.{number}.0.op")) {
                    return places;
                }
                let resizes = resizes(number);
                places.push(Place { level, index, resizes });
                (level, index) = if resizes { (level + 1, 0) } else { (level, index + 1) };
            }
            places
        };
        Self {
            inputs: places("input_blocks", 1, &|n| has(format!("input_blocks.{n}.0.op"))),
            outputs: places("output_blocks", 0, &|n| {
                has(format!("output_blocks.{n}.1.conv")) || has(format!("output_blocks.{n}.2.conv"))
            }),
        }
    }

    /// The name of one layer in diffusers.
    pub(super) fn diffusers(&self, layer: &str) -> Option<String> {
        if let Some((_, name)) = OUTSIDE.iter().find(|(original, _)| *original == layer) {
            return Some((*name).to_owned());
        }
        let (side, rest) = layer.split_once('.')?;
        if side == "middle_block" {
            let (number, rest) = rest.split_once('.')?;
            return match number {
                "0" => Some(format!("mid_block.resnets.0.{}", residual(rest)?)),
                "1" => Some(format!("mid_block.attentions.0.{rest}")),
                "2" => Some(format!("mid_block.resnets.1.{}", residual(rest)?)),
                _ => None,
            };
        }
        let (number, rest) = rest.split_once('.')?;
        let (module, rest) = rest.split_once('.')?;
        let number: usize = number.parse().ok()?;
        let (side, place) = match side {
            "input_blocks" => ("down_blocks", self.inputs.get(number.checked_sub(1)?)?),
            "output_blocks" => ("up_blocks", self.outputs.get(number)?),
            _ => return None,
        };
        let Place { level, index, resizes } = *place;
        match (module, rest) {
            ("0", "op") => Some(format!("{side}.{level}.downsamplers.0.conv")),
            ("1" | "2", "conv") if resizes => Some(format!("{side}.{level}.upsamplers.0.conv")),
            ("0", rest) => Some(format!("{side}.{level}.resnets.{index}.{}", residual(rest)?)),
            ("1", rest) => Some(format!("{side}.{level}.attentions.{index}.{rest}")),
            _ => None,
        }
    }
}

fn residual(layer: &str) -> Option<&'static str> {
    RESIDUAL.iter().find(|(original, _)| *original == layer).map(|(_, name)| *name)
}
