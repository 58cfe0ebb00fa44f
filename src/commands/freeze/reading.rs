//! The first reading of a folder's files: their digests, of those that are not recognized without it.

use super::TRIES;
use super::earlier::Earlier;
use crate::failure::Outcome;
use crate::output::Output;
use ::install::{StoredFile, Walk, plain_reason};
use bundler::{Content, PackError, PackFile, SurveyedFile, survey_unknown};
use manifest::{ComponentId, Event, FileEntry, FileMark, LeftOut, Reporter, SeenFile, Sha256, TreePath, layout};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Files that are read in one go: so many, and so many bytes.
const BATCH: (usize, u64) = (256, 1 << 30);
/// A shorter file is kept in memory from its first reading on, so that it cannot change any more …
const SMALL: u64 = 64 << 10;
/// … as long as all of them are not more than this.
const ALL_SMALL: u64 = 24 << 20;
/// A file that changed so few seconds ago may change again without its time telling.
const RECENT: i64 = 3;

/// What is known about the files of a folder.
pub(crate) struct Reading<'a> {
    earlier: &'a Earlier,
    rehash: bool,
    /// Files of earlier bundles by their digests.
    known: HashMap<Sha256, &'a FileEntry>,
    digests: HashMap<TreePath, Sha256>,
    marks: HashMap<TreePath, FileMark>,
    surveyed: HashMap<Sha256, Arc<SurveyedFile>>,
    small: HashMap<Sha256, Arc<[u8]>>,
    small_bytes: u64,
    began: i64,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(earlier: &'a Earlier, rehash: bool) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            earlier,
            rehash,
            known: earlier.files.iter().map(|file| (file.sha256, file)).collect(),
            digests: HashMap::new(),
            marks: HashMap::new(),
            surveyed: HashMap::new(),
            small: HashMap::new(),
            small_bytes: 0,
            began: now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0)),
        }
    }

    /// The digests of all files that could be read.
    pub(crate) fn digests(&self) -> &HashMap<TreePath, Sha256> {
        &self.digests
    }

    /// Recognizes what did not change, reads the rest.
    pub(crate) fn read_all(&mut self, walk: &mut Walk, output: &Output) -> Outcome {
        let mut unread = Vec::new();
        for (path, mark) in walk.files() {
            match self.earlier.seen.get(path) {
                Some((seen, sha256)) if !self.rehash && *seen == mark && self.known.contains_key(sha256) => {
                    self.digests.insert(path.clone(), *sha256);
                    self.marks.insert(path.clone(), mark);
                }
                _ => unread.push(path.clone()),
            }
        }
        let recognized = self.digests.len();
        output.say(format!("      {recognized} files did not change since, {} are read", unread.len()));
        self.read(walk, unread, output)
    }

    /// Reads files; what cannot be read is noted in the walk.
    pub(crate) fn read(&mut self, walk: &mut Walk, files: Vec<TreePath>, output: &Output) -> Outcome {
        let sizes: HashMap<TreePath, u64> = walk.files().map(|(path, mark)| (path.clone(), mark.size)).collect();
        let total = files.iter().filter_map(|path| sizes.get(path)).sum();
        let progress = Progress { output, done: AtomicU64::new(0), now: Mutex::new(0) };
        if total > 0 {
            output.event(&Event::TaskStart { task: TASK, bytes: Some(total) });
        }
        let mut queue: VecDeque<(TreePath, u32)> = files.into_iter().map(|path| (path, 0)).collect();
        while !queue.is_empty() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            while let Some((path, tries)) = queue.pop_front() {
                let size = sizes.get(&path).copied().unwrap_or(0);
                if !batch.is_empty() && (batch.len() >= BATCH.0 || bytes + size > BATCH.1) {
                    queue.push_front((path, tries));
                    break;
                }
                bytes += size;
                batch.push((path, tries));
            }
            self.read_batch(walk, batch, &mut queue, &progress)?;
        }
        if total > 0 {
            output.event(&Event::TaskEnd { task: TASK, bytes: total });
        }
        Ok(())
    }

    fn read_batch(
        &mut self,
        walk: &mut Walk,
        batch: Vec<(TreePath, u32)>,
        queue: &mut VecDeque<(TreePath, u32)>,
        progress: &Progress<'_>,
    ) -> Outcome {
        let mut ready: Vec<(TreePath, u32, FileMark)> = Vec::new();
        let mut files: Vec<PackFile> = Vec::new();
        for (path, tries) in batch {
            self.digests.remove(&path);
            let mark = match walk.look_again(&path) {
                Ok(Some(mark)) => mark,
                Ok(None) => {
                    self.gone(walk, &path, queue, progress.output);
                    continue;
                }
                Err(reason) => {
                    self.leave_out(walk, &path, &reason);
                    continue;
                }
            };
            match self.content(walk, &path, mark) {
                Ok(content) => {
                    let Some(file) = pack_file(files.len(), &path, content, mark.size) else { continue };
                    files.push(file);
                    ready.push((path, tries, mark));
                }
                Err(error) => self.again(walk, path, tries, &plain_reason(&error), queue),
            }
        }
        let surveyed = match survey_unknown(&files, 0, progress) {
            Ok(surveyed) => surveyed,
            Err(error) => {
                let at = place_of(&error).and_then(|place| files.iter().position(|file| file.path.as_str() == place));
                let Some(at) = at else { return Err(error.into()) };
                // The others are read once more: this happens seldom.
                let reason = match &error {
                    PackError::Source { source, .. } => plain_reason(source),
                    _ => "it changed each time that it was read".to_owned(),
                };
                for (place, (path, tries, _)) in ready.into_iter().enumerate() {
                    if place == at {
                        self.again(walk, path, tries, &reason, queue);
                    } else {
                        queue.push_back((path, tries));
                    }
                }
                return Ok(());
            }
        };
        for (((path, tries, mark), file), surveyed) in ready.into_iter().zip(files).zip(surveyed) {
            if walk.look_again(&path) != Ok(Some(mark)) && !matches!(file.content, Content::Bytes(_)) {
                self.again(walk, path, tries, "it changed each time that it was read", queue);
                continue;
            }
            let sha256 = surveyed.sha256();
            if let Content::Bytes(bytes) = file.content
                && self.small.insert(sha256, bytes).is_none()
            {
                self.small_bytes += file.size;
            }
            self.surveyed.insert(sha256, Arc::new(surveyed));
            self.digests.insert(path.clone(), sha256);
            self.marks.insert(path, mark);
        }
        Ok(())
    }

    /// Short files are read at once.
    fn content(&self, walk: &Walk, path: &TreePath, mark: FileMark) -> std::io::Result<Content> {
        let place = walk.place(path);
        if mark.size > SMALL || self.small_bytes + mark.size > ALL_SMALL {
            return Ok(Content::Disk(place));
        }
        let bytes = fs_err::read(place)?;
        if bytes.len() as u64 != mark.size {
            return Err(std::io::Error::other("it changed each time that it was read"));
        }
        Ok(Content::Bytes(bytes.into()))
    }

    /// Tries once more, or gives up.
    fn again(
        &mut self,
        walk: &mut Walk,
        path: TreePath,
        tries: u32,
        reason: &str,
        queue: &mut VecDeque<(TreePath, u32)>,
    ) {
        if tries + 1 < TRIES {
            queue.push_back((path, tries + 1));
        } else {
            self.leave_out(walk, &path, reason);
        }
    }

    /// It is not in the folder any more, so it does not belong into the bundle; another name of it may.
    fn gone(&mut self, walk: &mut Walk, path: &TreePath, queue: &mut VecDeque<(TreePath, u32)>, output: &Output) {
        output.say(format!("      `{path}` was removed meanwhile"));
        self.digests.remove(path);
        queue.extend(walk.take_out(path).map(|next| (next, 0)));
    }

    /// A file that cannot be frozen; nor can its other names.
    pub(crate) fn leave_out(&mut self, walk: &mut Walk, path: &TreePath, reason: &str) {
        self.digests.remove(path);
        walk.unreadable.push(LeftOut { path: path.clone(), reason: reason.to_owned() });
        let mut next = walk.take_out(path);
        while let Some(path) = next {
            next = walk.take_out(&path);
            walk.unreadable.push(LeftOut { path, reason: reason.to_owned() });
        }
    }

    /// What the packer needs to know about one content.
    pub(crate) fn pack_file(&self, walk: &Walk, file: &StoredFile, component: &ComponentId) -> Option<PackFile> {
        let known = self.known.get(&file.sha256).map(|entry| Arc::new(SurveyedFile::known(entry)));
        let surveyed = known.or_else(|| self.surveyed.get(&file.sha256).cloned());
        let content = match self.small.get(&file.sha256) {
            Some(bytes) => Content::Bytes(Arc::clone(bytes)),
            None => Content::Disk(walk.place(&file.path)),
        };
        Some(PackFile {
            path: file.stored.clone(),
            component: component.clone(),
            content,
            size: file.size,
            sha256: file.sha256,
            surveyed: Some(surveyed?),
        })
    }

    /// By what the next backup recognizes these files; not those that changed only just before.
    pub(crate) fn seen(&self, walk: &Walk) -> Vec<SeenFile> {
        let settled = |mark: &FileMark| mark.mtime.0.max(mark.ctime.0) + RECENT < self.began;
        let seen = walk.files().filter_map(|(path, _)| {
            let mark = *self.marks.get(path).filter(|mark| settled(mark))?;
            Some(SeenFile { path: path.clone(), mark, sha256: *self.digests.get(path)? })
        });
        seen.collect()
    }
}

/// What reading is called in progress.
const TASK: &str = "new files";

/// A file to be surveyed, called by its number.
fn pack_file(number: usize, path: &TreePath, content: Content, size: u64) -> Option<PackFile> {
    // The ending tells the packer where it may cut.
    let ending = if path.as_bytes().ends_with(b".safetensors") { ".safetensors" } else { "" };
    Some(PackFile {
        path: format!("{}/{number}{ending}", layout::FROZEN_FILES).parse().ok()?,
        component: "folder".parse().ok()?,
        content,
        size,
        sha256: Sha256::of(b""),
        surveyed: None,
    })
}

fn place_of(error: &PackError) -> Option<&str> {
    match error {
        PackError::Source { path, .. } | PackError::Changed { path, .. } | PackError::WrongSize { path, .. } => {
            Some(path.as_str())
        }
        _ => None,
    }
}

/// Makes one task of the reading of many files.
struct Progress<'a> {
    output: &'a Output,
    done: AtomicU64,
    now: Mutex<u64>,
}

impl Reporter for Progress<'_> {
    fn event(&self, event: &Event<'_>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::TaskProgress { bytes, .. } => *now = *bytes,
            Event::TaskEnd { bytes, .. } => {
                self.done.fetch_add(*bytes, Ordering::Relaxed);
                *now = 0;
            }
            Event::TaskStart { .. } => return,
            other => return self.output.event(other),
        }
        let bytes = self.done.load(Ordering::Relaxed) + *now;
        self.output.event(&Event::TaskProgress { task: TASK, bytes });
    }

    fn stopping(&self) -> bool {
        self.output.stopping()
    }
}
