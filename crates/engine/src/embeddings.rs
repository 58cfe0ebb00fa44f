use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::embedding::Embedding;
use crate::prompt::PromptNotice;
use crate::tokenizer::Tokenizer;
use crate::{EngineError, Shelf};

/// The textual inversions that a prompt may name, and those it named.
pub(crate) struct Embeddings<'a> {
    shelf: &'a Shelf,
    /// Widths of the model's text encoders.
    widths: &'a [usize],
    /// Tokens of each name and its file, by the first token, longest first.
    names: HashMap<u32, Vec<Named<'a>>>,
    /// Files that were read; `None` for those made for another model.
    read: RefCell<HashMap<PathBuf, Option<Arc<Embedding>>>>,
    notices: RefCell<Vec<PromptNotice>>,
}

/// The tokens of a name, the name, its file.
type Named<'a> = (Vec<u32>, String, &'a Path);

impl<'a> Embeddings<'a> {
    /// No file is read before a prompt names it.
    pub(crate) fn new(shelf: &'a Shelf, widths: &'a [usize], tokenizer: &Tokenizer) -> Result<Self, EngineError> {
        let mut names: HashMap<u32, Vec<Named<'_>>> = HashMap::new();
        for (name, path) in shelf.files() {
            let name = name.rsplit('/').next().unwrap_or(name);
            let ids = tokenizer.words(name)?;
            if let Some(first) = ids.first() {
                names.entry(*first).or_default().push((ids, name.to_owned(), path));
            }
        }
        names.values_mut().for_each(|found| found.sort_by_key(|(ids, ..)| std::cmp::Reverse(ids.len())));
        Ok(Self { shelf, widths, names, read: RefCell::default(), notices: RefCell::default() })
    }

    /// The embedding whose name `ids` begins with, and how many of them its name has: AUTOMATIC1111's way.
    ///
    /// # Errors
    /// When the file that is named cannot be used at all.
    pub(crate) fn at_start(&self, ids: &[u32]) -> Result<Option<(Arc<Embedding>, usize)>, EngineError> {
        let candidates = ids.first().and_then(|first| self.names.get(first)).into_iter().flatten();
        for (own, name, path) in candidates {
            if ids.starts_with(own)
                && let Some(embedding) = self.read(name, path)?
            {
                return Ok(Some((embedding, own.len())));
            }
        }
        Ok(None)
    }

    /// The embedding that is called by its name, or `None` where there is none that fits (which is told): ComfyUI's way.
    ///
    /// # Errors
    /// As [`Embeddings::at_start`].
    pub(crate) fn called(&self, name: &str) -> Result<Option<Arc<Embedding>>, EngineError> {
        match self.shelf.find(name) {
            Ok(path) => self.read(name, path),
            Err(_) => {
                self.tell(PromptNotice::UnknownEmbedding { name: name.to_owned() });
                Ok(None)
            }
        }
    }

    /// Remembers something to tell.
    pub(crate) fn tell(&self, notice: PromptNotice) {
        let mut notices = self.notices.borrow_mut();
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }

    /// What there is to tell.
    pub(crate) fn notices(&self) -> Vec<PromptNotice> {
        self.notices.borrow().clone()
    }

    fn read(&self, name: &str, path: &Path) -> Result<Option<Arc<Embedding>>, EngineError> {
        if let Some(read) = self.read.borrow().get(path) {
            return Ok(read.clone());
        }
        let embedding = Embedding::open(name, path)?;
        let fitting = match embedding.fit(self.widths) {
            Ok(()) => Some(Arc::new(embedding)),
            Err(notice) => {
                self.tell(notice);
                None
            }
        };
        self.read.borrow_mut().insert(path.to_owned(), fitting.clone());
        Ok(fitting)
    }
}
