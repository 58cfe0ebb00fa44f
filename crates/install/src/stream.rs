//! Every frame of a bundle in order: read, decoded, compared with the manifest.

use crate::scan::{FrameScanner, ScanError, Scanned};
use crate::volumes::{Volume, VolumeSet};
use manifest::frame::{self, VolumeEnd};
use manifest::{ArchivePlan, ChunkDigest, Codec, Finding, Problem, Segment, Sha256};
use ordered::Pool;
use std::collections::BTreeSet;
use zstd::bulk::Decompressor;

/// Candidates for the next frame that are tried behind a damaged one before its volume is given up.
const MOST_TRIES: u32 = 10_000;

/// How to read.
pub(crate) struct StreamOptions<'a> {
    pub(crate) threads: usize,
    /// Find everything that is wrong: go on behind damage and take the digest of every volume.
    pub(crate) thorough: bool,
    /// Is the frame of that number needed? Others are passed over without decoding.
    pub(crate) wanted: &'a (dyn Fn(u64) -> bool + Sync),
}

/// What comes out, in the order of the archive.
pub(crate) enum Piece<'a> {
    /// A frame that holds what the manifest says.
    Good { segment: Segment, content: &'a [u8] },
    /// Something is wrong. Only a thorough reader gets more than one.
    Wrong(Finding),
    /// A volume was read to its end (thorough readers only).
    Volume { name: &'a str, digest: Option<Sha256>, intact: bool },
}

enum Job {
    Frame {
        number: u64,
        segment: Segment,
        volume: usize,
        offset: u64,
        bytes: Vec<u8>,
        content: usize,
    },
    Passed {
        number: u64,
    },
    Gap {
        reason: String,
        finding: Option<(usize, Finding)>,
    },
    /// These frames lie on another stick.
    Elsewhere(std::ops::Range<u64>),
    VolumeEnd {
        volume: usize,
        digest: Option<Sha256>,
        sealed: bool,
    },
}

enum Done {
    Good { number: u64, segment: Segment, content: Vec<u8> },
    Bad { number: u64, volume: usize, finding: Finding },
    Other(Job),
}

/// Reads the archive. `consume` gets every wanted frame; its first error ends the work.
pub(crate) fn stream<E: Send>(
    set: &VolumeSet,
    plan: &ArchivePlan<'_>,
    options: &StreamOptions<'_>,
    mut consume: impl FnMut(Piece<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let pool = Pool::new();
    let total = plan.segments().len() as u64;
    let mut expected = 0;
    let mut lost_because = String::from("the archive ends before it");
    let mut damaged: BTreeSet<usize> = BTreeSet::new();
    ordered::run(
        options.threads,
        |give| {
            Producer { set, plan, options, pool: &pool, next: 0 }.read_all(give);
            Ok(())
        },
        Decompressor::new,
        |decompressor, job| match decompressor {
            Ok(decompressor) => check(decompressor, set, plan, &pool, job),
            // Without memory for a decompressor nothing can be read.
            Err(error) => Done::Other(Job::Gap { reason: error.to_string(), finding: None }),
        },
        |done| {
            match done {
                Done::Good { number, segment, content } => {
                    lose(plan, expected..number, &lost_because, &mut consume)?;
                    expected = number + 1;
                    consume(Piece::Good { segment, content: &content })?;
                    pool.give_back(content);
                }
                Done::Bad { number, volume, finding } => {
                    lose(plan, expected..number, &lost_because, &mut consume)?;
                    expected = number + 1;
                    damaged.insert(volume);
                    consume(Piece::Wrong(finding))?;
                }
                Done::Other(Job::Passed { number }) => {
                    lose(plan, expected..number, &lost_because, &mut consume)?;
                    expected = number + 1;
                }
                Done::Other(Job::Elsewhere(frames)) => {
                    lose(plan, expected..frames.start, &lost_because, &mut consume)?;
                    expected = expected.max(frames.end);
                }
                Done::Other(Job::Gap { reason, finding }) => {
                    lost_because = reason;
                    if let Some((volume, finding)) = finding {
                        damaged.insert(volume);
                        consume(Piece::Wrong(finding))?;
                    }
                }
                Done::Other(Job::VolumeEnd { volume, digest, sealed }) => {
                    let name = set.volumes.get(volume).map_or("", |volume| &volume.name);
                    let intact = !damaged.contains(&volume);
                    if let (true, false) = (intact, sealed) {
                        let reason = "its content does not match the digest at its end".to_owned();
                        consume(Piece::Wrong(Finding {
                            subject: name.to_owned(),
                            problem: Problem::Foreign { reason },
                        }))?;
                    }
                    consume(Piece::Volume { name, digest, intact: intact && sealed })?;
                }
                Done::Other(Job::Frame { .. }) => {}
            }
            Ok(())
        },
    )?;
    lose(plan, expected..total, &lost_because, &mut consume)
}

/// Reports the chunks of frames that never came; neighbours in one finding.
fn lose<E>(
    plan: &ArchivePlan<'_>,
    numbers: std::ops::Range<u64>,
    reason: &str,
    consume: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut open: Option<Finding> = None;
    let mut silent = !numbers.is_empty();
    for number in numbers {
        let Some(segment) = plan.segment(number) else { continue };
        let (Some(file), Some((offset, length, _))) = (plan.file(segment), plan.chunk(segment)) else { continue };
        silent = false;
        if let Some(Finding { subject, problem: Problem::Damaged { offset: from, length: long, .. } }) = &mut open
            && subject == file.path.as_str()
            && *from + *long == offset
        {
            *long += length;
            continue;
        }
        let problem = Problem::Damaged { offset, length, reason: reason.to_owned() };
        let next = Finding { subject: file.path.to_string(), problem };
        if let Some(finished) = open.replace(next) {
            consume(Piece::Wrong(finished))?;
        }
    }
    if silent {
        // Only tar headers or the end of the archive: no file is affected, stock tools are.
        let problem = Problem::Foreign { reason: format!("parts of the archive's structure are lost: {reason}") };
        open = Some(Finding { subject: manifest::layout::archive_name(&plan.manifest().name), problem });
    }
    open.map_or(Ok(()), |finished| consume(Piece::Wrong(finished)))
}

struct Producer<'a> {
    set: &'a VolumeSet,
    plan: &'a ArchivePlan<'a>,
    options: &'a StreamOptions<'a>,
    pool: &'a Pool,
    next: u64,
}

impl Producer<'_> {
    fn read_all(&mut self, give: &mut dyn FnMut(Job) -> bool) {
        let mut before = 0;
        let total = self.plan.segments().len() as u64;
        for (at, volume) in self.set.volumes.iter().enumerate() {
            let sure =
                at.checked_sub(1).and_then(|at| self.set.volumes.get(at)).is_none_or(|before| before.end.is_some());
            if sure && self.is_elsewhere(before + 1..volume.number) {
                let end = volume.first_frame.filter(|first| *first <= total).unwrap_or(self.next);
                if !give(Job::Elsewhere(self.next..end.max(self.next))) {
                    return;
                }
            } else if volume.number > before + 1 {
                let reason = format!("it lies in volume {}, which is missing", before + 1);
                if !give(Job::Gap { reason, finding: None }) {
                    return;
                }
            }
            before = volume.number;
            if !self.read(at, volume, give) {
                return;
            }
        }
        if self.is_elsewhere(before + 1..u32::MAX) {
            give(Job::Elsewhere(self.next..total));
        } else if self.next < total && self.set.findings.iter().any(|finding| finding.problem == Problem::Missing) {
            let reason = format!("it lies in volume {} or later, which is missing", before + 1);
            give(Job::Gap { reason, finding: None });
        }
    }

    /// Does a volume with such a number lie on another stick?
    fn is_elsewhere(&self, numbers: std::ops::Range<u32>) -> bool {
        self.set.elsewhere.iter().any(|number| numbers.contains(number))
    }

    /// Reads one volume; false when nothing more is wanted.
    fn read(&mut self, at: usize, volume: &Volume, give: &mut dyn FnMut(Job) -> bool) -> bool {
        if let Some(first) = volume.first_frame
            && first > self.next
            && first <= self.plan.segments().len() as u64
        {
            self.next = first;
        }
        let file = match fs_err::File::open(&volume.path) {
            Ok(file) => file,
            Err(error) => return give(self.unreadable(at, volume, &error)),
        };
        let mut scanner = FrameScanner::new(file, self.options.thorough);
        let mut end: Option<VolumeEnd> = None;
        let mut sealed = false;
        loop {
            let keep = (self.options.wanted)(self.next);
            let before = scanner.digest();
            match scanner.next_frame(self.pool.take(), keep) {
                Ok(Some(Scanned::Frame { offset, bytes, content })) => {
                    if !self.frame(at, volume, offset, bytes, content, keep, give) {
                        return false;
                    }
                }
                Ok(Some(Scanned::Skippable { magic, content, .. })) => {
                    if let (frame::VOLUME, Ok(found)) = (magic, VolumeEnd::parse(&content)) {
                        sealed = before.is_none_or(|digest| digest == found.sha256);
                        end = Some(found);
                    }
                    self.pool.give_back(content);
                }
                Ok(None) => break,
                Err(ScanError::Io(error)) => return give(self.unreadable(at, volume, &error)),
                Err(ScanError::Truncated { at: length, .. }) if end.is_none() => {
                    return give(self.truncated(at, volume, length));
                }
                Err(ScanError::Truncated { frame, .. }) => {
                    return self.lost(at, volume, frame, "bytes follow its end", give);
                }
                Err(ScanError::Damaged { frame, reason }) => {
                    if !self.lost(at, volume, frame, reason, give) {
                        return false;
                    }
                    if !self.options.thorough || !self.resume(at, volume, &mut scanner, frame, give) {
                        return true;
                    }
                }
            }
        }
        match end {
            None => give(self.truncated(at, volume, scanner.offset())),
            Some(end) => {
                if end.next_frame > self.next && end.next_frame <= self.plan.segments().len() as u64 {
                    self.next = end.next_frame;
                }
                let digest = scanner.digest();
                !self.options.thorough
                    || give(Job::VolumeEnd { volume: at, digest, sealed: sealed || digest.is_none() })
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a scanned frame, and where they go")]
    fn frame(
        &mut self,
        at: usize,
        volume: &Volume,
        offset: u64,
        bytes: Vec<u8>,
        content: usize,
        keep: bool,
        give: &mut dyn FnMut(Job) -> bool,
    ) -> bool {
        let number = self.next;
        let Some(segment) = self.plan.segment(number) else {
            self.pool.give_back(bytes);
            return self.lost(at, volume, offset, "the archive goes on where the manifest says that it ends", give);
        };
        self.next += 1;
        if keep {
            return give(Job::Frame { number, segment, volume: at, offset, bytes, content });
        }
        self.pool.give_back(bytes);
        give(Job::Passed { number })
    }

    /// Finds the next frame behind a damaged place that holds something of the plan. False: nothing in this volume.
    fn resume(
        &mut self,
        at: usize,
        volume: &Volume,
        scanner: &mut FrameScanner<fs_err::File>,
        frame: u64,
        give: &mut dyn FnMut(Job) -> bool,
    ) -> bool {
        let mut from = frame;
        for _ in 0..MOST_TRIES {
            let Ok(Some(candidate)) = scanner.resume_after(from) else { return false };
            from = candidate;
            match scanner.next_frame(self.pool.take(), true) {
                Ok(Some(Scanned::Frame { offset, bytes, content })) => {
                    let Some(number) = self.identify(&bytes, content) else { continue };
                    self.next = number;
                    return self.frame(at, volume, offset, bytes, content, true, give);
                }
                Ok(Some(Scanned::Skippable { content, .. })) => {
                    let Ok(end) = VolumeEnd::parse(&content) else { continue };
                    if end.next_frame >= self.next && end.next_frame <= self.plan.segments().len() as u64 {
                        self.next = end.next_frame;
                    }
                    return false;
                }
                _ => {}
            }
        }
        false
    }

    /// Which of the frames still to come is this one?
    fn identify(&self, bytes: &[u8], content: usize) -> Option<u64> {
        let decoded = zstd::bulk::decompress(bytes, content).ok()?;
        let digest = |codec: Option<Codec>| match codec {
            None => ChunkDigest::of(&decoded),
            Some(codec) => {
                let mut joined = Vec::new();
                codec.join(&decoded, &mut joined);
                ChunkDigest::of(&joined)
            }
        };
        let digests = [None, Some(Codec::Planes2), Some(Codec::Planes4)].map(|codec| (codec, digest(codec)));
        let fits = |number: &u64| {
            let Some(segment) = self.plan.segment(*number) else { return false };
            match self.plan.chunk(segment) {
                Some((_, _, expected)) => digests.contains(&(self.plan.codec(segment), expected)),
                None => decoded.len() < 1 << 20 && self.plan.literal(segment).is_some_and(|literal| literal == decoded),
            }
        };
        // The damaged frame itself is the last guess: of equal chunks, the later one is meant.
        (self.next + 1..self.plan.segments().len() as u64).find(fits).or_else(|| Some(self.next).filter(fits))
    }

    fn unreadable(&self, at: usize, volume: &Volume, error: &std::io::Error) -> Job {
        let problem = Problem::Unreadable { reason: error.to_string() };
        let reason = format!("`{}` cannot be read", volume.name);
        Job::Gap { reason, finding: Some((at, Finding { subject: volume.name.clone(), problem })) }
    }

    fn truncated(&self, at: usize, volume: &Volume, length: u64) -> Job {
        let reason = format!("`{}` is cut off", volume.name);
        let finding = Finding { subject: volume.name.clone(), problem: Problem::Truncated { at: length } };
        // An installation does not mind when nothing but the end record is gone: missing frames speak for themselves.
        Job::Gap { reason, finding: self.options.thorough.then_some((at, finding)) }
    }

    fn lost(&self, at: usize, volume: &Volume, offset: u64, why: &str, give: &mut dyn FnMut(Job) -> bool) -> bool {
        let problem = Problem::Damaged { offset, length: 1, reason: why.to_owned() };
        let reason = format!("it lies in a damaged part of `{}` (byte {offset})", volume.name);
        give(Job::Gap { reason, finding: Some((at, Finding { subject: volume.name.clone(), problem })) })
    }
}

/// Decodes a frame and compares it with what the manifest says about it.
fn check(decompressor: &mut Decompressor<'_>, set: &VolumeSet, plan: &ArchivePlan<'_>, pool: &Pool, job: Job) -> Done {
    let Job::Frame { number, segment, volume, offset, bytes, content } = job else { return Done::Other(job) };
    let mut decoded = pool.take();
    let verdict = compare(decompressor, plan, segment, &bytes, content, &mut decoded, pool);
    let length = bytes.len() as u64;
    pool.give_back(bytes);
    let Err(why) = verdict else { return Done::Good { number, segment, content: decoded } };
    pool.give_back(decoded);
    let name = set.volumes.get(volume).map_or("", |volume| &volume.name);
    let finding = match (plan.file(segment), plan.chunk(segment)) {
        (Some(file), Some((at, length, _))) => {
            let number = set.volumes.get(volume).map_or(0, |volume| volume.number);
            let of = set.last().map(|last| format!(" of {last}")).unwrap_or_default();
            let reason = format!("{why} (`{name}`, volume {number}{of}, byte {offset})");
            Finding { subject: file.path.to_string(), problem: Problem::Damaged { offset: at, length, reason } }
        }
        _ => {
            let reason = format!("{}: {why}", plan.describe(segment));
            Finding { subject: name.to_owned(), problem: Problem::Damaged { offset, length, reason } }
        }
    };
    Done::Bad { number, volume, finding }
}

fn compare(
    decompressor: &mut Decompressor<'_>,
    plan: &ArchivePlan<'_>,
    segment: Segment,
    bytes: &[u8],
    content: usize,
    decoded: &mut Vec<u8>,
    pool: &Pool,
) -> Result<(), String> {
    let literal = plan.literal(segment);
    let chunk = plan.chunk(segment);
    let expected = literal.as_ref().map(|literal| literal.len() as u64).or(chunk.map(|(_, length, _)| length));
    if expected != Some(content as u64) && literal.is_none() {
        return Err(format!("{content} bytes where the manifest expects {}", expected.unwrap_or(0)));
    }
    decoded.reserve(content);
    decompressor.decompress_to_buffer(bytes, decoded).map_err(|error| format!("it does not decompress: {error}"))?;
    if let Some(codec) = plan.codec(segment) {
        let mut joined = pool.take();
        codec.join(decoded, &mut joined);
        pool.give_back(std::mem::replace(decoded, joined));
    }
    match (literal, chunk) {
        (Some(literal), _) if *decoded == literal => Ok(()),
        (Some(_), _) => Err(format!("found {} instead", name_of(decoded))),
        (None, Some((_, length, digest))) if decoded.len() as u64 == length && ChunkDigest::of(decoded) == digest => {
            Ok(())
        }
        _ => Err("it does not match the manifest".to_owned()),
    }
}

/// What a foreign tar header describes, for the message that refuses it.
fn name_of(found: &[u8]) -> String {
    // Blocks are counted from the end: padding of any length may stand before the first one.
    let mut blocks = found.rchunks_exact(512).rev().skip_while(|block| block.iter().all(|byte| *byte == 0));
    let Some(header) = blocks.next().map(tar::Header::from_byte_slice) else {
        return match found.iter().all(|byte| *byte == 0) {
            true => "the end of the archive".to_owned(),
            false => format!("{} other bytes", found.len()),
        };
    };
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().take(120).collect::<String>();
    let says = shown(blocks.next().unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default());
    let kind = match header.entry_type() {
        tar::EntryType::Symlink => "a symbolic link",
        tar::EntryType::Link => "a hard link",
        tar::EntryType::Directory => "a folder",
        tar::EntryType::Char | tar::EntryType::Block => "a device",
        tar::EntryType::Fifo => "a pipe",
        tar::EntryType::Regular => "a file",
        tar::EntryType::XHeader | tar::EntryType::XGlobalHeader => {
            return format!("an extended header that says `{says}`");
        }
        tar::EntryType::GNULongName => return format!("a long name `{says}`"),
        tar::EntryType::GNULongLink => return format!("a link to a long name `{says}`"),
        tar::EntryType::GNUSparse => "a file with holes",
        _ => return "something that is not a tar header".to_owned(),
    };
    let size = header.entry_size().unwrap_or(0);
    format!("{kind} `{}` of {size} bytes", shown(&header.path_bytes()))
}
