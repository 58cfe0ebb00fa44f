//! Ordering the pictures of one call, waiting for them, and A1111's answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fields::Fields;
use super::models::short_hash;
use super::refusal::Refusal;
use super::settings::{self, Order};
use super::tasks::Tasks;
use crate::http::{Call, Reply};
use crate::job::{Job, JobState, Source};
use crate::picture::read_png;
use crate::studio::Studio;
use crate::{GenerateRequest, clock};

/// Answers `txt2img` and `img2img`.
///
/// # Errors
/// What [`settings::read`] and [`Studio::submit`] refuse; 500 with the engine's words when a picture fails.
pub(crate) fn draw(studio: &Studio, tasks: &Tasks, call: &mut Call<'_>, from_picture: bool) -> Result<Reply, Refusal> {
    let fields = Fields::read(call)?;
    let order = settings::read(studio, &fields, &tasks.options(), from_picture)?;
    let jobs = run(studio, tasks, order.requests.clone(), fields.text("force_task_id")?, call.gone)?;
    let mut images = Vec::new();
    let mut texts = Vec::new();
    for job in &jobs {
        let Some(id) = &job.picture else { continue };
        let png = read(studio, id)?;
        let infotext = read_png(std::io::Cursor::new(png.as_slice())).ok().and_then(|facts| facts.infotext);
        texts.push(infotext.unwrap_or_default());
        if fields.flag("send_images", true)? {
            images.push(STANDARD.encode(&png));
        }
    }
    let info = info(&order, &jobs, &texts);
    let mut echo = fields.0;
    if !matches!(echo.get("include_init_images"), Some(Value::Bool(true))) {
        for name in ["init_images", "mask"] {
            if let Some(value) = echo.get_mut(name) {
                *value = Value::Null;
            }
        }
    }
    Ok(Reply::json(200, &json!({"images": images, "parameters": echo, "info": info.to_string()})))
}

/// Draws all of them, or gives up when the client hangs up; what was interrupted is left out of the answer.
///
/// # Errors
/// What [`Studio::submit`] refuses; 500 with the engine's words when a picture fails.
pub(crate) fn run(
    studio: &Studio,
    tasks: &Tasks,
    requests: Vec<GenerateRequest>,
    name: Option<&str>,
    gone: &dyn Fn() -> bool,
) -> Result<Vec<Job>, Refusal> {
    let jobs = studio.submit(requests, Source::Sdapi)?;
    let _task = tasks.begin(&jobs, name);
    let jobs = studio.wait(&jobs, gone);
    if let Some(error) = jobs.iter().find(|job| job.state == JobState::Failed).and_then(|job| job.error.as_ref()) {
        let hint = error.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
        return Err(Refusal::new(500, "failed", format!("{}{hint}", error.message)));
    }
    Ok(jobs)
}

/// The file of a picture that was drawn just now.
pub(crate) fn read(studio: &Studio, id: &str) -> Result<Vec<u8>, Refusal> {
    studio
        .output(id)
        .map_err(|error| Refusal::new(500, "unreadable", format!("the picture was drawn but cannot be read: {error}")))
}

/// What stands, as text, in the answer's `info`.
fn info(order: &Order, jobs: &[Job], texts: &[String]) -> Value {
    let drawn: Vec<(&GenerateRequest, u64)> = jobs
        .iter()
        .zip(order.requests.iter().zip(&order.subseeds))
        .filter(|(job, _)| job.picture.is_some())
        .map(|(_, (request, subseed))| (request, *subseed))
        .collect();
    let empty = GenerateRequest::default();
    let first = order.requests.first().unwrap_or(&empty);
    let column = |of: &dyn Fn(&(&GenerateRequest, u64)) -> Value| -> Vec<Value> { drawn.iter().map(of).collect() };
    let mut extra = serde_json::Map::new();
    if let Some(scheduler) = &first.scheduler {
        extra.insert("Schedule type".to_owned(), scheduler.as_str().into());
    }
    if let Some(hires) = &first.hires {
        extra.insert("Hires upscale".to_owned(), json!(hires.scale));
        extra.insert("Hires upscaler".to_owned(), json!(hires.upscaler));
    }
    if let Some(inpaint) = &first.inpaint {
        extra.insert("Mask blur".to_owned(), json!(inpaint.mask_blur));
    }
    let strength = first.init.as_ref().map(|init| init.strength).or(first.hires.as_ref().map(|hires| hires.strength));
    json!({
        "prompt": first.prompt,
        "all_prompts": column(&|(request, _)| request.prompt.as_str().into()),
        "negative_prompt": first.negative_prompt,
        "all_negative_prompts": column(&|(request, _)| request.negative_prompt.as_str().into()),
        "seed": first.seed,
        "all_seeds": column(&|(request, _)| request.seed.into()),
        "subseed": order.subseeds.first(),
        "all_subseeds": column(&|(_, subseed)| (*subseed).into()),
        "subseed_strength": order.subseed_strength,
        "width": first.width,
        "height": first.height,
        "sampler_name": first.sampler,
        "cfg_scale": first.cfg_scale,
        "steps": first.steps,
        "batch_size": order.batch_size,
        "restore_faces": false,
        "face_restoration_model": null,
        "sd_model_name": order.card.id,
        "sd_model_hash": short_hash(order.card.sha256.as_deref()),
        "sd_vae_name": null,
        "sd_vae_hash": null,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": strength,
        "extra_generation_params": extra,
        "index_of_first_image": 0,
        "infotexts": texts,
        "styles": order.styles,
        "job_timestamp": clock::name_stamp(clock::now()).replace('-', ""),
        "clip_skip": first.clip_skip.unwrap_or(1),
        "is_using_inpainting_conditioning": false,
        "version": concat!("fieldforge ", env!("CARGO_PKG_VERSION")),
    })
}
