use candle_core::{Result, Tensor};

use super::label::LabelEmbedding;
use super::sinusoids;
use super::transformer::Text;
use super::{Part, parts};
use crate::EngineError;
use crate::checkpoint::{Family, Scope};
use crate::layers::{Convolution, Linear, Resize, silu};

/// The way down to the smallest size and the middle: what a UNet and its ControlNets have in common.
pub(crate) struct Trunk {
    time: [Linear; 2],
    label: Option<LabelEmbedding>,
    input: Convolution,
    down: Vec<Vec<Part>>,
    middle: Vec<Part>,
    /// Channels of what each block on the way down hands on.
    widths: Vec<usize>,
    outputs: usize,
}

/// What a trunk makes of a latent.
pub(crate) struct Descent {
    /// The activated embedding of the time, which every residual block projects.
    pub(crate) time: Tensor,
    /// What each block on the way down handed on, `[batch, height, width, channels]`.
    pub(crate) skipped: Vec<Tensor>,
    /// What the middle handed on.
    pub(crate) middle: Tensor,
}

impl Trunk {
    /// Loads `time_embed`, `label_emb`, `input_blocks` and `middle_block`.
    pub(super) fn load(scope: &Scope<'_>, text: Text) -> std::result::Result<Self, EngineError> {
        let input = Convolution::load(&scope.scope("input_blocks.0.0"), Resize::Keep)?;
        let mut channels = input.outputs();
        let first = Linear::load_for(&scope.scope("time_embed.0"), channels)?;
        let second = Linear::load_for(&scope.scope("time_embed.2"), first.outputs())?;
        let time = second.outputs();
        let label = match scope.contains("label_emb.0.0.weight") {
            true => Some(LabelEmbedding::load(&scope.scope("label_emb.0"), time)?),
            false => None,
        };
        let mut widths = vec![channels];
        let mut down = Vec::new();
        loop {
            let block = parts(&scope.scope(&format!("input_blocks.{}", down.len() + 1)), &mut channels, text, time)?;
            if block.is_empty() {
                break;
            }
            widths.push(channels);
            down.push(block);
        }
        let middle = parts(&scope.scope("middle_block"), &mut channels, text, time)?;
        Ok(Self { time: [first, second], label, input, down, middle, widths, outputs: channels })
    }

    /// Loads the trunk of a ControlNet for models of a family; `context` is the width of their text encoders.
    pub(crate) fn load_for(
        scope: &Scope<'_>,
        family: Family,
        context: usize,
    ) -> std::result::Result<Self, EngineError> {
        Self::load(scope, Text::of(family, context))
    }

    /// Channels of the latent and what is beside it.
    pub(crate) fn inputs(&self) -> usize {
        self.input.inputs()
    }

    /// Channels of what each block on the way down hands on.
    pub(crate) fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// Channels of what the middle hands on.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Features of the embedding of the time.
    pub(super) fn time_width(&self) -> usize {
        self.time[1].outputs()
    }

    /// How often the picture is halved.
    pub(super) fn halvings(&self) -> usize {
        self.down.iter().flatten().filter(|part| part.resizes()).count()
    }

    /// Features of the label, where there is one.
    pub(crate) fn label_width(&self) -> Option<usize> {
        self.label.as_ref().map(LabelEmbedding::width)
    }

    /// # Shapes
    /// - latent: `[batch, height / 8, width / 8, inputs]`
    /// - hint: `[1, height / 8, width / 8, first width]`, added to what the first convolution makes
    /// - context: `[batch, words, text encoder width]`; label: `[batch, label width]`
    pub(crate) fn forward(
        &self,
        latent: &Tensor,
        hint: Option<&Tensor>,
        timestep: f32,
        context: &Tensor,
        label: Option<&Tensor>,
    ) -> Result<Descent> {
        let time = self.time_embedding(latent.dims()[0], timestep, label)?;
        let mut x = self.input.forward(latent)?;
        if let Some(hint) = hint {
            x = x.broadcast_add(hint)?;
        }
        let mut skipped = vec![x.clone()];
        for block in &self.down {
            for part in block {
                x = part.forward(&x, &time, context, None)?;
            }
            skipped.push(x.clone());
        }
        for part in &self.middle {
            x = part.forward(&x, &time, context, None)?;
        }
        Ok(Descent { time, skipped, middle: x })
    }

    /// The activated embedding that every residual block projects.
    ///
    /// # Shapes
    /// - result: `[batch, 4 * first width]`
    fn time_embedding(&self, batch: usize, timestep: f32, label: Option<&Tensor>) -> Result<Tensor> {
        let width = self.time[0].inputs();
        let waves = sinusoids(timestep, width);
        let x = Tensor::from_vec(waves.repeat(batch), (batch, width), &candle_core::Device::Cpu)?;
        let time = self.time[1].forward(&silu(&self.time[0].forward(&x)?)?)?;
        match (&self.label, label) {
            (Some(embedding), Some(label)) => silu(&(time + embedding.forward(label)?)?),
            (None, None) => silu(&time),
            (Some(_), None) => candle_core::bail!("a network that is conditioned on sizes got none"),
            (None, Some(_)) => candle_core::bail!("a network that is not conditioned on sizes got some"),
        }
    }
}
