//! The work that is under way, as a run shows it: bars on a terminal, a line every few seconds elsewhere.

use crate::meter::{Left, Meter, Reading};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use manifest::ByteSize;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bar moves, and a program hears of progress, no oftener than this.
const SHOWN: Duration = Duration::from_millis(100);
/// Where nothing moves, the time left is worked out again this often.
const STALE: Duration = Duration::from_secs(1);
/// Without a terminal, work says where it is this often.
const PLAIN: Duration = Duration::from_secs(5);

/// All work that is under way.
pub(crate) struct Tasks {
    bars: Option<MultiProgress>,
    tasks: Mutex<BTreeMap<String, Task>>,
}

struct Task {
    began: Instant,
    meter: Meter,
    file: Option<String>,
    bar: Option<ProgressBar>,
    shown: Option<Instant>,
    line: Instant,
}

/// What a run has to tell about a piece of work.
pub(crate) struct Shown {
    /// Where it is.
    pub(crate) reading: Reading,
    /// A line for people, when it is time for one.
    pub(crate) line: Option<String>,
}

impl Tasks {
    /// Draws `bars`, or leaves the telling to the caller.
    pub(crate) fn new(bars: Option<MultiProgress>) -> Self {
        Self { bars, tasks: Mutex::default() }
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<String, Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `name` begins. Answers a line for people where there are no bars.
    pub(crate) fn start(&self, name: &str, bytes: Option<u64>) -> Option<String> {
        let bar = self.bars.as_ref().map(|bars| bars.add(bar(name, bytes)));
        let line = bar.is_none().then(|| {
            let size = bytes.map(|bytes| format!(", {}", ByteSize(bytes))).unwrap_or_default();
            format!("      {name}{size}")
        });
        let now = Instant::now();
        let task = Task { began: now, meter: Meter::new(bytes), file: None, bar, shown: None, line: now };
        self.tasks().insert(name.to_owned(), task);
        line
    }

    /// `name` has come to this file.
    pub(crate) fn file(&self, name: &str, file: &str) {
        if let Some(task) = self.tasks().get_mut(name) {
            task.file = Some(file.to_owned());
        }
    }

    /// `name` has come this far. Calls `tell` when it is time; until it returns the work is not over.
    pub(crate) fn progress(&self, name: &str, bytes: u64, tell: impl FnOnce(Shown)) {
        let mut tasks = self.tasks();
        let Some(task) = tasks.get_mut(name) else { return };
        task.meter.tell(bytes, task.began.elapsed());
        if task.shown.is_none_or(|shown| shown.elapsed() >= SHOWN) {
            tell(task.show(name));
        }
    }

    /// Tells about work that has not moved for a while.
    pub(crate) fn look(&self, mut tell: impl FnMut(&str, Shown)) {
        for (name, task) in self.tasks().iter_mut() {
            if task.shown.unwrap_or(task.began).elapsed() >= STALE {
                tell(name, task.show(name));
            }
        }
    }

    /// `name` is over.
    pub(crate) fn end(&self, name: &str) {
        if let Some(Task { bar: Some(bar), .. }) = self.tasks().remove(name) {
            bar.finish_and_clear();
        }
    }

    /// All work is over.
    pub(crate) fn end_all(&self) {
        for task in std::mem::take(&mut *self.tasks()).into_values() {
            task.bar.inspect(ProgressBar::finish_and_clear);
        }
    }
}

impl Task {
    fn show(&mut self, name: &str) -> Shown {
        self.shown = Some(Instant::now());
        let reading = self.meter.read(self.began.elapsed());
        let text = text(&reading, self.file.as_deref());
        let mut line = None;
        if let Some(bar) = &self.bar {
            bar.set_position(reading.bytes);
            bar.set_message(text);
        } else if self.line.elapsed() >= PLAIN {
            self.line = Instant::now();
            line = Some(format!("      {name}: {text}"));
        }
        Shown { reading, line }
    }
}

fn bar(name: &str, bytes: Option<u64>) -> ProgressBar {
    let template = match bytes {
        Some(_) => "      {prefix:22!} {bar:10} {wide_msg}",
        None => "      {prefix:22!} {spinner} {wide_msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bytes.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(style).with_prefix(name.to_owned())
}

/// `35 %, 410 MiB/s, 20 s left, 3.2 GiB of 9.0 GiB: model.safetensors`: what matters first, because terminals are narrow.
fn text(reading: &Reading, file: Option<&str>) -> String {
    let mut parts = Vec::new();
    if let Some(of) = reading.of {
        parts.push(format!("{:.0} %", (reading.bytes as f64 / of.max(1) as f64 * 100.0).min(100.0).floor()));
    }
    parts.extend(reading.bytes_per_second.map(|speed| format!("{}/s", ByteSize(speed))));
    parts.extend(reading.seconds_left.map(|left| Left(left).to_string()));
    parts.push(match reading.of {
        Some(of) if of == reading.bytes => format!("{}, finishing", ByteSize(of)),
        Some(of) => format!("{} of {}", ByteSize(reading.bytes), ByteSize(of)),
        None => ByteSize(reading.bytes).to_string(),
    });
    let text = parts.join(", ");
    file.map_or(text.clone(), |file| format!("{text}: {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_well() {
        let reading =
            Reading { bytes: 5 << 20, of: Some(10 << 20), bytes_per_second: Some(1 << 20), seconds_left: Some(5) };
        assert_eq!(text(&reading, None), "50 %, 1.0 MiB/s, a few seconds left, 5.0 MiB of 10.0 MiB");
        let begun = Reading { bytes: 5 << 20, of: None, bytes_per_second: None, seconds_left: None };
        assert_eq!(text(&begun, Some("a.bin")), "5.0 MiB: a.bin");
        let all = Reading { bytes: 7, of: Some(7), bytes_per_second: None, seconds_left: None };
        assert_eq!(text(&all, None), "100 %, 7 bytes, finishing");
    }

    #[test]
    fn only_what_is_due_is_told() {
        let tasks = Tasks::new(None);
        assert_eq!(tasks.start("a", Some(10)).as_deref(), Some("      a, 10 bytes"));
        let mut told = Vec::new();
        tasks.progress("a", 5, |shown| told.push(shown.reading.bytes));
        tasks.progress("a", 6, |_| panic!("too soon"));
        tasks.progress("b", 6, |_| panic!("nobody began it"));
        tasks.look(|_, _| panic!("it has just been told"));
        tasks.end("a");
        tasks.progress("a", 7, |_| panic!("it is over"));
        assert_eq!(told, [5]);
    }
}
