use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{Device, Result as ComputeResult, Tensor};

use super::files::Files;
use super::source::Source;
use super::{Header, Patches, Scope, TensorEntry, memory};
use crate::EngineError;
use crate::kernels::{recycling, weight::Elements};

/// A checkpoint's tensors. They stay in the file; what is widened to f32 for a use is kept for the next one as far as
/// memory allows (see [`Weights::focus`]), and never differs from what widening it anew would give.
///
/// Clones share everything.
#[derive(Clone)]
pub(crate) struct Weights(Arc<Inner>);

struct Inner {
    files: Files,
    state: Mutex<State>,
}

/// What changes while a model is used.
struct State {
    patches: Option<Arc<dyn Patches>>,
    /// Counts the changes of patches, so that nothing widened under older ones is kept.
    version: u64,
    kept: HashMap<String, Tensor>,
    /// Bytes in `kept`, how many they may become, and how many they would be if everything were kept.
    bytes: u64,
    limit: u64,
    wanted: u64,
    /// The weights of layers, which are widened only where they are patched, and their sizes in f32.
    layers: Vec<(String, u64)>,
    /// The part that is used at the moment.
    focus: Vec<String>,
}

impl State {
    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.kept.retain(|name, _| keep(name));
        self.bytes = self.kept.values().map(size).sum();
    }

    /// Bytes of all that is widened under the current patches.
    fn all_wanted(&self) -> u64 {
        let patched = |name: &str| self.patches.as_ref().is_some_and(|patches| patches.mark(name).is_some());
        self.wanted + self.layers.iter().filter(|(name, _)| patched(name)).map(|(_, bytes)| bytes).sum::<u64>()
    }
}

fn size(tensor: &Tensor) -> u64 {
    tensor.elem_count() as u64 * size_of::<f32>() as u64
}

impl Weights {
    /// Maps a single file and checks its header.
    pub(crate) fn open(path: &Path) -> Result<Self, EngineError> {
        Ok(Self::new(Files::single(Source::open(path)?)?))
    }

    /// Maps a whole model, a single file or a diffusers folder, with the VAE of another file if one is named.
    pub(crate) fn open_model(path: &Path, vae: Option<&Path>) -> Result<Self, EngineError> {
        let mut files = Files::open(path)?;
        if let Some(vae) = vae {
            files.replace_vae(vae)?;
        }
        Ok(Self::new(files))
    }

    /// Maps a ControlNet, a file or a folder as diffusers saves it.
    pub(crate) fn open_control(path: &Path) -> Result<Self, EngineError> {
        Ok(Self::new(Files::control(path)?))
    }

    /// Takes a file that is part of the program.
    pub(crate) fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, EngineError> {
        Ok(Self::new(Files::single(Source::from_static(name, bytes)?)?))
    }

    /// Takes a file that is in memory.
    pub(crate) fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, EngineError> {
        Ok(Self::new(Files::single(Source::from_bytes(name, bytes)?)?))
    }

    fn new(files: Files) -> Self {
        recycling::keep_blocks();
        let state = State {
            patches: None,
            version: 0,
            kept: HashMap::new(),
            bytes: 0,
            limit: memory::limit(),
            wanted: 0,
            layers: Vec::new(),
            focus: Vec::new(),
        };
        Self(Arc::new(Inner { files, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn file(&self) -> &str {
        self.0.files.name()
    }

    pub(crate) fn header(&self) -> &Header {
        self.0.files.header()
    }

    /// The tensors whose names start with `prefix` and a dot.
    pub(crate) fn scope(&self, prefix: &str) -> Scope<'_> {
        Scope::new(self, prefix)
    }

    /// Sets how many bytes widened tensors may occupy, and drops those that are kept. Without it that is half of
    /// the memory that was free when the file was opened.
    pub(crate) fn set_limit(&self, limit: u64) {
        let mut state = self.state();
        state.limit = limit;
        state.retain(|_| false);
    }

    /// Changes the tensors' values by other patches from now on (`None`: by none, as they are in the file). Only the
    /// widened copies of tensors to which the new patches do something else than the old ones are dropped.
    pub(crate) fn set_patches(&self, patches: Option<Arc<dyn Patches>>) {
        let mut state = self.state();
        let old = std::mem::replace(&mut state.patches, patches.clone());
        state.version += 1;
        state.focus.clear();
        let mark = |patches: &Option<Arc<dyn Patches>>, name: &str| patches.as_ref().and_then(|all| all.mark(name));
        state.retain(|name| mark(&old, name) == mark(&patches, name));
    }

    /// Makes room for the part of the model under `prefixes`, which is used next: the mapped weights of its other parts
    /// leave memory, and so do widened ones, unless those of the whole model fit.
    pub(crate) fn focus(&self, prefixes: &[&str]) {
        let mut state = self.state();
        if state.focus == prefixes {
            return;
        }
        state.focus = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        let used = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        self.0.files.release(used);
        if state.all_wanted() > state.limit {
            state.retain(used);
        }
    }

    /// Counts a tensor that the model will use.
    pub(super) fn want(&self, name: &str, entry: &TensorEntry, layer: bool) {
        let bytes = entry.elements() * size_of::<f32>() as u64;
        let mut state = self.state();
        if layer && self.elements(entry).is_some() {
            state.layers.push((name.to_owned(), bytes));
        } else {
            state.wanted += bytes;
        }
    }

    /// A tensor's elements where they lie, if the kernels can read them there.
    pub(super) fn elements(&self, entry: &TensorEntry) -> Option<Elements<'_>> {
        self.0.files.source(entry)?.elements(entry)
    }

    /// Whether the current patches change this tensor.
    pub(super) fn is_patched(&self, name: &str) -> bool {
        self.state().patches.as_ref().is_some_and(|patches| patches.mark(name).is_some())
    }

    /// The tensor that is kept under `name`, or a new one from `widen`, which is then kept if there is room.
    pub(super) fn kept_or(
        &self,
        name: &str,
        widen: impl FnOnce(Option<&dyn Patches>) -> ComputeResult<Tensor>,
    ) -> ComputeResult<Tensor> {
        let (patches, version) = {
            let state = self.state();
            if let Some(tensor) = state.kept.get(name) {
                return Ok(tensor.clone());
            }
            (state.patches.clone().filter(|patches| patches.mark(name).is_some()), state.version)
        };
        let tensor = widen(patches.as_deref())?;
        let mut state = self.state();
        let bytes = size(&tensor);
        if state.version == version
            && state.bytes + bytes <= state.limit
            && state.kept.insert(name.to_owned(), tensor.clone()).is_none()
        {
            state.bytes += bytes;
        }
        Ok(tensor)
    }

    /// Elements `start..end` of a tensor, widened as they are in the file.
    pub(crate) fn values(&self, entry: &TensorEntry, start: usize, end: usize) -> Option<Vec<f32>> {
        self.0.files.source(entry)?.values(entry, start, end)
    }

    /// A tensor as the file has it, widened and patched; nothing is kept.
    pub(crate) fn patched(&self, name: &str) -> Result<Tensor, EngineError> {
        let missing = || EngineError::MissingTensor { file: self.file().to_owned(), tensor: name.to_owned() };
        let entry = self.header().get(name).ok_or_else(missing)?;
        let values = self.values(entry, 0, entry.elements() as usize);
        let mut values = values.ok_or_else(|| self.scope("").unfit(name, "F16, BF16, F32 or F64"))?;
        let patches = self.state().patches.clone();
        if let Some(patches) = patches {
            patches.apply(name, &mut values)?;
        }
        Ok(Tensor::from_vec(values, entry.shape(), &Device::Cpu)?)
    }

    /// Whether [`Weights::values`] can widen a tensor.
    pub(crate) fn is_floating(entry: &TensorEntry) -> bool {
        Source::is_floating(entry.dtype())
    }

    /// The only element of a tensor of any type.
    pub(crate) fn number(&self, entry: &TensorEntry) -> Option<f64> {
        self.0.files.source(entry)?.number(entry)
    }
}
