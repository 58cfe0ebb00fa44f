//! From a request to a plan.

use crate::{Builtin, BundlePlan, PlanError, PlannedComponent, PlannedFile, web};
use manifest::{
    BundlePath, Catalog, CatalogEntry, Component, ComponentId, Confirmation, Lock, LockedComponent, Request, Sha256,
    Source, layout,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Everything that decides a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// What can be chosen by name.
    pub catalog: &'a Catalog,
    /// What was chosen.
    pub request: &'a Request,
    /// Where `forge.toml` lies; relative `file` sources count from here.
    pub request_folder: &'a Path,
    /// The lock beside it, if there is one.
    pub lock: Option<&'a Lock>,
    /// What this program brings along.
    pub builtins: &'a [Builtin],
    /// What the user allows.
    pub policy: Policy,
}

/// What the user allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// A file whose digest nobody vouches for may be fetched and is pinned from then on.
    pub trust_on_first_use: bool,
}

/// Works out every file of the bundle. Looks at the sizes of local files; otherwise touches neither disk nor network.
///
/// A lock is obeyed as far as it fits the request; what it does not cover is resolved from the catalog and the request,
/// and a note says so. Built-in components always come from this program.
///
/// # Errors
/// When a component is unknown, unsafe (a pickle, plain HTTP), unconfirmed, or two would get the same path.
pub fn plan(input: PlanInput<'_>) -> Result<BundlePlan, PlanError> {
    let request = request_digest(input.request);
    let stale = input.lock.is_some_and(|lock| lock.request != request);
    let mut components = Vec::new();
    let mut notes = Vec::new();
    let mut resolved_again = Vec::new();
    let own = input.request.components.iter().map(|entry| (&entry.id, Some(entry)));
    let included = input.request.include.iter().map(|id| (id, input.catalog.get(id)));
    for (id, entry) in included.chain(own) {
        let locked = input.lock.and_then(|lock| lock.get(id));
        let kept = locked.filter(|locked| match entry {
            Some(entry) => agrees(locked, entry) || (!stale && !is_builtin(&entry.sources, &input)),
            None => !stale && !is_builtin(&locked.sources, &input),
        });
        let planned = match (kept, entry) {
            (Some(locked), entry) => {
                if entry.is_none_or(|entry| !agrees(locked, entry)) {
                    notes.push(format!(
                        "the catalog describes `{id}` differently now; `{}` is obeyed. Delete it to take the new description",
                        layout::LOCK
                    ));
                }
                plan_locked(locked, entry)
            }
            (None, Some(entry)) => {
                if input.lock.is_some() && !is_builtin(&entry.sources, &input) {
                    resolved_again.push(format!("`{id}`"));
                }
                plan_entry(entry, &input)?
            }
            (None, None) => {
                let similar = input.catalog.similar(id.as_str()).into_iter().cloned().collect();
                return Err(PlanError::UnknownComponent { id: id.clone(), similar });
            }
        };
        check_sources(&planned)?;
        components.push(planned);
    }
    if stale {
        notes.insert(0, stale_note(&resolved_again));
    }
    check_paths(&components)?;
    check_names(input.request, &components)?;
    for planned in &components {
        if planned.files.iter().any(|file| file.confirmed == Confirmation::FirstUse && file.sha256.is_none()) {
            let id = &planned.component.id;
            notes.push(format!("nobody vouches for `{id}`: whatever the first download gives is taken and pinned"));
        }
    }
    Ok(BundlePlan {
        name: input.request.name.clone(),
        request,
        request_folder: input.request_folder.to_path_buf(),
        trust_on_first_use: input.policy.trust_on_first_use,
        components,
        notes,
    })
}

/// The digest that a lock remembers its request by.
#[must_use]
pub fn request_digest(request: &Request) -> Sha256 {
    Sha256::of(&serde_json::to_vec(request).unwrap_or_default())
}

fn stale_note(resolved_again: &[String]) -> String {
    let what = if resolved_again.is_empty() { "nothing".to_owned() } else { resolved_again.join(", ") };
    format!(
        "`{}` was made for another `{}`; what still fits is kept, resolved again: {what}",
        layout::LOCK,
        layout::REQUEST
    )
}

/// Whether a lock still pins what an entry describes.
fn agrees(locked: &LockedComponent, entry: &CatalogEntry) -> bool {
    let [file] = locked.files.as_slice() else { return false };
    locked.kind == entry.kind
        && locked.sources == entry.sources
        && entry.file.as_deref().is_none_or(|name| name == file.path.file_name())
        && entry.sha256.is_none_or(|sha256| sha256 == file.sha256)
        && file.confirmed != Confirmation::Builtin
}

fn is_builtin(sources: &[Source], input: &PlanInput<'_>) -> bool {
    sources.iter().any(|source| builtin(source, input).is_some())
}

fn builtin(source: &Source, input: &PlanInput<'_>) -> Option<Builtin> {
    let Source::Builtin { name } = source else { return None };
    input.builtins.iter().find(|builtin| builtin.name == name).copied()
}

fn plan_locked(locked: &LockedComponent, entry: Option<&CatalogEntry>) -> PlannedComponent {
    let component = Component {
        id: locked.id.clone(),
        kind: locked.kind,
        family: entry.map_or(&locked.family, |entry| &entry.family).clone(),
        title: entry.map_or(&locked.title, |entry| &entry.title).clone(),
        licence: entry.map_or(&locked.licence, |entry| &entry.licence).clone(),
        sources: locked.sources.clone(),
        settings: entry.map_or(&locked.settings, |entry| &entry.settings).clone(),
    };
    let files = locked.files.iter().map(|file| PlannedFile {
        path: file.path.clone(),
        size: Some(file.size),
        sha256: Some(file.sha256),
        confirmed: file.confirmed,
        builtin: None,
    });
    PlannedComponent { component, files: files.collect() }
}

fn plan_entry(entry: &CatalogEntry, input: &PlanInput<'_>) -> Result<PlannedComponent, PlanError> {
    let id = || entry.id.clone();
    let component = Component {
        id: id(),
        kind: entry.kind,
        family: entry.family.clone(),
        title: entry.title.clone(),
        licence: entry.licence.clone(),
        sources: entry.sources.clone(),
        settings: entry.settings.clone(),
    };
    if let Some(builtin) = entry.sources.iter().find_map(|source| builtin(source, input)) {
        let files = builtin.files.iter().map(|file| {
            let path = file.path.parse().map_err(|reason| PlanError::Path { id: id(), reason })?;
            Ok(PlannedFile {
                path,
                size: Some(file.bytes.len() as u64),
                sha256: Some(Sha256::of(file.bytes)),
                confirmed: Confirmation::Builtin,
                builtin: Some(file.bytes),
            })
        });
        return Ok(PlannedComponent { component, files: files.collect::<Result<_, _>>()? });
    }
    let path = path_of(entry, input)?;
    let local = local_size(entry, input)?;
    let confirmed = confirmation(entry, input).ok_or_else(|| PlanError::DigestUnknown { id: id() })?;
    let file = PlannedFile { path, size: entry.size.or(local), sha256: entry.sha256, confirmed, builtin: None };
    Ok(PlannedComponent { component, files: vec![file] })
}

fn path_of(entry: &CatalogEntry, input: &PlanInput<'_>) -> Result<BundlePath, PlanError> {
    let id = || entry.id.clone();
    if let [Source::Builtin { name }] = entry.sources.as_slice() {
        return Err(PlanError::UnknownBuiltin { id: id(), name: name.clone() });
    }
    if entry.sources.is_empty() {
        return Err(PlanError::NoSource { id: id() });
    }
    let from_source = || entry.sources.iter().find_map(|source| local_name(source, input));
    let name = entry.file.clone().or_else(from_source).ok_or_else(|| PlanError::NoFileName { id: id() })?;
    if is_pickle(&name) {
        return Err(PlanError::Pickle { id: id(), name });
    }
    if entry.kind.is_weights() && !name.ends_with(".safetensors") && !name.ends_with(".gguf") {
        return Err(PlanError::NotWeights { id: id(), name });
    }
    if name.contains('/') || name.parse::<BundlePath>().is_err() {
        return Err(PlanError::BadFileName { id: id(), name: name.escape_debug().take(80).collect() });
    }
    let path = layout::folder_of(entry.kind, &entry.id).and_then(|folder| folder.join(&name));
    let path = path.map_err(|reason| PlanError::Path { id: id(), reason })?;
    if layout::is_reserved(&path) {
        return Err(PlanError::BadFileName { id: id(), name });
    }
    Ok(path)
}

fn local_name(source: &Source, input: &PlanInput<'_>) -> Option<String> {
    let Source::File { path } = source else { return None };
    Some(input.request_folder.join(path).file_name()?.to_str()?.to_owned())
}

/// The size of the first local file there is; refuses when local files are the only sources and none is there.
fn local_size(entry: &CatalogEntry, input: &PlanInput<'_>) -> Result<Option<u64>, PlanError> {
    let mut missing = None;
    for source in &entry.sources {
        let Source::File { path } = source else { continue };
        let path = input.request_folder.join(path);
        match fs_err::metadata(&path) {
            Ok(metadata) if metadata.is_file() => return Ok(Some(metadata.len())),
            _ => missing = Some(path),
        }
    }
    let only_local = entry.sources.iter().all(|source| matches!(source, Source::File { .. }));
    match missing {
        // A stated digest can still be found among hand-carried files.
        Some(path) if only_local && entry.sha256.is_none() => {
            Err(PlanError::MissingFile { id: entry.id.clone(), path })
        }
        _ => Ok(None),
    }
}

fn confirmation(entry: &CatalogEntry, input: &PlanInput<'_>) -> Option<Confirmation> {
    if entry.sha256.is_some() {
        return Some(Confirmation::Stated);
    }
    let by_source = entry.sources.iter().find_map(|source| match source {
        Source::Npm { .. } | Source::Pypi { .. } => Some(Confirmation::Registry),
        Source::File { .. } => Some(Confirmation::Local),
        _ => None,
    });
    by_source.or(input.policy.trust_on_first_use.then_some(Confirmation::FirstUse))
}

/// Endings that people give to pickles. `.bin` can be anything; its content is looked at when it arrives.
fn is_pickle(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".ckpt", ".pt", ".pth", ".pkl", ".pickle"].iter().any(|ending| name.ends_with(ending))
}

fn check_sources(planned: &PlannedComponent) -> Result<(), PlanError> {
    let id = || planned.component.id.clone();
    for source in &planned.component.sources {
        let name = match source {
            Source::Https { url } => {
                let parsed = url::Url::parse(url).map_err(|error| PlanError::BadUrl {
                    id: id(),
                    url: url.clone(),
                    reason: error.to_string(),
                })?;
                match parsed.scheme() {
                    "https" | "http" if web::is_protected(&parsed) => {}
                    "http" => return Err(PlanError::PlainHttp { id: id(), url: url.clone() }),
                    scheme => {
                        let reason = format!("`{scheme}` is not `https`");
                        return Err(PlanError::BadUrl { id: id(), url: url.clone(), reason });
                    }
                }
                parsed.path().to_owned()
            }
            Source::Huggingface { file, .. } => file.clone(),
            Source::Github { asset, .. } => asset.clone(),
            Source::File { path } => path.clone(),
            Source::Civitai { .. } | Source::Npm { .. } | Source::Pypi { .. } | Source::Builtin { .. } => continue,
        };
        if is_pickle(&name) {
            return Err(PlanError::Pickle { id: id(), name });
        }
    }
    Ok(())
}

fn check_paths(components: &[PlannedComponent]) -> Result<(), PlanError> {
    let mut taken: BTreeMap<String, &ComponentId> = BTreeMap::new();
    for planned in components {
        for file in &planned.files {
            if let Some(first) = taken.insert(file.path.case_key(), &planned.component.id) {
                return Err(PlanError::SamePath {
                    path: file.path.clone(),
                    first: first.clone(),
                    second: planned.component.id.clone(),
                });
            }
        }
    }
    Ok(())
}

fn check_names(request: &Request, components: &[PlannedComponent]) -> Result<(), PlanError> {
    let test = request.self_test.as_ref().and_then(|test| test.model.as_ref());
    for (field, id) in [("default-model", request.default_model.as_ref()), ("self-test.model", test)] {
        if let Some(id) = id
            && !components.iter().any(|planned| planned.component.id == *id)
        {
            return Err(PlanError::NotIncluded { field, id: id.clone() });
        }
    }
    Ok(())
}
