//! Which files of a folder are the volumes of a bundle.

use crate::OpenError;
use manifest::frame::{self, RecordError, SeekTable, VolumeEnd, VolumeHeader};
use manifest::{Finding, Problem, Sha256, layout};
use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// One volume of a bundle, found in a folder.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Where it is.
    pub path: PathBuf,
    /// Its file name.
    pub name: String,
    /// Its place in the sequence, from 1.
    pub number: u32,
    /// Its size in bytes.
    pub size: u64,
    /// The number of its first frame, when its header could be read.
    pub(crate) first_frame: Option<u64>,
}

/// The volumes of one bundle, in order, and what is wrong with them at first sight.
#[derive(Clone, Debug)]
pub(crate) struct VolumeSet {
    pub(crate) folder: PathBuf,
    pub(crate) name: String,
    pub(crate) bundle: Sha256,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) findings: Vec<Finding>,
}

struct Candidate {
    path: PathBuf,
    name: String,
    named: Option<u32>,
    size: u64,
    header: Option<VolumeHeader>,
    end: Option<VolumeEnd>,
    ours: bool,
}

impl VolumeSet {
    /// Finds the volumes of the bundle at `path`: its folder, or one of its volumes.
    pub(crate) fn find(path: &Path) -> Result<Self, OpenError> {
        let (folder, name) = locate(path)?;
        if folder.join(layout::UNFINISHED).exists() {
            return Err(OpenError::Unfinished { folder });
        }
        let mut candidates = Vec::new();
        let mut findings = Vec::new();
        for file in names(&folder)? {
            let Some((bundle, named)) = layout::parse_volume_name(&file) else { continue };
            if bundle != name {
                continue;
            }
            match Candidate::read(&folder, &file, named) {
                Ok(candidate) => candidates.push(candidate),
                Err(error) => {
                    findings
                        .push(Finding { subject: file, problem: Problem::Unreadable { reason: error.to_string() } });
                }
            }
        }
        let Some(bundle) = owner(&candidates) else {
            let known = candidates.iter().any(|candidate| candidate.ours);
            let volume = candidates.first().map_or(name, |candidate| candidate.name.clone());
            if let (true, Some(Finding { problem: Problem::Unreadable { reason }, .. })) =
                (candidates.is_empty(), findings.first())
            {
                return Err(OpenError::Unreadable { path: folder.join(volume), reason: reason.clone() });
            }
            return Err(if known {
                OpenError::NoHeader { folder, volume }
            } else {
                OpenError::NotOurs { path: folder.join(volume) }
            });
        };
        let mut set = Self { folder, name, bundle, volumes: Vec::new(), findings };
        set.arrange(candidates);
        Ok(set)
    }

    /// The last volume's number, as far as anything tells.
    pub(crate) fn count(&self) -> u32 {
        self.volumes.iter().map(|volume| volume.number).max().unwrap_or(0)
    }

    fn arrange(&mut self, candidates: Vec<Candidate>) {
        let mut slots: BTreeMap<u32, (Volume, Option<VolumeEnd>, bool)> = BTreeMap::new();
        let single = candidates.len() == 1;
        // Those that are named rightly come first: the other of two equal ones is the copy.
        let (right, wrong): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| {
            candidate.header.is_some_and(|header| header.number == candidate.named.unwrap_or(1))
        });
        for candidate in right.into_iter().chain(wrong) {
            let stated = candidate.header.map(|header| (header.bundle, header.number));
            let stated = stated.or_else(|| candidate.end.map(|end| (end.bundle, end.number)));
            let Some((bundle, number)) =
                stated.or_else(|| candidate.ours.then_some((self.bundle, candidate.named.unwrap_or(1))))
            else {
                self.foreign(&candidate.name, "it does not begin like a volume of a bundle");
                continue;
            };
            if bundle != self.bundle {
                self.foreign(&candidate.name, &format!("it is volume {number} of another bundle ({})", bundle.short()));
                continue;
            }
            if let Some((taken, ..)) = slots.get(&number) {
                let taken = taken.name.clone();
                self.foreign(&candidate.name, &format!("it is volume {number}, and so is `{taken}`"));
                continue;
            }
            let named = candidate.named.unwrap_or(1);
            if named != number || (candidate.named.is_none() && !single && number != 1) {
                self.foreign(&candidate.name, &format!("it is named like volume {named} and is volume {number}"));
            }
            if candidate.header.is_none() {
                let reason = "the volume header is not readable".to_owned();
                let problem = Problem::Damaged { offset: 0, length: VolumeHeader::LENGTH as u64, reason };
                self.findings.push(Finding { subject: candidate.name.clone(), problem });
            }
            let volume = Volume {
                path: candidate.path,
                name: candidate.name,
                number,
                size: candidate.size,
                first_frame: candidate.header.map(|header| header.first_frame),
            };
            slots.insert(number, (volume, candidate.end, candidate.named.is_none()));
        }
        let count = slots.keys().next_back().copied().unwrap_or(0);
        // Whether anything follows stands in the end of the last one.
        let more = slots.get(&count).is_some_and(|(_, end, _)| end.is_some_and(|end| !end.last));
        for number in (1..=count.saturating_add(u32::from(more))).take(10_000) {
            if !slots.contains_key(&number) {
                let subject = layout::volume_name(&self.name, number);
                self.findings.push(Finding { subject, problem: Problem::Missing });
            }
        }
        self.volumes = slots.into_values().map(|(volume, ..)| volume).collect();
    }

    fn foreign(&mut self, name: &str, reason: &str) {
        self.findings
            .push(Finding { subject: name.to_owned(), problem: Problem::Foreign { reason: reason.to_owned() } });
    }
}

impl Candidate {
    fn read(folder: &Path, name: &str, named: Option<u32>) -> std::io::Result<Self> {
        let path = folder.join(name);
        let mut file = fs_err::File::open(&path)?;
        let size = file.metadata()?.len();
        let mut head = Vec::new();
        file.by_ref().take(VolumeHeader::LENGTH as u64).read_to_end(&mut head)?;
        let mut tail_of = |end: u64| {
            let mut tail = Vec::new();
            file.seek(SeekFrom::Start(end.saturating_sub(VolumeEnd::LENGTH as u64)))?;
            file.by_ref().take(VolumeEnd::LENGTH as u64).read_to_end(&mut tail)?;
            std::io::Result::Ok(tail)
        };
        let mut tail = tail_of(size)?;
        // The seek table follows the end of the last volume.
        let table = SeekTable::length_from(&tail);
        if table > 0 {
            tail = tail_of(size.saturating_sub(table))?;
        }
        let header = record(&head).map_or(Err(RecordError::NotOurs), VolumeHeader::parse);
        let end = record(&tail).and_then(|content| VolumeEnd::parse(content).ok());
        let ours = end.is_some() || header != Err(RecordError::NotOurs);
        Ok(Self { path, name: name.to_owned(), named, size, header: header.ok(), end, ours })
    }
}

/// The content of a skippable frame of ours.
fn record(bytes: &[u8]) -> Option<&[u8]> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (_, content) = rest.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*magic) == frame::VOLUME).then_some(content)
}

/// The bundle that most of the volumes belong to; of two equally good the one with a first volume.
fn owner(candidates: &[Candidate]) -> Option<Sha256> {
    let mut votes: BTreeMap<Sha256, (usize, bool)> = BTreeMap::new();
    for candidate in candidates {
        let stated = candidate.header.map(|header| (header.bundle, header.number));
        if let Some((bundle, number)) = stated.or_else(|| candidate.end.map(|end| (end.bundle, end.number))) {
            let vote = votes.entry(bundle).or_default();
            vote.0 += 1;
            vote.1 |= number == 1;
        }
    }
    votes.into_iter().max_by_key(|(_, vote)| *vote).map(|(bundle, _)| bundle)
}

/// The folder and the name of the bundle that `path` means.
pub(crate) fn locate(path: &Path) -> Result<(PathBuf, String), OpenError> {
    let metadata = fs_err::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => OpenError::NotFound { path: path.to_path_buf() },
        _ => OpenError::Unreadable { path: path.to_path_buf(), reason: error.to_string() },
    })?;
    if metadata.is_file() {
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((name, _)) = layout::parse_volume_name(file) else {
            return Err(OpenError::NotOurs { path: path.to_path_buf() });
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return Ok((parent.unwrap_or(Path::new(".")).to_path_buf(), name.to_owned()));
    }
    let mut found: Vec<String> = Vec::new();
    for file in names(path)? {
        if let Some((name, _)) = layout::parse_volume_name(&file)
            && !found.iter().any(|known| known == name)
        {
            found.push(name.to_owned());
        }
    }
    match found.as_slice() {
        [name] => Ok((path.to_path_buf(), name.clone())),
        [] if path.join(layout::UNFINISHED).exists() => Err(OpenError::Unfinished { folder: path.to_path_buf() }),
        [] => Err(OpenError::NoBundle { folder: path.to_path_buf() }),
        _ => Err(OpenError::Several { folder: path.to_path_buf(), names: found }),
    }
}

pub(crate) fn names(folder: &Path) -> Result<Vec<String>, OpenError> {
    let unreadable =
        |error: std::io::Error| OpenError::Unreadable { path: folder.to_path_buf(), reason: error.to_string() };
    let mut names = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(unreadable)? {
        if let Ok(name) = entry.map_err(unreadable)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
