//! What a self-test found, for programs (`self-test.json`) and for people (`self-test.txt`).

use manifest::Sha256;
use seal::{Attempt, Level, SealReport};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Did it pass?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The picture is right and nothing got out.
    Passed,
    /// The picture is right, and the kernel could shut off only a part of the network.
    Partial,
    /// Something is wrong; `reasons` says what.
    Failed,
}

/// The whole result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SelfTestReport {
    /// Did it pass?
    pub(crate) verdict: Verdict,
    /// Why not, one sentence each.
    pub(crate) reasons: Vec<String>,
    /// The program that ran it.
    pub(crate) program: String,
    /// Digest of the manifest of the bundle that was tested; absent for the embedded model.
    pub(crate) bundle: Option<Sha256>,
    /// What the kernel enforced, and what it did not.
    pub(crate) seal: SealReport,
    /// The seal's level in one sentence.
    pub(crate) seal_sentence: String,
    /// The sealed process was let go on without a seal because the user said so.
    pub(crate) unsealed_allowed: bool,
    /// Every way out that was tried.
    pub(crate) attempts: Vec<Attempt>,
    /// What the listener of the parent heard; absent where nobody could listen.
    pub(crate) canary: Option<CanaryCounts>,
    /// The picture; absent if none was drawn.
    pub(crate) picture: Option<PictureReport>,
}

/// What the listener of the parent heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CanaryCounts {
    /// Knocks of an unsealed child: must be more than none, or the listener is deaf and proves nothing.
    pub(crate) heard_unsealed: u64,
    /// Knocks while the sealed child ran: must be none.
    pub(crate) heard_sealed: u64,
}

/// The picture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PictureReport {
    /// The checkpoint that drew it.
    pub(crate) model: String,
    /// What was drawn, with which settings.
    pub(crate) settings: engine::GenerateSettings,
    /// The precision that products were taken in; older reports do not say: f32.
    #[serde(default)]
    pub(crate) precision: engine::Precision,
    /// Seconds for loading the model.
    pub(crate) load_seconds: f64,
    /// Seconds for drawing.
    pub(crate) draw_seconds: f64,
    /// The class of this machine.
    pub(crate) machine_class: String,
    /// Digest of its pixels.
    pub(crate) pixels_sha256: Sha256,
    /// How it compares with the bundle's picture; absent if the bundle has none.
    pub(crate) comparison: Option<Comparison>,
}

/// How a picture compares with the bundle's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// It is the same picture by the rule for these two machines.
    pub(crate) matches: bool,
    /// Every pixel is equal.
    pub(crate) equal_bytes: bool,
    /// Peak signal-to-noise ratio in dB; absent if equal.
    pub(crate) psnr: Option<f64>,
    /// In words.
    pub(crate) text: String,
}

impl SelfTestReport {
    /// Fills in `reasons` and `verdict` from the rest.
    pub(super) fn judge(mut self) -> Self {
        let mut reasons = Vec::new();
        if self.seal.level == Level::S0 && !self.unsealed_allowed {
            reasons.push("the kernel of this machine could not shut off the network, so nothing is proven".to_owned());
        }
        if self.canary.is_some_and(|canary| canary.heard_unsealed == 0) {
            reasons.push("the listener did not hear an unsealed program, so its silence proves nothing".to_owned());
        }
        if let Some(canary) = self.canary.filter(|canary| canary.heard_sealed > 0) {
            reasons.push(format!("{} message(s) got out of the sealed program", canary.heard_sealed));
        }
        if matches!(self.seal.level, Level::S2 | Level::S3) {
            let open = self.attempts.iter().filter(|attempt| !attempt.refused);
            reasons.extend(
                open.map(|attempt| format!("the kernel did not refuse: {} ({})", attempt.what, attempt.detail)),
            );
        }
        match &self.picture {
            None => reasons.push("no picture was drawn".to_owned()),
            Some(PictureReport { comparison: Some(comparison), .. }) if !comparison.matches => {
                reasons.push(format!("the picture {}", comparison.text));
            }
            Some(_) => {}
        }
        self.reasons.append(&mut reasons);
        self.verdict = match (self.reasons.is_empty(), self.seal.level) {
            (false, _) => Verdict::Failed,
            (true, Level::S2 | Level::S3) => Verdict::Passed,
            (true, Level::S0 | Level::S1) => Verdict::Partial,
        };
        self
    }
}

/// `self-test.txt`.
impl fmt::Display for SelfTestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Passed => "PASSED",
            Verdict::Partial => "PASSED IN PART",
            Verdict::Failed => "FAILED",
        };
        writeln!(f, "Self-test: {verdict}")?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "  because {reason}"))?;
        writeln!(f, "\nNetwork: {:?}, {}", self.seal.level, self.seal_sentence)?;
        for mechanism in &self.seal.mechanisms {
            let mark = if mechanism.enforced { "yes" } else { "NO " };
            writeln!(f, "  {mark}  {}: {}", mechanism.name, mechanism.detail)?;
        }
        writeln!(f, "\nWays out that the sealed program tried: {}", self.attempts.len())?;
        for attempt in &self.attempts {
            let mark = if attempt.refused { "refused    " } else { "NOT REFUSED" };
            writeln!(f, "  {mark}  {}: {}", attempt.what, attempt.detail)?;
        }
        if let Some(CanaryCounts { heard_unsealed, heard_sealed }) = self.canary {
            writeln!(
                f,
                "  A listener on this machine heard {heard_unsealed} message(s) of an unsealed program and {heard_sealed} of the sealed one."
            )?;
        }
        if let Some(picture) = &self.picture {
            let settings = &picture.settings;
            writeln!(f, "\nPicture: \"{}\" by {}", settings.prompt, picture.model)?;
            writeln!(
                f,
                "  {}x{}, {} steps of {}, seed {}, in {}; loaded in {:.2} s, drawn in {:.2} s",
                settings.width,
                settings.height,
                settings.steps,
                settings.sampler_name(),
                settings.seed,
                picture.precision,
                picture.load_seconds,
                picture.draw_seconds
            )?;
            match &picture.comparison {
                Some(comparison) => {
                    writeln!(f, "  compared with the picture made with the bundle: {}", comparison.text)?
                }
                None => writeln!(f, "  not compared: the bundle holds no picture for this model")?,
            }
        }
        writeln!(f, "\n{}, {}, {}", self.program, self.seal.kernel, self.seal.architecture)
    }
}
