//! Which files of a folder are the volumes of a bundle.

use crate::{OpenError, sums};
use manifest::frame::{self, RecordError, SeekTable, VolumeEnd, VolumeHeader};
use manifest::{Finding, Problem, Sha256, layout};
use std::collections::{BTreeMap, BTreeSet};
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
    /// What its end says, when that could be read, and where it begins.
    pub(crate) end: Option<(VolumeEnd, u64)>,
}

/// The volumes of one bundle, in order, and what is wrong with them at first sight.
#[derive(Clone, Debug)]
pub(crate) struct VolumeSet {
    /// The folders that were looked into.
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) name: String,
    pub(crate) bundle: Sha256,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) findings: Vec<Finding>,
    /// Volumes that are not here and need not be, because they lie on another stick: nothing here lists them.
    pub(crate) elsewhere: Vec<u32>,
}

struct Candidate {
    folder: usize,
    path: PathBuf,
    name: String,
    named: Option<u32>,
    size: u64,
    header: Option<VolumeHeader>,
    end: Option<VolumeEnd>,
    end_at: u64,
    ours: bool,
}

impl VolumeSet {
    /// Finds the volumes of one bundle: in its folder, in its folders on several sticks, or beside one of its volumes.
    pub(crate) fn find(paths: &[PathBuf]) -> Result<Self, OpenError> {
        let mut places = Vec::new();
        for path in paths {
            let (folder, name) = locate(path)?;
            if folder.join(layout::UNFINISHED).exists() {
                return Err(OpenError::Unfinished { folder });
            }
            places.push((folder, name));
        }
        let Some((folder, name)) = places.first().cloned() else {
            return Err(OpenError::NoBundle { folder: PathBuf::new() });
        };
        if let Some((other, found)) = places.iter().find(|(_, found)| *found != name) {
            return Err(OpenError::Another { folder: other.clone(), found: found.clone(), expected: name });
        }
        let (mut candidates, mut findings) = (Vec::new(), Vec::new());
        for (at, (folder, _)) in places.iter().enumerate() {
            look(at, folder, &name, &mut candidates, &mut findings)?;
        }
        let Some(bundle) = owner(&candidates) else {
            let known = candidates.iter().any(|candidate| candidate.ours);
            let empty = candidates.iter().all(|candidate| candidate.size == 0);
            let volume = candidates.first().map_or(name, |candidate| candidate.name.clone());
            if let (true, Some(Finding { problem: Problem::Unreadable { reason }, .. })) =
                (candidates.is_empty(), findings.first())
            {
                return Err(OpenError::Unreadable { path: folder.join(volume), reason: reason.clone() });
            }
            return Err(if known {
                OpenError::NoHeader { folder, volume }
            } else if empty {
                OpenError::Empty { path: folder.join(volume) }
            } else {
                OpenError::NotOurs { path: folder.join(volume) }
            });
        };
        Ok(Self::arranged(places, bundle, candidates, findings))
    }

    /// The volumes of that bundle on another stick; what is there of other bundles is named.
    pub(crate) fn find_more(&self, path: &Path) -> Result<Self, OpenError> {
        if path.join(layout::UNFINISHED).exists() {
            return Err(OpenError::Unfinished { folder: path.to_path_buf() });
        }
        let (mut candidates, mut findings) = (Vec::new(), Vec::new());
        look(0, path, &self.name, &mut candidates, &mut findings)?;
        if candidates.is_empty() && findings.is_empty() {
            return Err(OpenError::NoVolume { folder: path.to_path_buf(), name: self.name.clone() });
        }
        let place = vec![(path.to_path_buf(), self.name.clone())];
        let mut set = Self::arranged(place, self.bundle, candidates, findings);
        if set.listed().is_none() {
            // Nothing tells what should be on this stick: what is not, is on another one.
            let here: BTreeSet<u32> = set.volumes.iter().map(|volume| volume.number).collect();
            set.findings.retain(|finding| finding.problem != Problem::Missing);
            let end = here.last().map_or(0, |last| last + 1);
            set.elsewhere = (1..=end).filter(|number| !here.contains(number)).collect();
        }
        Ok(set)
    }

    fn arranged(
        places: Vec<(PathBuf, String)>,
        bundle: Sha256,
        candidates: Vec<Candidate>,
        findings: Vec<Finding>,
    ) -> Self {
        let name = places.first().map(|(_, name)| name.clone()).unwrap_or_default();
        let folders: Vec<PathBuf> = places.into_iter().map(|(folder, _)| folder).collect();
        let mut set = Self { folders, name, bundle, volumes: Vec::new(), findings, elsewhere: Vec::new() };
        set.arrange(candidates);
        set
    }

    /// The first folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folders.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Names of the files that should be here, as far as every folder tells.
    fn listed(&self) -> Option<BTreeSet<String>> {
        let mut listed = BTreeSet::new();
        for folder in &self.folders {
            let text = fs_err::read(folder.join(layout::SHA256SUMS)).ok()?;
            listed.extend(sums::parse(&String::from_utf8_lossy(&text)).ok()?.into_iter().map(|(name, _)| name));
        }
        // A list of no volume tells nothing about volumes.
        listed.iter().any(|name| layout::parse_volume_name(name).is_some()).then_some(listed)
    }

    /// The number of the bundle's last volume, if that one is here.
    pub(crate) fn last(&self) -> Option<u32> {
        let last = self.volumes.last().filter(|volume| volume.end.is_some_and(|(end, _)| end.last));
        last.map(|volume| volume.number)
    }

    fn arrange(&mut self, candidates: Vec<Candidate>) {
        let mut slots: BTreeMap<u32, (Volume, usize)> = BTreeMap::new();
        let single = candidates.len() == 1;
        // Those that are named rightly come first: the other of two equal ones is the copy.
        let (right, wrong): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| {
            candidate.header.is_some_and(|header| header.number == candidate.named.unwrap_or(1))
        });
        // What was computed only in part counts where there is nothing else.
        let (incomplete, others): (Vec<_>, Vec<_>) =
            right.into_iter().chain(wrong).partition(|candidate| candidate.name.ends_with(layout::INCOMPLETE_SUFFIX));
        for candidate in others.into_iter().chain(incomplete) {
            let stated = candidate.header.map(|header| (header.bundle, header.number));
            let stated = stated.or_else(|| candidate.end.map(|end| (end.bundle, end.number)));
            let Some((bundle, number)) =
                stated.or_else(|| candidate.ours.then_some((self.bundle, candidate.named.unwrap_or(1))))
            else {
                let reason = match candidate.size {
                    0 => "it is empty (0 bytes)",
                    _ => "it does not begin like a volume of a bundle",
                };
                self.foreign(&candidate.name, reason);
                continue;
            };
            if bundle != self.bundle {
                self.foreign(
                    &candidate.name,
                    &format!(
                        "it is volume {number} of another bundle ({}), perhaps of another edition",
                        bundle.short()
                    ),
                );
                continue;
            }
            // The same volume on two sticks: one of them is enough.
            let incomplete = candidate.name.ends_with(layout::INCOMPLETE_SUFFIX);
            if slots.get(&number).is_some_and(|(_, folder)| incomplete || *folder != candidate.folder) {
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
                end: candidate.end.map(|end| (end, candidate.end_at)),
            };
            slots.insert(number, (volume, candidate.folder));
        }
        let count = slots.keys().next_back().copied().unwrap_or(0);
        // Whether anything follows stands in the end of the last one.
        let more = slots.get(&count).is_some_and(|(volume, _)| volume.end.is_some_and(|(end, _)| !end.last));
        let listed = self.listed();
        for number in (1..=count.saturating_add(u32::from(more))).take(10_000) {
            let subject = layout::volume_name(&self.name, number);
            match &listed {
                _ if slots.contains_key(&number) => {}
                Some(listed) if !listed.contains(&subject) => self.elsewhere.push(number),
                _ => self.findings.push(Finding { subject, problem: Problem::Missing }),
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
    fn read(at: usize, folder: &Path, name: &str, named: Option<u32>) -> std::io::Result<Self> {
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
        let end_at = size.saturating_sub(table).saturating_sub(VolumeEnd::LENGTH as u64);
        let ours = end.is_some() || header != Err(RecordError::NotOurs);
        Ok(Self { folder: at, path, name: name.to_owned(), named, size, header: header.ok(), end, end_at, ours })
    }
}

/// Reads the ends of every file in `folder` that is named like a volume of the bundle.
fn look(
    at: usize,
    folder: &Path,
    name: &str,
    candidates: &mut Vec<Candidate>,
    findings: &mut Vec<Finding>,
) -> Result<(), OpenError> {
    for file in names(folder)? {
        let parsed = layout::parse_any_volume_name(&file);
        let Some((_, named)) = parsed.filter(|(bundle, _)| *bundle == name) else { continue };
        match Candidate::read(at, folder, &file, named) {
            Ok(candidate) => candidates.push(candidate),
            Err(error) => {
                findings.push(Finding { subject: file, problem: Problem::Unreadable { reason: error.to_string() } });
            }
        }
    }
    Ok(())
}

/// The content of a skippable frame of ours.
fn record(bytes: &[u8]) -> Option<&[u8]> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (_, content) = rest.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*magic) == frame::VOLUME).then_some(content)
}

/// The bundle that most of the volumes belong to; of two equally good the one with a first volume, then the one with more
/// volumes under their right names.
fn owner(candidates: &[Candidate]) -> Option<Sha256> {
    let mut votes: BTreeMap<Sha256, (usize, bool, usize)> = BTreeMap::new();
    for candidate in candidates {
        let stated = candidate.header.map(|header| (header.bundle, header.number));
        if let Some((bundle, number)) = stated.or_else(|| candidate.end.map(|end| (end.bundle, end.number))) {
            let vote = votes.entry(bundle).or_default();
            vote.0 += 1;
            vote.1 |= number == 1;
            vote.2 += usize::from(candidate.named.unwrap_or(1) == number);
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
        let Some((name, _)) = layout::parse_any_volume_name(file) else {
            return Err(OpenError::NotOurs { path: path.to_path_buf() });
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return Ok((parent.unwrap_or(Path::new(".")).to_path_buf(), name.to_owned()));
    }
    let mut found: Vec<String> = Vec::new();
    for file in names(path)? {
        if let Some((name, _)) = layout::parse_any_volume_name(&file)
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
