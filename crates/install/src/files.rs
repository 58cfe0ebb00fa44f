//! Checks files that lie on a disk already.

use manifest::{ChunkDigest, Event, FileEntry, Finding, Problem, Reporter, Sha256, Stopped};
use ordered::Pool;
use sha2::Digest as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Size and digest of a file.
pub(crate) fn digest_of(path: &Path) -> Result<(u64, Sha256), Problem> {
    let read = || -> std::io::Result<(u64, Sha256)> {
        let mut file = fs_err::File::open(path)?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut size = 0;
        loop {
            let count = file.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            hasher.update(bytes);
            size += count as u64;
        }
        Ok((size, Sha256::from_bytes(hasher.finalize().into())))
    };
    read().map_err(problem)
}

pub(crate) fn problem(error: std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::NotFound => Problem::Missing,
        _ => Problem::Unreadable { reason: error.to_string() },
    }
}

enum Step {
    Chunk { file: usize, index: usize, bytes: Vec<u8> },
    Wrong { file: usize, problem: Problem },
}

/// Compares files with their entries, chunk by chunk on several threads. Answers what is wrong, in order; a damaged
/// file has one finding for every damaged stretch.
///
/// # Errors
/// When somebody asked to stop.
pub(crate) fn check_files(
    files: &[(PathBuf, &FileEntry)],
    threads: usize,
    reporter: &dyn Reporter,
    task: &str,
) -> Result<Vec<Finding>, Stopped> {
    let pool = Pool::new();
    let mut findings: Vec<Finding> = Vec::new();
    let total = files.iter().map(|(_, entry)| entry.size).sum();
    let (mut done, mut in_work) = (0, None);
    reporter.event(&Event::TaskStart { task, bytes: Some(total) });
    ordered::run(
        threads,
        |give| {
            let _ = files.iter().enumerate().all(|(at, (path, entry))| read(at, path, entry, &pool, give));
            Ok(())
        },
        || (),
        |(), step| match step {
            Step::Chunk { file, index, bytes } => {
                let entry = files.get(file).map(|(_, entry)| entry);
                let good = entry.and_then(|entry| entry.chunks.get(index)) == Some(&ChunkDigest::of(&bytes));
                let length = bytes.len() as u64;
                pool.give_back(bytes);
                let offset = entry.and_then(|entry| entry.place(index)).map_or(0, |(offset, _)| offset);
                let reason = "it does not match the manifest".to_owned();
                (file, length, (!good).then_some(Problem::Damaged { offset, length, reason }))
            }
            Step::Wrong { file, problem } => (file, 0, Some(problem)),
        },
        |(file, length, problem)| {
            reporter.go_on()?;
            if let Some((_, entry)) = files.get(file).filter(|_| in_work.replace(file) != Some(file)) {
                reporter.event(&Event::TaskFile { task, file: entry.path.as_str() });
            }
            done += length;
            reporter.event(&Event::TaskProgress { task, bytes: done });
            let (Some(problem), Some((_, entry))) = (problem, files.get(file)) else { return Ok(()) };
            let finding = Finding { subject: entry.path.to_string(), problem };
            if !findings.last_mut().is_some_and(|last| extend(last, &finding)) {
                findings.push(finding);
            }
            Ok(())
        },
    )?;
    reporter.event(&Event::TaskEnd { task, bytes: done });
    Ok(findings)
}

/// Makes one finding of two neighbouring stretches.
fn extend(last: &mut Finding, next: &Finding) -> bool {
    match (&mut last.problem, &next.problem) {
        (
            Problem::Damaged { offset, length, reason },
            Problem::Damaged { offset: next_offset, length: more, reason: why },
        ) if last.subject == next.subject && *offset + *length == *next_offset && reason == why => {
            *length += more;
            true
        }
        _ => false,
    }
}

fn read(at: usize, path: &Path, entry: &FileEntry, pool: &Pool, give: &mut dyn FnMut(Step) -> bool) -> bool {
    let wrong = |problem| Step::Wrong { file: at, problem };
    let (mut file, found) = match fs_err::File::open(path).and_then(|file| file.metadata().map(|data| (file, data))) {
        Ok((file, metadata)) if metadata.is_file() => (file, metadata.len()),
        Ok(_) => return give(wrong(Problem::Foreign { reason: "it is not a plain file".to_owned() })),
        Err(error) => return give(wrong(problem(error))),
    };
    if found != entry.size {
        return give(wrong(Problem::WrongSize { expected: entry.size, found }));
    }
    for index in 0..entry.chunks.len() {
        let mut bytes = pool.take();
        let length = entry.place(index).map_or(0, |(_, length)| length);
        if let Err(error) = file.by_ref().take(length).read_to_end(&mut bytes) {
            return give(wrong(problem(error)));
        }
        if !give(Step::Chunk { file: at, index, bytes }) {
            return false;
        }
    }
    true
}
