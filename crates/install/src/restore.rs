//! Restoring: a frozen folder comes back as it was, under any path.

use crate::contents::Contents;
use crate::restore_plan::RestorePlan;
use crate::restore_staging::Staging;
use crate::stream::{Piece, StreamOptions, stream};
use crate::{Bundle, RestoreError, Trust, Unverified};
use manifest::{Edition, Event, Finding, LeftOut, Problem, PublicKey, Reporter, Segment, Tree, TreeKind, layout};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Where and how to restore.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// The folder to make; it must not exist, or be empty.
    pub to: PathBuf,
    /// Threads for decoding; 0: all there are, at most eight.
    pub threads: usize,
    /// Whose backups are accepted; without keys, any that is signed.
    pub trust: Trust,
}

/// What was restored.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// The folder.
    pub folder: PathBuf,
    /// From what.
    pub edition: Edition,
    /// The key that signed it.
    pub signed_by: Option<PublicKey>,
    /// Number of files.
    pub files: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// What the backup lacks, and why: it could not be read when the backup was made.
    pub left_out: Vec<LeftOut>,
    /// How long it took.
    pub seconds: f64,
}

/// Restores the newest of the frozen folders among `bundles`; the others hold what it does not carry.
///
/// Everything is put together in a folder beside `to`, whose name ends in `.part`, and gets its name with one rename
/// when all of it was compared with the manifest and is on the disk. An interrupted restoration, even by `kill -9` or a
/// power cut, is continued by running it again: what it finds, it compares with the manifest before it trusts it.
///
/// # Errors
/// When a bundle that is needed was not given or is damaged, `to` is not empty or cannot hold the folder, or the
/// operating system refuses something. Nothing stands under `to` then.
pub fn restore(
    bundles: &[Bundle<Unverified>],
    options: &RestoreOptions,
    reporter: &dyn Reporter,
) -> Result<Restored, RestoreError> {
    let start = Instant::now();
    let plan = RestorePlan::new(bundles, options)?;
    plan.warnings.iter().for_each(|text| reporter.event(&Event::Warning { text }));
    let threads = if options.threads == 0 { ordered::default_threads() } else { options.threads };
    let tree = read_tree(plan.target, threads)?;
    let manifest = plan.target.manifest();
    let staging = Staging::open(&options.to, plan.target.id(), reporter)?;
    if !staging.is_complete() {
        staging.take_apart(&tree, &manifest.files)?;
        let mut contents = Contents::find(&staging.contents(), &manifest.files)?;
        plan.check_room(&options.to, contents.bytes(), &tree)?;
        fill(&plan, &mut contents, threads, reporter)?;
        staging.put_together(&tree, &manifest.files, reporter)?;
    }
    staging.commit(&tree)?;
    let files =
        tree.entries.iter().filter(|entry| matches!(entry.kind, TreeKind::File { .. } | TreeKind::HardLink { .. }));
    Ok(Restored {
        folder: options.to.clone(),
        edition: plan.edition,
        signed_by: plan.target.signature().map(|signature| signature.key().clone()),
        files: files.count(),
        bytes: tree.size(),
        left_out: tree.left_out,
        seconds: start.elapsed().as_secs_f64(),
    })
}

enum Stop {
    Found,
    Wrong(Finding),
}

/// Reads the description of the folder; nothing behind it.
fn read_tree(bundle: &Bundle<Unverified>, threads: usize) -> Result<Tree, RestoreError> {
    let manifest = bundle.manifest();
    let place = manifest.files.iter().position(|file| file.path.as_str() == layout::TREE);
    let entry = place.and_then(|place| manifest.files.get(place));
    let (Some(place), Some(entry)) = (place, entry.filter(|entry| entry.size <= Tree::MAX_TEXT)) else {
        let finding = Finding { subject: layout::TREE.to_owned(), problem: Problem::Missing };
        return Err(RestoreError::Damaged { finding });
    };
    let plan = bundle.plan();
    let is_part = |segment: &Segment| matches!(segment, Segment::Chunk { file, .. } if *file == place);
    let wanted = |number: u64| plan.segment(number).as_ref().is_some_and(is_part);
    let mut text = Vec::new();
    let outcome = stream(&bundle.set, &plan, &StreamOptions { threads, thorough: false, wanted: &wanted }, |piece| {
        match piece {
            Piece::Good { segment, content } if is_part(&segment) => text.extend_from_slice(content),
            Piece::Wrong(finding) => return Err(Stop::Wrong(finding)),
            _ => {}
        }
        if text.len() as u64 == entry.size { Err(Stop::Found) } else { Ok(()) }
    });
    match outcome {
        Err(Stop::Wrong(finding)) => return Err(RestoreError::Damaged { finding }),
        Ok(()) | Err(Stop::Found) => {}
    }
    Tree::parse(layout::TREE, &text, manifest).map_err(RestoreError::Tree)
}

/// Takes every chunk that is still missing from the bundle that holds it.
fn fill(
    plan: &RestorePlan<'_>,
    contents: &mut Contents<'_>,
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<(), RestoreError> {
    let task = layout::archive_name(&plan.target.manifest().name);
    let total = plan.target.manifest().size();
    reporter.event(&Event::TaskStart { task: &task, bytes: Some(total) });
    let mut wrong: Option<Finding> = None;
    for source in &plan.sources {
        let archive = source.bundle.plan();
        let needed = |segment: Segment| match segment {
            Segment::Chunk { file, index } => {
                source.places(file, index).iter().any(|(file, index)| !contents.has(*file, *index))
            }
            _ => false,
        };
        let wanted: Vec<bool> = archive.segments().iter().map(|segment| needed(*segment)).collect();
        if !wanted.contains(&true) {
            continue;
        }
        wrong = wrong
            .or_else(|| source.bundle.findings().iter().find(|finding| finding.problem == Problem::Missing).cloned());
        let wanted = |number: u64| usize::try_from(number).ok().and_then(|at| wanted.get(at)).copied().unwrap_or(false);
        let consume = |piece: Piece<'_>| -> Result<(), RestoreError> {
            reporter.go_on()?;
            match piece {
                Piece::Good { segment: Segment::Chunk { file, index }, content } => {
                    for (file, index) in source.places(file, index) {
                        contents.write(*file, *index, content)?;
                    }
                    reporter.event(&Event::TaskProgress { task: &task, bytes: contents.bytes() });
                }
                // It may be in a part that is not needed.
                Piece::Wrong(finding) => {
                    wrong.get_or_insert(finding);
                }
                _ => {}
            }
            Ok(())
        };
        stream(&source.bundle.set, &archive, &StreamOptions { threads, thorough: false, wanted: &wanted }, consume)?;
    }
    contents.close();
    reporter.event(&Event::TaskEnd { task: &task, bytes: contents.bytes() });
    match (contents.first_incomplete(), wrong) {
        (None, _) => Ok(()),
        (Some(_), Some(finding)) => Err(RestoreError::Damaged { finding }),
        (Some(path), None) => {
            let problem = Problem::Unreadable { reason: "the bundle ended before it".to_owned() };
            Err(RestoreError::Damaged { finding: Finding { subject: path.to_string(), problem } })
        }
    }
}
