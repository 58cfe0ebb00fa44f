//! What a folder holds, name by name: the first step of freezing it.

use crate::home_lock::HomeLock;
use crate::{InstallError, file_facts};
use manifest::{BundlePath, FileMark, LeftOut, Mode, Sha256, Tree, TreeEntry, TreeKind, TreePath, layout};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What a folder held when it was looked at. Nothing was read but names and what the system keeps about them.
#[derive(Debug)]
pub struct Walk {
    folder: PathBuf,
    /// In the order of their paths; the folder itself comes first.
    entries: Vec<Found>,
    /// What cannot be frozen because of what it is: sockets, pipes, devices.
    pub special: Vec<LeftOut>,
    /// What should be frozen and is not, because it could not be read.
    pub unreadable: Vec<LeftOut>,
    /// Nobody installs into a home that is being frozen.
    _lock: Option<HomeLock>,
}

/// One file, folder or link.
#[derive(Clone, Debug)]
struct Found {
    path: TreePath,
    kind: FoundKind,
    mode: Mode,
    mtime: (i64, u32),
}

#[derive(Clone, Debug)]
enum FoundKind {
    Folder,
    File(FileMark),
    HardLink { to: TreePath },
    Link { to: TreePath },
}

/// One content of the folder and the name under which a bundle holds it.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// The first file of the folder that has this content.
    pub path: TreePath,
    /// Its place in the bundle.
    pub stored: BundlePath,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

impl Walk {
    /// Looks at everything in a folder. Links are not followed.
    ///
    /// # Errors
    /// When the folder itself cannot be listed. What cannot be read in it is named in [`Walk::unreadable`].
    pub fn of_folder(folder: &Path) -> Result<Self, InstallError> {
        Self::new(folder, None, &|_| false)
    }

    /// Looks at everything in a home but its lock and installations that were never finished. As long as the value
    /// lives, nothing is installed there.
    ///
    /// # Errors
    /// When nothing is installed there, an installation is going on, or the folder cannot be listed.
    pub fn of_home(home: &Path) -> Result<Self, InstallError> {
        if crate::current(home)?.is_none() {
            return Err(InstallError::NothingInstalled { home: home.to_path_buf() });
        }
        let lock = match HomeLock::take(home) {
            Ok(lock) => Some(lock),
            Err(error @ InstallError::Locked { .. }) => return Err(error),
            // Nobody can install into a home that cannot be written to.
            Err(_) => None,
        };
        let unfinished = format!("{}/", layout::GENERATIONS);
        let skip = |path: &TreePath| {
            let path = path.to_string();
            let generation = path.strip_prefix(&unfinished).filter(|name| !name.contains('/'));
            path == layout::HOME_LOCK || generation.is_some_and(|name| name.ends_with(layout::PARTIAL_SUFFIX))
        };
        Self::new(home, lock, &skip)
    }

    fn new(folder: &Path, lock: Option<HomeLock>, skip: &dyn Fn(&TreePath) -> bool) -> Result<Self, InstallError> {
        let root = fs_err::metadata(folder).map_err(InstallError::Io)?;
        fs_err::read_dir(folder).map_err(InstallError::Io)?;
        let mut walk = Self {
            folder: folder.to_path_buf(),
            entries: Vec::new(),
            special: Vec::new(),
            unreadable: Vec::new(),
            _lock: lock,
        };
        let mut identities = HashMap::new();
        let mark = file_facts::mark_of(&root);
        let mode = file_facts::mode_of(&root);
        walk.entries.push(Found { path: TreePath::root(), kind: FoundKind::Folder, mode, mtime: mark.mtime });
        // No recursion: how deep folders lie in each other is up to whoever made them.
        let mut folders = vec![TreePath::root()];
        while let Some(parent) = folders.pop() {
            walk.list(&parent, skip, &mut folders, &mut identities);
        }
        walk.entries.sort_by(|a, b| order(&a.path).cmp(&order(&b.path)));
        walk.name_hard_links(&identities);
        Ok(walk)
    }

    /// Looks at what lies directly in one folder.
    fn list(
        &mut self,
        parent: &TreePath,
        skip: &dyn Fn(&TreePath) -> bool,
        folders: &mut Vec<TreePath>,
        identities: &mut HashMap<TreePath, (u64, u64)>,
    ) {
        let listing = match fs_err::read_dir(file_facts::below(&self.folder, parent)) {
            Ok(listing) => listing,
            Err(error) => return self.lose(parent.clone(), &error),
        };
        for entry in listing {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.lose(parent.clone(), &error),
            };
            let Some(name) = file_facts::bytes_of(&entry.file_name()) else {
                let path = TreePath::from_bytes(entry.file_name().to_string_lossy().into_owned());
                self.unreadable.push(LeftOut { path, reason: "its name is no text".to_owned() });
                continue;
            };
            let path = match parent.is_root() {
                true => TreePath::from_bytes(name),
                false => TreePath::from_bytes([parent.as_bytes(), b"/", &name].concat()),
            };
            if skip(&path) {
                continue;
            }
            let metadata = match std::fs::symlink_metadata(entry.path()) {
                Ok(metadata) => metadata,
                // It was there a moment ago.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.lose(path, &error);
                    continue;
                }
            };
            let mark = file_facts::mark_of(&metadata);
            let kind = if metadata.is_dir() {
                folders.push(path.clone());
                FoundKind::Folder
            } else if metadata.is_file() {
                identities.extend(file_facts::shared_identity(&metadata).map(|identity| (path.clone(), identity)));
                FoundKind::File(mark)
            } else if metadata.is_symlink() {
                match fs_err::read_link(entry.path()).map(|to| file_facts::bytes_of(to.as_os_str())) {
                    Ok(Some(to)) => FoundKind::Link { to: TreePath::from_bytes(to) },
                    Ok(None) => FoundKind::Link { to: TreePath::root() },
                    Err(error) => {
                        self.lose(path, &error);
                        continue;
                    }
                }
            } else {
                self.special.push(LeftOut { path, reason: file_facts::special_kind(&metadata).to_owned() });
                continue;
            };
            self.entries.push(Found { path, kind, mode: file_facts::mode_of(&metadata), mtime: mark.mtime });
        }
    }

    fn lose(&mut self, path: TreePath, error: &std::io::Error) {
        self.unreadable.push(LeftOut { path, reason: plain_reason(error) });
    }

    /// Of several names of one file, the first one stands for the file.
    fn name_hard_links(&mut self, identities: &HashMap<TreePath, (u64, u64)>) {
        let mut first: HashMap<(u64, u64), TreePath> = HashMap::new();
        for entry in &mut self.entries {
            let Some(identity) = identities.get(&entry.path) else { continue };
            match first.get(identity) {
                Some(to) => entry.kind = FoundKind::HardLink { to: to.clone() },
                None => {
                    first.insert(*identity, entry.path.clone());
                }
            }
        }
    }

    /// Path and mark of every file; second names are not among them.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, FileMark)> {
        self.entries.iter().filter_map(|entry| match entry.kind {
            FoundKind::File(mark) => Some((&entry.path, mark)),
            _ => None,
        })
    }

    /// Links that lead out of the folder: what they lead to is not frozen with it.
    #[must_use]
    pub fn links_outside(&self) -> Vec<&TreePath> {
        let outside = |entry: &&Found| match &entry.kind {
            FoundKind::Link { to } => {
                let depth = entry.path.as_bytes().iter().filter(|byte| **byte == b'/').count();
                to.as_bytes().starts_with(b"/") || leaves(to.as_bytes(), depth)
            }
            _ => false,
        };
        self.entries.iter().filter(outside).map(|entry| &entry.path).collect()
    }

    /// Where a path of the folder lies.
    #[must_use]
    pub fn place(&self, path: &TreePath) -> PathBuf {
        file_facts::below(&self.folder, path)
    }

    /// Looks at a file again. Answers its mark, or why it is no file any more; nothing when it is gone.
    ///
    /// # Errors
    /// The operating system's words.
    pub fn look_again(&mut self, path: &TreePath) -> Result<Option<FileMark>, String> {
        match std::fs::symlink_metadata(self.place(path)) {
            Ok(metadata) if metadata.is_file() => {
                let mark = file_facts::mark_of(&metadata);
                let at = self.entries.binary_search_by(|entry| order(&entry.path).cmp(&order(path)));
                if let Some(entry) = at.ok().and_then(|at| self.entries.get_mut(at)) {
                    entry.kind = FoundKind::File(mark);
                    entry.mode = file_facts::mode_of(&metadata);
                    entry.mtime = mark.mtime;
                }
                Ok(Some(mark))
            }
            Ok(_) => Err("it is no file any more".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(plain_reason(&error)),
        }
    }

    /// Takes a file out. The next of its other names, if there is one, stands for it from now on and is answered.
    pub fn take_out(&mut self, path: &TreePath) -> Option<TreePath> {
        let at = self.entries.iter().position(|entry| entry.path == *path)?;
        let FoundKind::File(mark) = self.entries.remove(at).kind else { return None };
        let mut next: Option<TreePath> = None;
        for entry in &mut self.entries {
            if !matches!(&entry.kind, FoundKind::HardLink { to } if to == path) {
                continue;
            }
            entry.kind = match &next {
                None => FoundKind::File(mark),
                Some(to) => FoundKind::HardLink { to: to.clone() },
            };
            next.get_or_insert_with(|| entry.path.clone());
        }
        next
    }

    /// The tree, and every content once with its place in the bundle. `digests` are those of [`Walk::files`]; a file
    /// without one is not frozen.
    #[must_use]
    pub fn tree(&self, digests: &HashMap<TreePath, Sha256>) -> (Tree, Vec<StoredFile>) {
        let mut names = StoredNames::default();
        let mut stored: Vec<StoredFile> = Vec::new();
        let mut places: HashMap<Sha256, BundlePath> = HashMap::new();
        let mut entries = Vec::new();
        for found in &self.entries {
            let kind = match &found.kind {
                FoundKind::Folder => TreeKind::Folder,
                FoundKind::HardLink { to } if digests.contains_key(to) => TreeKind::HardLink { to: to.clone() },
                FoundKind::HardLink { .. } => continue,
                FoundKind::Link { to } => TreeKind::Link { to: to.clone() },
                FoundKind::File(mark) => {
                    let Some(sha256) = digests.get(&found.path) else { continue };
                    let place = match places.get(sha256) {
                        Some(place) => place.clone(),
                        None => {
                            let Some(place) = names.give(&found.path, *sha256) else { continue };
                            places.insert(*sha256, place.clone());
                            let path = found.path.clone();
                            stored.push(StoredFile { path, stored: place.clone(), size: mark.size, sha256: *sha256 });
                            place
                        }
                    };
                    TreeKind::File { size: mark.size, sha256: *sha256, stored: place }
                }
            };
            let (mtime, nanos) = found.mtime;
            entries.push(TreeEntry { path: found.path.clone(), kind, mode: found.mode, mtime, nanos });
        }
        let mut left_out: Vec<LeftOut> = self.special.iter().chain(&self.unreadable).cloned().collect();
        left_out.sort_by(|a, b| a.path.cmp(&b.path));
        (Tree { format: Tree::FORMAT, entries, left_out }, stored)
    }
}

/// The folder itself, then everything by its bytes.
fn order(path: &TreePath) -> (bool, &TreePath) {
    (!path.is_root(), path)
}

/// The operating system's reason without the path, which is said anyway.
#[must_use]
pub fn plain_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "this account may not read it".to_owned(),
        // what the system said stands behind the path
        _ => match error.get_ref().and_then(|error| error.source()) {
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        },
    }
}

/// Does a relative link leave the folder from that depth?
fn leaves(to: &[u8], depth: usize) -> bool {
    let mut depth = depth as i64;
    for part in to.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

/// Places in a bundle for files of any name.
#[derive(Default)]
struct StoredNames {
    files: HashSet<String>,
    folders: HashSet<String>,
}

impl StoredNames {
    /// The file's own name where a bundle can use it, else one made of its digest.
    fn give(&mut self, path: &TreePath, sha256: Sha256) -> Option<BundlePath> {
        let own = std::str::from_utf8(path.as_bytes()).ok();
        let own = own.and_then(|own| format!("{}/{own}", layout::FROZEN_FILES).parse::<BundlePath>().ok());
        let own = own.filter(|own| !layout::is_reserved(own) && self.is_free(own));
        let given = match own {
            Some(own) => own,
            None => {
                let name = path.to_string();
                let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
                let plain =
                    !ending.is_empty() && ending.len() <= 16 && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
                let ending = if plain { format!(".{ending}") } else { String::new() };
                let named: Option<BundlePath> = format!("{}/{sha256}{ending}", layout::FROZEN_ODD).parse().ok();
                let named = named.filter(|named| !layout::is_reserved(named));
                named.or_else(|| format!("{}/{sha256}", layout::FROZEN_ODD).parse().ok())?
            }
        };
        let key = given.case_key();
        self.folders.extend(key.match_indices('/').filter_map(|(at, _)| key.get(..at)).map(str::to_owned));
        self.files.insert(key);
        Some(given)
    }

    fn is_free(&self, path: &BundlePath) -> bool {
        let key = path.case_key();
        let under_a_file =
            key.match_indices('/').any(|(at, _)| key.get(..at).is_some_and(|folder| self.files.contains(folder)));
        !under_a_file && !self.files.contains(&key) && !self.folders.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_bundle_cannot_use_are_replaced() {
        let mut names = StoredNames::default();
        let digest = Sha256::of(b"x");
        let mut give = |name: &[u8]| names.give(&TreePath::from_bytes(name), digest).unwrap().to_string();
        let odd = |ending: &str| format!("odd-names/{digest}{ending}");
        assert_eq!(give(b"models/a b.safetensors"), "files/models/a b.safetensors");
        assert_eq!(give(b"CON"), odd(""));
        assert_eq!(give(b"a:b.safetensors"), odd(".safetensors"));
        assert_eq!(give(b"half.part"), odd(""));
        assert_eq!(give(b"\xff.png"), odd(".png"));
        assert_eq!(give(b"readme"), "files/readme");
        assert_eq!(give(b"README"), odd(""));
        assert_eq!(give(b"Readme/x"), odd(""));
        assert_eq!(give(b"MODELS"), odd(""));
        assert_eq!(give(&[b'x'; 200]), odd(""));
    }

    #[test]
    fn links_out_of_the_folder_are_seen() {
        assert!(!leaves(b"../b", 1) && leaves(b"../b", 0) && leaves(b"../../b", 1) && !leaves(b"a/../b", 0));
    }
}
