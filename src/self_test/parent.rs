//! The parent's side: canary, positive control, child, comparison, report on disk.

use super::compare::{compare, pixels_sha256};
use super::report::{CanaryCounts, PictureReport, SelfTestReport, Verdict};
use super::{Answer, Order};
use crate::failure::{Failure, Outcome};
use crate::{atomic, home};
use engine::{GenerateSettings, Picture, Precision};
use manifest::{Finding, Reporter, SelfTestSpec, Sha256, layout};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// What a self-test is about.
pub(crate) struct Subject {
    /// The checkpoint's name for people.
    pub(crate) model_name: String,
    /// The checkpoint's file; absent: the embedded one.
    pub(crate) model: Option<PathBuf>,
    /// The VAE that the catalog recommends for it.
    pub(crate) vae: Option<PathBuf>,
    /// What the catalog says that it predicts.
    pub(crate) prediction: Option<String>,
    /// What to draw.
    pub(crate) settings: GenerateSettings,
    /// The precision to draw it in.
    pub(crate) precision: Precision,
    /// What is wrong with the checkpoint's file.
    pub(crate) damage: Vec<Finding>,
    /// The bundle, with what it says must come out and the picture's file.
    pub(crate) golden: Option<(Sha256, SelfTestSpec, PathBuf)>,
}

/// Runs the self-test and writes report, text and picture into `folder`.
pub(crate) fn run(
    subject: &Subject,
    folder: &Path,
    allow_unsealed: bool,
    reporter: &dyn Reporter,
) -> Outcome<SelfTestReport> {
    let canary = seal::Canary::listen().map_err(|error| {
        Failure::new(format!("cannot listen on 127.0.0.1 for the self-test: {error}"))
            .with_hint("check that the loopback interface is up: ip link set lo up")
    })?;
    let control = command("__knock")?.arg(canary.address().to_string()).stdout(Stdio::null()).status();
    control.map_err(|error| {
        Failure::new(format!("the positive control of the self-test could not be started: {error}"))
    })?;
    let heard = || canary.tcp_hits() + canary.udp_hits();
    wait_until(|| canary.tcp_hits() > 0 && canary.udp_hits() > 0);
    let heard_unsealed = heard();

    let order = Order {
        model: subject.model.clone(),
        vae: subject.vae.clone(),
        prediction: subject.prediction.clone(),
        settings: subject.settings.clone(),
        precision: subject.precision,
        canary: canary.address(),
    };
    let (answer, png) = ask_sealed_child(&order, reporter)?;
    std::thread::sleep(Duration::from_millis(50)); // a message under way would arrive now
    let heard_sealed = heard() - heard_unsealed;

    let mut reasons: Vec<String> = subject.damage.iter().map(ToString::to_string).collect();
    let picture = match &answer.picture {
        Ok(drawn) => {
            let (picture, _) = Picture::from_png(&png)?;
            Some(PictureReport {
                model: subject.model_name.clone(),
                settings: subject.settings.clone(),
                precision: subject.precision,
                load_seconds: drawn.load_seconds,
                draw_seconds: drawn.draw_seconds,
                machine_class: drawn.machine_class.clone(),
                pixels_sha256: pixels_sha256(&picture),
                comparison: match &subject.golden {
                    Some((_, spec, file)) => {
                        let (golden, _) = Picture::from_png(&fs_err::read(file)?)?;
                        Some(compare(&picture, &golden, spec, &drawn.machine_class)?)
                    }
                    None => None,
                },
            })
        }
        Err(message) => {
            reasons.push(message.clone());
            None
        }
    };
    let report = SelfTestReport {
        verdict: Verdict::Failed,
        reasons,
        program: crate::PROGRAM_VERSION.to_owned(),
        bundle: subject.golden.as_ref().map(|(bundle, ..)| *bundle),
        seal_sentence: answer.seal.level.sentence().to_owned(),
        seal: answer.seal,
        unsealed_allowed: allow_unsealed,
        attempts: answer.attempts,
        canary: Some(CanaryCounts { heard_unsealed, heard_sealed }),
        picture,
    }
    .judge();
    save(&report, &png, folder)?;
    Ok(report)
}

pub(super) fn save(report: &SelfTestReport, png: &[u8], folder: &Path) -> Outcome {
    fs_err::create_dir_all(folder)?;
    let json = serde_json::to_vec_pretty(report).map_err(Failure::new)?;
    if !png.is_empty() {
        atomic::write(&folder.join(layout::SELF_TEST_PICTURE), png)?;
    }
    atomic::write(&folder.join(layout::SELF_TEST_TEXT), report.to_string().as_bytes())?;
    atomic::write(&folder.join(layout::SELF_TEST_REPORT), &json)
}

/// This program again.
fn command(name: &str) -> Outcome<Command> {
    let mut command = Command::new(home::program()?);
    command.arg(name).stdin(Stdio::null());
    Ok(command)
}

fn ask_sealed_child(order: &Order, reporter: &dyn Reporter) -> Outcome<(Answer, Vec<u8>)> {
    let broken = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(format!("the sealed part of the self-test {what}: {error}"))
            .with_hint("run `fieldforge doctor`: it says what this machine allows")
    };
    let mut child = command("__sealed")?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| broken("could not be started", &error))?;
    let text = serde_json::to_string(order).map_err(Failure::new)?;
    let sent = child.stdin.take().map(|mut stdin| stdin.write_all(text.as_bytes()));
    let output = wait(child, reporter).map_err(|error| broken("was lost", &error))?;
    reporter.go_on()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !matches!(sent, Some(Ok(()))) {
        let said = said.trim().trim_start_matches("error: ");
        let how = if said.is_empty() { output.status.to_string() } else { format!("{said} ({})", output.status) };
        return Err(broken("stopped", &how));
    }
    let end = output.stdout.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (line, rest) = output.stdout.split_at(end);
    let png = rest.strip_prefix(b"\n").unwrap_or(rest);
    let answer: Answer = serde_json::from_slice(line).map_err(|error| broken("gave no answer", &error))?;
    match &answer.picture {
        Ok(drawn) if drawn.png_length != png.len() => Err(broken("gave half an answer", &"the picture is cut off")),
        _ => Ok((answer, png.to_vec())),
    }
}

/// Collects what the child says, and ends it when somebody asks to stop.
fn wait(mut child: Child, reporter: &dyn Reporter) -> std::io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let stdout = scope.spawn(|| read_all(stdout));
        let stderr = scope.spawn(|| read_all(stderr));
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if reporter.stopping() {
                child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Ok(Output { status, stdout: stdout.join().unwrap_or_default(), stderr: stderr.join().unwrap_or_default() })
    })
}

/// What a pipe gives until it is closed; the answer's own length tells whether that was all.
fn read_all(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    bytes
}

fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..100 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
