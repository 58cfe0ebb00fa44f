//! Where volumes go: one stick after the other.

use super::folder::{BundleFolder, sync};
use super::journal::{FinishedVolume, Journal};
use super::recovery_volumes::{self, CompleteVolume};
use super::start_here::{self, StickNote};
use super::target_disk::{check_space, default_volume_size, free_space};
use super::{PackError, PackOptions, ReadBack, Reading};
use manifest::{BundleManifest, ByteSize, Event, Reporter, StickRequest, layout};
use recovery::RecoverySet;
use serde::Serialize;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Bytes of a stick that are left for what is written beside the volumes, and for the file system itself.
const RESERVE: u64 = 128 << 10;

/// A stick that is finished, or the only folder.
#[derive(Clone, Debug, Serialize)]
pub struct Stick {
    /// The bundle folder on it.
    pub folder: PathBuf,
    /// The names of the volumes on it.
    pub volumes: Vec<String>,
}

/// What does not change from one stick to the next.
pub(crate) struct Packing<'a> {
    pub(crate) manifest: &'a BundleManifest,
    /// Where copies of the manifest's programs come from, in their order.
    pub(crate) programs: &'a [(String, PathBuf)],
    pub(crate) options: &'a PackOptions,
    pub(crate) reporter: &'a dyn Reporter,
    /// The bill of materials, which lies beside the archive, too.
    pub(crate) sbom: Option<Vec<u8>>,
    /// The inventory of a frozen folder, which lies beside the archive.
    pub(crate) inventory: Option<Vec<u8>>,
    /// Ordinary frames of the archive.
    pub(crate) frames: u64,
    /// Bytes of all volumes, about.
    pub(crate) expected: u64,
}

impl Packing<'_> {
    fn reserve(&self) -> u64 {
        let beside = self.sbom.iter().chain(&self.inventory);
        RESERVE + beside.map(|text| text.len() as u64).sum::<u64>()
    }
}

/// The stick that is being written, what is finished, and how to get the next one.
pub(crate) struct Sticks<'a> {
    packing: Packing<'a>,
    next: VecDeque<PathBuf>,
    folder: Option<BundleFolder>,
    journal: Journal,
    /// Those of this run.
    finished: Vec<Stick>,
    /// Largest volume that this stick can hold, or that was asked for.
    limit: u64,
    /// Bytes that volumes may still take on it.
    room: u64,
    reading: Option<(String, Reading)>,
    read_back: ReadBack,
    recovery_volumes: Vec<(String, u64)>,
}

/// What was written.
pub(crate) struct Written {
    pub(crate) sticks: Vec<Stick>,
    pub(crate) volumes: Vec<(String, u64)>,
    pub(crate) recovery_volumes: Vec<(String, u64)>,
    pub(crate) read_back: ReadBack,
}

impl<'a> Sticks<'a> {
    /// Begins, or goes on behind what the journal says is finished.
    pub(crate) fn begin(packing: Packing<'a>, journal: Journal) -> Result<Self, PackError> {
        let out = packing.options.out.clone();
        let mut sticks = Self {
            next: packing.options.next.iter().cloned().collect(),
            packing,
            folder: None,
            journal,
            finished: Vec::new(),
            limit: u64::MAX,
            room: u64::MAX,
            reading: None,
            read_back: ReadBack::Medium,
            recovery_volumes: Vec::new(),
        };
        if sticks.journal.is_new() {
            if !sticks.can_go_on() {
                let needed = sticks.to_come() + sticks.recovery_bytes();
                check_space(&out, needed.saturating_sub(BundleFolder::removable(&out)))?;
            }
            sticks.enter(&out)?;
        } else {
            let text = format!("going on with an interrupted bundle: {}", sticks.state());
            sticks.packing.reporter.event(&Event::Note { text: &text });
            if BundleFolder::is_unfinished(&out) || sticks.is_complete() {
                sticks.enter(&out)?;
            } else {
                sticks.next_stick()?;
            }
        }
        Ok(sticks)
    }

    /// What is finished so far.
    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The folder of this stick.
    pub(crate) fn path(&self) -> &Path {
        match &self.folder {
            Some(folder) => folder.path(),
            None => self.finished.last().map_or(&self.packing.options.out, |stick| &stick.folder),
        }
    }

    /// Largest volume that can be written now, and whether only the stick's free space limits it.
    pub(crate) fn largest_volume(&self) -> (u64, bool) {
        (self.limit.min(self.room), self.room < self.limit)
    }

    /// No volume is on this stick yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.journal.here().next().is_none()
    }

    /// Is there, or can be asked for, another stick? Recovery volumes need all volumes in one place.
    pub(crate) fn can_go_on(&self) -> bool {
        self.packing.options.recovery_volumes == 0 && (!self.next.is_empty() || self.packing.reporter.can_ask())
    }

    /// The stick was full after `written` bytes of the open volume. If it is the first one there, it is made again,
    /// shorter; otherwise it goes to the next stick.
    pub(crate) fn is_full(&mut self, written: u64) {
        self.room = if self.is_fresh() { (written - written / 16).saturating_sub(self.packing.reserve()) } else { 0 };
    }

    /// Takes over a volume that is complete and on the disk, and begins to read it back.
    pub(crate) fn add_volume(&mut self, partial: PathBuf, volume: FinishedVolume) -> Result<(), PackError> {
        self.finish_reading()?;
        self.room = self.room.saturating_sub(volume.size);
        let name = layout::volume_name(&self.packing.manifest.name, self.journal.volumes.len() as u32 + 1);
        if let Some(folder) = &mut self.folder {
            folder.add(partial, name.clone(), volume.size, volume.sha256);
        }
        self.journal.volumes.push(FinishedVolume { stick: self.journal.stick, ..volume });
        self.journal.write(self.path())?;
        if self.packing.options.read_back {
            self.begin_reading(name);
        }
        Ok(())
    }

    /// Finishes this stick and goes on to the next one.
    pub(crate) fn change(&mut self) -> Result<(), PackError> {
        self.finish_stick(false)?;
        self.next_stick()
    }

    /// Finishes the last stick.
    pub(crate) fn finish(mut self) -> Result<Written, PackError> {
        self.finish_stick(true)?;
        let volumes = (1..).zip(&self.journal.volumes);
        let volumes = volumes.map(|(number, volume)| (self.final_name(number, true), volume.size)).collect();
        let (sticks, recovery_volumes) = (self.finished, self.recovery_volumes);
        Ok(Written { sticks, volumes, recovery_volumes, read_back: self.read_back })
    }

    /// What a volume is called in the end: the only one of a bundle like an archive.
    fn final_name(&self, number: u32, last: bool) -> String {
        let name = &self.packing.manifest.name;
        let single = last && self.journal.volumes.len() == 1;
        if single { layout::archive_name(name) } else { layout::volume_name(name, number) }
    }

    fn is_complete(&self) -> bool {
        self.journal.next_frame() >= self.packing.frames
    }

    /// Bytes that are still to be written, about.
    fn to_come(&self) -> u64 {
        let written = self.journal.volumes.iter().fold(0u64, |sum, volume| sum.saturating_add(volume.size));
        self.packing.expected.saturating_sub(written) + self.programs()
    }

    /// Bytes of the programs, which lie on every stick.
    fn programs(&self) -> u64 {
        self.packing.manifest.programs.iter().map(|program| program.size).sum()
    }

    /// What is finished, in words.
    fn state(&self) -> String {
        let name = |number| layout::volume_name(&self.packing.manifest.name, number);
        match self.journal.volumes.len() as u32 {
            0 => format!("stick {} is begun", self.journal.stick),
            1 => format!("`{}` is complete", name(1)),
            count => format!("`{}` to `{}` are complete", name(1), name(count)),
        }
    }

    fn begin_reading(&mut self, name: String) {
        let file = self.folder.as_mut().and_then(|folder| folder.file_mut(&name));
        self.reading = file.map(|file| {
            let reading = Reading::begin(&file.path, &name, file.size, file.sha256);
            (name, reading)
        });
    }

    /// Waits for the volume that is being read back. One that is not what was written is struck out of the journal.
    fn finish_reading(&mut self) -> Result<(), PackError> {
        let Some((name, reading)) = self.reading.take() else { return Ok(()) };
        match reading.finish(self.packing.reporter) {
            Ok(how) => {
                self.read_back = self.read_back.max(how);
                if let Some(file) = self.folder.as_mut().and_then(|folder| folder.file_mut(&name)) {
                    file.checked = true;
                }
                Ok(())
            }
            Err(error @ PackError::Stopped(_)) => Err(error),
            Err(error) => {
                self.journal.volumes.pop();
                // On a medium that fails this may fail, too; what matters is said already.
                let _ = self.journal.write(self.path());
                Err(error)
            }
        }
    }

    fn finish_stick(&mut self, last: bool) -> Result<(), PackError> {
        self.finish_reading()?;
        let Some(mut folder) = self.folder.take() else { return Ok(()) };
        if last {
            self.write_recovery_volumes(&mut folder)?;
        }
        let name = layout::volume_name(&self.packing.manifest.name, 1);
        if let Some(file) = folder.file_mut(&name) {
            file.name = self.final_name(1, last);
        }
        let here: Vec<String> = self.journal.here().map(|(number, _)| self.final_name(number, last)).collect();
        let recovery = !self.recovery_volumes.is_empty();
        let note = StickNote { number: self.journal.stick, last, volumes: &here, recovery };
        folder.write(layout::START_HERE, start_here::text(self.packing.manifest, &note).as_bytes())?;
        if let Some(sbom) = &self.packing.sbom {
            folder.write(layout::SBOM, sbom)?;
        }
        if let Some(inventory) = &self.packing.inventory {
            folder.write(layout::FROZEN_INVENTORY, inventory)?;
        }
        let path = folder.path().to_path_buf();
        let how = folder.finish(self.packing.options.read_back, self.packing.reporter)?;
        self.read_back = self.read_back.max(how);
        if last {
            fs_err::remove_file(path.join(layout::PACKING)).map_err(PackError::writing)?;
            sync(&path)?;
        }
        self.finished.push(Stick { folder: path, volumes: here });
        Ok(())
    }

    /// Makes the recovery volumes, if there shall be any, when all volumes are complete.
    fn write_recovery_volumes(&mut self, folder: &mut BundleFolder) -> Result<(), PackError> {
        let count = self.packing.options.recovery_volumes;
        if count == 0 {
            return Ok(());
        }
        let name = &self.packing.manifest.name;
        let mut volumes = Vec::new();
        for (number, volume) in (1..).zip(&self.journal.volumes) {
            let file = folder.file_mut(&layout::volume_name(name, number)).ok_or(PackError::RecoveryOnSticks)?;
            volumes.push(CompleteVolume { path: file.path.clone(), size: volume.size, sha256: volume.sha256 });
        }
        let (bundle, reporter) = (self.packing.manifest.id(), self.packing.reporter);
        self.recovery_volumes = recovery_volumes::write(folder, name, bundle, &volumes, count, reporter)?;
        Ok(())
    }

    /// Bytes of the recovery volumes, about.
    fn recovery_bytes(&self) -> u64 {
        let out = &self.packing.options.out;
        let asked = self.packing.options.volume_size.map_or(u64::MAX, |size| size.0);
        let longest = self.packing.expected.min(asked);
        let longest = default_volume_size(out, longest).map_or(longest, |size| size.0.min(longest));
        longest.saturating_mul(u64::from(self.packing.options.recovery_volumes))
    }

    /// Gets the next stick: one that was named, or one that somebody puts in.
    fn next_stick(&mut self) -> Result<(), PackError> {
        let full = self.path().to_path_buf();
        let at_start = self.finished.is_empty();
        self.journal.stick += 1;
        loop {
            if let Some(folder) = self.next.pop_front() {
                return self.enter_next(&folder, at_start);
            }
            let (number, state, to_come) = (self.journal.stick, self.state(), self.to_come());
            let why = format!(
                "stick {} is full and can be taken out: {state}. About {} are still to come. Put in stick {number}",
                number - 1,
                ByteSize(to_come)
            );
            let request = StickRequest { why: &why, folder: &full };
            let Some(folder) = self.packing.reporter.ask_for_stick(&request) else {
                return Err(PackError::NoNextStick { folder: full, state, to_come });
            };
            match self.enter_next(&folder, at_start) {
                Err(error) if !matches!(error, PackError::NoNextStick { .. }) => {
                    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                    self.packing.reporter.event(&Event::Warning { text: &format!("{error}{hint}") });
                }
                outcome => return outcome,
            }
        }
    }

    /// Refuses a stick that is too full for a program and a volume with one chunk.
    fn check_room(&self, folder: &Path) -> Result<(), PackError> {
        let (programs, to_come) = (self.programs(), self.to_come());
        let chunk = (BundleManifest::CHUNK_SIZE as f64 * (1.1 + self.packing.options.recovery / 100.0)) as u64;
        let needed = programs + RESERVE + chunk.min(to_come.saturating_sub(programs));
        match free_space(folder) {
            Some(free) if free.saturating_add(BundleFolder::removable(folder)) < needed => {
                Err(PackError::StickTooSmall { folder: folder.to_path_buf(), needed })
            }
            _ => Ok(()),
        }
    }

    /// Takes another stick in use. When an interrupted packing is gone on with (`at_start`), it may have been begun.
    fn enter_next(&mut self, folder: &Path, at_start: bool) -> Result<(), PackError> {
        BundleFolder::check(folder, self.packing.options.replace)?;
        let unfinished = BundleFolder::is_unfinished(folder);
        match Journal::read(folder) {
            Some(found) if found.continues(&self.journal) => {
                let same = found.stick == self.journal.stick;
                if same && at_start {
                    self.journal = found;
                    return if unfinished || self.is_complete() { self.enter(folder) } else { self.next_stick() };
                }
                if !unfinished {
                    return Err(PackError::SameStick { folder: folder.to_path_buf(), stick: found.stick });
                }
            }
            Some(_) if !unfinished && !self.packing.options.replace => {
                return Err(PackError::NotEmpty { folder: folder.to_path_buf(), bundle: None });
            }
            _ => {}
        }
        self.check_room(folder)?;
        self.enter(folder)
    }

    /// Makes `folder` this stick's, with what is finished on it.
    fn enter(&mut self, folder: &Path) -> Result<(), PackError> {
        let mut kept = Vec::new();
        for (number, volume) in self.journal.here() {
            let partial = layout::partial(&folder.join(layout::volume_name(&self.packing.manifest.name, number)));
            let names = [self.final_name(number, false), self.final_name(number, true)];
            let places = std::iter::once(partial).chain(names.into_iter().map(|name| folder.join(name)));
            let place =
                places.into_iter().find(|path| fs_err::metadata(path).is_ok_and(|data| data.len() == volume.size));
            kept.push((number, place, volume.size, volume.sha256));
        }
        let name_of = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut keep: Vec<String> = kept.iter().filter_map(|(_, place, ..)| name_of(place.as_ref()?)).collect();
        keep.push(layout::PACKING.to_owned());
        let mut bundle = BundleFolder::begin(folder, &keep)?;
        for (number, place, size, sha256) in kept {
            let name = layout::volume_name(&self.packing.manifest.name, number);
            let problem = match &place {
                None => Some(format!("`{name}` is not there any more, or has another size")),
                Some(_) if !self.packing.options.read_back => None,
                Some(path) => match Reading::begin(path, &name, size, sha256).finish(self.packing.reporter) {
                    Ok(how) => {
                        self.read_back = self.read_back.max(how);
                        None
                    }
                    Err(error @ PackError::Stopped(_)) => return Err(error),
                    Err(error) => Some(error.to_string()),
                },
            };
            if let (None, Some(path)) = (&problem, place) {
                bundle.add(path, name.clone(), size, sha256);
                if let Some(file) = bundle.file_mut(&name) {
                    file.checked = self.packing.options.read_back;
                }
                continue;
            }
            let text = format!("{}; it and what follows is written again", problem.unwrap_or_default());
            self.packing.reporter.event(&Event::Warning { text: &text });
            self.journal.volumes.truncate(number as usize - 1);
            break;
        }
        self.journal.write(folder)?;
        for (program, (_, source)) in self.packing.manifest.programs.iter().zip(self.packing.programs) {
            bundle.copy_program(program, source)?;
        }
        self.folder = Some(bundle);
        self.measure(folder);
        Ok(())
    }

    /// What this stick can hold.
    fn measure(&mut self, folder: &Path) {
        let free = free_space(folder).unwrap_or(u64::MAX);
        self.room = free.saturating_sub(self.packing.reserve() + self.packing.expected / 100_000);
        let asked = self.packing.options.volume_size.map_or(u64::MAX, |size| size.0);
        let longest = self.to_come().min(asked).min(self.room);
        let possible = default_volume_size(folder, longest).map_or(u64::MAX, |size| size.0);
        self.limit = asked.min(possible);
        let recovery = self.packing.options.recovery_volumes;
        if recovery > 0 && self.limit < u64::MAX {
            // A recovery volume is a little longer than what it replaces, and must fit, too.
            let volumes = self.packing.expected / self.limit.max(1) * 9 / 8 + 2;
            self.limit = RecoverySet::largest_volume(self.limit, volumes, recovery);
        }
    }
}
