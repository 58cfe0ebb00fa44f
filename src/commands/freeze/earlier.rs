//! What earlier bundles hold already.

use crate::failure::Outcome;
use crate::home;
use crate::output::Output;
use ::install::Bundle;
use manifest::{Edition, FileEntry, FileMark, FrozenInventory, Sha256, TreePath, layout};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What earlier bundles hold already, and what the files of the folder looked like then.
#[derive(Default)]
pub(crate) struct Earlier {
    /// The bundles.
    pub(crate) builds_on: Vec<Edition>,
    /// Their files.
    pub(crate) files: Vec<FileEntry>,
    /// By what an unchanged file is recognized.
    pub(crate) seen: HashMap<TreePath, (FileMark, Sha256)>,
    /// What the newest frozen folder among them is called.
    pub(crate) name: Option<String>,
    /// Its number; 0 when there is none.
    pub(crate) sequence: u64,
}

impl Earlier {
    /// Reads bundle folders and inventories.
    pub(crate) fn read(named: &[PathBuf], output: &Output) -> Outcome<Self> {
        let mut earlier = Self::default();
        for path in named {
            let path = home::absolute(path)?;
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_file() && layout::parse_volume_name(name).is_none() {
                let inventory = FrozenInventory::parse(&path.display().to_string(), &fs_err::read(&path)?)?;
                earlier.take_inventory(inventory);
            } else {
                earlier.take_bundle(&path, output)?;
            }
        }
        Ok(earlier)
    }

    fn take_inventory(&mut self, inventory: FrozenInventory) {
        self.see(&inventory);
        self.take_frozen(inventory.edition, inventory.frozen.builds_on, inventory.files);
    }

    fn take_bundle(&mut self, path: &Path, output: &Output) -> Outcome {
        let bundle = Bundle::open(path)?;
        for finding in bundle.findings() {
            output.warn(format!("the earlier bundle is not all here: {finding}"));
        }
        let manifest = bundle.manifest();
        let edition = Edition { name: manifest.name.clone(), sequence: manifest.sequence, id: bundle.id() };
        let files = manifest.files.iter().filter(|file| file.path.as_str() != layout::TREE).cloned();
        match &manifest.frozen {
            Some(frozen) => {
                // Only a help: without it everything is read.
                let file = bundle.folder().join(layout::FROZEN_INVENTORY);
                let text = fs_err::read(&file).unwrap_or_default();
                match FrozenInventory::parse(&file.display().to_string(), &text) {
                    Ok(inventory) if inventory.edition.id == bundle.id() => self.see(&inventory),
                    _ => output.say(format!("`{}` cannot be used: every file is read", file.display())),
                }
                self.take_frozen(edition, frozen.builds_on.clone(), files.collect());
            }
            // What an update does not carry is in bundles that nobody knows here.
            None => {
                self.add(edition);
                self.files.extend(files.filter(|file| file.carried.is_none()));
            }
        }
        Ok(())
    }

    fn see(&mut self, inventory: &FrozenInventory) {
        self.seen.extend(inventory.seen.iter().map(|file| (file.path.clone(), (file.mark, file.sha256))));
    }

    fn take_frozen(&mut self, edition: Edition, builds_on: Vec<Edition>, files: Vec<FileEntry>) {
        if edition.sequence >= self.sequence {
            self.sequence = edition.sequence;
            self.name = Some(edition.name.clone());
        }
        builds_on.into_iter().chain([edition]).for_each(|edition| self.add(edition));
        self.files.extend(files);
    }

    fn add(&mut self, edition: Edition) {
        if !self.builds_on.contains(&edition) {
            self.builds_on.push(edition);
        }
    }
}
