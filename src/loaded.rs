//! The weights that are in use.

use crate::drawing::Drawing;
use crate::models::ModelChoice;
use engine::{ControlNet, EngineError, Model, Upscaler};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Models, upscalers and ControlNets of the last picture: the next one often wants the same. What it does not want is let
/// go before anything else is loaded.
#[derive(Default)]
pub(crate) struct Loaded {
    models: Vec<(ModelKey, Arc<Model>)>,
    upscalers: Vec<(PathBuf, Arc<Upscaler>)>,
    controlnets: Vec<(PathBuf, Arc<ControlNet>)>,
}

/// A checkpoint's name and file.
type ModelKey = (String, Option<PathBuf>);

impl Loaded {
    /// The checkpoint, loaded unless it is already.
    ///
    /// # Errors
    /// Those of unusable files.
    pub(crate) fn model(&mut self, choice: &ModelChoice) -> Result<Arc<Model>, EngineError> {
        let model = find(&mut self.models, &key(choice), || choice.load())?;
        // Another file may have come since.
        model.set_embeddings(choice.library.embeddings());
        Ok(model)
    }

    /// The upscaler of a file.
    ///
    /// # Errors
    /// Those of unusable files.
    pub(crate) fn upscaler(&mut self, path: &Path) -> Result<Arc<Upscaler>, EngineError> {
        find(&mut self.upscalers, &path.to_path_buf(), || Upscaler::open(path))
    }

    /// The ControlNet of a file.
    ///
    /// # Errors
    /// Those of unusable files.
    pub(crate) fn controlnet(&mut self, path: &Path) -> Result<Arc<ControlNet>, EngineError> {
        find(&mut self.controlnets, &path.to_path_buf(), || ControlNet::open(path))
    }

    /// Lets go of everything that `drawing` does not want.
    pub(crate) fn keep_only(&mut self, drawing: &Drawing) {
        let Drawing { choice, ingredients, .. } = drawing;
        let models = [Some(choice), ingredients.refiner.as_ref()].map(|choice| choice.map(key));
        self.models.retain(|(name, _)| models.iter().flatten().any(|wanted| wanted == name));
        let upscalers = [&ingredients.hires_upscaler, &ingredients.upscale];
        self.upscalers.retain(|(path, _)| upscalers.iter().any(|wanted| wanted.as_ref() == Some(path)));
        self.controlnets.retain(|(path, _)| ingredients.controls.iter().any(|control| control.net == *path));
    }
}

fn key(choice: &ModelChoice) -> ModelKey {
    (choice.id.clone(), choice.path.clone())
}

fn find<K: PartialEq + Clone, V>(
    shelf: &mut Vec<(K, Arc<V>)>,
    key: &K,
    open: impl FnOnce() -> Result<V, EngineError>,
) -> Result<Arc<V>, EngineError> {
    if let Some((_, found)) = shelf.iter().find(|(name, _)| name == key) {
        return Ok(Arc::clone(found));
    }
    let opened = Arc::new(open()?);
    shelf.push((key.clone(), Arc::clone(&opened)));
    Ok(opened)
}
