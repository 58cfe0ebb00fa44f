//! Which backup is restored, and which bundle gives what.

use crate::{Bundle, RestoreError, RestoreOptions, Unverified, disk};
use manifest::{ChunkDigest, Edition, Signature, Tree, layout};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Which backup is restored, and which bundle gives what.
#[derive(Debug)]
pub(crate) struct RestorePlan<'a> {
    pub(crate) target: &'a Bundle<Unverified>,
    pub(crate) edition: Edition,
    pub(crate) sources: Vec<ChunkSource<'a>>,
    pub(crate) warnings: Vec<String>,
}

/// A bundle and the chunks that are taken from it.
#[derive(Debug)]
pub(crate) struct ChunkSource<'a> {
    pub(crate) bundle: &'a Bundle<Unverified>,
    /// File and chunk of that bundle: files and chunks of the one to restore.
    places: HashMap<(usize, usize), Vec<(usize, usize)>>,
}

impl ChunkSource<'_> {
    /// Where a chunk of this bundle is needed.
    pub(crate) fn places(&self, file: usize, index: usize) -> &[(usize, usize)] {
        self.places.get(&(file, index)).map_or(&[], Vec::as_slice)
    }
}

impl<'a> RestorePlan<'a> {
    /// Plans, and checks everything that can be checked before something is written.
    pub(crate) fn new(bundles: &'a [Bundle<Unverified>], options: &RestoreOptions) -> Result<Self, RestoreError> {
        let target = choose(bundles)?;
        let edition = edition(target);
        let mut warnings: Vec<String> = target.findings().iter().map(ToString::to_string).collect();
        warnings.extend(judge(target, &edition, options)?);
        check_place(bundles, &options.to)?;
        let sources = sources(bundles, target, &edition)?;
        for (bundle, source) in bundles.iter().zip(&sources) {
            if source.places.is_empty() && bundle.id() != target.id() {
                warnings.push(format!("{} holds nothing that is needed", self::edition(bundle)));
            }
        }
        Ok(Self { target, edition, sources, warnings })
    }

    /// Is there room for what is not there yet?
    pub(crate) fn check_room(&self, to: &Path, there: u64, tree: &Tree) -> Result<(), RestoreError> {
        if let Some((limit, what)) = disk::largest_file(to)
            && let Some((path, size, _)) = tree.files().find(|(_, size, _)| *size > limit)
        {
            return Err(RestoreError::FileTooLarge { to: to.to_path_buf(), path: path.to_string(), size, limit, what });
        }
        let needed = tree.size().saturating_sub(there) + (1 << 20);
        match disk::free_space(to) {
            Some(free) if free < needed => Err(RestoreError::NoSpace { to: to.to_path_buf(), needed, free }),
            _ => Ok(()),
        }
    }
}

/// How a bundle is called.
fn edition(bundle: &Bundle<Unverified>) -> Edition {
    let manifest = bundle.manifest();
    Edition { name: manifest.name.clone(), sequence: manifest.sequence, id: bundle.id() }
}

/// The newest of the frozen folders.
fn choose(bundles: &[Bundle<Unverified>]) -> Result<&Bundle<Unverified>, RestoreError> {
    let frozen: Vec<&Bundle<Unverified>> = bundles.iter().filter(|bundle| bundle.manifest().frozen.is_some()).collect();
    // One that another one builds on is not the one that is meant.
    let ground: HashSet<_> = frozen
        .iter()
        .filter_map(|bundle| bundle.manifest().frozen.as_ref())
        .flat_map(|frozen| frozen.builds_on.iter().map(|edition| edition.id))
        .collect();
    let mut tops = frozen.iter().filter(|bundle| !ground.contains(&bundle.id()));
    let Some(first) = tops.next() else {
        let names = bundles.iter().map(|bundle| bundle.manifest().name.clone()).collect();
        return Err(RestoreError::NotFrozen { names });
    };
    match tops.find(|other| other.id() != first.id()) {
        None => Ok(first),
        Some(other) => Err(RestoreError::Ambiguous { one: Box::new(edition(first)), other: Box::new(edition(other)) }),
    }
}

/// May it be restored? Answers what the person should know.
fn judge(
    target: &Bundle<Unverified>,
    edition: &Edition,
    options: &RestoreOptions,
) -> Result<Option<String>, RestoreError> {
    let trust = &options.trust;
    match target.signature().map(Signature::key) {
        None if trust.allow_unsigned => {
            Ok(Some("nobody signed this backup: whoever held it could have changed it".to_owned()))
        }
        None => Err(RestoreError::Unsigned { wanted: edition.clone() }),
        Some(key) if trust.keys.contains(key) => Ok(None),
        Some(key) if trust.keys.is_empty() => Ok(Some(format!(
            "this backup was signed with the key whose words are: {}. They must be those of the person who made it",
            key.words()
        ))),
        Some(key) => Err(RestoreError::ForeignKey { wanted: edition.clone(), key: key.clone() }),
    }
}

/// Can a folder be made there? Whether it is empty is seen when it is clear that no finished one lies there.
fn check_place(bundles: &[Bundle<Unverified>], to: &Path) -> Result<(), RestoreError> {
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for bundle in bundles {
        if let (Ok(place), Ok(folder)) = (disk::existing(to).canonicalize(), bundle.folder().canonicalize())
            && place.starts_with(&folder)
        {
            return Err(RestoreError::InsideBundle { to: to.to_path_buf(), bundle: bundle.folder() });
        }
    }
    match disk::cannot_write(parent) {
        Some(reason) => Err(RestoreError::NotWritable { to: to.to_path_buf(), reason }),
        None => Ok(()),
    }
}

/// Finds every chunk of the folder in one of the bundles.
fn sources<'a>(
    bundles: &'a [Bundle<Unverified>],
    target: &'a Bundle<Unverified>,
    wanted: &Edition,
) -> Result<Vec<ChunkSource<'a>>, RestoreError> {
    let own = bundles.iter().position(|bundle| bundle.id() == target.id()).unwrap_or(0);
    let mut elsewhere: HashMap<ChunkDigest, (usize, usize, usize)> = HashMap::new();
    for (at, bundle) in bundles.iter().enumerate() {
        for (file, entry) in bundle.manifest().files.iter().enumerate() {
            for index in entry.runs().into_iter().flat_map(|(first, end)| first..end) {
                let index = index as usize;
                if let Some(digest) = entry.chunks.get(index) {
                    elsewhere.entry(*digest).or_insert((at, file, index));
                }
            }
        }
    }
    let mut sources: Vec<ChunkSource<'a>> =
        bundles.iter().map(|bundle| ChunkSource { bundle, places: HashMap::new() }).collect();
    for (file, entry) in target.manifest().files.iter().enumerate() {
        if entry.path.as_str() == layout::TREE {
            continue;
        }
        let runs = entry.runs();
        for (index, digest) in entry.chunks.iter().enumerate() {
            let carried = runs.iter().any(|(first, end)| (*first..*end).contains(&(index as u64)));
            let found = if carried { Some((own, file, index)) } else { elsewhere.get(digest).copied() };
            let Some((at, from_file, from_index)) = found else {
                return Err(not_there(bundles, target, wanted, entry.path.to_string()));
            };
            if let Some(source) = sources.get_mut(at) {
                source.places.entry((from_file, from_index)).or_default().push((file, index));
            }
        }
    }
    Ok(sources)
}

/// Names the bundles that were not given; if all were, the file.
fn not_there(
    bundles: &[Bundle<Unverified>],
    target: &Bundle<Unverified>,
    wanted: &Edition,
    path: String,
) -> RestoreError {
    let builds_on = target.manifest().frozen.iter().flat_map(|frozen| &frozen.builds_on);
    let absent = |edition: &&Edition| bundles.iter().all(|bundle| bundle.id() != edition.id);
    let lacking: Vec<Edition> = builds_on.filter(absent).cloned().collect();
    match lacking.is_empty() {
        true => RestoreError::NotThere { wanted: wanted.clone(), path },
        false => RestoreError::Lacking { wanted: wanted.clone(), lacking },
    }
}
