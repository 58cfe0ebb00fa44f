//! The self-test once more, inside the sealed server: what the kernel refuses this very process, and the picture.

use super::compare::{compare, machine_class, pixels_sha256};
use super::report::{CanaryCounts, PictureReport, SelfTestReport, Verdict};
use super::{own_settings, parent};
use crate::stock::Warehouse;
use engine::{GenerateSettings, Picture};
use manifest::{SelfTestSpec, layout};
use seal::{Level, SealReport};
use serde_json::Value;
use server::{GenerateError, GenerateRequest};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Instant;

/// What the test is made with.
pub(crate) struct SealedTest {
    /// The server's seal.
    seal: SealReport,
    /// Where it listens, first on loopback.
    listens_on: Vec<SocketAddr>,
    /// The listener's count of the test that was made before the server started; here nobody can listen.
    canary: Option<CanaryCounts>,
    began: Mutex<Option<Instant>>,
}

impl SealedTest {
    /// `last`: the report of the test before.
    pub(crate) fn new(seal: SealReport, listens_on: Vec<SocketAddr>, last: Option<&Value>) -> Self {
        let canary = last.and_then(|report| serde_json::from_value(report.get("canary")?.clone()).ok());
        Self { seal, listens_on, canary, began: Mutex::new(None) }
    }

    /// What is drawn.
    ///
    /// # Errors
    /// When the settings of the bundle mean nothing to this engine.
    pub(crate) fn request(&self, warehouse: &Warehouse) -> Result<GenerateRequest, GenerateError> {
        let (model, settings) = subject(warehouse)?;
        if let Ok(mut began) = self.began.lock() {
            *began = Some(Instant::now());
        }
        Ok(GenerateRequest {
            model,
            prompt: settings.prompt.clone(),
            negative_prompt: settings.negative_prompt.clone(),
            width: settings.width,
            height: settings.height,
            steps: settings.steps,
            cfg_scale: settings.cfg_scale,
            seed: settings.seed,
            sampler: settings.sampler.to_string(),
            scheduler: Some(settings.sampling.scheduler.to_string()),
            ..GenerateRequest::default()
        })
    }

    /// The report, which is kept in the home as well.
    ///
    /// # Errors
    /// When a picture cannot be read, or the report cannot be written.
    pub(crate) fn judge(&self, png: &[u8], warehouse: &Warehouse) -> Result<Value, GenerateError> {
        let (model, settings) = subject(warehouse)?;
        let failed = |message: String| GenerateError::Failed { message, hint: None };
        let (picture, _) = Picture::from_png(png).map_err(|error| failed(error.to_string()))?;
        let comparison = match golden(warehouse) {
            Some((spec, file)) => {
                let golden = fs_err::read(file).map_err(|error| failed(error.to_string()))?;
                let (golden, _) = Picture::from_png(&golden).map_err(|error| failed(error.to_string()))?;
                let compared = compare(&picture, &golden, spec, &machine_class(warehouse.precision()));
                Some(compared.map_err(|failure| failed(failure.to_string()))?)
            }
            None => None,
        };
        let began = self.began.lock().ok().and_then(|began| *began);
        let attempts = match (self.seal.level, self.listens_on.first()) {
            (Level::S2 | Level::S3, Some(own)) => seal::probe_network_server(*own, self.seal.level, &self.listens_on),
            _ => Vec::new(),
        };
        let report = SelfTestReport {
            verdict: Verdict::Failed,
            reasons: Vec::new(),
            program: crate::PROGRAM_VERSION.to_owned(),
            bundle: warehouse.generation().map(|generation| generation.manifest.id()),
            seal_sentence: self.seal.level.sentence().to_owned(),
            seal: self.seal.clone(),
            unsealed_allowed: true,
            attempts,
            canary: self.canary,
            picture: Some(PictureReport {
                model,
                settings,
                precision: warehouse.precision(),
                load_seconds: 0.0,
                draw_seconds: began.map_or(0.0, |began| began.elapsed().as_secs_f64()),
                machine_class: machine_class(warehouse.precision()),
                pixels_sha256: pixels_sha256(&picture),
                comparison,
            }),
        }
        .judge();
        let saved = parent::save(&report, png, &warehouse.home().join(layout::SELF_TEST));
        saved.map_err(|failure| failed(failure.to_string()))?;
        serde_json::to_value(&report).map_err(|error| failed(error.to_string()))
    }
}

/// What the bundle says must come out, and the picture's file.
fn golden(warehouse: &Warehouse) -> Option<(&SelfTestSpec, std::path::PathBuf)> {
    let generation = warehouse.generation()?;
    let spec = generation.manifest.self_test.as_ref()?;
    Some((spec, spec.picture.below(&generation.folder)))
}

/// The model and what it draws: the bundle's, else the built-in one's.
fn subject(warehouse: &Warehouse) -> Result<(String, GenerateSettings), GenerateError> {
    let failed = |message: String| GenerateError::Failed { message, hint: None };
    let stock = warehouse.stock();
    if let Some(generation) = warehouse.generation()
        && let Some(spec) = &generation.manifest.self_test
    {
        let path = spec.model.below(&generation.folder);
        let choice = stock.choices.iter().find(|choice| choice.path.as_ref() == Some(&path));
        let missing = || failed(format!("the self-test's model `{}` is not here any more", spec.model));
        let settings = super::settings_of(spec).map_err(|failure| failed(failure.to_string()))?;
        return Ok((choice.ok_or_else(missing)?.id.clone(), settings));
    }
    let settings = own_settings().map_err(|failure| failed(failure.to_string()))?;
    Ok((crate::builtin::SPARK_ID.to_owned(), settings))
}
