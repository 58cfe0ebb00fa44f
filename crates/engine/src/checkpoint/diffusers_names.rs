//! The names of tensors in diffusers folders as those of single files.

use std::collections::BTreeSet;

/// Parts of a residual block's names.
const RESIDUAL: [(&str, &str); 6] = [
    ("time_emb_proj.", "emb_layers.1."),
    ("norm1.", "in_layers.0."),
    ("conv1.", "in_layers.2."),
    ("norm2.", "out_layers.0."),
    ("conv2.", "out_layers.3."),
    ("conv_shortcut.", "skip_connection."),
];

/// The same for the autoencoder; the attention's names are today's and those of early files.
const AUTOENCODER: [(&str, &str); 11] = [
    ("group_norm.", "norm."),
    ("to_q.", "q."),
    ("to_k.", "k."),
    ("to_v.", "v."),
    ("to_out.0.", "proj_out."),
    ("query.", "q."),
    ("key.", "k."),
    ("value.", "v."),
    ("proj_attn.", "proj_out."),
    ("conv_shortcut.", "nin_shortcut."),
    ("conv_norm_out.", "norm_out."),
];

/// `name` with its start replaced by the first fitting pair, or as it is.
fn started(name: &str, table: &[(&str, &str)]) -> String {
    let replaced = |(old, new): &(&str, &str)| Some(format!("{new}{}", name.strip_prefix(old)?));
    table.iter().find_map(replaced).unwrap_or_else(|| name.to_owned())
}

/// How a UNet's blocks are counted, as its names tell.
pub(super) struct UNetNames {
    /// Residual blocks per level on the way down.
    layers: usize,
    /// Levels on the way up that have transformers.
    attentive: BTreeSet<usize>,
}

impl UNetNames {
    /// Learns from all names of the UNet's files.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let number = |text: &str| text.split('.').next()?.parse::<usize>().ok();
        let first = names.clone().filter_map(|name| number(name.strip_prefix("down_blocks.0.resnets.")?));
        let attentive = names.filter_map(|name| {
            let rest = name.strip_prefix("up_blocks.")?;
            rest.contains(".attentions.").then(|| number(rest))?
        });
        Self { layers: first.max().map_or(0, |last| last.saturating_add(1)), attentive: attentive.collect() }
    }

    /// The name in a single file; `None` for a name of no known pattern.
    pub(super) fn single(&self, name: &str) -> Option<String> {
        const TIME: [(&str, &str); 7] = [
            ("time_embedding.linear_1.", "time_embed.0."),
            ("time_embedding.linear_2.", "time_embed.2."),
            ("add_embedding.linear_1.", "label_emb.0.0."),
            ("add_embedding.linear_2.", "label_emb.0.2."),
            ("conv_in.", "input_blocks.0.0."),
            ("conv_norm_out.", "out.0."),
            ("conv_out.", "out.2."),
        ];
        const MIDDLE: [(&str, usize); 3] = [("resnets.0.", 0), ("attentions.0.", 1), ("resnets.1.", 2)];
        let prefix = "model.diffusion_model.";
        if TIME.iter().any(|(old, _)| name.starts_with(old)) {
            return Some(format!("{prefix}{}", started(name, &TIME)));
        }
        if let Some(rest) = name.strip_prefix("mid_block.") {
            let (old, number) = MIDDLE.iter().find(|(old, _)| rest.starts_with(old))?;
            let rest = rest.strip_prefix(old)?;
            let rest = if *number == 1 { rest.to_owned() } else { started(rest, &RESIDUAL) };
            return Some(format!("{prefix}middle_block.{number}.{rest}"));
        }
        let down = name.starts_with("down_blocks.");
        let rest = name.strip_prefix(if down { "down_blocks." } else { "up_blocks." })?;
        let mut parts = rest.splitn(4, '.');
        let (level, kind, index, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (level, index): (usize, usize) = (level.parse().ok()?, index.parse().ok()?);
        let per_level = self.layers.checked_add(1)?;
        let first = level.checked_mul(per_level)?;
        let (block, part, rest) = match (down, kind) {
            (true, "downsamplers") => (first.checked_add(per_level)?, 0, format!("op.{}", rest.strip_prefix("conv.")?)),
            (false, "upsamplers") => {
                (first.checked_add(self.layers)?, 1 + usize::from(self.attentive.contains(&level)), rest.to_owned())
            }
            (_, "resnets") => (first.checked_add(index)?, 0, started(rest, &RESIDUAL)),
            (_, "attentions") => (first.checked_add(index)?, 1, rest.to_owned()),
            _ => return None,
        };
        Some(match down {
            true if kind == "downsamplers" => format!("{prefix}input_blocks.{block}.{part}.{rest}"),
            true => format!("{prefix}input_blocks.{}.{part}.{rest}", block.checked_add(1)?),
            false => format!("{prefix}output_blocks.{block}.{part}.{rest}"),
        })
    }
}

/// The names of a ControlNet: those of a UNet's way down, and its own.
pub(super) struct ControlNames(UNetNames);

impl ControlNames {
    /// Learns from all names of the ControlNet's files.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        Self(UNetNames::of(names))
    }

    /// The name in a single file; `None` for a name of no known pattern, and for one that is a single file's already.
    pub(super) fn single(&self, name: &str) -> Option<String> {
        const OWN: [(&str, &str); 3] = [
            ("controlnet_cond_embedding.conv_in.", "input_hint_block.0."),
            ("controlnet_cond_embedding.conv_out.", "input_hint_block.14."),
            ("controlnet_mid_block.", "middle_block_out.0."),
        ];
        let numbered = |start: &str| {
            let (number, rest) = name.strip_prefix(start)?.split_once('.')?;
            Some((number.parse::<usize>().ok()?, rest))
        };
        let prefix = "control_model.";
        if OWN.iter().any(|(old, _)| name.starts_with(old)) {
            return Some(format!("{prefix}{}", started(name, &OWN)));
        }
        if let Some((number, rest)) = numbered("controlnet_cond_embedding.blocks.") {
            let number = number.checked_mul(2)?.checked_add(2)?;
            return Some(format!("{prefix}input_hint_block.{number}.{rest}"));
        }
        if let Some((number, rest)) = numbered("controlnet_down_blocks.") {
            return Some(format!("{prefix}zero_convs.{number}.0.{rest}"));
        }
        Some(format!("{prefix}{}", self.0.single(name)?.strip_prefix("model.diffusion_model.")?))
    }
}

/// How an autoencoder's levels are counted.
pub(super) struct VaeNames {
    levels: usize,
}

impl VaeNames {
    /// Learns from all names of the autoencoder's files.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let level = |name: &'a str| name.strip_prefix("decoder.up_blocks.")?.split('.').next()?.parse::<usize>().ok();
        Self { levels: names.filter_map(level).max().map_or(0, |last| last.saturating_add(1)) }
    }

    /// The name in a single file. Names that are a single file's already, with or without `first_stage_model.`, stay.
    pub(super) fn single(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix("first_stage_model.").unwrap_or(name);
        let known = ["encoder.", "decoder.", "quant_conv.", "post_quant_conv."];
        if !known.iter().any(|start| name.starts_with(start)) {
            return None;
        }
        let prefix = "first_stage_model";
        let Some((half, rest)) = name.split_once('.').filter(|(half, _)| matches!(*half, "encoder" | "decoder")) else {
            return Some(format!("{prefix}.{name}"));
        };
        const MIDDLE: [(&str, &str); 3] =
            [("resnets.0.", "mid.block_1."), ("resnets.1.", "mid.block_2."), ("attentions.0.", "mid.attn_1.")];
        if let Some(rest) = rest.strip_prefix("mid_block.") {
            let (old, new) = MIDDLE.iter().find(|(old, _)| rest.starts_with(old))?;
            return Some(format!("{prefix}.{half}.{new}{}", started(rest.strip_prefix(old)?, &AUTOENCODER)));
        }
        for (old, new) in [("down_blocks.", "down"), ("up_blocks.", "up")] {
            let Some(rest) = rest.strip_prefix(old) else { continue };
            let mut parts = rest.splitn(4, '.');
            let (level, kind, index, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            let level: usize = level.parse().ok()?;
            // single files count the decoder's levels from the largest picture
            let level = if new == "up" { self.levels.checked_sub(level.checked_add(1)?)? } else { level };
            return Some(match kind {
                "resnets" => format!("{prefix}.{half}.{new}.{level}.block.{index}.{}", started(rest, &AUTOENCODER)),
                "downsamplers" => format!("{prefix}.{half}.{new}.{level}.downsample.{rest}"),
                "upsamplers" => format!("{prefix}.{half}.{new}.{level}.upsample.{rest}"),
                _ => return None,
            });
        }
        Some(format!("{prefix}.{half}.{}", started(rest, &AUTOENCODER)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unet_names_become_those_of_single_files() {
        let all = [
            "down_blocks.0.resnets.0.conv1.weight",
            "down_blocks.0.resnets.1.conv1.weight",
            "up_blocks.1.attentions.0.norm.weight",
        ];
        let names = UNetNames::of(all.into_iter());
        for (name, expected) in [
            ("conv_in.weight", "input_blocks.0.0.weight"),
            ("time_embedding.linear_2.bias", "time_embed.2.bias"),
            ("add_embedding.linear_1.weight", "label_emb.0.0.weight"),
            ("down_blocks.0.resnets.1.time_emb_proj.bias", "input_blocks.2.0.emb_layers.1.bias"),
            ("down_blocks.0.downsamplers.0.conv.weight", "input_blocks.3.0.op.weight"),
            (
                "down_blocks.1.attentions.0.transformer_blocks.3.norm1.weight",
                "input_blocks.4.1.transformer_blocks.3.norm1.weight",
            ),
            ("mid_block.resnets.1.conv_shortcut.weight", "middle_block.2.skip_connection.weight"),
            ("mid_block.attentions.0.norm.weight", "middle_block.1.norm.weight"),
            ("up_blocks.0.upsamplers.0.conv.bias", "output_blocks.2.1.conv.bias"),
            ("up_blocks.1.upsamplers.0.conv.bias", "output_blocks.5.2.conv.bias"),
            ("up_blocks.1.resnets.2.norm2.weight", "output_blocks.5.0.out_layers.0.weight"),
            ("conv_out.bias", "out.2.bias"),
        ] {
            assert_eq!(names.single(name), Some(format!("model.diffusion_model.{expected}")));
        }
        for name in
            ["", "x.y", "down_blocks.a.resnets.0.x", "up_blocks.99999999999999999999.resnets.0.x", "mid_block.x"]
        {
            assert_eq!(names.single(name), None, "{name}");
        }
        assert_eq!(names.single("down_blocks.18446744073709551615.resnets.0.x"), None);
    }

    #[test]
    fn autoencoder_names_become_those_of_single_files() {
        let names = VaeNames::of(["decoder.up_blocks.3.resnets.0.conv1.weight"].into_iter());
        for (name, expected) in [
            ("decoder.up_blocks.0.resnets.2.conv1.weight", "decoder.up.3.block.2.conv1.weight"),
            ("decoder.up_blocks.3.resnets.0.conv_shortcut.bias", "decoder.up.0.block.0.nin_shortcut.bias"),
            ("decoder.up_blocks.1.upsamplers.0.conv.bias", "decoder.up.2.upsample.conv.bias"),
            ("encoder.down_blocks.2.downsamplers.0.conv.bias", "encoder.down.2.downsample.conv.bias"),
            ("encoder.mid_block.attentions.0.to_out.0.weight", "encoder.mid.attn_1.proj_out.weight"),
            ("decoder.mid_block.attentions.0.query.weight", "decoder.mid.attn_1.q.weight"),
            ("decoder.mid_block.attentions.0.group_norm.bias", "decoder.mid.attn_1.norm.bias"),
            ("decoder.mid_block.resnets.1.norm1.bias", "decoder.mid.block_2.norm1.bias"),
            ("decoder.conv_norm_out.weight", "decoder.norm_out.weight"),
            ("post_quant_conv.weight", "post_quant_conv.weight"),
            ("first_stage_model.decoder.mid.attn_1.q.weight", "decoder.mid.attn_1.q.weight"),
            ("decoder.up.0.block.0.conv1.weight", "decoder.up.0.block.0.conv1.weight"),
        ] {
            assert_eq!(names.single(name), Some(format!("first_stage_model.{expected}")));
        }
        assert_eq!(names.single("loss.logvar"), None);
        assert_eq!(names.single("decoder.up_blocks.9.resnets.0.x"), None);
    }
}
