//! Freezing a folder into a bundle: what `backup` and `import --whole` have in common.

mod earlier;
mod reading;

use crate::cli::FreezeArgs;
use crate::commands::bundle::target;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Seconds};
use crate::{home, signing};
use ::install::Walk;
use bundler::{Content, PackError, PackFile, PackFrozen, PackInput, PackOptions, PackReport, SigningKey};
use earlier::Earlier;
use manifest::{
    ByteSize, Component, ComponentId, ComponentKind, Frozen, FrozenKind, Inventory, LeftOut, Needs, Sha256, Tree,
    TreePath, layout,
};
use reading::Reading;
use std::collections::HashMap;
use std::path::Path;

/// So often a file that changes under our hands is read again.
const TRIES: u32 = 3;

/// Freezes `folder`, which `walk` looks at, into `out`.
pub(crate) fn freeze(
    what: FrozenKind,
    folder: &Path,
    out: &Path,
    args: &FreezeArgs,
    walk: impl FnOnce() -> Outcome<Walk>,
    output: &Output,
) -> Outcome {
    let out = home::absolute(out)?;
    outside(&out, folder)?;
    let earlier = Earlier::read(&args.have, output)?;
    let key = output.stop().abruptly(|| signing::key(&args.sign, output))?;
    let mut walk = output.step(1, 3, &format!("Look at every file in `{}`", folder.display()), walk)?;
    let mut reading = Reading::new(&earlier, args.rehash);
    output.step(2, 3, "Read what is new", || reading.read_all(&mut walk, output))?;
    let id = component_id(what)?;
    let job = Job {
        what,
        name: name(what, folder, args, &earlier)?,
        component: Component {
            id: id.clone(),
            kind: ComponentKind::Part,
            family: None,
            title: title(what, folder),
            licence: "as each file inside says".to_owned(),
            sources: vec![],
            settings: None,
        },
        options: PackOptions {
            out,
            next: args.next.iter().map(|folder| home::absolute(folder)).collect::<Outcome<_>>()?,
            volume_size: args.volume_size,
            recovery: args.recovery,
            replace: args.replace,
            read_back: !args.no_read_back,
            ..PackOptions::default()
        },
        key,
    };
    let (report, tree) = output.step(3, 3, "Pack and read back", || {
        let (report, tree) = pack(&job, &earlier, &mut walk, &mut reading, output)?;
        output.say(format!("      {}", report.read_back));
        Ok((report, tree))
    })?;
    conclude(&job, &earlier, &walk, &report, &tree, output)
}

/// What does not change when packing has to be tried again.
struct Job {
    what: FrozenKind,
    name: String,
    component: Component,
    options: PackOptions,
    key: Option<SigningKey>,
}

/// Packs; a file that changes meanwhile is read again, and left out when that does not help.
fn pack(
    job: &Job,
    earlier: &Earlier,
    walk: &mut Walk,
    reading: &mut Reading<'_>,
    output: &Output,
) -> Outcome<(PackReport, Tree)> {
    let mut tries: HashMap<TreePath, u32> = HashMap::new();
    loop {
        let (tree, places, packed) = pack_once(job, earlier, walk, reading, output);
        let (path, error) = match packed {
            Ok(report) => return Ok((report, tree)),
            Err(error) => match changed(&error).and_then(|place| places.get(place)) {
                Some(path) => (path.clone(), error),
                None => return Err(error.into()),
            },
        };
        let tried = tries.entry(path.clone()).or_default();
        *tried += 1;
        if *tried >= TRIES {
            reading.leave_out(walk, &path, "it changed each time that it was packed");
        } else {
            output.warn(format!("{error}: packing begins again"));
            reading.read(walk, vec![path], output)?;
        }
    }
}

fn pack_once(
    job: &Job,
    earlier: &Earlier,
    walk: &Walk,
    reading: &Reading<'_>,
    output: &Output,
) -> (Tree, HashMap<String, TreePath>, Result<PackReport, PackError>) {
    let (tree, stored) = walk.tree(reading.digests());
    let text = tree.to_json();
    let mut files: Vec<PackFile> =
        stored.iter().filter_map(|file| reading.pack_file(walk, file, &job.component.id)).collect();
    files.extend(layout::TREE.parse().ok().map(|path| PackFile {
        path,
        component: job.component.id.clone(),
        size: text.len() as u64,
        sha256: Sha256::of(&text),
        content: Content::Bytes(text.into()),
        surveyed: None,
    }));
    let places = stored.into_iter().map(|file| (file.stored.to_string(), file.path)).collect();
    let have = Inventory {
        format: Inventory::FORMAT,
        made_by: crate::PROGRAM_VERSION.to_owned(),
        bundle: job.name.clone(),
        sequence: earlier.sequence,
        files: earlier.files.clone(),
    };
    let frozen = Frozen { what: job.what, builds_on: earlier.builds_on.clone() };
    // The program travels with the first one; a later one is restored together with it.
    let programs = match earlier.builds_on.is_empty() {
        true => home::program().map(|program| vec![(target(), program)]).unwrap_or_default(),
        false => Vec::new(),
    };
    let input = PackInput {
        name: &job.name,
        files,
        components: vec![job.component.clone()],
        default_model: None,
        self_test: None,
        needs: Needs { disk: tree.size(), ..Needs::default() },
        programs,
        made_by: crate::PROGRAM_VERSION.to_owned(),
        sequence: earlier.sequence.saturating_add(1),
        have: Some(&have),
        frozen: Some(PackFrozen { frozen, seen: reading.seen(walk) }),
        key: job.key.as_ref(),
    };
    let packed = bundler::pack(&input, &job.options, output);
    (tree, places, packed)
}

/// The file that was not, or no longer, what the first reading had found.
fn changed(error: &PackError) -> Option<&str> {
    match error {
        PackError::Changed { path, .. }
        | PackError::Source { path, .. }
        | PackError::WrongSize { path, .. }
        | PackError::WrongDigest { path, .. } => Some(path.as_str()),
        _ => None,
    }
}

/// Says what was frozen, and what was not.
fn conclude(job: &Job, earlier: &Earlier, walk: &Walk, report: &PackReport, tree: &Tree, output: &Output) -> Outcome {
    let say = |lost: &LeftOut| output.warn(format!("`{}` is not in it: {}", lost.path, lost.reason));
    walk.special.iter().chain(&walk.unreadable).for_each(say);
    for path in walk.links_outside() {
        output.say(format!("      `{path}` is a link out of the folder: the link is in it, what it leads to is not"));
    }
    let manifest = &report.manifest;
    let size: u64 = report.volumes.iter().map(|(_, size)| size).sum();
    let new =
        manifest.files.iter().filter(|file| file.carried_bytes() > 0 && file.path.as_str() != layout::TREE).count();
    let others: String = earlier.builds_on.iter().map(|_| " EARLIER").collect();
    output.result(
        &serde_json::json!({
            "folder": report.folder, "volumes": report.volumes, "bundle_id": report.bundle_id, "name": manifest.name,
            "edition": manifest.sequence, "builds_on": earlier.builds_on, "files": tree.files().count(),
            "bytes": tree.size(), "new_files": new, "packed_bytes": size, "left_out": tree.left_out,
            "complete": walk.unreadable.is_empty(), "seconds": report.seconds,
        }),
        format!(
            "`{}`: edition {} of `{}`, {} files, {}; {new} of them new here, {} in {} file(s), {}\n\n\
             Bring it back anywhere, into a new folder:\n    fieldforge restore '{}'{others} --to DIR",
            report.folder.display(),
            manifest.sequence,
            manifest.name,
            tree.files().count(),
            ByteSize(tree.size()),
            ByteSize(size),
            report.volumes.len(),
            Seconds(report.seconds),
            report.folder.display(),
        ),
    );
    if walk.unreadable.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} is not complete: {} thing(s) could not be read; they are named above",
        job.what,
        walk.unreadable.len()
    ))
    .with_hint("change their rights, or run it as the account that they belong to, then run the same command again with --replace"))
}

/// A bundle cannot be made in the folder that it freezes.
fn outside(out: &Path, folder: &Path) -> Outcome {
    let existing = out.ancestors().find(|path| path.exists());
    if let (Some(Ok(place)), Ok(folder_place)) = (existing.map(Path::canonicalize), folder.canonicalize())
        && place.starts_with(&folder_place)
    {
        return Err(Failure::new(format!(
            "`{}` lies inside `{}`, which is to be frozen",
            out.display(),
            folder.display()
        ))
        .with_hint("choose a folder outside with --out, best on another disk"));
    }
    Ok(())
}

fn component_id(what: FrozenKind) -> Outcome<ComponentId> {
    let id = match what {
        FrozenKind::Home => "home",
        FrozenKind::Folder => "folder",
    };
    id.parse().map_err(Failure::usage)
}

fn title(what: FrozenKind, folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    match what {
        FrozenKind::Home => format!("A home of Fieldforge, \"{}\"", name.escape_debug()),
        FrozenKind::Folder => format!("The folder \"{}\"", name.escape_debug()),
    }
}

/// As asked for, as the earlier one, or after the folder.
fn name(what: FrozenKind, folder: &Path, args: &FreezeArgs, earlier: &Earlier) -> Outcome<String> {
    if let Some(name) = &args.name {
        let id: Result<ComponentId, String> = name.parse();
        return id.map(|id| id.to_string()).map_err(|reason| Failure::usage(format!("--name: {reason}")));
    }
    if let Some(name) = &earlier.name {
        return Ok(name.clone());
    }
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c) { c } else { '-' };
    let own: String =
        folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase().chars().map(plain).take(50).collect();
    let own = own.trim_matches(['-', '.', '_']);
    Ok(match (what, own) {
        (FrozenKind::Home, "") => "backup".to_owned(),
        (FrozenKind::Home, own) => format!("{own}-backup"),
        (FrozenKind::Folder, "") => "folder".to_owned(),
        (FrozenKind::Folder, own) => own.to_owned(),
    })
}
