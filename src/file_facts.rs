//! What model files say about themselves, read once.

use crate::library::InstalledFile;
use engine::{Lora, Upscaler};
use manifest::ComponentKind;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Longest word and longest note, in characters.
const LONGEST: (usize, usize) = (80, 300);
/// Most words that are shown as calling something up.
const WORDS: usize = 12;

/// What a file says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileFacts {
    /// The family that it is for.
    pub(crate) family: Option<String>,
    /// Words that call it up: those of its author, else the most frequent ones of its training.
    pub(crate) trigger_words: Vec<String>,
    /// What its author says of it, cut short.
    pub(crate) note: String,
    /// Under which terms it was published.
    pub(crate) licence: Option<String>,
    /// How much larger an upscaler makes a picture.
    pub(crate) scale: Option<u32>,
}

/// The facts that were read so far.
#[derive(Default)]
pub(crate) struct FactsBook(Mutex<HashMap<(PathBuf, u64), FileFacts>>);

impl FactsBook {
    /// What is known of a file: nothing before [`FactsBook::read`].
    pub(crate) fn of(&self, file: &InstalledFile) -> FileFacts {
        self.book().get(&key(file)).cloned().unwrap_or_default()
    }

    /// Opens the files that nobody has opened yet.
    pub(crate) fn read(&self, files: &[InstalledFile]) {
        for file in files {
            let known = self.book().contains_key(&key(file));
            if !known {
                // Others may look things up meanwhile.
                let facts = FileFacts::of(file);
                self.book().insert(key(file), facts);
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, HashMap<(PathBuf, u64), FileFacts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileFacts {
    /// Opens a file and reads its header; nothing of one that cannot be read.
    pub(crate) fn of(file: &InstalledFile) -> Self {
        let family = || crate::judge::judge(&file.path, Some(file.kind)).ok().and_then(|found| found.family);
        let mut facts = Self { family: file.family.clone().or_else(family), ..Self::default() };
        match file.kind {
            ComponentKind::Lora => {
                let Ok(lora) = Lora::open(&file.path) else { return facts };
                let info = lora.info();
                let trained = info.tags.iter().map(|tag| &tag.tag).take(8);
                let words: Vec<&String> = match info.trigger_words.is_empty() {
                    true => trained.collect(),
                    false => info.trigger_words.iter().take(WORDS).collect(),
                };
                facts.trigger_words = words.into_iter().map(|word| cut(word, LONGEST.0)).collect();
                facts.note = info.description.as_deref().map(|text| cut(text, LONGEST.1)).unwrap_or_default();
                facts.licence = info.license.as_deref().map(|text| cut(text, LONGEST.0));
            }
            ComponentKind::Upscaler => facts.scale = Upscaler::open(&file.path).ok().map(|network| network.factor()),
            _ => {
                let metadata = engine::checkpoint::inspect(&file.path).map(|info| info.metadata).unwrap_or_default();
                let text = |name: &str| metadata.get(name).filter(|text| !text.is_empty());
                facts.note = text("modelspec.description").map(|text| cut(text, LONGEST.1)).unwrap_or_default();
                facts.licence = text("modelspec.license").map(|text| cut(text, LONGEST.0));
                let words = text("modelspec.trigger_phrase").map(String::as_str).unwrap_or_default().split(',');
                let words = words.map(str::trim).filter(|word| !word.is_empty()).take(WORDS);
                facts.trigger_words = words.map(|word| cut(word, LONGEST.0)).collect();
            }
        }
        facts
    }
}

fn key(file: &InstalledFile) -> (PathBuf, u64) {
    (file.path.clone(), file.size)
}

/// A foreign text on one line, not too long.
fn cut(text: &str, longest: usize) -> String {
    let mut short: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(longest).collect();
    if text.chars().count() > longest {
        short.push('…');
    }
    short
}
