use std::io;

use crate::checkpoint::{Family, Part};

/// Why the engine could not do what it was asked.
///
/// The message says what happened and to which file; [`EngineError::hint`] says what to do now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The operating system could not read the file; its message names it.
    #[error("cannot read the model: {0}")]
    Read(#[from] io::Error),
    /// A PyTorch pickle, whatever it is called.
    #[error(
        "`{file}` is a PyTorch pickle ({found}), which can run code when it is loaded; only safetensors files are read"
    )]
    Pickle {
        /// The file.
        file: String,
        /// How it was recognized.
        found: &'static str,
    },
    /// A web page that was saved under a model's name.
    #[error("`{file}` is a web page, not a model: a download was answered with a login or error page")]
    HtmlPage {
        /// The file.
        file: String,
    },
    /// The small text file that git keeps in place of a large one.
    #[error("`{file}` is a git-LFS pointer, not the model itself{}", size.map(|size| format!(" ({size} bytes)")).unwrap_or_default())]
    LfsPointer {
        /// The file.
        file: String,
        /// Size of the real file as the pointer states it.
        size: Option<u64>,
    },
    /// A GGUF file.
    #[error("`{file}` is a GGUF file; only safetensors files are read")]
    Gguf {
        /// The file.
        file: String,
    },
    /// Content of no known kind.
    #[error("`{file}` is not a safetensors file: {reason}")]
    NotSafetensors {
        /// The file.
        file: String,
        /// What was found instead.
        reason: String,
    },
    /// A safetensors file whose end is missing.
    #[error("`{file}` is truncated: its header describes {expected} bytes, the file has {found}")]
    Truncated {
        /// The file.
        file: String,
        /// Bytes that the header asks for.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// A safetensors header that contradicts itself, by accident or by design.
    #[error("`{file}` has a broken safetensors header: {reason}")]
    BrokenHeader {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A sound file of a model family that the engine does not run.
    #[error("`{file}` is {}, which this version does not run", family.description())]
    UnsupportedFamily {
        /// The file.
        file: String,
        /// What it is.
        family: Family,
    },
    /// A sound file whose weights are stored in a form that the engine does not compute with.
    #[error("`{file}` is quantized ({kind}); only F16, BF16, F32 and F64 weights are read")]
    Quantized {
        /// The file.
        file: String,
        /// How.
        kind: &'static str,
    },
    /// A sound file with a part of a model only.
    #[error("`{file}` has no {part}")]
    MissingPart {
        /// The file.
        file: String,
        /// What it lacks.
        part: Part,
    },
    /// A sound file that holds something else than what was asked for.
    #[error("`{file}` is {}, not {expected}", found.description())]
    WrongKind {
        /// The file.
        file: String,
        /// What it is.
        found: Family,
        /// What was asked for.
        expected: &'static str,
    },
    /// A tensor that the model needs is not in the file.
    #[error("`{file}` lacks the tensor `{tensor}`")]
    MissingTensor {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor has a shape or type that does not fit the model.
    #[error("`{file}`: tensor `{tensor}` is {found}, expected {expected}")]
    UnfitTensor {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// What would fit.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A file that was to be applied as a LoRA has no such tensors.
    #[error("`{file}` cannot be applied as a LoRA: it is {}", family.description())]
    NotALora {
        /// The file.
        file: String,
        /// What it is.
        family: Family,
    },
    /// A LoRA was trained for another family of models.
    #[error("`{file}` was trained for {lora}; this model is {model}")]
    LoraFamily {
        /// The file.
        file: String,
        /// What it was trained for.
        lora: String,
        /// What the model is.
        model: &'static str,
    },
    /// None of a LoRA's keys belongs to the model.
    #[error("none of the {keys} keys of `{file}` belongs to this model; the first is `{key}`")]
    LoraKeys {
        /// The file.
        file: String,
        /// How many keys it has.
        keys: usize,
        /// One of them.
        key: String,
    },
    /// A LoRA's tensor does not fit its layer.
    #[error("`{file}`: tensor `{tensor}` is {found}, expected {expected}")]
    LoraTensor {
        /// The LoRA's file.
        file: String,
        /// The tensor in it.
        tensor: String,
        /// What is there.
        found: String,
        /// What would fit.
        expected: String,
    },
    /// A sound file that is no textual inversion.
    #[error("`{file}` is not an embedding: {reason}")]
    NotAnEmbedding {
        /// The file.
        file: String,
        /// What it has instead.
        reason: String,
    },
    /// The text encoder was made for a vocabulary that is not built in.
    #[error("`{file}` has a vocabulary of {rows} tokens; the built-in tokenizers have {known}")]
    UnknownVocabulary {
        /// The file.
        file: String,
        /// Rows of its token embedding.
        rows: usize,
        /// The sizes that are known.
        known: String,
    },
    /// A setting outside what the engine can do.
    #[error("{setting} is {found}, expected {expected}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// No sampler has this name.
    #[error("no sampler is called `{name}`")]
    UnknownSampler {
        /// The name asked for.
        name: String,
    },
    /// A prompt or a setting names a file that is not in the library.
    #[error("no {kind} is called `{name}`")]
    UnknownName {
        /// What kind of file was looked for.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The names most like it, best first.
        near: Vec<String>,
    },
    /// No scheduler has this name.
    #[error("no scheduler is called `{name}`")]
    UnknownScheduler {
        /// The name asked for.
        name: String,
    },
    /// Settings ask for something that did not come with them.
    #[error("{setting} needs {input}")]
    MissingInput {
        /// What was asked for.
        setting: &'static str,
        /// What it needs.
        input: &'static str,
    },
    /// The caller stopped the generation.
    #[error("the generation was stopped")]
    Cancelled,
    /// A picture could not be written or read.
    #[error("not a usable {kind}: {reason}")]
    PictureFile {
        /// `PNG`, `JPEG`, `WebP`, or `picture` for none of them.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Two pictures of different sizes were compared.
    #[error("pictures of different sizes cannot be compared: {0} and {1}")]
    SizesDiffer(String, String),
    /// A built-in vocabulary could not be used: a defect of the engine.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
    /// A tensor operation refused its operands: a model whose parts do not fit each other.
    #[error("the model's parts do not fit each other: {0}")]
    Compute(#[from] candle_core::Error),
    /// The VAE computed something that is not a number. All arithmetic here is in 32 bits, where Stable Diffusion XL's
    /// original VAE, which overflows in 16, works: so the latent or the file is at fault.
    #[error("the VAE of `{file}` produced values that are not numbers")]
    VaeNotANumber {
        /// The file that the VAE is from.
        file: String,
    },
    /// The model computed something that is not a number.
    #[error("the model produced values that are not numbers at step {step}")]
    NotANumber {
        /// Step (counted from 1) after which it was seen.
        step: u32,
    },
}

impl EngineError {
    /// What to do now, as a command or an action.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Read(error) if error.kind() == io::ErrorKind::NotFound => "check the path".to_owned(),
            Self::Read(_) => return None,
            Self::Pickle { .. } => {
                "get the same model as `.safetensors`, or convert it on a machine that you can afford to lose"
                    .to_owned()
            }
            Self::HtmlPage { .. } => "download it again, logged in where the site asks for it".to_owned(),
            Self::LfsPointer { .. } => "run `git lfs pull` where it came from and copy it again".to_owned(),
            Self::Gguf { .. } | Self::NotSafetensors { .. } => "use a model in the `.safetensors` format".to_owned(),
            Self::Truncated { .. } => "copy or download the file again".to_owned(),
            Self::BrokenHeader { .. } => {
                "get the file again from a source that you trust and compare its SHA-256".to_owned()
            }
            Self::UnsupportedFamily { .. } => "use a Stable Diffusion 1.x, 2.x or XL checkpoint".to_owned(),
            Self::Quantized { .. } => "get the F16 or BF16 version of the same model".to_owned(),
            Self::MissingPart { part: Part::Vae, .. } => {
                "name a VAE file besides, or use the full single-file checkpoint".to_owned()
            }
            Self::MissingPart { .. } => {
                "use the full single-file checkpoint: UNet, VAE and text encoder in one file".to_owned()
            }
            Self::WrongKind { expected, .. } => format!("choose {expected} as a `.safetensors` file"),
            Self::MissingTensor { .. } => {
                "use the full single-file checkpoint: UNet, VAE and text encoder in one file".to_owned()
            }
            Self::UnfitTensor { .. } | Self::Compute(_) => {
                "use an unmodified Stable Diffusion checkpoint in the single-file layout".to_owned()
            }
            Self::NotAnEmbedding { .. } => "take its name out of the prompt, or the file out of its folder".to_owned(),
            Self::UnknownVocabulary { .. } => "use a checkpoint with CLIP's original text encoder".to_owned(),
            Self::NotALora { .. } => "name a LoRA, LoCon, DoRA, LoHa or LoKr file".to_owned(),
            Self::LoraFamily { .. } | Self::LoraKeys { .. } => {
                "choose a LoRA that was made for this kind of model, or another model".to_owned()
            }
            Self::LoraTensor { .. } => {
                "use the LoRA with the kind of model that it was made for; the file may also be damaged".to_owned()
            }
            Self::Setting { setting, expected, .. } => format!("set {setting} to {expected}"),
            Self::UnknownSampler { .. } => {
                let names: Vec<String> = crate::Sampler::ALL.iter().map(|sampler| format!("`{sampler}`")).collect();
                format!("choose one of {}", names.join(", "))
            }
            Self::UnknownName { near, .. } => match near.split_last() {
                None => "there is none: add the file, or take the name out".to_owned(),
                Some((only, [])) => format!("there is only `{only}`"),
                Some((last, others)) => format!("the nearest names are `{}` and `{last}`", others.join("`, `")),
            },
            Self::UnknownScheduler { .. } => {
                let names: Vec<String> = crate::Scheduler::ALL.iter().map(|name| format!("`{name}`")).collect();
                format!("choose one of {}", names.join(", "))
            }
            Self::MissingInput { input, .. } => format!("give it {input}"),
            Self::VaeNotANumber { .. } => {
                "compare the file's SHA-256 with its source's, or name another VAE file; with a sound file, try a smaller \
                 CFG scale or another sampler"
                    .to_owned()
            }
            Self::NotANumber { .. } => {
                "try a smaller CFG scale or another sampler; the file may also be damaged".to_owned()
            }
            Self::PictureFile { .. } => "use a whole PNG, JPEG or WebP file of at most 67 million pixels".to_owned(),
            Self::Cancelled | Self::SizesDiffer(..) | Self::Tokenizer(_) => return None,
        };
        Some(hint)
    }
}
