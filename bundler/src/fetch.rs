//! From a plan to verified files.

use crate::cache::{Cache, CachedFile};
use crate::download::{Downloader, Wanted};
use crate::gate::Gate;
use crate::local_files::LocalFiles;
use crate::offer::{self, Offer};
use crate::partial::{Partial, held_bytes};
use crate::progress::{Overall, Progress};
use crate::readings::Place;
use crate::sniff::{self, Meant};
use crate::web::Web;
use crate::{
    BundlePlan, Content, FetchError, FetchOptions, Fetched, FetchedFile, FileFailure, PlannedComponent, PlannedFile,
    SurveyedFile, Tried, Trouble,
};
use manifest::{Confirmation, Event, Lock, LockedComponent, LockedFile, Reporter, Sha256, Source};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many files are worked on at a time.
const FILES_AT_A_TIME: usize = 4;
/// How many segments may be on their way or not yet journalled: what a kill costs at most, in MiB.
const OUTSTANDING: usize = 8;
/// How often somebody looks whether it is time to stop.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Carries a plan out: every file ends up verified, on disk or in memory.
///
/// For each file in turn: built in → cache → hand-carried (`from`) → its sources, best first; the digest decides.
/// Files that arrived stay in the cache when another one fails, and a half-fetched file goes on where it stopped.
///
/// # Errors
/// When a file cannot be had from any source (all such files are reported together), or the cache cannot be used or is
/// too small.
pub fn fetch(plan: &BundlePlan, options: &FetchOptions, reporter: &dyn Reporter) -> Result<Fetched, FetchError> {
    let cache = Cache::open(&options.cache)?;
    let local = LocalFiles::list(&options.from)?;
    let credentials = options.tokens.credentials().iter().chain(&options.endpoints.credentials).cloned().collect();
    let web = Web::new(options.ca_file.as_deref(), credentials, options.timeouts)?;
    check_space(plan, &cache)?;
    let parallel = options.parallel.clamp(1, OUTSTANDING);
    let files: Vec<(&PlannedComponent, &PlannedFile)> = plan.files().collect();
    let overall = Overall::start(reporter, files.iter().map(|(_, file)| file.size));
    let job = Job {
        plan,
        options,
        reporter,
        overall: &overall,
        cache: &cache,
        local: &local,
        downloader: Downloader {
            web: &web,
            connections: Gate::new(parallel),
            outstanding: Gate::new(OUTSTANDING),
            parallel,
            timeouts: options.timeouts,
            stop: AtomicBool::new(false),
        },
    };
    let results: Vec<Mutex<Option<Result<FetchedFile, FileFailure>>>> =
        files.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (working, worked) = channel::<()>();
        for _ in 0..FILES_AT_A_TIME.min(files.len()) {
            let working = working.clone();
            let (job, files, results, next) = (&job, &files, &results, &next);
            scope.spawn(move || {
                let _working = working;
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let (Some((component, file)), Some(place)) = (files.get(index), results.get(index)) else { return };
                    if reporter.stopping() {
                        return;
                    }
                    let result = job.file(component, file);
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                }
            });
        }
        drop(working);
        // Nobody sends anything: the channel closes when all are done.
        while worked.recv_timeout(LOOK_UP) == Err(RecvTimeoutError::Timeout) {
            if reporter.stopping() {
                job.downloader.stop.store(true, Ordering::Relaxed);
            }
        }
    });
    overall.end(reporter);
    let mut fetched = Vec::new();
    let mut failures = Vec::new();
    for result in results {
        match result.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(Ok(file)) => fetched.push(file),
            Some(Err(failure)) => failures.push(failure),
            None => {}
        }
    }
    if let Err(source) = reporter.go_on() {
        return Err(FetchError::Stopped { done: fetched.len(), of: files.len(), source });
    }
    if !failures.is_empty() {
        return Err(FetchError::Failed(failures));
    }
    Ok(Fetched { lock: lock(plan, &fetched), files: fetched })
}

fn lock(plan: &BundlePlan, fetched: &[FetchedFile]) -> Lock {
    let components = plan.components.iter().map(|planned| {
        let component = planned.component.clone();
        let own = fetched.iter().filter(|file| file.component == component.id);
        LockedComponent {
            id: component.id.clone(),
            kind: component.kind,
            family: component.family,
            title: component.title,
            licence: component.licence,
            sources: component.sources,
            settings: component.settings,
            files: own.map(|file| file.file.clone()).collect(),
        }
    });
    Lock { format: Lock::FORMAT, request: plan.request, sequence: 1, components: components.collect() }
}

/// Refuses before the first byte when what is known to come does not fit.
fn check_space(plan: &BundlePlan, cache: &Cache) -> Result<(), FetchError> {
    let missing = plan.files().filter(|(planned, file)| {
        let here = planned.component.sources.iter().any(|source| matches!(source, Source::File { .. }));
        file.builtin.is_none() && !here && !file.sha256.is_some_and(|sha256| cache.has(sha256))
    });
    let still = missing.filter_map(|(_, file)| {
        let held = file.sha256.map_or(0, |sha256| held_bytes(&cache.partial(), &sha256.to_string()));
        Some(file.size?.saturating_sub(held))
    });
    let needed = still.fold(0, u64::saturating_add);
    if needed == 0 {
        return Ok(());
    }
    let free = fs4::available_space(cache.folder())
        .map_err(|reason| FetchError::Cache { folder: cache.folder().to_path_buf(), reason })?;
    match needed > free {
        true => Err(FetchError::NoSpace { folder: cache.folder().to_path_buf(), needed, free }),
        false => Ok(()),
    }
}

/// Everything that the work on one file needs.
struct Job<'a> {
    plan: &'a BundlePlan,
    options: &'a FetchOptions,
    reporter: &'a dyn Reporter,
    overall: &'a Overall,
    cache: &'a Cache,
    local: &'a LocalFiles,
    downloader: Downloader<'a>,
}

/// A file that was found: where, and who vouches for it.
struct Found {
    content: Content,
    size: u64,
    sha256: Sha256,
    confirmed: Confirmation,
    surveyed: Option<Arc<SurveyedFile>>,
}

impl Found {
    fn cached(file: CachedFile, sha256: Sha256, confirmed: Confirmation) -> Self {
        let CachedFile { path, size, surveyed } = file;
        Self { content: Content::Disk(path), size, sha256, confirmed, surveyed: Some(surveyed) }
    }
}

impl Job<'_> {
    fn file(&self, planned: &PlannedComponent, file: &PlannedFile) -> Result<FetchedFile, FileFailure> {
        let task = file.path.file_name();
        let progress = Progress::start(self.reporter, task, file.size, self.overall);
        match self.find(planned, file, &progress) {
            Ok(found) => {
                progress.end(found.size);
                Ok(FetchedFile {
                    component: planned.component.id.clone(),
                    file: LockedFile {
                        path: file.path.clone(),
                        size: found.size,
                        sha256: found.sha256,
                        confirmed: found.confirmed,
                    },
                    content: found.content,
                    surveyed: found.surveyed,
                })
            }
            Err(tried) => {
                if tried.iter().any(|tried| tried.trouble.is_ours()) {
                    self.downloader.stop.store(true, Ordering::Relaxed);
                }
                if self.reporter.stopping() {
                    return Err(FileFailure {
                        component: planned.component.id.clone(),
                        path: file.path.clone(),
                        tried,
                    });
                }
                let last = tried.last().map(|tried| tried.trouble.to_string()).unwrap_or_default();
                self.reporter.event(&Event::Warning { text: &format!("{task} could not be fetched: {last}") });
                Err(FileFailure { component: planned.component.id.clone(), path: file.path.clone(), tried })
            }
        }
    }

    fn find(
        &self,
        planned: &PlannedComponent,
        file: &PlannedFile,
        progress: &Progress<'_>,
    ) -> Result<Found, Vec<Tried>> {
        if let Some(bytes) = file.builtin {
            let sha256 = file.sha256.unwrap_or_else(|| Sha256::of(bytes));
            let size = bytes.len() as u64;
            let content = Content::Memory(bytes);
            return Ok(Found { content, size, sha256, confirmed: file.confirmed, surveyed: None });
        }
        let sources = &planned.component.sources;
        let meant = Meant::of(planned.component.kind.is_weights(), file.path.file_name());
        let first = sources.first().cloned().unwrap_or(Source::Builtin { name: file.path.to_string() });
        let place = Place { path: &file.path, component: &planned.component.id };
        match self.nearby(file, place, meant, progress) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(trouble) => return Err(vec![Tried { source: first, trouble }]),
        }
        let mut tried = Vec::new();
        for source in sources {
            match self.source(source, file, place, meant, progress) {
                Ok(found) => return Ok(found),
                Err(trouble) => {
                    let ours = trouble.is_ours();
                    if sources.len() > 1 {
                        progress.note(&format!("{source}: {trouble}"));
                    }
                    tried.push(Tried { source: source.clone(), trouble });
                    if ours {
                        break;
                    }
                }
            }
        }
        Err(tried)
    }

    /// The cache, and the files that somebody carried here.
    fn nearby(
        &self,
        file: &PlannedFile,
        place: Place<'_>,
        meant: Meant,
        progress: &Progress<'_>,
    ) -> Result<Option<Found>, Trouble> {
        let Some(sha256) = file.sha256 else { return Ok(None) };
        let found = match self.cache.get(sha256, place, progress)? {
            Some(found) => Some(found),
            None => self.local.find(sha256, file.size, self.cache.readings(), place, progress)?,
        };
        let Some(found) = found else { return Ok(None) };
        check_start(&found.path, found.size, meant)?;
        Ok(Some(Found::cached(found, sha256, file.confirmed)))
    }

    fn source(
        &self,
        source: &Source,
        file: &PlannedFile,
        place: Place<'_>,
        meant: Meant,
        progress: &Progress<'_>,
    ) -> Result<Found, Trouble> {
        match source {
            Source::File { path } => return self.local_file(path, file, place, meant, progress),
            Source::Builtin { .. } => return Err(Trouble::NoBuiltin),
            _ if self.options.offline => return Err(Trouble::Offline),
            _ if self.downloader.stop.load(Ordering::Relaxed) => return Err(Trouble::Stopped),
            _ => {}
        }
        let mut offer = self.offer(source, file, progress)?;
        offer.size = file.size.or(offer.size);
        if offer.confirmed == Confirmation::Stated {
            offer.confirmed = file.confirmed;
        }
        if offer.confirmed == Confirmation::FirstUse && file.sha256.is_none() && !self.plan.trust_on_first_use {
            return Err(Trouble::Unconfirmed);
        }
        let name = source_name(source, &offer);
        let known = offer.digests.sha256.or_else(|| self.cache.known(&name));
        if let Some(sha256) = known
            && let Some(found) = self.cache.get(sha256, place, progress)?
        {
            check_start(&found.path, found.size, meant)?;
            return Ok(Found::cached(found, sha256, offer.confirmed));
        }
        self.download(&offer, &name, place, meant, progress)
    }

    /// Asks what the source offers, patiently.
    fn offer(&self, source: &Source, file: &PlannedFile, progress: &Progress<'_>) -> Result<Offer, Trouble> {
        let mut tries = 0;
        loop {
            match offer::offer(source, file.sha256, self.downloader.web, &self.options.endpoints) {
                Err(trouble) if trouble.is_passing() => {
                    tries += 1;
                    if tries >= self.options.timeouts.tries {
                        return Err(trouble);
                    }
                    progress.note(&format!("asked again, because {trouble}"));
                    self.downloader.pause(tries, &trouble)?;
                }
                other => return other,
            }
        }
    }

    fn download(
        &self,
        offer: &Offer,
        name: &str,
        place: Place<'_>,
        meant: Meant,
        progress: &Progress<'_>,
    ) -> Result<Found, Trouble> {
        let key = offer.digests.sha256.unwrap_or_else(|| Sha256::of(name.as_bytes())).to_string();
        let waiting = || progress.note("another fieldforge is fetching it; waiting");
        let partial = Partial::open(&self.cache.partial(), &key, waiting)?;
        // Whoever held the file before may have finished it.
        let known = offer.digests.sha256.or_else(|| self.cache.known(name));
        if let Some(sha256) = known
            && let Some(found) = self.cache.get(sha256, place, progress)?
        {
            return Ok(Found::cached(found, sha256, offer.confirmed));
        }
        let wanted = Wanted { offer, source: name, meant, progress };
        let (sha256, size) = self.downloader.download(&wanted, &partial)?;
        let path = self.cache.keep(partial.path(), sha256)?;
        if offer.digests.sha256.is_none() {
            self.cache.remember(name, sha256)?;
        }
        partial.finished()?;
        Ok(Found { content: Content::Disk(path), size, sha256, confirmed: offer.confirmed, surveyed: None })
    }

    /// A file of this machine: read where it is, verified, never changed.
    fn local_file(
        &self,
        path: &str,
        file: &PlannedFile,
        place: Place<'_>,
        meant: Meant,
        progress: &Progress<'_>,
    ) -> Result<Found, Trouble> {
        let path = self.plan.request_folder.join(path);
        if !path.is_file() {
            return Err(Trouble::NoFile(path.display().to_string()));
        }
        let (size, surveyed) = self.cache.readings().read(&path, place, progress)?;
        let sha256 = surveyed.sha256();
        check_start(&path, size, meant)?;
        if let Some(expected) = file.sha256.filter(|expected| *expected != sha256) {
            return Err(Trouble::wrong_sha256(expected, sha256));
        }
        let content = Content::Disk(path);
        Ok(Found { content, size, sha256, confirmed: file.confirmed, surveyed: Some(surveyed) })
    }
}

/// What names a source in the journal and among the known ones.
fn source_name(source: &Source, offer: &Offer) -> String {
    let digest = offer.digests.sha512.as_deref().or(offer.digests.sha1.as_deref()).map(offer::hex).unwrap_or_default();
    format!("{} {digest}", serde_json::to_string(source).unwrap_or_else(|_| source.to_string()))
}

fn check_start(path: &Path, size: u64, meant: Meant) -> Result<(), Trouble> {
    let mut start = Vec::new();
    fs_err::File::open(path)?.take(sniff::ENOUGH as u64).read_to_end(&mut start)?;
    sniff::check(&start, Some(size), meant)
}
