//! Everything that is printed: results on stdout, the rest on stderr.
//!
//! One [`Output`] per run. It is the [`Reporter`] that libraries talk to, and draws bars on a terminal, prints plain
//! lines elsewhere and JSON lines with `--json`.

use crate::cli::GlobalArgs;
use crate::failure::Failure;
use crate::meter::Reading;
use crate::stop::Stop;
use crate::tasks::{Shown, Tasks};
use indicatif::MultiProgress;
use manifest::{Event, Reporter, StickRequest};
use std::fmt::Display;
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// More than a path ever has.
const MAX_PATH: u64 = 4096;

/// A picture that takes long says at which step it is this often.
const STEP_PAUSE: Duration = Duration::from_secs(5);

/// Where a run prints to.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    terminal: bool,
    bars: MultiProgress,
    tasks: Tasks,
    stop: Stop,
    stop_said: AtomicBool,
    step_told: Mutex<Instant>,
}

impl Output {
    pub(crate) fn new(global: GlobalArgs) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = MultiProgress::new();
        let drawn = terminal && !global.json && !global.quiet;
        Self {
            json: global.json,
            quiet: global.quiet,
            terminal,
            tasks: Tasks::new(drawn.then(|| bars.clone())),
            bars,
            stop: Stop::listen(),
            stop_said: AtomicBool::new(false),
            step_told: Mutex::new(Instant::now()),
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

    /// A drawing of light blocks, as it is scanned from a terminal, and what it is; nothing is drawn elsewhere.
    pub(crate) fn draw(&self, title: &str, lines: &[String]) {
        if self.terminal && !self.json && !self.quiet {
            self.err(title);
            // White on black, whatever the colours of the terminal are.
            self.err(&lines.iter().map(|line| format!("    \x1b[97;40m{line}\x1b[0m")).collect::<Vec<_>>().join("\n"));
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
        self.tasks.end_all();
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
    pub(crate) fn draw_on(&self, step: &engine::Step<'_>) -> ControlFlow<()> {
        let mut told = self.step_told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= STEP_PAUSE {
            *told = Instant::now();
            self.say(format!("      step {} of {} of the picture", step.step, step.steps));
        }
        drop(told);
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

    /// Tells where a piece of work is.
    fn tell(&self, task: &str, shown: Shown) {
        if self.json {
            let Reading { bytes, of, bytes_per_second, seconds_left } = shown.reading;
            let event = serde_json::json!({
                "event": "task-progress", "task": task, "bytes": bytes, "of": of,
                "bytes_per_second": bytes_per_second, "seconds_left": seconds_left,
            });
            self.out(&event.to_string());
        } else if let Some(line) = shown.line.filter(|_| !self.quiet) {
            self.err(&line);
        }
    }
}

impl Reporter for Output {
    fn stopping(&self) -> bool {
        let asked = self.stop.asked();
        if asked && !self.stop_said.swap(true, Ordering::Relaxed) {
            self.say("stopping at the next safe place; once more ends at once");
        }
        self.tasks.look(|task, shown| self.tell(task, shown));
        asked
    }

    fn event(&self, event: &Event<'_>) {
        let line = match event {
            Event::TaskStart { task, bytes } => self.tasks.start(task, *bytes),
            Event::TaskFile { task, file } => {
                self.tasks.file(task, file);
                None
            }
            Event::TaskProgress { task, bytes } => {
                return self.tasks.progress(task, *bytes, |shown| self.tell(task, shown));
            }
            Event::TaskEnd { task, .. } => {
                self.tasks.end(task);
                None
            }
            Event::Step { number, of, title } => Some(format!("[{number}/{of}] {title}")),
            Event::StepDone { number, of, seconds, .. } => {
                Some(format!("[{number}/{of}] done in {}", Seconds(*seconds)))
            }
            Event::Note { text } => Some(format!("      {text}")),
            Event::Warning { text } => Some(format!("warning: {text}")),
        };
        if self.json {
            return self.out(&serde_json::to_string(event).unwrap_or_default());
        }
        if let Some(line) = line.filter(|_| !self.quiet || matches!(event, Event::Warning { .. })) {
            self.err(&line);
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
    fn durations_read_well() {
        assert_eq!(Seconds(0.256).to_string(), "0.26 s");
        assert_eq!(Seconds(300.0).to_string(), "5 min");
    }
}
