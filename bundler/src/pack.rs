//! Packing: verified files become a bundle folder.

mod compression;
mod error;
mod folder;
mod start_here;
mod survey;
mod target_disk;
mod volume_writer;

use crate::{Content, ContentReader, SigningKey};
use compression::Compressors;
use folder::BundleFolder;
use manifest::{
    ArchivePlan, BundleManifest, BundlePath, ByteSize, Component, ComponentId, Event, Inventory, Needs, Program,
    Reporter, Segment, SelfTestSpec, Sha256, layout,
};
use ordered::Pool;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Instant;
use survey::{SurveyedFile, survey};
use volume_writer::VolumeWriter;

pub use error::PackError;
pub use target_disk::default_volume_size;

/// What goes into a bundle.
#[derive(Clone)]
pub struct PackInput<'a> {
    /// The bundle's name.
    pub name: &'a str,
    /// The files; any order.
    pub files: Vec<PackFile>,
    /// What the files belong to, in the order in which people should see it.
    pub components: Vec<Component>,
    /// The checkpoint that generation starts with.
    pub default_model: Option<ComponentId>,
    /// What the self-test draws.
    pub self_test: Option<SelfTestSpec>,
    /// What the offline machine must have; `disk` and `largest_file` are raised to what the files need.
    pub needs: Needs,
    /// Copies of this program: the machines that each runs on ("x86_64-linux") and where it is.
    pub programs: Vec<(String, PathBuf)>,
    /// The program that packs ("fieldforge 0.1.0").
    pub made_by: String,
    /// Which edition of the bundle it is; 0: not counted.
    pub sequence: u64,
    /// What the offline machine has already: the archive holds only what is missing there.
    pub have: Option<&'a Inventory>,
    /// Signs the manifest.
    pub key: Option<&'a SigningKey>,
}

/// One file to pack.
#[derive(Clone, Debug)]
pub struct PackFile {
    /// Its place in the bundle.
    pub path: BundlePath,
    /// The component that it belongs to.
    pub component: ComponentId,
    /// Where its bytes are.
    pub content: Content,
    /// Bytes expected.
    pub size: u64,
    /// Digest expected.
    pub sha256: Sha256,
}

/// How to pack.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// The bundle folder to make.
    pub out: PathBuf,
    /// Largest volume; absent: what the target's file system can hold ([`default_volume_size`]).
    pub volume_size: Option<ByteSize>,
    /// Threads for compression; 0: all there are, at most eight.
    pub threads: usize,
    /// How much recovery data the archive gets, in per cent of its size; 0 for none.
    pub recovery: f64,
    /// Replace a bundle that lies in `out` already.
    pub replace: bool,
}

impl PackOptions {
    /// Recovery data for one long hole of a fiftieth of the archive, in per cent.
    pub const RECOVERY: f64 = 2.0;
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { out: PathBuf::new(), volume_size: None, threads: 0, recovery: Self::RECOVERY, replace: false }
    }
}

/// What was packed.
#[derive(Clone, Debug)]
pub struct PackReport {
    /// The bundle folder.
    pub folder: PathBuf,
    /// Names and sizes of the volumes, in order.
    pub volumes: Vec<(String, u64)>,
    /// The manifest.
    pub manifest: BundleManifest,
    /// The bundle's identity.
    pub bundle_id: Sha256,
    /// Bytes of all files before compression.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Makes a bundle folder: volumes, programs, `START-HERE.txt`, `SHA256SUMS`.
///
/// The same input gives the same bytes, on any number of threads, but for the signature. Every file is read twice: once for its digests,
/// which go into the manifest at the head of the archive, and once to be packed; a file that is not, or no longer,
/// what its size and digest promise stops the work. Until everything is written and on the disk, all names end in
/// `.part` and the folder says that it is unfinished.
///
/// # Errors
/// When a file is not what was promised or changes meanwhile, the target is not empty, read-only, too full or too
/// small, or the operating system refuses something.
pub fn pack(input: &PackInput<'_>, options: &PackOptions, reporter: &dyn Reporter) -> Result<PackReport, PackError> {
    let start = Instant::now();
    let threads = if options.threads == 0 { ordered::default_threads() } else { options.threads };
    BundleFolder::check(&options.out, options.replace)?;
    let mut files = input.files.clone();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let surveyed = survey(&files, threads, reporter)?;
    let manifest = describe(input, &files, &surveyed)?;
    target_disk::check_space(&options.out, &manifest, &surveyed, options.recovery)?;

    let mut folder = BundleFolder::begin(&options.out)?;
    for (program, (_, source)) in manifest.programs.iter().zip(&input.programs) {
        folder.copy_program(program, source)?;
    }
    let limit = options.volume_size.or_else(|| default_volume_size(&options.out));
    let key = input.key.map(|key| key.sign(&manifest.to_json(), &manifest.name, manifest.sequence));
    let signature = key.transpose().map_err(PackError::Sign)?;
    let plan = ArchivePlan::new(&manifest, signature.as_deref());
    let bundle_id = manifest.id();
    let estimate = target_disk::packed_size(&manifest, &surveyed);
    let mut writer = VolumeWriter::new(&options.out, &manifest.name, bundle_id, limit, options.recovery, estimate);
    write_archive(&plan, &files, &surveyed, threads, reporter, &mut writer)?;
    let volumes = folder.add_volumes(&manifest.name, writer.finish()?);
    folder.write(layout::START_HERE, start_here::text(&manifest, &volumes).as_bytes())?;
    folder.finish()?;
    Ok(PackReport {
        folder: options.out.clone(),
        volumes,
        bytes: manifest.size(),
        manifest,
        bundle_id,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The manifest of what the survey found.
fn describe(input: &PackInput<'_>, files: &[PackFile], surveyed: &[SurveyedFile]) -> Result<BundleManifest, PackError> {
    let mut programs = Vec::new();
    for (target, source) in &input.programs {
        let (size, sha256) = survey::whole_digest(source)?;
        let name = layout::program_name(target);
        let file = name.parse().map_err(|_| PackError::Target { target: target.clone() })?;
        programs.push(Program { target: target.clone(), file, size, sha256 });
    }
    let manifest = BundleManifest {
        format: BundleManifest::FORMAT,
        name: input.name.to_owned(),
        sequence: input.sequence,
        made_by: input.made_by.clone(),
        chunk_size: BundleManifest::CHUNK_SIZE,
        needs: Needs {
            disk: files.iter().map(|file| file.size).sum::<u64>().max(input.needs.disk),
            largest_file: files.iter().map(|file| file.size).max().unwrap_or(0).max(input.needs.largest_file),
            memory: input.needs.memory,
        },
        default_model: input.default_model.clone(),
        self_test: input.self_test.clone(),
        programs,
        components: input.components.clone(),
        files: files.iter().zip(surveyed).map(|(file, surveyed)| surveyed.entry(file)).collect(),
    };
    let manifest = match input.have {
        Some(have) => without(manifest, have),
        None => manifest,
    };
    // What the other side would refuse is never written.
    BundleManifest::parse(layout::MANIFEST, &manifest.to_json()).map_err(PackError::Manifest)
}

/// Leaves out what is there already: whole files, and chunks of others.
fn without(mut manifest: BundleManifest, have: &Inventory) -> BundleManifest {
    let (files, chunks) = (have.files(), have.chunks());
    for file in &mut manifest.files {
        if files.contains(&file.sha256) {
            file.carried = Some(Vec::new());
            continue;
        }
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (at, _) in (0u64..).zip(&file.chunks).filter(|(_, chunk)| !chunks.contains(chunk)) {
            match runs.last_mut() {
                Some((_, end)) if *end == at => *end += 1,
                _ => runs.push((at, at + 1)),
            }
        }
        if runs != file.runs() {
            file.carried = Some(runs);
        }
    }
    manifest
}

struct Job {
    segment: Segment,
    bytes: Vec<u8>,
    level: i32,
}

struct Done {
    segment: Segment,
    content: u64,
    frame: Result<Vec<u8>, PackError>,
}

/// Compresses and writes every segment of the plan.
fn write_archive(
    plan: &ArchivePlan<'_>,
    files: &[PackFile],
    surveyed: &[SurveyedFile],
    threads: usize,
    reporter: &dyn Reporter,
    writer: &mut VolumeWriter,
) -> Result<(), PackError> {
    let task = layout::archive_name(&plan.manifest().name);
    reporter.event(&Event::TaskStart { task: &task, bytes: Some(plan.manifest().carried_bytes()) });
    let pool = Pool::new();
    let mut bytes = 0;
    ordered::run(
        threads,
        |give| read_segments(plan, files, surveyed, &pool, give),
        Compressors::default,
        |compressors, job: Job| {
            let mut frame = pool.take();
            let compressed = compressors.compress(job.level, &job.bytes, &mut frame);
            let frame = compressed.map_err(PackError::Compress).and_then(|()| {
                unchanged(job.segment, &frame, files, surveyed)?;
                Ok(frame)
            });
            let content = job.bytes.len() as u64;
            pool.give_back(job.bytes);
            Done { segment: job.segment, content, frame }
        },
        |done| {
            let frame = done.frame?;
            writer.frame(&frame, done.content)?;
            pool.give_back(frame);
            if matches!(done.segment, Segment::Chunk { .. }) {
                bytes += done.content;
                reporter.event(&Event::TaskProgress { task: &task, bytes });
            }
            Ok(())
        },
    )?;
    reporter.event(&Event::TaskEnd { task: &task, bytes });
    Ok(())
}

fn read_segments(
    plan: &ArchivePlan<'_>,
    files: &[PackFile],
    surveyed: &[SurveyedFile],
    pool: &Pool,
    give: &mut dyn FnMut(Job) -> bool,
) -> Result<(), PackError> {
    let mut open: Option<(usize, u64, ContentReader)> = None;
    for segment in plan.segments() {
        let (bytes, level) = match (*segment, plan.literal(*segment)) {
            (_, Some(literal)) => (literal, compression::TEXT),
            (Segment::Chunk { file, .. }, None) => {
                let (Some(source), Some(seen), Some((offset, length, _))) =
                    (files.get(file), surveyed.get(file), plan.chunk(*segment))
                else {
                    continue;
                };
                let fail = |error| PackError::source(source, error);
                if open.as_ref().is_none_or(|(opened, at, _)| (*opened, *at) != (file, offset)) {
                    let mut reader = source.content.open().map_err(fail)?;
                    reader.seek(SeekFrom::Start(offset)).map_err(fail)?;
                    open = Some((file, offset, reader));
                }
                let mut bytes = pool.take();
                if let Some((_, at, reader)) = &mut open {
                    reader.take(length).read_to_end(&mut bytes).map_err(fail)?;
                    *at += length;
                }
                if bytes.len() as u64 != length {
                    return Err(PackError::changed(source, "it became shorter"));
                }
                (bytes, seen.level)
            }
            _ => continue,
        };
        if !give(Job { segment: *segment, bytes, level }) {
            break;
        }
    }
    Ok(())
}

/// A frame ends with a checksum of its content; the survey took the same one. A source that changed between the two
/// readings shows itself here without a second SHA-256.
fn unchanged(segment: Segment, frame: &[u8], files: &[PackFile], surveyed: &[SurveyedFile]) -> Result<(), PackError> {
    let Segment::Chunk { file, index } = segment else { return Ok(()) };
    let (Some(source), Some(seen)) = (files.get(file), surveyed.get(file)) else { return Ok(()) };
    let expected = seen.checksums.get(index).map(|checksum| checksum.to_le_bytes());
    if frame.last_chunk::<4>().copied() == expected {
        return Ok(());
    }
    Err(PackError::changed(source, "its content changed"))
}

#[cfg(test)]
mod tests {}
