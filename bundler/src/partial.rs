//! A file that is still being fetched, and the journal of what is safely there.

use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Size in bytes of the stretches that are fetched and journalled.
pub(crate) const SEGMENT: u64 = 1 << 20;

/// An unfinished file. Only one process works on it at a time.
#[derive(Debug)]
pub(crate) struct Partial {
    part: PathBuf,
    journal: PathBuf,
    /// Held until this is dropped; the operating system lets go of it when the process dies.
    _lock: fs_err::File,
}

/// What the stretches in the journal belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Size of the whole file in bytes.
    pub(crate) size: u64,
    /// The source.
    pub(crate) source: String,
    /// What the server said about its version.
    pub(crate) validator: Option<String>,
}

/// What is safely there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) origin: Origin,
    /// For every segment, whether it is there.
    pub(crate) done: Vec<bool>,
}

/// How many segments a file of `size` bytes has.
pub(crate) fn segments(size: u64) -> usize {
    usize::try_from(size.div_ceil(SEGMENT)).unwrap_or(usize::MAX)
}

/// Where segment `index` begins, and its length.
pub(crate) fn segment(index: usize, size: u64) -> (u64, u64) {
    let first = (index as u64).saturating_mul(SEGMENT);
    (first, SEGMENT.min(size.saturating_sub(first)))
}

impl Held {
    /// Bytes that are there.
    pub(crate) fn bytes(&self) -> u64 {
        let done = self.done.iter().enumerate().filter(|(_, done)| **done);
        done.map(|(index, _)| segment(index, self.origin.size).1).sum()
    }

    /// The first segment that is not there.
    pub(crate) fn missing(&self) -> Option<usize> {
        self.done.iter().position(|done| !done)
    }
}

impl Partial {
    /// Opens the unfinished file `key`, waiting while another process works on it.
    pub(crate) fn open(folder: &Path, key: &str, waiting: impl FnOnce()) -> io::Result<Self> {
        let lock = folder.join(format!("{key}.lock"));
        let lock = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(lock)?;
        if lock.file().try_lock().is_err() {
            waiting();
            lock.file().lock()?;
        }
        let path = |ending: &str| folder.join(format!("{key}.{ending}"));
        Ok(Self { part: path("part"), journal: path("journal"), _lock: lock })
    }

    /// The file itself.
    pub(crate) fn path(&self) -> &Path {
        &self.part
    }

    /// What is there, from its journal. Nothing when the two do not fit together.
    pub(crate) fn held(&self) -> Option<Held> {
        held(&self.part, &self.journal)
    }

    /// Bytes that are free where it lies.
    pub(crate) fn free(&self) -> io::Result<u64> {
        fs4::available_space(self.part.parent().unwrap_or(&self.part))
    }

    /// Forgets everything.
    pub(crate) fn discard(&self) -> io::Result<()> {
        for path in [&self.journal, &self.journal.with_extension("journal.new"), &self.part] {
            match fs_err::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a journal that says what is there: nothing, or what another journal said. Returns file and journal, the
    /// journal at its end.
    pub(crate) fn begin(&self, held: &Held) -> io::Result<(fs_err::File, fs_err::File)> {
        if held.bytes() == 0 {
            self.discard()?;
        }
        let part = fs_err::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&self.part)?;
        part.set_len(held.origin.size)?;
        let mut text = serde_json::to_string(&held.origin)?;
        text.push('\n');
        for (index, _) in held.done.iter().enumerate().filter(|(_, done)| **done) {
            text.push_str(&format!("{index}\n"));
        }
        let beside = self.journal.with_extension("journal.new");
        let mut journal = fs_err::File::create(&beside)?;
        journal.write_all(text.as_bytes())?;
        journal.sync_all()?;
        drop(journal);
        fs_err::rename(&beside, &self.journal)?;
        Ok((part, fs_err::OpenOptions::new().append(true).open(&self.journal)?))
    }

    /// The file is complete and has its final name: the journal has done its duty.
    pub(crate) fn finished(&self) -> io::Result<()> {
        self.discard()
    }
}

/// Bytes of the unfinished file `key` that are there, whoever works on it now.
pub(crate) fn held_bytes(folder: &Path, key: &str) -> u64 {
    let path = |ending: &str| folder.join(format!("{key}.{ending}"));
    held(&path("part"), &path("journal")).map_or(0, |held| held.bytes())
}

fn held(part: &Path, journal: &Path) -> Option<Held> {
    let held = parse_journal(&fs_err::read(journal).ok()?)?;
    (fs_err::metadata(part).ok()?.len() == held.origin.size).then_some(held)
}

/// Reads a journal. A torn last line is left out; anything else that is wrong makes it worthless.
fn parse_journal(text: &[u8]) -> Option<Held> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, _torn) = text.rsplit_once('\n')?;
    let mut lines = whole.lines();
    let origin: Origin = serde_json::from_str(lines.next()?).ok()?;
    /// 16 TiB: a journal that claims more is damaged.
    const MOST: u64 = 16 << 40;
    if origin.size > MOST {
        return None;
    }
    let mut done = vec![false; segments(origin.size)];
    for line in lines {
        *done.get_mut(line.parse::<usize>().ok()?)? = true;
    }
    Some(Held { origin, done })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held() -> Held {
        let origin = Origin { size: 3 * SEGMENT + 5, source: "s".into(), validator: Some("\"v\"".into()) };
        Held { origin, done: vec![true, false, true, false] }
    }

    #[test]
    fn what_is_journalled_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let partial = Partial::open(folder.path(), "k", || ()).unwrap();
        assert_eq!(partial.held(), None);
        let (_, mut journal) = partial.begin(&held()).unwrap();
        assert_eq!(partial.held(), Some(held()));
        assert_eq!((held().bytes(), held().missing()), (2 * SEGMENT, Some(1)));
        journal.write_all(b"3\n1").unwrap();
        let read = partial.held().unwrap();
        assert_eq!(read.done, [true, false, true, true], "the torn last line does not count");
        assert_eq!(read.bytes(), 2 * SEGMENT + 5);
        fs_err::write(partial.path(), b"cut").unwrap();
        assert_eq!(partial.held(), None, "the file does not fit its journal");
    }

    proptest! {
        #[test]
        fn no_journal_makes_it_panic(lines in "(\\{\"size\":[0-9]{1,8},\"source\":\"\",\"validator\":null\\})?\\n([0-9]{1,3}\\n){0,4}.{0,9}") {
            let _ = parse_journal(lines.as_bytes());
        }
    }
}
