//! Networks that enlarge pictures: ESRGAN (Wang et al. 2018), Real-ESRGAN (Wang et al. 2021) and its compact form.

mod compact;
mod dense;
mod names;
mod pixels;

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::checkpoint::{Family, Scope, Weights};
use crate::layers::{Convolution, Resize};
use crate::tiles::Tiles;
use crate::{EngineError, Picture};
use compact::CompactNetwork;
use dense::DenseNetwork;

/// A network that enlarges pictures, or (with a factor of 1) cleans them.
pub struct Upscaler {
    network: Network,
    factor: usize,
}

enum Network {
    Dense(Box<DenseNetwork>),
    Compact(Box<CompactNetwork>),
}

impl Upscaler {
    /// Under which of these names the tensors lie depends on the program that wrote the file.
    const PREFIXES: [&'static str; 4] = ["", "params_ema", "params", "module"];

    /// Pixels of a result's side that are worked on at once: 1 GB of memory at most.
    const RESULT_SIDE: usize = 768;

    /// Longest side of a tile in pixels of the given picture.
    const SIDE: usize = 384;

    /// Pixels of the given picture that neighbouring tiles share.
    const OVERLAP: usize = 16;

    /// Loads a `.safetensors` file with the names of ESRGAN's first code (`model.0.weight`), its second
    /// (`RRDB_trunk`), or Real-ESRGAN (`conv_first.weight`, compact networks `body.0.weight`). The factor follows from
    /// the tensors.
    ///
    /// # Errors
    /// Every kind of unusable file has its own error; see [`EngineError`].
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let weights = Weights::open(path)?;
        for scope in Self::PREFIXES.iter().map(|prefix| weights.scope(prefix)) {
            if let Some(names) = names::of(&scope) {
                let network = DenseNetwork::load(&scope, &names)?;
                return Ok(Self { factor: network.factor(), network: Network::Dense(Box::new(network)) });
            }
            if scope.contains("body.0.weight") {
                let network = CompactNetwork::load(&scope.scope("body"))?;
                return Ok(Self { factor: network.factor(), network: Network::Compact(Box::new(network)) });
            }
        }
        Err(EngineError::WrongKind {
            file: weights.file().to_owned(),
            found: Family::of(weights.header()),
            expected: "an upscaler (ESRGAN or Real-ESRGAN)",
        })
    }

    /// How many times wider and higher the result is: 1, 2, 4, 8, and for compact networks also 3.
    pub fn factor(&self) -> u32 {
        self.factor as u32
    }

    /// Enlarges a picture, tile by tile. `on_tile` is called after each with how many are done and how many there are;
    /// it may end the work with `Break`.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] after a `Break`; [`EngineError::Setting`] for a picture without pixels.
    pub fn upscale(
        &self,
        picture: &Picture,
        on_tile: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Picture, EngineError> {
        let (height, width) = (picture.height as usize, picture.width as usize);
        let values: Vec<f32> = picture.rgb.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        let x = Tensor::from_vec(values, (1, height, width, 3), &Device::Cpu)?;
        let made = self.in_tiles(&x, on_tile)?.flatten_all()?.to_vec1::<f32>()?;
        Ok(Picture {
            width: (width * self.factor) as u32,
            height: (height * self.factor) as u32,
            rgb: made.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect(),
        })
    }

    /// What the network makes of a picture as a whole, without tiles.
    ///
    /// # Shapes
    /// - x: `[batch, 3, height, width]`, 0 to 1; result: `[batch, 3, height * factor, width * factor]`, roughly 0 to 1
    ///
    /// # Errors
    /// When the picture does not have 3 channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let made = self.whole(&x.permute((0, 2, 3, 1))?.contiguous()?)?;
        Ok(made.permute((0, 3, 1, 2))?.contiguous()?)
    }

    /// How many tiles a picture of this size has.
    pub(crate) fn tiles(&self, width: u32, height: u32) -> usize {
        self.layout().count(height as usize, width as usize)
    }

    fn layout(&self) -> Tiles {
        let side = (Self::RESULT_SIDE / self.factor).clamp(2 * Self::OVERLAP, Self::SIDE);
        Tiles { side, overlap: Self::OVERLAP, given: 1, made: self.factor }
    }

    fn whole(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match &self.network {
            Network::Dense(network) => network.forward(x),
            Network::Compact(network) => network.forward(x),
        }
    }

    /// # Shapes
    /// - x: `[1, height, width, 3]`; result: `[1, height * factor, width * factor, 3]`
    fn in_tiles(
        &self,
        x: &Tensor,
        on_tile: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Tensor, EngineError> {
        let (_, height, width, _) = x.dims4()?;
        if height * width == 0 {
            let found = format!("{width}x{height}");
            return Err(EngineError::Setting { setting: "picture", found, expected: "one with pixels".to_owned() });
        }
        let tiles = self.layout();
        let (mut done, count) = (0, tiles.count(height, width));
        tiles.map(x, |tile| {
            let made = self.whole(tile)?;
            done += 1;
            match on_tile(done, count) {
                ControlFlow::Continue(()) => Ok(made),
                ControlFlow::Break(()) => Err(EngineError::Cancelled),
            }
        })
    }
}

/// A convolution that must lead to `outputs` channels.
fn convolution(scope: &Scope<'_>, inputs: usize, outputs: usize, resize: Resize) -> Result<Convolution, EngineError> {
    let layer = Convolution::load_for(scope, inputs, resize)?;
    match layer.outputs() == outputs {
        true => Ok(layer),
        false => Err(scope.unfit("weight", &format!("a convolution with {outputs} outputs"))),
    }
}
