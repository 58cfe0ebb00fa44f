//! One file from one address: in parts, resumable, verified.

use crate::gate::Gate;
use crate::hasher::Hasher;
use crate::offer::Offer;
use crate::partial::{Held, Origin, Partial, segment, segments};
use crate::progress::Progress;
use crate::ranges::Ranges;
use crate::sniff::{self, Meant};
use crate::web::{Answer, Web};
use crate::{Timeouts, Trouble};
use manifest::Sha256;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use url::Url;

/// What all downloads of one fetch share.
pub(crate) struct Downloader<'a> {
    pub(crate) web: &'a Web,
    /// How many requests may run at a time.
    pub(crate) connections: Gate,
    /// How many segments may be on their way or not yet journalled: what a kill can cost.
    pub(crate) outstanding: Gate,
    /// How many segments of one file are fetched at a time.
    pub(crate) parallel: usize,
    pub(crate) timeouts: Timeouts,
    /// Set when going on is of no use.
    pub(crate) stop: AtomicBool,
}

/// One file to download.
pub(crate) struct Wanted<'a> {
    pub(crate) offer: &'a Offer,
    /// Names the source in the journal.
    pub(crate) source: &'a str,
    pub(crate) meant: Meant,
    pub(crate) progress: &'a Progress<'a>,
}

/// A trouble, and whether the same address deserves another try.
pub(crate) type Failure = (Trouble, bool);

/// How often a file is begun again because it changed or its parts do not fit.
const MOST_BEGINNINGS: u32 = 3;

impl Downloader<'_> {
    /// Fetches the file into `partial` and verifies it. On success the complete file lies under the partial name.
    pub(crate) fn download(&self, wanted: &Wanted<'_>, partial: &Partial) -> Result<(Sha256, u64), Trouble> {
        let (mut beginnings, mut tries, mut in_parts) = (1, 0, true);
        loop {
            let held = partial.held().filter(|held| in_parts && wanted.can_go_on_from(held));
            let before = held.as_ref().map_or(0, Held::bytes);
            wanted.progress.set(before);
            let (trouble, retry) = match self.attempt(wanted, partial, held, in_parts) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if trouble.is_passing() {
                // Whoever makes headway may go on for ever.
                tries = if partial.held().is_some_and(|held| held.bytes() > before) { 1 } else { tries + 1 };
                if !retry || tries >= self.timeouts.tries {
                    return Err(trouble);
                }
                self.pause(tries, &trouble)?;
                continue;
            }
            let again = match &trouble {
                Trouble::RangesIgnored => std::mem::replace(&mut in_parts, false),
                Trouble::Changed => true,
                // Bytes of an earlier fetch or of another source may be the wrong ones.
                Trouble::WrongDigest { .. } => before > 0,
                _ => false,
            };
            if trouble.spoils() {
                partial.discard()?;
            }
            if !again || beginnings >= MOST_BEGINNINGS {
                return Err(trouble);
            }
            beginnings += 1;
            wanted.progress.note(&format!("begun again, because {trouble}"));
        }
    }

    fn attempt(
        &self,
        wanted: &Wanted<'_>,
        partial: &Partial,
        held: Option<Held>,
        in_parts: bool,
    ) -> Result<(Sha256, u64), Failure> {
        if let Some(held) = held.as_ref().filter(|held| held.missing().is_none()) {
            return Ranges::new(self, wanted, &wanted.offer.url, held.clone()).run(partial, None);
        }
        let permits = (self.outstanding.pass(), self.connections.pass());
        let mut answer = self.open(wanted, held.as_ref(), in_parts).map_err(|trouble| (trouble, true))?;
        if let (Some(said), Some(expected)) = (answer.linked, wanted.offer.digests.sha256)
            && said != expected
        {
            wanted.progress.note(&format!("the server names another content, sha256 {said}; fetching it nevertheless"));
        }
        if answer.status == 200 {
            let result = self.stream(wanted, partial, &mut answer);
            if result.is_err() {
                // Without parts there is nothing to go on from.
                partial.discard().map_err(|error| (Trouble::Disk(error), false))?;
            }
            return result.map_err(|trouble| (trouble, true));
        }
        let (_, _, size) = answer.content_range().unwrap_or_default();
        let done = held.as_ref().map_or_else(|| vec![false; segments(size)], |held| held.done.clone());
        let origin = Origin { size, source: wanted.source.to_owned(), validator: answer.validator() };
        let held = Held { origin, done };
        let needed = size.saturating_sub(held.bytes());
        let free = partial.free().map_err(|error| (Trouble::Disk(error), false))?;
        if needed > free {
            return Err((Trouble::NoRoom { needed, free }, false));
        }
        let url = answer.url.clone();
        Ranges::new(self, wanted, &url, held).run(partial, Some((answer, permits)))
    }

    /// Asks for the first stretch that is missing. The answer is that stretch (206), or the whole file (200).
    fn open(&self, wanted: &Wanted<'_>, held: Option<&Held>, in_parts: bool) -> Result<Answer, Trouble> {
        if !in_parts {
            return self.ask_whole(wanted);
        }
        let index = held.and_then(Held::missing).unwrap_or_default();
        let known = held.map(|held| held.origin.size).or(wanted.offer.size);
        if known == Some(0) {
            return self.ask_whole(wanted);
        }
        let version = held.and_then(|held| wanted.version(held));
        let mut answer = self.ask_part(&wanted.offer.url, index, known, version)?;
        match answer.status {
            206 => {
                answer.check(wanted.meant == Meant::Page)?;
                wanted.check_part(&answer, index, held).map_err(|trouble| wanted.name(trouble, &mut answer))?;
            }
            // Nothing is shorter than its first byte.
            416 if held.is_none() => return self.ask_whole(wanted),
            416 => return Err(Trouble::Changed),
            200 if version.is_some() && version == answer.validator().as_deref() => return Err(Trouble::RangesIgnored),
            200 if held.is_some() => return Err(Trouble::Changed),
            200 => wanted.check_whole(&answer)?,
            _ => return Err(answer.refusal()),
        }
        answer.check(wanted.meant == Meant::Page)?;
        Ok(answer)
    }

    fn ask_whole(&self, wanted: &Wanted<'_>) -> Result<Answer, Trouble> {
        let answer = self.web.get(&wanted.offer.url, &[])?;
        match answer.status {
            200 => wanted.check_whole(&answer)?,
            _ => return Err(answer.refusal()),
        }
        answer.check(wanted.meant == Meant::Page)?;
        Ok(answer)
    }

    /// Asks `url` for one segment of the file, as long as it is still the version that `version` names.
    pub(crate) fn ask_part(
        &self,
        url: &Url,
        index: usize,
        size: Option<u64>,
        version: Option<&str>,
    ) -> Result<Answer, Trouble> {
        let (first, length) = segment(index, size.unwrap_or(u64::MAX));
        let range = format!("bytes={first}-{}", first.saturating_add(length).saturating_sub(1));
        let mut headers = vec![("range", range.as_str())];
        headers.extend(version.map(|version| ("if-range", version)));
        self.web.get(url, &headers)
    }

    /// Reads a whole file in one go, from a server that does not send parts.
    fn stream(&self, wanted: &Wanted<'_>, partial: &Partial, answer: &mut Answer) -> Result<(Sha256, u64), Trouble> {
        partial.discard()?;
        wanted.progress.set(0);
        let (promised, stall) = (answer.length(), answer.stall());
        let size = promised.or(wanted.offer.size);
        let mut file = fs_err::File::create(partial.path())?;
        let mut hasher = Hasher::new(&wanted.offer.digests);
        let mut start = Vec::with_capacity(sniff::ENOUGH);
        let mut sniffed = false;
        let mut buffer = vec![0; 256 << 10];
        let mut got = 0;
        let mut body = answer.body();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Trouble::Stopped);
            }
            let expected = size.unwrap_or(got);
            let read = body.read(&mut buffer).map_err(|error| Answer::read_trouble(stall, error, got, expected))?;
            let bytes = buffer.get(..read).unwrap_or_default();
            got += read as u64;
            if let Some(stated) = wanted.offer.size.filter(|stated| got > *stated) {
                return Err(Trouble::TooLong { stated });
            }
            let room = sniff::ENOUGH.saturating_sub(start.len());
            start.extend(bytes.iter().take(room));
            if !sniffed && (read == 0 || start.len() >= sniff::ENOUGH) {
                sniff::check(&start, size.or((read == 0).then_some(got)), wanted.meant)?;
                sniffed = true;
            }
            if read == 0 {
                break;
            }
            file.write_all(bytes)?;
            hasher.update(bytes);
            wanted.progress.add(read as u64);
        }
        if let Some(expected) = promised.filter(|promised| *promised != got) {
            return Err(Trouble::Short { got, expected });
        }
        if let Some(stated) = wanted.offer.size.filter(|stated| *stated != got) {
            return Err(Trouble::WrongSize { stated, offered: got });
        }
        Ok((hasher.finish(&wanted.offer.digests)?, got))
    }

    /// Waits before another try: as long as the server asked, or longer each time.
    ///
    /// # Errors
    /// The trouble's own kind when the server asks for more patience than we have; `Stopped` when the fetch is over.
    pub(crate) fn pause(&self, tries: u32, trouble: &Trouble) -> Result<(), Trouble> {
        let wait = match trouble {
            Trouble::Busy { status, retry_after: Some(wait) } if *wait > self.timeouts.longest_wait => {
                return Err(Trouble::Busy { status: *status, retry_after: Some(*wait) });
            }
            Trouble::Busy { retry_after: Some(wait), .. } => *wait,
            _ => {
                let doubled = self.timeouts.backoff.saturating_mul(1 << tries.saturating_sub(1).min(16));
                jitter(doubled.min(self.timeouts.longest_backoff))
            }
        };
        let until = Instant::now() + wait;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Trouble::Stopped);
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        Ok(())
    }
}

/// Between half and all of it, so that many clients do not come back at the same moment.
fn jitter(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(Instant::now()) % 1024;
    wait.mul_f64(0.5 + random as f64 / 2048.0)
}

impl Wanted<'_> {
    /// Whether what is there can become part of this file.
    fn can_go_on_from(&self, held: &Held) -> bool {
        if self.offer.size.is_some_and(|size| size != held.origin.size) {
            return false;
        }
        // With a digest it does not matter who gave the bytes: it decides in the end. Without one only the same version
        // from the same source fits.
        let same = held.origin.source == self.source && held.origin.validator.is_some();
        same || self.offer.digests.sha256.is_some()
    }

    /// What the bytes that are there are a version of, for `If-Range`; none when they are from elsewhere.
    fn version<'a>(&self, held: &'a Held) -> Option<&'a str> {
        (held.origin.source == self.source).then_some(held.origin.validator.as_deref())?
    }

    /// Refuses a part that is not the one that was asked for, or belongs to another version of the file.
    pub(crate) fn check_part(&self, answer: &Answer, index: usize, held: Option<&Held>) -> Result<(), Trouble> {
        let odd = || Trouble::OddRange(answer.header("content-range").unwrap_or("no range").chars().take(80).collect());
        let (first, last, size) = answer.content_range().ok_or_else(odd)?;
        if let Some(stated) = self.offer.size.filter(|stated| *stated != size) {
            return Err(Trouble::WrongSize { stated, offered: size });
        }
        if let Some(held) = held {
            let version = self.version(held);
            if held.origin.size != size || version.is_some_and(|version| Some(version) != answer.validator().as_deref())
            {
                return Err(Trouble::Changed);
            }
        }
        let (expected, length) = segment(index, size);
        let fits = first == expected && last - first + 1 == length;
        if !fits || answer.length().is_some_and(|promised| promised != length) {
            return Err(odd());
        }
        Ok(())
    }

    /// A file of the wrong size that is short enough to be a notice or a pointer gets that name instead.
    fn name(&self, trouble: Trouble, answer: &mut Answer) -> Trouble {
        match trouble {
            Trouble::WrongSize { offered, .. } if offered <= sniff::ENOUGH as u64 => {
                let mut start = Vec::new();
                let read = answer.body().take(sniff::ENOUGH as u64).read_to_end(&mut start);
                let named = read.ok().and_then(|_| sniff::check(&start, Some(offered), Meant::Other).err());
                named.unwrap_or(trouble)
            }
            _ => trouble,
        }
    }

    fn check_whole(&self, answer: &Answer) -> Result<(), Trouble> {
        // An impostor gets its own name rather than that of its size.
        answer.check(self.meant == Meant::Page)?;
        match (self.offer.size, answer.length()) {
            (Some(stated), Some(offered)) if stated != offered && offered > sniff::ENOUGH as u64 => {
                Err(Trouble::WrongSize { stated, offered })
            }
            _ => Ok(()),
        }
    }
}
