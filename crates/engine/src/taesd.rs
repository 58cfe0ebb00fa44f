use std::path::Path;

use candle_core::{Result, Tensor};

use crate::EngineError;
use crate::checkpoint::{Family, Scope, Weights};
use crate::layers::{Convolution, Resize, leaky_relu};
use crate::vae::LATENT_CHANNELS;

/// The decoder of a tiny autoencoder (TAESD, Ollin Boer Bohan 2023): a picture for a look while it is made, with an
/// eighteenth of the VAE's work. There is one for Stable Diffusion 1.x and 2.x and another for XL; no tensor tells them apart.
pub struct Taesd {
    input: Convolution,
    stages: Vec<Stage>,
    last: Block,
    out: Convolution,
}

/// Blocks at one size, then a doubling.
struct Stage {
    blocks: Vec<Block>,
    double: Convolution,
}

/// Three convolutions with ReLUs between them, plus the input.
struct Block([Convolution; 3]);

impl Taesd {
    /// Where the numbered modules lie, and the number of the first: as published (`1.weight`), in the whole
    /// autoencoder's file, and in diffusers' layout.
    const LAYOUTS: [(&'static str, usize); 4] = [("", 1), ("decoder", 1), ("taesd_decoder", 1), ("decoder.layers", 0)];

    /// Loads the decoder from its own file or the whole autoencoder's, with the published names or diffusers'.
    ///
    /// # Errors
    /// Every kind of unusable file has its own error; see [`EngineError`].
    pub fn open(path: &Path) -> std::result::Result<Self, EngineError> {
        let weights = Weights::open(path)?;
        let layout = |(prefix, first): &(&str, usize)| (weights.scope(prefix), *first);
        let named = |(scope, first): &(Scope<'_>, usize)| scope.contains(&format!("{}.conv.0.weight", first + 2));
        match Self::LAYOUTS.iter().map(layout).find(named) {
            Some((scope, first)) => Self::load(&scope, first),
            None => Err(EngineError::WrongKind {
                file: weights.file().to_owned(),
                found: Family::of(weights.header()),
                expected: "a tiny autoencoder (TAESD)",
            }),
        }
    }

    /// Loads the numbered modules under `scope`, of which the first convolution is number `first`.
    fn load(scope: &Scope<'_>, first: usize) -> std::result::Result<Self, EngineError> {
        let at = |number: usize| scope.scope(&(first + number).to_string());
        let input = Convolution::load_for(&at(0), LATENT_CHANNELS, Resize::Keep)?;
        let width = input.outputs();
        let block = |number: usize| Block::load(&at(number).scope("conv"), width);
        // every stage: three blocks, the doubling (without weights), its convolution
        let stage = |number: usize| {
            let blocks = (2 + 5 * number..5 + 5 * number).map(block).collect::<std::result::Result<_, _>>()?;
            let double = Convolution::load_unbiased(&at(6 + 5 * number), Resize::Double)?;
            if (double.inputs(), double.outputs()) != (width, width) {
                return Err(at(6 + 5 * number).unfit("weight", &format!("a convolution of {width} channels")));
            }
            Ok(Stage { blocks, double })
        };
        let stages = (0..3).map(stage).collect::<std::result::Result<_, EngineError>>()?;
        let out = Convolution::load_for(&at(18), width, Resize::Keep)?;
        if out.outputs() != 3 {
            return Err(at(18).unfit("weight", "a convolution to 3 channels"));
        }
        Ok(Self { input, stages, last: block(17)?, out })
    }

    /// The picture of a latent.
    ///
    /// # Shapes
    /// - latent: `[batch, 4, height / 8, width / 8]`, scaled to unit variance
    /// - result: `[batch, 3, height, width]`, roughly within -1 to 1
    ///
    /// # Errors
    /// When the latent does not have 4 channels.
    pub fn decode(&self, latent: &Tensor) -> std::result::Result<Tensor, EngineError> {
        let picture = self.forward(&latent.permute((0, 2, 3, 1))?.contiguous()?)?;
        Ok(picture.permute((0, 3, 1, 2))?.contiguous()?)
    }

    /// As [`Taesd::decode`] with channels last.
    pub(crate) fn forward(&self, latent: &Tensor) -> Result<Tensor> {
        // values beyond 3 deviations are bent, as the network was trained
        let bent = ((latent / 3.0)?.tanh()? * 3.0)?;
        let mut x = leaky_relu(&self.input.forward(&bent)?, 0.0)?;
        for stage in &self.stages {
            for block in &stage.blocks {
                x = block.forward(&x)?;
            }
            x = stage.double.forward(&x)?;
        }
        // it was trained for 0 to 1
        self.out.forward(&self.last.forward(&x)?)?.affine(2.0, -1.0)
    }
}

impl Block {
    fn load(scope: &Scope<'_>, width: usize) -> std::result::Result<Self, EngineError> {
        let convolution = |number: &str| {
            let layer = Convolution::load_for(&scope.scope(number), width, Resize::Keep)?;
            match layer.outputs() == width {
                true => Ok(layer),
                false => Err(scope.scope(number).unfit("weight", &format!("a convolution to {width} channels"))),
            }
        };
        Ok(Self([convolution("0")?, convolution("2")?, convolution("4")?]))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Self([first, second, third]) = self;
        let hidden = leaky_relu(&first.forward(x)?, 0.0)?;
        let hidden = leaky_relu(&second.forward(&hidden)?, 0.0)?;
        leaky_relu(&(third.forward(&hidden)? + x)?, 0.0)
    }
}
