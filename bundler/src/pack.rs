//! Packing: verified files become a bundle folder.

mod compression;
mod decoders;
mod error;
mod folder;
mod journal;
mod read_back;
mod recovery_volumes;
mod start_here;
mod sticks;
mod survey;
mod target_disk;
mod volume_writer;

use crate::{Content, ContentReader, SigningKey};
use compression::Compressors;
use folder::BundleFolder;
use journal::{Journal, Settings};
use manifest::{
    ArchivePlan, BundleManifest, BundlePath, ByteSize, Codec, Component, ComponentId, Event, Frozen, FrozenInventory,
    Inventory, Needs, Program, Reporter, SeenFile, Segment, SelfTestSpec, Sha256, layout,
};
use ordered::Pool;
use read_back::Reading;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use sticks::{Packing, Sticks};
use survey::survey;
use volume_writer::VolumeWriter;

pub use decoders::add_decoders;
pub use error::PackError;
pub use read_back::ReadBack;
pub use sticks::Stick;
pub use survey::{SurveyedFile, survey_unknown};
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
    /// It is a frozen folder, not something to install.
    pub frozen: Option<PackFrozen>,
    /// Signs the manifest.
    pub key: Option<&'a SigningKey>,
}

/// What makes a bundle a frozen folder.
#[derive(Clone, Debug)]
pub struct PackFrozen {
    /// What the manifest says about it.
    pub frozen: Frozen,
    /// What the folder's files look like, for the [`FrozenInventory`] beside the archive.
    pub seen: Vec<SeenFile>,
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
    /// What an earlier reading of the content found out ([`survey_unknown`]), so that it is not read for that again.
    pub surveyed: Option<Arc<SurveyedFile>>,
}

/// How to pack.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// The bundle folder to make.
    pub out: PathBuf,
    /// Folders on further sticks, taken in turn when one is full. When there is none left, somebody is asked
    /// ([`Reporter::ask_for_stick`]).
    pub next: Vec<PathBuf>,
    /// Largest volume; what the target's file system can hold is the limit in any case ([`default_volume_size`]).
    pub volume_size: Option<ByteSize>,
    /// Threads for compression; 0: all there are, at most eight.
    pub threads: usize,
    /// How much recovery data the archive gets, in per cent of its size; 0 for none.
    pub recovery: f64,
    /// How many recovery volumes are made: so many volumes can be lost altogether. All must lie in one folder, `out`.
    pub recovery_volumes: u32,
    /// Replace a bundle that lies in `out`, or on a further stick, already.
    pub replace: bool,
    /// Read every file from the medium again when it is written.
    pub read_back: bool,
    /// Put weights into the archive in byte planes ([`manifest::Codec`]) where a sample shows that they get smaller:
    /// stock tools then extract them in another form, with a decoder beside them.
    pub planes: bool,
}

impl PackOptions {
    /// Recovery data for one long hole of a fiftieth of the archive, in per cent.
    pub const RECOVERY: f64 = 2.0;
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            out: PathBuf::new(),
            next: Vec::new(),
            volume_size: None,
            threads: 0,
            recovery: Self::RECOVERY,
            recovery_volumes: 0,
            replace: false,
            read_back: true,
            planes: false,
        }
    }
}

/// What was packed.
#[derive(Clone, Debug)]
pub struct PackReport {
    /// The bundle folder, on the first stick.
    pub folder: PathBuf,
    /// The sticks that were finished; those that an interrupted packing had finished before are not among them.
    pub sticks: Vec<Stick>,
    /// How it was made sure that the medium holds what was written.
    pub read_back: ReadBack,
    /// Names and sizes of the volumes, in order.
    pub volumes: Vec<(String, u64)>,
    /// Names and sizes of the recovery volumes, in order.
    pub recovery_volumes: Vec<(String, u64)>,
    /// The manifest.
    pub manifest: BundleManifest,
    /// The bundle's identity.
    pub bundle_id: Sha256,
    /// Bytes of all files before compression.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Makes a bundle folder: volumes, programs, `START-HERE.txt`, `SHA256SUMS`; on several sticks, one of each on every one.
///
/// The same input gives the same bytes, on any number of threads, but for the signature. Every file is read twice: once for its digests,
/// which go into the manifest at the head of the archive (unless they are known: [`PackFile::surveyed`]), and once to be packed; a file that is not, or no longer,
/// what its size and digest promise stops the work. Until everything on a stick is written and read back, all names on it
/// end in `.part` and the folder says that it is unfinished.
///
/// An interrupted packing is gone on with by doing the same again: volumes that are complete stay.
///
/// # Errors
/// When a file is not what was promised or changes meanwhile, the target is not empty, read-only, too full or too
/// small, does not hold what was written to it, or the operating system refuses something.
pub fn pack(input: &PackInput<'_>, options: &PackOptions, reporter: &dyn Reporter) -> Result<PackReport, PackError> {
    let start = Instant::now();
    let threads = if options.threads == 0 { ordered::default_threads() } else { options.threads };
    if options.recovery_volumes > 0 && !options.next.is_empty() {
        return Err(PackError::RecoveryOnSticks);
    }
    BundleFolder::check(&options.out, options.replace)?;
    let mut input = input.clone();
    if options.planes {
        add_decoders(&mut input.components, &mut input.files);
    }
    let input = &input;
    let mut files = input.files.clone();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let surveyed = survey_all(&files, threads, options.planes, reporter)?;
    let manifest = describe(input, &files, &surveyed)?;
    let bundle_id = manifest.id();
    let journal = journal(input, &manifest, options, reporter)?;
    let signature = journal.signature.clone();
    let plan = ArchivePlan::new(&manifest, signature.as_deref());
    let estimate = target_disk::packed_size(&manifest, &surveyed);
    let packing = Packing {
        manifest: &manifest,
        programs: &input.programs,
        options,
        reporter,
        sbom: sbom(&files)?,
        inventory: inventory(input, &manifest),
        frames: plan.segments().len() as u64,
        expected: estimate + (estimate as f64 * options.recovery / 100.0) as u64,
    };
    let sticks = Sticks::begin(packing, journal)?;
    let mut writer = VolumeWriter::new(sticks, &manifest.name, bundle_id, options.recovery, estimate);
    while let Err(error) = write_archive(&plan, &files, &surveyed, threads, reporter, &mut writer) {
        writer.retreat(error)?;
    }
    let written = writer.finish()?;
    Ok(PackReport {
        folder: options.out.clone(),
        sticks: written.sticks,
        read_back: written.read_back,
        volumes: written.volumes,
        recovery_volumes: written.recovery_volumes,
        bytes: manifest.size(),
        manifest,
        bundle_id,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// What an interrupted packing of the same bundle finished, or nothing yet. The manifest is signed where it was not.
fn journal(
    input: &PackInput<'_>,
    manifest: &BundleManifest,
    options: &PackOptions,
    reporter: &dyn Reporter,
) -> Result<Journal, PackError> {
    let settings = Settings {
        bundle: manifest.id(),
        volume_size: options.volume_size.map(|size| size.0),
        recovery: options.recovery,
        recovery_volumes: options.recovery_volumes,
    };
    let text = manifest.to_json();
    if let Some(found) = Journal::read(&options.out) {
        let Some(why) = found.differs(&settings, &text, input.key.map(SigningKey::public)) else { return Ok(found) };
        if !BundleFolder::is_unfinished(&options.out) && !options.replace {
            return Err(PackError::NotEmpty { folder: options.out.clone(), bundle: None });
        }
        let text = format!(
            "the interrupted bundle in `{}` cannot be gone on with, it starts over: {why}",
            options.out.display()
        );
        reporter.event(&Event::Note { text: &text });
    }
    let signature = input.key.map(|key| key.sign(&text, &manifest.name, manifest.sequence)).transpose();
    Ok(Journal::new(settings, signature.map_err(PackError::Sign)?))
}

/// The bill of materials among the files, if there is one.
fn sbom(files: &[PackFile]) -> Result<Option<Vec<u8>>, PackError> {
    let Some(file) = files.iter().find(|file| file.path.as_str() == layout::SBOM) else { return Ok(None) };
    let mut text = Vec::new();
    let read = file.content.open().and_then(|mut reader| reader.read_to_end(&mut text));
    read.map_err(|error| PackError::source(file, error))?;
    Ok(Some(text))
}

/// What lies beside the archive of a frozen folder, for the next one.
fn inventory(input: &PackInput<'_>, manifest: &BundleManifest) -> Option<Vec<u8>> {
    let seen = input.frozen.as_ref()?.seen.clone();
    FrozenInventory::of(manifest, seen).map(|inventory| inventory.to_json())
}

/// Reads the files that were not read before. With `planes` all weights are looked at anew: may they get a codec?
fn survey_all(
    files: &[PackFile],
    threads: usize,
    planes: bool,
    reporter: &dyn Reporter,
) -> Result<Vec<Arc<SurveyedFile>>, PackError> {
    let known = |file: &PackFile| file.surveyed.clone().filter(|seen| !planes || seen.head == 0);
    let unread: Vec<PackFile> = files.iter().filter(|file| known(file).is_none()).cloned().collect();
    let read = if unread.is_empty() { Vec::new() } else { survey(&unread, threads, planes, reporter)? };
    let mut read = read.into_iter().map(Arc::new);
    Ok(files.iter().filter_map(|file| known(file).or_else(|| read.next())).collect())
}

/// The manifest of what the survey found.
fn describe(
    input: &PackInput<'_>,
    files: &[PackFile],
    surveyed: &[Arc<SurveyedFile>],
) -> Result<BundleManifest, PackError> {
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
        frozen: input.frozen.as_ref().map(|frozen| frozen.frozen.clone()),
        programs,
        components: input.components.clone(),
        files: files.iter().zip(surveyed).map(|(file, surveyed)| surveyed.entry(file)).collect(),
    };
    let manifest = match input.have {
        Some(have) => without(manifest, have),
        None => manifest,
    };
    let manifest = BundleManifest { format: BundleManifest::least_format(&manifest.files), ..manifest };
    // What the other side would refuse is never written.
    BundleManifest::parse(layout::MANIFEST, &manifest.to_json()).map_err(PackError::Manifest)
}

/// Leaves out what is there already: whole files, and chunks of others.
fn without(mut manifest: BundleManifest, have: &Inventory) -> BundleManifest {
    let (files, chunks) = (have.files(), have.chunks());
    for file in &mut manifest.files {
        // Whoever extracts the parts of an update with stock tools needs the decoder, too; and a frozen folder its names.
        if Codec::is_decoder(&file.path) || file.path.as_str() == layout::TREE {
            continue;
        }
        if files.contains(&file.sha256) {
            file.carried = Some(Vec::new());
            file.codec = None;
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

/// Compresses and writes every segment of the plan that is not written yet.
fn write_archive(
    plan: &ArchivePlan<'_>,
    files: &[PackFile],
    surveyed: &[Arc<SurveyedFile>],
    threads: usize,
    reporter: &dyn Reporter,
    writer: &mut VolumeWriter<'_>,
) -> Result<(), PackError> {
    let first = writer.next_frame();
    let task = layout::archive_name(&plan.manifest().name);
    reporter.event(&Event::TaskStart { task: &task, bytes: Some(plan.manifest().carried_bytes()) });
    let pool = Pool::new();
    let before = plan.segments().iter().take(usize::try_from(first).unwrap_or(usize::MAX));
    let mut in_work = None;
    let mut bytes = before.filter_map(|segment| plan.chunk(*segment)).map(|(_, length, _)| length).sum();
    ordered::run(
        threads,
        |give| read_segments(plan, first, files, surveyed, &pool, give),
        Compressors::default,
        |compressors, job: Job| {
            let mut frame = pool.take();
            let planes = plan.codec(job.segment).map(|codec| {
                let mut planes = pool.take();
                codec.split(&job.bytes, &mut planes);
                planes
            });
            let compressed = compressors.compress(job.level, planes.as_ref().unwrap_or(&job.bytes), &mut frame);
            let frame = compressed.map_err(PackError::Compress).and_then(|()| {
                // A frame ends with a checksum of its content; the survey took the same one.
                let found = match &planes {
                    None => frame.last_chunk::<4>().copied(),
                    Some(_) => Some(survey::checksum(&job.bytes).to_le_bytes()),
                };
                unchanged(job.segment, found, files, surveyed)?;
                Ok(frame)
            });
            planes.into_iter().for_each(|planes| pool.give_back(planes));
            let content = job.bytes.len() as u64;
            pool.give_back(job.bytes);
            Done { segment: job.segment, content, frame }
        },
        |done| {
            reporter.go_on()?;
            let frame = done.frame?;
            writer.frame(&frame, done.content)?;
            pool.give_back(frame);
            if let Segment::Chunk { file, .. } = done.segment {
                if let Some(source) = files.get(file).filter(|_| in_work.replace(file) != Some(file)) {
                    reporter.event(&Event::TaskFile { task: &task, file: source.path.as_str() });
                }
                bytes += done.content;
                reporter.event(&Event::TaskProgress { task: &task, bytes });
            }
            Ok(())
        },
    )?;
    reporter.event(&Event::TaskEnd { task: &task, bytes });
    writer.end_last()
}

/// Reads the content of every segment from number `first` on.
fn read_segments(
    plan: &ArchivePlan<'_>,
    first: u64,
    files: &[PackFile],
    surveyed: &[Arc<SurveyedFile>],
    pool: &Pool,
    give: &mut dyn FnMut(Job) -> bool,
) -> Result<(), PackError> {
    let mut open: Option<(usize, u64, ContentReader)> = None;
    for segment in plan.segments().iter().skip(usize::try_from(first).unwrap_or(usize::MAX)) {
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

/// A source that changed between the two readings shows itself by the checksum of its chunks, without a second SHA-256.
fn unchanged(
    segment: Segment,
    found: Option<[u8; 4]>,
    files: &[PackFile],
    surveyed: &[Arc<SurveyedFile>],
) -> Result<(), PackError> {
    let Segment::Chunk { file, index } = segment else { return Ok(()) };
    let (Some(source), Some(seen)) = (files.get(file), surveyed.get(file)) else { return Ok(()) };
    let expected = seen.checksums.get(index).map(|checksum| checksum.to_le_bytes());
    if found == expected {
        return Ok(());
    }
    Err(PackError::changed(source, "its content changed"))
}
