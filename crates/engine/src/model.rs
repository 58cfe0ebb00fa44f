use std::path::Path;
use std::sync::{Arc, RwLock};

use candle_core::{Device, Tensor};

use crate::checkpoint::{Family, Part, Patches, Training, Weights};
use crate::latent::{Latent, LatentSize};
use crate::sampling::Schedule;
use crate::text_encoder::TextEncoder;
use crate::tokenizer::Tokenizer;
use crate::unet::{UNet, label, label_width};
use crate::vae::{LATENT_CHANNELS, Tiling, Vae};
use crate::{Controls, EngineError, ModelInfo, OpenOptions, Picture, Precision, Shelf, Taesd};

/// A loaded Stable Diffusion model: 1.x, 2.x, XL or XL's refiner. It can be shared between threads; each generation
/// uses all of rayon's.
///
/// Weights are multiplied by where they lie in the mapped file. Only those that a LoRA changes are kept as f32; where that
/// takes more than half of the free memory, what does not fit is made anew at each use. The picture is the same either
/// way.
pub struct Model {
    weights: Weights,
    info: ModelInfo,
    family: Family,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) text_encoders: Vec<TextEncoder>,
    pub(crate) embeddings: RwLock<Shelf>,
    unet: UNet,
    vae: Vae,
    vae_file: String,
    taesd: Option<Taesd>,
    precision: Precision,
}

impl Model {
    /// Loads a single-file `.safetensors` checkpoint, whatever its name, or a folder as diffusers saves it.
    ///
    /// # Errors
    /// Every kind of unusable file has its own error; see [`EngineError`].
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        Self::open_with(path, &OpenOptions::default())
    }

    /// Loads a checkpoint as `options` say.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open_with(path: &Path, options: &OpenOptions) -> Result<Self, EngineError> {
        let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let stem = stem.unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let weights = Weights::open_model(path, options.vae.as_deref())?;
        if let Some(memory) = options.memory {
            weights.set_limit(memory);
        }
        let mut model = Self::load(weights, stem, options)?;
        model.vae.set_tiling(Tiling { always: options.vae_tiles });
        model.taesd = options.taesd.as_deref().map(Taesd::open).transpose()?;
        Ok(model)
    }

    /// Loads a checkpoint that is part of the program; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, EngineError> {
        Self::load(Weights::from_static(name, bytes)?, name.to_owned(), &OpenOptions::default())
    }

    fn load(weights: Weights, name: String, options: &OpenOptions) -> Result<Self, EngineError> {
        let family = Family::of(weights.header());
        if !family.is_supported() {
            return Err(EngineError::UnsupportedFamily { file: weights.file().to_owned(), family });
        }
        let text_encoders = TextEncoder::load_all(&weights, family)?;
        let vocabulary = text_encoders.first().map_or(0, TextEncoder::vocabulary);
        let width = text_encoders.iter().map(TextEncoder::width).sum();
        let unet = UNet::load(&weights, family, width)?;
        let pooled = text_encoders.iter().find_map(TextEncoder::pooled_width).unwrap_or(0);
        let numbers = if family == Family::SdxlRefiner { 5 } else { 6 };
        if unet.label_width().is_some_and(|width| width != label_width(pooled, numbers)) {
            let expected = format!("a layer with {} inputs", label_width(pooled, numbers));
            return Err(weights.scope("model.diffusion_model").unfit("label_emb.0.0.weight", &expected));
        }
        let found = Training::of(&weights, family, unet.inputs())?;
        let training = Training {
            prediction: options.prediction.unwrap_or(found.prediction),
            zero_snr: options.zero_snr.unwrap_or(found.zero_snr),
        };
        let stage = weights.scope("first_stage_model");
        if !stage.contains("decoder.conv_in.weight") && !stage.contains("post_quant_conv.weight") {
            return Err(EngineError::MissingPart { file: weights.file().to_owned(), part: Part::Vae });
        }
        Ok(Self {
            family,
            embeddings: RwLock::new(Shelf::new("embedding")),
            tokenizer: Tokenizer::for_vocabulary(vocabulary, weights.file())?,
            vae_file: options.vae.as_ref().map_or(weights.file().to_owned(), |vae| vae.display().to_string()),
            vae: Vae::load(&stage, family.latent_scale())?,
            taesd: None,
            precision: Precision::F32,
            info: ModelInfo::of(&weights, name, family, (vocabulary, width), unet.inputs(), training),
            text_encoders,
            unet,
            weights,
        })
    }

    /// What kind of model it is.
    pub(crate) fn family(&self) -> Family {
        Family::of(self.weights.header())
    }

    /// The tensors of text encoders and UNet that patches can change, with their shapes in the file.
    pub fn patchable(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let prefixes = ["model.diffusion_model.", "cond_stage_model.", "conditioner.embedders."];
        let tensors = self.weights.header().tensors();
        tensors
            .filter(move |(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .map(|(name, entry)| (name, entry.shape()))
    }

    /// A floating-point tensor as the file has it, with what the LoRAs of [`Model::set_loras`] add.
    ///
    /// # Errors
    /// When the file has no such tensor, or it cannot be widened to f32.
    pub fn weight(&self, name: &str) -> Result<Tensor, EngineError> {
        self.weights.patched(name)
    }

    /// Changes tensors by `patches` from now on, or by nothing: then they are those of the file again.
    pub(crate) fn set_patches(&self, patches: Option<Arc<dyn Patches>>) {
        self.weights.set_patches(patches);
    }

    /// What the model is and how it is best used.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Takes the products of UNet, ControlNets and autoencoder in this precision from now on; a new model takes them in f32.
    /// [`Precision::best`] is the fastest on this machine.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// The precision of the products of UNet, ControlNets and autoencoder.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The noise levels that it was trained with.
    pub(crate) fn schedule(&self) -> Schedule {
        let schedule = Schedule::stable_diffusion(self.info.prediction, self.info.zero_snr);
        if self.family.is_xl() { schedule.xl() } else { schedule }
    }

    /// Token ids of a prompt, always 77.
    ///
    /// # Errors
    /// Only if the built-in tokenizer fails.
    pub fn token_ids(&self, prompt: &str) -> Result<Vec<u32>, EngineError> {
        self.tokenizer.encode(prompt)
    }

    /// The text encoders' output for each prompt, side by side, and the summary that Stable Diffusion XL wants besides.
    /// `clip_skip` counts layers from the end: 1 is the last; 2.x and XL start at 2 in any case.
    ///
    /// # Shapes
    /// - result: `[prompts, 77, context width]`; the summary `[prompts, summary width]`
    ///
    /// # Errors
    /// When the model's parts do not fit each other.
    pub fn encode(&self, prompts: &[&str], clip_skip: u32) -> Result<(Tensor, Option<Tensor>), EngineError> {
        let ids = prompts.iter().map(|prompt| self.tokenizer.encode(prompt)).collect::<Result<Vec<_>, _>>()?;
        self.focus_text();
        let mut hidden = Vec::new();
        let mut pooled = None;
        for encoder in &self.text_encoders {
            let ids: Vec<Vec<u32>> = ids.iter().map(|ids| encoder.padded(ids)).collect();
            let encoded = encoder.encode_embedded(&encoder.embed(&ids)?, &ids, clip_skip)?;
            hidden.push(encoded.hidden);
            pooled = encoded.pooled.or(pooled);
        }
        Ok((Tensor::cat(&hidden, 2)?, pooled))
    }

    /// Makes room for the text encoders, which are used next.
    pub(crate) fn focus_text(&self) {
        self.weights.focus(&["cond_stage_model.", "conditioner."]);
    }

    /// What Stable Diffusion XL is told about a picture besides words, as the label of [`Model::predict_noise`]: for the
    /// base height and width before cropping, top and left of the crop, height and width after it; for the refiner the
    /// first four and an aesthetic score. `None` for models without labels.
    ///
    /// # Shapes
    /// - pooled: the summary `[batch, summary width]` from [`Model::encode`]
    ///
    /// # Errors
    /// [`EngineError::Setting`] for another count of numbers; when `pooled` does not fit.
    pub fn label(&self, pooled: Option<&Tensor>, numbers: &[f32]) -> Result<Option<Tensor>, EngineError> {
        let Some(width) = self.unet.label_width() else { return Ok(None) };
        let Some(pooled) = pooled else {
            return Err(EngineError::MissingPart { file: self.info.name.clone(), part: Part::TextEncoder });
        };
        let label = label(pooled, numbers)?;
        if label.dims().last() != Some(&width) {
            let expected = if self.family == Family::SdxlRefiner { "5" } else { "6" };
            let (found, expected) = (numbers.len().to_string(), expected.to_owned());
            return Err(EngineError::Setting { setting: "numbers in a label", found, expected });
        }
        Ok(Some(label))
    }

    /// The numbers of [`Model::label`] for a whole picture of this size, with the refiner's usual scores: 6 for what to
    /// draw and 2.5 for what to keep away from.
    pub(crate) fn sizes(&self, width: u32, height: u32, negative: bool) -> Vec<f32> {
        let (height, width) = (height as f32, width as f32);
        match self.family {
            Family::SdxlRefiner => vec![height, width, 0.0, 0.0, if negative { 2.5 } else { 6.0 }],
            _ => vec![height, width, 0.0, 0.0, height, width],
        }
    }

    /// One call of the UNet: the noise that it finds in a latent, or the velocity ([`ModelInfo::prediction`]).
    ///
    /// # Shapes
    /// - latent: `[batch, channels, height, width]` with the channels that [`ModelInfo::inputs`] says
    /// - context: `[batch, 77 * chunks, context width]`; label: from [`Model::label`]
    /// - result: `[batch, 4, height, width]`
    ///
    /// # Errors
    /// When the shapes or the model's parts do not fit each other.
    pub fn predict_noise(
        &self,
        latent: &Tensor,
        timestep: f32,
        context: &Tensor,
        label: Option<&Tensor>,
    ) -> Result<Tensor, EngineError> {
        self.predict_noise_controlled(latent, timestep, context, label, &Controls::default())
    }

    /// [`Model::predict_noise`] with ControlNets, as far as they are active at that timestep.
    ///
    /// # Errors
    /// When the shapes or the model's parts do not fit each other, or a ControlNet is one for other models.
    pub fn predict_noise_controlled(
        &self,
        latent: &Tensor,
        timestep: f32,
        context: &Tensor,
        label: Option<&Tensor>,
        controls: &Controls<'_>,
    ) -> Result<Tensor, EngineError> {
        let channels_last = latent.permute((0, 2, 3, 1))?.contiguous()?;
        self.weights.focus(&["model.diffusion_model."]);
        let noise = self.precision.during(|| {
            let residuals = controls.residuals(&channels_last, timestep, context, label)?;
            Ok::<_, EngineError>(self.unet.forward(&channels_last, timestep, context, label, residuals.as_ref())?)
        })?;
        Ok(noise.permute((0, 3, 1, 2))?.contiguous()?)
    }

    /// The decoder's output for a latent, roughly within -1 to 1.
    ///
    /// # Shapes
    /// - latent: `[batch, 4, height / 8, width / 8]`; result: `[batch, 3, height, width]`
    ///
    /// # Errors
    /// When the shapes or the model's parts do not fit each other.
    pub fn decode_latent(&self, latent: &Tensor) -> Result<Tensor, EngineError> {
        let picture = self.decoded(latent)?;
        Ok(picture.permute((0, 3, 1, 2))?.contiguous()?)
    }

    /// The latent of a picture: the mean of the encoder's distribution, or with `noise` of unit variance a sample of it.
    ///
    /// # Shapes
    /// - picture: `[batch, 3, height, width]`, -1 to 1, sides of at least 8
    /// - noise and result: `[batch, 4, height / 8, width / 8]` (rounded down), the result scaled to unit variance
    ///
    /// # Errors
    /// [`EngineError::MissingTensor`] when the file has no encoder; when the shapes do not fit each other.
    pub fn encode_picture(&self, picture: &Tensor, noise: Option<&Tensor>) -> Result<Tensor, EngineError> {
        let channels_last = |tensor: &Tensor| tensor.permute((0, 2, 3, 1))?.contiguous();
        let noise = noise.map(channels_last).transpose()?;
        self.weights.focus(&["first_stage_model."]);
        let picture = channels_last(picture)?;
        let latent = self.precision.during(|| self.vae.encode(&picture, noise.as_ref()))?;
        let missing = || EngineError::MissingTensor {
            file: self.info.name.clone(),
            tensor: "first_stage_model.encoder.conv_in.weight".to_owned(),
        };
        Ok(latent.ok_or_else(missing)?.permute((0, 3, 1, 2))?.contiguous()?)
    }

    /// # Shapes
    /// - latent: `[batch, 4, height / 8, width / 8]`; result: `[batch, height, width, 3]`
    fn decoded(&self, latent: &Tensor) -> Result<Tensor, EngineError> {
        self.weights.focus(&["first_stage_model."]);
        let latent = latent.permute((0, 2, 3, 1))?.contiguous()?;
        let picture = self.precision.during(|| self.vae.decode(&latent))?;
        // one number that is not finite is enough for a sum that is not
        if picture.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Ok(picture);
        }
        Err(EngineError::VaeNotANumber { file: self.vae_file.clone() })
    }

    /// The decoder for previews.
    pub(crate) fn taesd(&self) -> Option<&Taesd> {
        self.taesd.as_ref()
    }

    /// The picture of a latent in the order `[4, height / 8, width / 8]`.
    pub(crate) fn decode(&self, latent: &[f32], size: LatentSize) -> Result<Picture, EngineError> {
        let latent = Tensor::from_slice(latent, (1, LATENT_CHANNELS, size.height, size.width), &Device::Cpu)?;
        let picture = self.decoded(&latent)?;
        let (_, height, width, _) = picture.dims4()?;
        let values = picture.flatten_all()?.to_vec1::<f32>()?;
        let rgb = values.iter().map(|value| ((value * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        Ok(Picture { width: width as u32, height: height as u32, rgb })
    }

    /// The latent of a picture, the mean of its distribution.
    pub(crate) fn latent_of(&self, picture: &Picture) -> Result<Latent, EngineError> {
        self.latent_of_values(picture.values(), (picture.height as usize, picture.width as usize))
    }

    /// The same for colours from -1 to 1 of a picture of this height and width.
    pub(crate) fn latent_of_values(&self, values: Vec<f32>, size: (usize, usize)) -> Result<Latent, EngineError> {
        let picture = Tensor::from_vec(values, (1, size.0, size.1, 3), &Device::Cpu)?;
        Latent::of(&self.encode_picture(&picture.permute((0, 3, 1, 2))?, None)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GenerateSettings;

    #[test]
    fn patches_change_the_picture_and_leave_no_trace() {
        struct Louder;
        impl Patches for Louder {
            fn mark(&self, name: &str) -> Option<u64> {
                (name == "model.diffusion_model.out.2.weight").then_some(0)
            }
            fn apply(&self, _name: &str, values: &mut [f32]) -> candle_core::Result<()> {
                values.iter_mut().for_each(|value| *value *= 1.5);
                Ok(())
            }
        }
        let spark = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/spark/spark.safetensors");
        for memory in [None, Some(0), Some(1 << 20)] {
            let options = OpenOptions { memory, ..OpenOptions::default() };
            let model = Model::open_with(Path::new(spark), &options).expect("spark");
            let settings = GenerateSettings { steps: 1, ..GenerateSettings::recommended(model.info()) };
            let latent = || model.latent(&settings).and_then(|latent| Ok(latent.flatten_all()?.to_vec1::<f32>()?));
            let before = latent().expect("a latent");
            model.set_patches(Some(Arc::new(Louder)));
            assert_ne!(latent().expect("a latent"), before);
            model.set_patches(None);
            assert_eq!(latent().expect("a latent"), before);
        }
        let model = Model::open(Path::new(spark)).expect("spark");
        assert!(model.patchable().any(|(name, shape)| Louder.mark(name).is_some() && shape[0] == 4));
    }

    #[test]
    fn models_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Model>();
    }
}
