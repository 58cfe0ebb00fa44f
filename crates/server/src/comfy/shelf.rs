//! What is installed, under the names that workflows use.

use super::names;
use super::node_kind::Choices;
use super::pictures::Inputs;
use crate::{Asset, AssetKind, Generate, ModelCard};

/// The folders of ComfyUI that we have something for, and what lies in them.
pub(crate) const FOLDERS: [(&str, AssetKind); 6] = [
    ("checkpoints", AssetKind::Checkpoint),
    ("loras", AssetKind::Lora),
    ("vae", AssetKind::Vae),
    ("controlnet", AssetKind::Controlnet),
    ("upscale_models", AssetKind::Upscaler),
    ("embeddings", AssetKind::Embedding),
];

/// A look at everything that can be named, made once for each request.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) models: Vec<ModelCard>,
    pub(crate) assets: Vec<Asset>,
    pub(crate) samplers: Vec<String>,
    pub(crate) schedulers: Vec<String>,
    pub(crate) pictures: Vec<String>,
}

impl Shelf {
    pub(crate) fn new(generate: &dyn Generate, inputs: &Inputs) -> Self {
        Self {
            models: generate.models(),
            assets: generate.assets(),
            samplers: names::samplers(generate),
            schedulers: names::schedulers(generate),
            pictures: inputs.names(),
        }
    }

    /// The names of a list.
    pub(crate) fn names(&self, choices: Choices) -> Vec<String> {
        match choices {
            Choices::Checkpoints => self.models.iter().map(|card| label(&card.file, &card.id)).collect(),
            Choices::Loras => self.files(AssetKind::Lora),
            Choices::Vaes => self.files(AssetKind::Vae),
            Choices::Controlnets => self.files(AssetKind::Controlnet),
            Choices::Upscalers => self.files(AssetKind::Upscaler),
            Choices::Samplers => self.samplers.clone(),
            Choices::Schedulers => self.schedulers.clone(),
            Choices::Pictures => self.pictures.clone(),
            Choices::Fixed(names) => names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// Whether a list has this name; files are known by their names with and without ending, too.
    pub(crate) fn has(&self, choices: Choices, name: &str) -> bool {
        match choices {
            Choices::Checkpoints => self.model(name).is_some(),
            Choices::Loras => self.asset(AssetKind::Lora, name).is_some(),
            Choices::Vaes => self.asset(AssetKind::Vae, name).is_some(),
            Choices::Controlnets => self.asset(AssetKind::Controlnet, name).is_some(),
            Choices::Upscalers => self.asset(AssetKind::Upscaler, name).is_some(),
            // Also pictures of the history: whether they are there is seen when they are read.
            Choices::Pictures => true,
            Choices::Samplers | Choices::Schedulers | Choices::Fixed(_) => {
                self.names(choices).iter().any(|known| known == name)
            }
        }
    }

    /// The files in one of ComfyUI's folders; `None` for a folder that we do not have.
    pub(crate) fn folder(&self, name: &str) -> Option<Vec<String>> {
        let (_, kind) = FOLDERS.iter().find(|(folder, _)| *folder == name)?;
        Some(match kind {
            AssetKind::Checkpoint => self.names(Choices::Checkpoints),
            kind => self.files(*kind),
        })
    }

    pub(crate) fn model(&self, name: &str) -> Option<&ModelCard> {
        self.models.iter().find(|card| same(name, &card.file, &card.id))
    }

    pub(crate) fn asset(&self, kind: AssetKind, name: &str) -> Option<&Asset> {
        self.assets.iter().find(|asset| asset.kind == kind && same(name, &asset.file, &asset.name))
    }

    fn files(&self, kind: AssetKind) -> Vec<String> {
        let of_kind = self.assets.iter().filter(|asset| asset.kind == kind);
        of_kind.map(|asset| label(&asset.file, &asset.name)).collect()
    }
}

fn label(file: &str, name: &str) -> String {
    if file.is_empty() { name.to_owned() } else { file.to_owned() }
}

fn same(asked: &str, file: &str, name: &str) -> bool {
    let stem = |text: &str| text.rsplit_once('.').map_or(text, |(stem, _)| stem).to_owned();
    asked == name
        || (!file.is_empty() && (asked == file || asked == stem(file)))
        || asked == format!("{name}.safetensors")
}
