//! Everything that is printed: results on stdout, the rest on stderr.
//!
//! One [`Output`] per run. It is the [`Reporter`] that libraries talk to, and draws bars on a terminal, prints plain
//! lines elsewhere and JSON lines with `--json`.

use crate::cli::GlobalArgs;
use crate::failure::Failure;
use crate::stop::Stop;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use manifest::{ByteSize, Event, Reporter, StickRequest};
use std::collections::HashMap;
use std::fmt::Display;
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Without a terminal, a running task says where it is this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// More than a path ever has.
const MAX_PATH: u64 = 4096;

/// Where a run prints to.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    terminal: bool,
    bars: MultiProgress,
    tasks: Mutex<HashMap<String, Task>>,
    stop: Stop,
    stop_said: AtomicBool,
}

struct Task {
    bytes: Option<u64>,
    began: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl Output {
    pub(crate) fn new(global: GlobalArgs) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            json: global.json,
            quiet: global.quiet,
            terminal,
            bars: MultiProgress::new(),
            tasks: Mutex::default(),
            stop: Stop::listen(),
            stop_said: AtomicBool::new(false),
        }
    }

    /// Ctrl-C and its like, as this run hears them.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The result that was asked for, on stdout: `value` as JSON, or `text` for people.
    pub(crate) fn result(&self, value: &impl serde::Serialize, text: impl Display) {
        if self.json {
            self.out(&serde_json::to_string(value).unwrap_or_default());
        } else {
            self.out(&text.to_string());
        }
    }

    /// One line for people on stderr; silent with `--quiet`.
    pub(crate) fn say(&self, text: impl Display) {
        if self.json {
            return self.event(&Event::Note { text: &text.to_string() });
        }
        if !self.quiet {
            self.err(&text.to_string());
        }
    }

    /// Something to act on; never silent.
    pub(crate) fn warn(&self, text: impl Display) {
        self.event(&Event::Warning { text: &text.to_string() });
    }

    /// One finding of a verification; never silent.
    pub(crate) fn problem(&self, finding: &manifest::Finding) {
        if self.json {
            return self.out(&serde_json::to_string(finding).unwrap_or_default());
        }
        self.err(&finding.to_string());
    }

    /// How the run ended badly.
    pub(crate) fn failure(&self, failure: &Failure) {
        for (_, task) in self.tasks().drain() {
            task.bar.inspect(ProgressBar::finish_and_clear);
        }
        if self.json {
            let event = if failure.is_stop() { "stopped" } else { "error" };
            let value = serde_json::json!({ "event": event, "message": failure.message(), "hint": failure.hint() });
            self.out(&value.to_string());
        }
        self.err(&failure.to_string());
    }

    /// Runs one numbered step of a journey and prints it with its time.
    pub(crate) fn step<T>(
        &self,
        number: u32,
        of: u32,
        title: &str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.stop.asked() {
            return Err(Failure::stopped(format!("{} of {of} steps are done", number.saturating_sub(1))));
        }
        self.event(&Event::Step { number, of, title });
        let began = Instant::now();
        let value = work()?;
        self.event(&Event::StepDone { number, of, title, seconds: began.elapsed().as_secs_f64() });
        Ok(value)
    }

    /// What the engine asks after every step of a picture.
    pub(crate) fn draw_on(&self) -> ControlFlow<()> {
        if self.stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn out(&self, line: &str) {
        self.bars.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            // A reader that went away (`| head`) is not a failure of ours.
            let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        });
    }

    fn err(&self, line: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        });
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<String, Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, name: &str, bytes: Option<u64>) {
        let now = Instant::now();
        let bar = self.terminal.then(|| self.bars.add(bar(name, bytes)));
        if bar.is_none() {
            let size = bytes.map(|bytes| format!(", {}", ByteSize(bytes))).unwrap_or_default();
            self.err(&format!("      {name}{size}"));
        }
        self.tasks().insert(name.to_owned(), Task { bytes, began: now, last_line: now, bar });
    }

    fn progress(&self, name: &str, done: u64) {
        let mut tasks = self.tasks();
        let Some(task) = tasks.get_mut(name) else { return };
        if let Some(bar) = &task.bar {
            bar.set_position(done);
        } else if task.last_line.elapsed() >= PLAIN_INTERVAL {
            task.last_line = Instant::now();
            let line = format!("      {name}: {}", plain_progress(done, task.bytes, task.began.elapsed()));
            drop(tasks);
            self.err(&line);
        }
    }

    fn end(&self, name: &str) {
        if let Some(Task { bar: Some(bar), .. }) = self.tasks().remove(name) {
            bar.finish_and_clear();
        }
    }
}

impl Reporter for Output {
    fn stopping(&self) -> bool {
        let asked = self.stop.asked();
        if asked && !self.stop_said.swap(true, Ordering::Relaxed) {
            self.say("stopping at the next safe place; once more ends at once");
        }
        asked
    }

    fn event(&self, event: &Event<'_>) {
        if self.json {
            return self.out(&serde_json::to_string(event).unwrap_or_default());
        }
        if self.quiet && !matches!(event, Event::Warning { .. }) {
            return;
        }
        match event {
            Event::Step { number, of, title } => self.err(&format!("[{number}/{of}] {title}")),
            Event::StepDone { number, of, seconds, .. } => {
                self.err(&format!("[{number}/{of}] done in {}", Seconds(*seconds)))
            }
            Event::TaskStart { task, bytes } => self.start(task, *bytes),
            Event::TaskProgress { task, bytes } => self.progress(task, *bytes),
            Event::TaskEnd { task, .. } => self.end(task),
            Event::Note { text } => self.err(&format!("      {text}")),
            Event::Warning { text } => self.err(&format!("warning: {text}")),
        }
    }

    fn can_ask(&self) -> bool {
        self.terminal && !self.json && std::io::stdin().is_terminal()
    }

    fn ask_for_stick(&self, request: &StickRequest<'_>) -> Option<PathBuf> {
        if !self.can_ask() {
            return None;
        }
        self.bars.suspend(|| {
            let mut terminal = std::io::stderr().lock();
            let folder = request.folder.display();
            write!(
                terminal,
                "\n{}.\nPress Enter when it is in `{folder}`, or type its folder; Ctrl+C stops: ",
                request.why
            )
            .ok()?;
            terminal.flush().ok()?;
            let mut typed = String::new();
            let read = self.stop.abruptly(|| std::io::stdin().lock().take(MAX_PATH).read_line(&mut typed));
            read.ok().filter(|read| *read > 0)?;
            match typed.trim() {
                "" => Some(request.folder.to_path_buf()),
                folder => std::path::absolute(folder).ok(),
            }
        })
    }
}

fn bar(name: &str, bytes: Option<u64>) -> ProgressBar {
    let template = match bytes {
        Some(_) => "      {msg:28!} {bar:24} {bytes:>10} of {total_bytes}, {binary_bytes_per_sec}, {eta} left",
        None => "      {msg:28!} {spinner} {bytes:>10}, {binary_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bytes.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(style).with_message(name.to_owned())
}

fn plain_progress(done: u64, bytes: Option<u64>, elapsed: Duration) -> String {
    let speed = done as f64 / elapsed.as_secs_f64().max(0.001);
    let rate = ByteSize(speed as u64);
    match bytes {
        Some(bytes) if bytes > 0 => {
            let left = Duration::from_secs_f64((bytes.saturating_sub(done) as f64 / speed.max(1.0)).min(1e6));
            let percent = (done as f64 / bytes as f64 * 100.0).min(100.0);
            format!("{percent:.0} %, {rate}/s, {} left", Seconds(left.as_secs_f64()))
        }
        _ => format!("{}, {rate}/s", ByteSize(done)),
    }
}

/// A duration for people.
pub(crate) struct Seconds(pub(crate) f64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            s if s < 10.0 => write!(f, "{s:.2} s"),
            s if s < 100.0 => write!(f, "{s:.0} s"),
            s if s < 5400.0 => write!(f, "{:.0} min", s / 60.0),
            s => write!(f, "{:.1} h", s / 3600.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_progress_read_well() {
        assert_eq!(Seconds(0.256).to_string(), "0.26 s");
        assert_eq!(Seconds(300.0).to_string(), "5 min");
        assert_eq!(plain_progress(5 << 20, Some(10 << 20), Duration::from_secs(5)), "50 %, 1.0 MiB/s, 5.00 s left");
        assert_eq!(plain_progress(5 << 20, None, Duration::from_secs(5)), "5.0 MiB, 1.0 MiB/s");
    }
}
