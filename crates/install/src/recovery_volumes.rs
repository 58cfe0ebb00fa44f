//! Recovery volumes, found beside the volumes or elsewhere, and what they put back.

use crate::OpenError;
use crate::repair::{RepairError, RepairedVolume, Target, digest};
use crate::volumes::names;
use crate::{disk, sums};
use manifest::frame::{SeekTable, VolumeEnd, VolumeHeader};
use manifest::{ByteSize, Event, Finding, Problem, Reporter, Sha256, layout};
use recovery::{RecoverySet, RecoveryVolume, SetRepair};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The recovery volumes of one bundle and the volumes that they protect.
pub(crate) struct RecoveryFiles {
    set: RecoverySet,
    name: String,
    /// Where the bundle lies and where else to look.
    folders: Vec<PathBuf>,
    /// By their numbers.
    found: BTreeMap<u32, PathBuf>,
}

impl RecoveryFiles {
    /// Finds the recovery volumes of the bundle called `name` in these folders; the first is the bundle's own. Of several
    /// sets the one with the most files counts that does not contradict the volumes that are there. Nothing when there is
    /// none; `findings` tells about files that are not used.
    pub(crate) fn find(
        name: &str,
        folders: &[PathBuf],
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Self>, OpenError> {
        let mut sets: Vec<Self> = Vec::new();
        for folder in folders {
            for file in names(folder)? {
                if layout::parse_recovery_name(&file).is_none_or(|(bundle, _)| bundle != name) {
                    continue;
                }
                let path = folder.join(&file);
                let opened = fs_err::File::open(&path).and_then(|mut file| RecoveryVolume::open(&mut file));
                let problem = match opened {
                    Ok(Some(RecoveryVolume { set, number })) => {
                        if let Some(known) = sets.iter_mut().find(|known| known.set == set) {
                            known.found.entry(number).or_insert(path);
                        } else {
                            let found = BTreeMap::from([(number, path)]);
                            sets.push(Self { set, name: name.to_owned(), folders: folders.to_vec(), found });
                        }
                        continue;
                    }
                    Ok(None) => unreadable_head(&path),
                    Err(error) => Problem::Unreadable { reason: error.to_string() },
                };
                findings.push(Finding { subject: file, problem });
            }
        }
        let (mut fitting, strange): (Vec<_>, Vec<_>) = sets.into_iter().partition(Self::fits);
        fitting.sort_by_key(|set| set.found.len());
        let best = fitting.pop();
        for path in strange.iter().chain(&fitting).flat_map(|set| set.found.values()) {
            let reason = "it was made for other volumes than those that are here".to_owned();
            let subject = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            findings.push(Finding { subject, problem: Problem::Foreign { reason } });
        }
        Ok(best)
    }

    /// Do the volumes that are there tell that they are those that the set was made for? Volumes that are not there
    /// cannot be made worse.
    fn fits(&self) -> bool {
        let sums = self.folders.first().and_then(|folder| fs_err::read(folder.join(layout::SHA256SUMS)).ok());
        let sums = sums.and_then(|text| sums::parse(&String::from_utf8_lossy(&text)).ok()).unwrap_or_default();
        let (mut speaks_for, mut against) = (0, 0);
        let mut count = |right: bool| if right { speaks_for += 1 } else { against += 1 };
        for path in self.files() {
            if let Some(header) = header(&path) {
                count(header.bundle == self.set.bundle);
            }
        }
        for (number, path) in self.places() {
            let Some(volume) = self.set.volumes.get(number as usize - 1) else {
                count(false);
                continue;
            };
            if let Some((_, listed)) = sums.iter().find(|(name, _)| *name == self.volume_name(number)) {
                count(*listed == volume.sha256);
            }
            match fs_err::metadata(&path).map(|data| data.len()) {
                Ok(size) if size == volume.size => count(true),
                Ok(_) if ends_well(&path) => count(false),
                _ => {}
            }
        }
        speaks_for >= against
    }

    /// What a volume of the set is called.
    fn volume_name(&self, number: u32) -> String {
        let single = self.set.volumes.len() == 1;
        if single { layout::archive_name(&self.name) } else { layout::volume_name(&self.name, number) }
    }

    /// All files that are called like volumes of the bundle.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for folder in &self.folders {
            let names = names(folder).unwrap_or_default();
            let ours = |file: &&String| layout::parse_any_volume_name(file).is_some_and(|(name, _)| name == self.name);
            files.extend(names.iter().filter(ours).map(|file| folder.join(file)));
        }
        files
    }

    /// Where the volumes are: those whose beginning tells their number, then those that are only named so, then those of
    /// which only a part could be computed.
    fn places(&self) -> BTreeMap<u32, PathBuf> {
        let mut places: BTreeMap<u32, (u8, PathBuf)> = BTreeMap::new();
        for path in self.files() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let named = layout::parse_any_volume_name(name).and_then(|(_, number)| number).unwrap_or(1);
            let last = if name.ends_with(layout::INCOMPLETE_SUFFIX) { 3 } else { 0 };
            let (rank, number) = match header(&path) {
                Some(header) if header.bundle != self.set.bundle => continue,
                Some(header) => (u8::from(header.number != named), header.number),
                None => (2, named),
            };
            if places.get(&number).is_none_or(|(known, _)| last + rank < *known) {
                places.insert(number, (last + rank, path));
            }
        }
        places.into_iter().map(|(number, (_, path))| (number, path)).collect()
    }

    /// Computes what is damaged or missing, as far as that is possible. Answers what was done, and of how many bytes; the
    /// volumes of which everything is right now are `whole`.
    pub(crate) fn repair(
        &self,
        volumes: &mut Vec<RepairedVolume>,
        reporter: &dyn Reporter,
    ) -> Result<SetRepair, RepairError> {
        let places = self.places();
        let mut found = Vec::new();
        for (number, path) in &self.found {
            let volume = RecoveryVolume { set: self.set.clone(), number: *number };
            found.push((volume, fs_err::File::open(path)?));
        }
        let mut targets: BTreeMap<u32, Target> = BTreeMap::new();
        let task = layout::recovery_name(&self.name, found.first().map_or(1, |(volume, _)| volume.number));
        let total = self.set.volumes.iter().map(|volume| volume.size).sum();
        reporter.event(&Event::TaskStart { task: &task, bytes: Some(total) });
        let mut looked_at = 0;
        let outcome = self.set.repair(
            &mut found,
            &mut |number, at, buffer| read_at(places.get(&number), at, buffer),
            &mut |number, at, bytes| -> Result<(), RepairError> {
                reporter.go_on()?;
                let target = match targets.remove(&number) {
                    Some(target) => target,
                    None => match places.get(&number) {
                        Some(path) => Target::open(path)?,
                        // Another bundle's file has its name.
                        None if self.missing_place(number).exists() => return Ok(()),
                        None => Target::create(&layout::partial(&self.missing_place(number)))?,
                    },
                };
                Ok(targets.entry(number).or_insert(target).write(at, bytes)?)
            },
            &mut |bytes| {
                looked_at = bytes.min(total);
                reporter.event(&Event::TaskProgress { task: &task, bytes: looked_at });
            },
        )?;
        reporter.event(&Event::TaskEnd { task: &task, bytes: looked_at });
        for (number, (volume, beyond)) in (1..).zip(self.set.volumes.iter().zip(&outcome.beyond_help)) {
            let (mut written, mut unknown) = (0, false);
            if let Some(path) = places.get(&number)
                && fs_err::metadata(path)?.len() > volume.size
            {
                let mut target = targets.remove(&number).map_or_else(|| Target::open(path), Ok)?;
                target.cut_behind(volume.size)?;
                written += target.finish()?;
            }
            let recreated = !places.contains_key(&number);
            let occupied = recreated && self.missing_place(number).exists();
            if let Some(mut target) = targets.remove(&number) {
                if recreated {
                    target.lengthen(volume.size)?;
                }
                written += target.finish()?;
                if recreated {
                    let place = self.missing_place(number);
                    let partial = layout::partial(&place);
                    let right = digest(&mut fs_err::File::open(&partial)?, u64::MAX)? == volume.sha256;
                    // A recovery volume that was cut off says nothing about what lies behind.
                    unknown = *beyond == 0 && !right;
                    fs_err::rename(partial, if right { place } else { self.incomplete_place(number) })?;
                    disk::sync_folder(self.folder())?;
                }
            }
            let name = match places.get(&number).and_then(|path| path.file_name()) {
                Some(name) => name.to_string_lossy().into_owned(),
                None => self.volume_name(number),
            };
            let told = match volumes.iter().position(|volume| volume.name == name) {
                Some(at) => volumes.get_mut(at),
                None => {
                    volumes.push(RepairedVolume { name, rebuilt: 0, recreated: false, beyond_help: None });
                    volumes.last_mut()
                }
            };
            if let Some(told) = told {
                told.rebuilt += written;
                told.recreated |= recreated && written > 0;
                let incomplete = layout::incomplete_name(&self.volume_name(number));
                told.beyond_help = match *beyond {
                    0 if unknown => Some(format!(
                        "no recovery volume is whole enough to tell all of it; what could be computed is in `{incomplete}`"
                    )),
                    0 if occupied => Some("a file of another bundle has its name: move that away".to_owned()),
                    0 => None,
                    bytes if recreated && written > 0 => {
                        Some(format!("{}; what could be computed is in `{incomplete}`", beyond_help(bytes, &outcome)))
                    }
                    bytes => Some(beyond_help(bytes, &outcome)),
                };
            }
        }
        Ok(outcome)
    }

    /// Gives a volume that was incomplete its name, now that it is whole; takes it away where the whole one is there.
    pub(crate) fn name_completed(&self, volumes: &mut [RepairedVolume]) -> Result<(), RepairError> {
        for (number, volume) in (1..).zip(&self.set.volumes) {
            let (incomplete, place) = (self.incomplete_place(number), self.missing_place(number));
            let whole = |path: &Path| -> Result<bool, RepairError> {
                let right = fs_err::metadata(path).is_ok_and(|data| data.is_file() && data.len() == volume.size);
                Ok(right && digest(&mut fs_err::File::open(path)?, u64::MAX)? == volume.sha256)
            };
            if !incomplete.exists() {
                continue;
            }
            if place.exists() {
                if whole(&place)? {
                    fs_err::remove_file(&incomplete)?;
                    disk::sync_folder(self.folder())?;
                }
            } else if whole(&incomplete)? {
                fs_err::rename(&incomplete, &place)?;
                disk::sync_folder(self.folder())?;
                let name = layout::incomplete_name(&self.volume_name(number));
                if let Some(told) = volumes.iter_mut().find(|told| told.name == name) {
                    told.name = self.volume_name(number);
                    told.recreated = true;
                }
            }
        }
        Ok(())
    }

    /// Makes recovery volumes again that are damaged or missing, when all volumes are whole.
    pub(crate) fn renew(&self, volumes: &mut Vec<RepairedVolume>, reporter: &dyn Reporter) -> Result<(), RepairError> {
        let mut outputs = BTreeMap::new();
        for number in 1..=self.set.count {
            let place = self.found.get(&number);
            if let Some(path) = place {
                let volume = RecoveryVolume { set: self.set.clone(), number };
                if volume.damage(&mut fs_err::File::open(path)?)?.is_empty() {
                    continue;
                }
            }
            let own = self.folder().join(layout::recovery_name(&self.name, number));
            outputs.insert(number, place.cloned().unwrap_or(own));
        }
        if outputs.is_empty() {
            return Ok(());
        }
        let places = self.places();
        for (number, volume) in (1..).zip(&self.set.volumes) {
            let Some(path) = places.get(&number) else { return Ok(()) };
            if digest(&mut fs_err::File::open(path)?, u64::MAX)? != volume.sha256 {
                return Ok(());
            }
        }
        let written = self.write_again(&outputs, &places, reporter);
        reporter.go_on()?;
        for path in outputs.values() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let beyond_help = written.as_ref().err().map(|error| format!("it cannot be made again: {error}"));
            let rebuilt = if written.is_ok() { self.set.size() } else { 0 };
            volumes.push(RepairedVolume { name, rebuilt, recreated: written.is_ok(), beyond_help });
        }
        Ok(())
    }

    fn write_again(
        &self,
        outputs: &BTreeMap<u32, PathBuf>,
        places: &BTreeMap<u32, PathBuf>,
        reporter: &dyn Reporter,
    ) -> io::Result<()> {
        let mut files = BTreeMap::new();
        for (number, path) in outputs {
            files.insert(*number, BufWriter::new(fs_err::File::create(layout::partial(path))?));
        }
        let task = layout::recovery_name(&self.name, outputs.keys().next().copied().unwrap_or(1));
        let total = self.set.volumes.iter().map(|volume| volume.size).sum();
        reporter.event(&Event::TaskStart { task: &task, bytes: Some(total) });
        let mut bytes = 0;
        self.set.encode(
            &mut |number, at, buffer| {
                reporter.go_on().map_err(io::Error::other)?;
                bytes += buffer.len() as u64;
                reporter.event(&Event::TaskProgress { task: &task, bytes });
                read_at(places.get(&number), at, buffer)
            },
            &mut |number, bytes| files.get_mut(&number).map_or(Ok(()), |file| file.write_all(bytes)),
        )?;
        reporter.event(&Event::TaskEnd { task: &task, bytes });
        for (number, mut file) in files {
            file.flush()?;
            file.get_ref().sync_all()?;
            if let Some(path) = outputs.get(&number) {
                fs_err::rename(layout::partial(path), path)?;
                disk::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
            }
        }
        Ok(())
    }

    /// Where a volume goes that is not there.
    fn missing_place(&self, number: u32) -> PathBuf {
        self.folder().join(self.volume_name(number))
    }

    /// Where it goes if only a part of it can be computed.
    fn incomplete_place(&self, number: u32) -> PathBuf {
        self.folder().join(layout::incomplete_name(&self.volume_name(number)))
    }

    fn folder(&self) -> &Path {
        self.folders.first().map_or(Path::new("."), PathBuf::as_path)
    }
}

/// What is wrong with a file that should be a recovery volume of `bundle` and has another digest than it should.
pub(crate) fn problem(path: &Path, bundle: Sha256) -> Problem {
    let read = || -> io::Result<Problem> {
        let mut file = fs_err::File::open(path)?;
        let Some(volume) = RecoveryVolume::open(&mut file)? else { return Ok(unreadable_head(path)) };
        if volume.set.bundle != bundle {
            let reason = format!("it is a recovery volume of another bundle ({})", volume.set.bundle.short());
            return Ok(Problem::Foreign { reason });
        }
        let places = volume.damage(&mut file)?;
        let Some((offset, _)) = places.first() else {
            return Ok(Problem::Foreign { reason: format!("it is not the one that `{}` lists", layout::SHA256SUMS) });
        };
        let length = places.iter().map(|(_, length)| length).sum();
        let reason = format!("it does not match its digests in {} place(s), of which this is the first", places.len());
        Ok(Problem::Damaged { offset: *offset, length, reason })
    };
    read().unwrap_or_else(crate::files::problem)
}

fn unreadable_head(path: &Path) -> Problem {
    let length = fs_err::metadata(path).map_or(0, |data| data.len());
    let reason = "it is no recovery volume, or neither its beginning nor its end can be read".to_owned();
    Problem::Damaged { offset: 0, length, reason }
}

fn beyond_help(bytes: u64, outcome: &SetRepair) -> String {
    let (lost, left) = outcome.worst.unwrap_or((1, 0));
    format!(
        "{} of it are lost for good: at the same place, {lost} volume(s) are damaged or missing, and {left} recovery volume(s) \
         are whole",
        ByteSize(bytes)
    )
}

fn header(path: &Path) -> Option<VolumeHeader> {
    let mut head = [0; VolumeHeader::LENGTH];
    fs_err::File::open(path).ok()?.read_exact(&mut head).ok()?;
    VolumeHeader::parse(head.get(8..)?).ok()
}

/// Does the file end as a volume does?
fn ends_well(path: &Path) -> bool {
    let tail = |behind: u64| -> io::Result<Vec<u8>> {
        let mut file = fs_err::File::open(path)?;
        let end = file.metadata()?.len().saturating_sub(behind);
        file.seek(SeekFrom::Start(end.saturating_sub(VolumeEnd::LENGTH as u64)))?;
        let mut bytes = Vec::new();
        file.take(VolumeEnd::LENGTH as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let Ok(end) = tail(0) else { return false };
    let end = match SeekTable::length_from(&end) {
        0 => end,
        table => tail(table).unwrap_or_default(),
    };
    end.get(8..).is_some_and(|content| VolumeEnd::parse(content).is_ok())
}

/// Reads as much as there is; nothing of a volume that is not there.
fn read_at(path: Option<&PathBuf>, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let Some(path) = path else { return Ok(0) };
    // Opened anew each time: a bundle may have more volumes than a process may have open files.
    let mut file = fs_err::File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
