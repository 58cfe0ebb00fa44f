//! The parts of one file, fetched side by side, journalled and hashed as they arrive.

use crate::Trouble;
use crate::download::{Downloader, Failure, Wanted};
use crate::gate::Permit;
use crate::hasher::Hasher;
use crate::partial::{Held, Partial, SEGMENT, segment};
use crate::sniff;
use crate::web::Answer;
use manifest::Sha256;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use url::Url;

/// The answer about the first missing segment, with the leave to fetch it.
pub(crate) type First<'a> = (Answer, (Permit<'a>, Permit<'a>));

/// One file in parts.
pub(crate) struct Ranges<'a> {
    downloader: &'a Downloader<'a>,
    wanted: &'a Wanted<'a>,
    held: Held,
    state: Mutex<State>,
    /// Told when the beginning grew or something failed.
    moved: Condvar,
}

struct State {
    segments: Vec<Segment>,
    /// No segment below this one is missing.
    next: usize,
    /// All segments below this one are there.
    prefix: usize,
    /// Where the last redirect led.
    route: Url,
    failed: Option<Trouble>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Missing,
    Running,
    Done,
}

impl<'a> Ranges<'a> {
    /// For a file of which `held` is there already.
    pub(crate) fn new(downloader: &'a Downloader<'a>, wanted: &'a Wanted<'a>, route: &Url, held: Held) -> Self {
        let of = |done: &bool| if *done { Segment::Done } else { Segment::Missing };
        let segments = held.done.iter().map(of).collect();
        let prefix = held.done.iter().take_while(|done| **done).count();
        let state = State { segments, next: prefix, prefix, route: route.clone(), failed: None };
        Self { downloader, wanted, held, state: Mutex::new(state), moved: Condvar::new() }
    }

    /// Fetches what is missing; `first` is the answer about the first missing segment.
    pub(crate) fn run(&self, partial: &Partial, first: Option<First<'_>>) -> Result<(Sha256, u64), Failure> {
        let disk = |error| (Trouble::Disk(error), false);
        let (mut part, mut journal) = partial.begin(&self.held).map_err(disk)?;
        if let (Some((mut answer, permits)), Some(index)) = (first, self.held.missing()) {
            self.receive(&mut answer, index, &mut part).map_err(|trouble| (trouble, true))?;
            if let Err(trouble) = if index == 0 { self.sniff(&mut part) } else { Ok(()) } {
                partial.discard().map_err(disk)?;
                return Err((trouble, false));
            }
            write_journal(&part, &mut journal, &[index]).map_err(disk)?;
            self.done(index);
            drop(permits);
        }
        let hasher = std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            scope.spawn(move || self.keep_journal(&part, journal, receiver));
            let hasher = scope.spawn(|| self.hash(partial.path()));
            for _ in 0..self.downloader.parallel.min(self.held.done.len()).max(1) {
                let sender = sender.clone();
                scope.spawn(move || self.work(partial.path(), &sender));
            }
            drop(sender);
            hasher.join().ok().flatten()
        });
        let failed = self.state().failed.take();
        match (failed, hasher) {
            (Some(trouble), _) => Err((trouble, false)),
            (None, Some(hasher)) => {
                let sha256 = hasher.finish(&self.wanted.offer.digests).map_err(|trouble| (trouble, false))?;
                Ok((sha256, self.held.origin.size))
            }
            (None, None) => Err((Trouble::Stopped, false)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sniff(&self, part: &mut fs_err::File) -> Result<(), Trouble> {
        let mut start = Vec::new();
        part.seek(SeekFrom::Start(0))?;
        part.take(sniff::ENOUGH as u64).read_to_end(&mut start)?;
        sniff::check(&start, Some(self.held.origin.size), self.wanted.meant)
    }

    /// Fetches segments until none is missing.
    fn work(&self, part: &Path, journal: &Sender<(usize, Permit<'a>)>) {
        let mut part = match fs_err::OpenOptions::new().write(true).open(part) {
            Ok(part) => part,
            Err(error) => return self.fail(Trouble::Disk(error)),
        };
        let mut tries = 0;
        loop {
            let permit = self.downloader.outstanding.pass();
            let Some((index, route)) = self.take() else { return };
            match self.fetch(index, &route, &mut part) {
                Ok(url) => {
                    tries = 0;
                    self.state().route = url;
                    // Nobody listens only when the journal failed, which has been noted.
                    let _ = journal.send((index, permit));
                }
                Err(trouble) => {
                    drop(permit);
                    self.put_back(index);
                    // The address that a redirect led to is good for some time only.
                    let expired = route != self.wanted.offer.url
                        && matches!(trouble, Trouble::Unauthorized { .. } | Trouble::NotFound { .. });
                    tries += 1;
                    if expired {
                        self.state().route = self.wanted.offer.url.clone();
                    }
                    if !(expired || trouble.is_passing()) || tries >= self.downloader.timeouts.tries {
                        return self.fail(trouble);
                    }
                    if let Err(trouble) = self.downloader.pause(tries, &trouble) {
                        return self.fail(trouble);
                    }
                }
            }
        }
    }

    fn fetch(&self, index: usize, route: &Url, part: &mut fs_err::File) -> Result<Url, Trouble> {
        let _permit = self.downloader.connections.pass();
        let (size, version) = (Some(self.held.origin.size), self.held.origin.validator.as_deref());
        let mut answer = self.downloader.ask_part(route, index, size, version)?;
        match answer.status {
            206 => self.wanted.check_part(&answer, index, Some(&self.held))?,
            200 if version.is_some() && answer.validator().as_deref() == version => return Err(Trouble::RangesIgnored),
            200 if version.is_none() => return Err(Trouble::RangesIgnored),
            200 => return Err(Trouble::Changed),
            416 => return Err(Trouble::OddRange("the server says the file is shorter".to_owned())),
            _ => return Err(answer.refusal()),
        }
        answer.check(self.wanted.meant == sniff::Meant::Page)?;
        self.receive(&mut answer, index, part)?;
        Ok(answer.url)
    }

    /// Writes the body of an answer to its place in the file.
    fn receive(&self, answer: &mut Answer, index: usize, part: &mut fs_err::File) -> Result<(), Trouble> {
        let (first, length) = segment(index, self.held.origin.size);
        let stall = answer.stall();
        part.seek(SeekFrom::Start(first))?;
        let mut body = answer.body();
        let mut buffer = vec![0; 128 << 10];
        let mut got = 0;
        let result = loop {
            if self.downloader.stop.load(Ordering::Relaxed) {
                break Err(Trouble::Stopped);
            }
            let read = match body.read(&mut buffer) {
                Ok(0) if got < length => break Err(Trouble::Short { got, expected: length }),
                Ok(0) => break Ok(()),
                Ok(read) => read,
                Err(error) => break Err(Answer::read_trouble(stall, error, got, length)),
            };
            if got + read as u64 > length {
                break Err(Trouble::OddRange("more bytes than were asked for".to_owned()));
            }
            if let Err(error) = part.write_all(buffer.get(..read).unwrap_or_default()) {
                break Err(Trouble::Disk(error));
            }
            got += read as u64;
            self.wanted.progress.add(read as u64);
        };
        if result.is_err() {
            self.wanted.progress.take_back(got);
        }
        result
    }

    /// The next segment that nobody works on; none when there is none or something failed.
    fn take(&self) -> Option<(usize, Url)> {
        let mut state = self.state();
        if self.downloader.stop.load(Ordering::Relaxed) {
            state.failed.get_or_insert(Trouble::Stopped);
            self.moved.notify_all();
        }
        if state.failed.is_some() {
            return None;
        }
        let from = state.next;
        let found = state.segments.iter().skip(from).position(|segment| *segment == Segment::Missing)?;
        let index = from + found;
        state.next = index + 1;
        if let Some(segment) = state.segments.get_mut(index) {
            *segment = Segment::Running;
        }
        Some((index, state.route.clone()))
    }

    fn put_back(&self, index: usize) {
        let mut state = self.state();
        state.next = state.next.min(index);
        if let Some(segment) = state.segments.get_mut(index) {
            *segment = Segment::Missing;
        }
    }

    fn done(&self, index: usize) {
        let mut state = self.state();
        if let Some(segment) = state.segments.get_mut(index) {
            *segment = Segment::Done;
        }
        let from = state.prefix;
        let more = state.segments.iter().skip(from).take_while(|segment| **segment == Segment::Done).count();
        state.prefix = from + more;
        drop(state);
        self.moved.notify_all();
    }

    fn fail(&self, trouble: Trouble) {
        let mut state = self.state();
        state.failed.get_or_insert(trouble);
        drop(state);
        self.moved.notify_all();
    }

    /// Notes segments that are safely on the disk.
    fn keep_journal(&self, part: &fs_err::File, mut journal: fs_err::File, arrived: Receiver<(usize, Permit<'a>)>) {
        while let Ok(first) = arrived.recv() {
            let batch: Vec<(usize, Permit<'_>)> = std::iter::once(first).chain(arrived.try_iter()).collect();
            let indexes: Vec<usize> = batch.iter().map(|(index, _)| *index).collect();
            if let Err(error) = write_journal(part, &mut journal, &indexes) {
                return self.fail(Trouble::Disk(error));
            }
            drop(batch);
            indexes.into_iter().for_each(|index| self.done(index));
        }
    }

    /// Hashes the file from its beginning as far as it is there; none when something failed.
    fn hash(&self, part: &Path) -> Option<Hasher> {
        let mut hasher = Hasher::new(&self.wanted.offer.digests);
        let mut file = match fs_err::File::open(part) {
            Ok(file) => file,
            Err(error) => {
                self.fail(Trouble::Disk(error));
                return None;
            }
        };
        let mut buffer = vec![0; SEGMENT as usize];
        for index in 0..self.held.done.len() {
            let state = self.moved.wait_while(self.state(), |state| state.prefix <= index && state.failed.is_none());
            if state.unwrap_or_else(PoisonError::into_inner).failed.is_some() {
                return None;
            }
            if self.downloader.stop.load(Ordering::Relaxed) {
                self.fail(Trouble::Stopped);
                return None;
            }
            let (_, length) = segment(index, self.held.origin.size);
            let bytes = buffer.get_mut(..usize::try_from(length).ok()?)?;
            if let Err(error) = file.read_exact(bytes) {
                self.fail(Trouble::Disk(error));
                return None;
            }
            hasher.update(bytes);
        }
        Some(hasher)
    }
}

/// First the bytes, then the note that they are there.
fn write_journal(part: &fs_err::File, journal: &mut fs_err::File, indexes: &[usize]) -> std::io::Result<()> {
    part.sync_data()?;
    let lines: String = indexes.iter().map(|index| format!("{index}\n")).collect();
    journal.write_all(lines.as_bytes())
}
