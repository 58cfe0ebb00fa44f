//! The fields of `txt2img` and `img2img` as requests to the engine, one per picture.

use serde_json::{Map, Value};

use super::control;
use super::fields::Fields;
use super::image;
use super::mask;
use super::models;
use super::options;
use super::refusal::Refusal;
use crate::check::{FILLS, RESIZE_MODES, shown};
use crate::generate_request::{MAX_SIDE, MIN_SIDE, SIDE_MULTIPLE};
use crate::order::random_seed;
use crate::studio::Studio;
use crate::{GenerateRequest, Hires, Init, Inpaint, ModelCard, PictureRef, Refiner, Variation};

/// Most pictures of one request: `batch_size` times `n_iter`.
const MAX_PICTURES: u32 = 100;

/// What one call asks for.
pub(crate) struct Order {
    /// One per picture; seeds count up.
    pub(crate) requests: Vec<GenerateRequest>,
    /// The second seed of each.
    pub(crate) subseeds: Vec<u64>,
    pub(crate) subseed_strength: f32,
    pub(crate) batch_size: u32,
    pub(crate) styles: Vec<String>,
    pub(crate) card: ModelCard,
}

/// Reads the fields that both calls share.
///
/// # Errors
/// 422 for wrong types and unknown scripts, 400 or 404 for what is not installed or not done here.
pub(crate) fn read(
    studio: &Studio,
    fields: &Fields,
    kept: &Map<String, Value>,
    from_picture: bool,
) -> Result<Order, Refusal> {
    let filled = with_infotext(studio, fields)?;
    let fields = filled.as_ref().unwrap_or(fields);
    let mut kept = kept.clone();
    if let Some(over) = fields.object("override_settings") {
        kept.extend(over.clone());
    }
    let card = options::model(&kept, &*studio.generate)?;
    let kept = Fields(kept);
    refuse_what_is_not_done(fields)?;

    let pictures = if from_picture { pictures(studio, fields)? } else { Vec::new() };
    let own = pictures.first().map_or((card.width, card.height), |(_, width, height)| (*width, *height));
    let (sampler, scheduler) = sampler(studio, fields, &card)?;
    let seed = seed(fields, "seed")?;
    let subseed = seed_of(fields.integer("subseed")?)?;
    let subseed_strength = fields.number("subseed_strength")?.unwrap_or(0.0);
    let (styles, prompt, negative_prompt) = styled(studio, fields)?;
    let mut first = GenerateRequest {
        model: card.id.clone(),
        prompt,
        negative_prompt,
        width: side(fields, "width", own.0)?,
        height: side(fields, "height", own.1)?,
        steps: fields.size("steps")?.unwrap_or(card.steps),
        cfg_scale: fields.number("cfg_scale")?.unwrap_or(card.cfg_scale),
        sampler,
        scheduler,
        // 1 is A1111's "nothing is left out", which is what the model wants unless somebody says otherwise.
        clip_skip: kept.size("CLIP_stop_at_last_layers")?.filter(|skip| *skip > 1),
        noise: noise(&kept)?,
        eta: match fields.number("eta")? {
            Some(eta) => Some(eta),
            None => kept.number("eta_ancestral")?,
        },
        refiner: refiner(studio, fields)?,
        controls: control::read(studio, fields)?,
        ..GenerateRequest::default()
    };
    if from_picture {
        first.inpaint = inpaint(studio, fields)?;
    } else {
        first.hires = hires(studio, fields, &mut first, &card)?;
    }
    let batch_size = fields.size("batch_size")?.unwrap_or(1).max(1);
    let count = batch_size.saturating_mul(fields.size("n_iter")?.unwrap_or(1).max(1));
    if count > MAX_PICTURES {
        let message = format!("`batch_size` times `n_iter` is {count}: it must be at most {MAX_PICTURES}");
        return Err(Refusal::new(400, "out_of_range", message));
    }
    let mut order = Order { requests: Vec::new(), subseeds: Vec::new(), subseed_strength, batch_size, styles, card };
    for index in 0..u64::from(count) {
        let mut request = first.clone();
        // With a second seed, A1111 walks along that one and keeps the first.
        let walks = subseed_strength > 0.0;
        request.seed = seed.saturating_add(if walks { 0 } else { index });
        let second = subseed.saturating_add(index);
        if walks {
            request.variation = Some(Variation { seed: second, strength: subseed_strength });
        }
        let turn = usize::try_from(index).unwrap_or(0).checked_rem(pictures.len()).unwrap_or(0);
        if let Some((picture, _, _)) = pictures.get(turn) {
            request.init = Some(Init {
                picture: picture.clone(),
                strength: fields.number("denoising_strength")?.unwrap_or(0.75),
                resize_mode: choice(fields, "resize_mode", 0, &RESIZE_MODES)?,
            });
        }
        order.requests.push(request);
        order.subseeds.push(second);
    }
    Ok(order)
}

/// Fills in what an `infotext` says and the request leaves open.
fn with_infotext(studio: &Studio, fields: &Fields) -> Result<Option<Fields>, Refusal> {
    let Some(text) = fields.text("infotext")? else { return Ok(None) };
    let facts = carrier(text).and_then(|png| studio.generate.read_picture(&png).ok());
    let Some(Value::Object(settings)) = facts.and_then(|facts| facts.settings) else {
        return Err(Refusal::new(400, "bad_infotext", "nothing in `infotext` is understood here"));
    };
    let mut filled = fields.0.clone();
    for (ours, theirs) in [
        ("prompt", "prompt"),
        ("negative_prompt", "negative_prompt"),
        ("width", "width"),
        ("height", "height"),
        ("steps", "steps"),
        ("cfg_scale", "cfg_scale"),
        ("seed", "seed"),
        ("sampler", "sampler_name"),
        ("scheduler", "scheduler"),
    ] {
        let open = filled.get(theirs).is_none_or(Value::is_null);
        if let Some(value) = settings.get(ours).filter(|_| open) {
            filled.insert(theirs.to_owned(), value.clone());
        }
    }
    Ok(Some(Fields(filled)))
}

/// A picture of one pixel that carries the text, because the engine reads texts out of pictures.
fn carrier(text: &str) -> Option<Vec<u8>> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, 1, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.add_itxt_chunk("parameters".to_owned(), text.to_owned()).ok()?;
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&[0]).ok()?;
    writer.finish().ok()?;
    Some(png)
}

/// What would change the picture and is not done here is refused, not left out in silence.
fn refuse_what_is_not_done(fields: &Fields) -> Result<(), Refusal> {
    if let Some(script) = fields.text("script_name")? {
        return Err(Refusal::new(422, "no_script", format!("Script '{}' not found", shown(script))));
    }
    for (name, what) in [("restore_faces", "face restoration"), ("tiling", "tiling")] {
        if fields.flag(name, false)? {
            return Err(Refusal::new(400, "not_done", format!("`{name}`: this server does no {what}; send false")));
        }
    }
    for name in fields.object("alwayson_scripts").into_iter().flat_map(Map::keys) {
        let args = fields.object("alwayson_scripts").and_then(|scripts| scripts.get(name)?.get("args"));
        let empty = args.and_then(Value::as_array).is_none_or(Vec::is_empty);
        if !name.eq_ignore_ascii_case("controlnet") && !empty {
            let message = format!("always on script {} not found", shown(name));
            return Err(Refusal::new(422, "no_script", message));
        }
    }
    Ok(())
}

/// Sides are cut to a multiple of 8, as A1111 does.
fn side(fields: &Fields, name: &str, otherwise: u32) -> Result<u32, Refusal> {
    let side = match fields.size(name)?.filter(|side| *side > 0) {
        Some(side) => side,
        None => otherwise.clamp(MIN_SIDE, MAX_SIDE),
    };
    Ok(side - side % SIDE_MULTIPLE)
}

fn seed(fields: &Fields, name: &str) -> Result<u64, Refusal> {
    seed_of(fields.integer(name)?)
}

/// A negative seed is a random one.
fn seed_of(seed: Option<i64>) -> Result<u64, Refusal> {
    Ok(seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or_else(random_seed))
}

fn sampler(studio: &Studio, fields: &Fields, card: &ModelCard) -> Result<(String, Option<String>), Refusal> {
    let name = match fields.text("sampler_name")? {
        Some(name) => Some(name),
        None => fields.text("sampler_index")?,
    };
    let (sampler, own) = match name.filter(|name| !name.eq_ignore_ascii_case("automatic")) {
        Some(name) => read_sampler(studio, name)?,
        None => (card.sampler.clone(), card.scheduler.clone()),
    };
    let scheduler = match fields.text("scheduler")? {
        Some(name) if !name.eq_ignore_ascii_case("automatic") => Some(read_scheduler(studio, name)?),
        _ => own,
    };
    Ok((sampler, scheduler))
}

fn read_sampler(studio: &Studio, name: &str) -> Result<(String, Option<String>), Refusal> {
    studio.generate.read_sampler(name).ok_or_else(|| {
        let known = studio.generate.samplers().join(", ");
        Refusal::new(400, "unknown_sampler", format!("Sampler not found: `{}`; known: {known}", shown(name)))
    })
}

fn read_scheduler(studio: &Studio, name: &str) -> Result<String, Refusal> {
    studio.generate.read_scheduler(name).ok_or_else(|| {
        let known = studio.generate.schedulers().join(", ");
        Refusal::new(400, "unknown_scheduler", format!("Scheduler not found: `{}`; known: {known}", shown(name)))
    })
}

/// The names of the styles and both prompts with the styles' words.
fn styled(studio: &Studio, fields: &Fields) -> Result<(Vec<String>, String, String), Refusal> {
    let mut prompt = fields.text("prompt")?.unwrap_or_default().to_owned();
    let mut negative = fields.text("negative_prompt")?.unwrap_or_default().to_owned();
    let known = studio.generate.styles();
    let mut names = Vec::new();
    for value in fields.list("styles") {
        let Value::String(name) = value else {
            return Err(Refusal::field(&["styles"], "string_type", "Input should be a valid string", value));
        };
        // An unknown style changes nothing in A1111.
        if let Some(style) = known.iter().find(|style| style.name == *name) {
            prompt = merged(&prompt, &style.prompt);
            negative = merged(&negative, &style.negative_prompt);
        }
        names.push(name.clone());
    }
    Ok((names, prompt, negative))
}

fn merged(prompt: &str, style: &str) -> String {
    if style.contains("{prompt}") {
        return style.replace("{prompt}", prompt);
    }
    let parts = [prompt.trim(), style.trim()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// A1111's name for where noise comes from; its graphics card is `NV` here.
fn noise(kept: &Fields) -> Result<Option<String>, Refusal> {
    Ok(kept.text("randn_source")?.and_then(|source| match source {
        "NV" | "GPU" => Some("NV".to_owned()),
        "CPU" => Some("CPU".to_owned()),
        _ => None,
    }))
}

fn refiner(studio: &Studio, fields: &Fields) -> Result<Option<Refiner>, Refusal> {
    let Some(name) = fields.text("refiner_checkpoint")?.filter(|name| *name != "None") else { return Ok(None) };
    let switch_at = fields.number("refiner_switch_at")?.unwrap_or(0.8);
    Ok(Some(Refiner { model: models::find(&*studio.generate, name)?.id, switch_at }))
}

/// The second pass; with `firstphase_width` the size is the result's, as in old clients.
fn hires(
    studio: &Studio,
    fields: &Fields,
    first: &mut GenerateRequest,
    card: &ModelCard,
) -> Result<Option<Hires>, Refusal> {
    if !fields.flag("enable_hr", false)? {
        return Ok(None);
    }
    if let Some(name) = fields.text("hr_checkpoint_name")?.filter(|name| *name != "Use same checkpoint")
        && models::find(&*studio.generate, name)?.id != card.id
    {
        let message = "`hr_checkpoint_name`: the second pass uses the model of the first here; leave it out";
        return Err(Refusal::new(400, "not_done", message));
    }
    let mut size = (fields.size("hr_resize_x")?.unwrap_or(0), fields.size("hr_resize_y")?.unwrap_or(0));
    let (width, height) = (side(fields, "firstphase_width", 0)?, side(fields, "firstphase_height", 0)?);
    if fields.size("firstphase_width")?.unwrap_or(0) > 0 && fields.size("firstphase_height")?.unwrap_or(0) > 0 {
        size = (first.width, first.height);
        (first.width, first.height) = (width, height);
    }
    let (sampler, own) = match fields.text("hr_sampler_name")?.filter(|name| *name != "Use same sampler") {
        Some(name) => {
            let (sampler, own) = read_sampler(studio, name)?;
            (Some(sampler), own)
        }
        None => (None, None),
    };
    let scheduler = match fields.text("hr_scheduler")? {
        Some(name) if !matches!(name, "Use same scheduler" | "Automatic") => Some(read_scheduler(studio, name)?),
        _ => own,
    };
    Ok(Some(Hires {
        scale: fields.number("hr_scale")?.unwrap_or(2.0),
        size: (size != (0, 0)).then_some(size),
        upscaler: fields.text("hr_upscaler")?.unwrap_or("Latent").to_owned(),
        strength: fields.number("denoising_strength")?.unwrap_or(0.7),
        steps: fields.size("hr_second_pass_steps")?.filter(|steps| *steps > 0),
        cfg_scale: fields.number("hr_cfg")?.filter(|scale| *scale > 0.0),
        sampler,
        scheduler,
        prompt: fields.text("hr_prompt")?.unwrap_or_default().to_owned(),
        negative_prompt: fields.text("hr_negative_prompt")?.unwrap_or_default().to_owned(),
    }))
}

/// Keeps the pictures to start from; gives each with its size.
fn pictures(studio: &Studio, fields: &Fields) -> Result<Vec<(PictureRef, u32, u32)>, Refusal> {
    let list = fields.list("init_images");
    if list.is_empty() {
        return Err(Refusal::new(404, "no_init_image", "Init image not found: `init_images` holds no picture"));
    }
    let mut all = Vec::new();
    for value in list.iter().take(MAX_PICTURES as usize) {
        let bytes = image::decode("init_images", value)?;
        let kept = studio.keep(&bytes)?;
        let (width, height) = match studio.generate.read_picture(&bytes) {
            Ok(facts) => (facts.width, facts.height),
            Err(_) => (0, 0),
        };
        all.push((kept, width, height));
    }
    Ok(all)
}

fn inpaint(studio: &Studio, fields: &Fields) -> Result<Option<Inpaint>, Refusal> {
    let Some(value) = fields.get("mask").filter(|value| value.as_str() != Some("")) else { return Ok(None) };
    let bytes = image::decode("mask", value)?;
    let mask = studio.keep(&mask::from_transparency(&bytes).unwrap_or(bytes))?;
    let both = (fields.number("mask_blur_x")?, fields.number("mask_blur_y")?);
    let mask_blur = match (fields.number("mask_blur")?, both) {
        (Some(blur), _) => blur,
        (None, (Some(x), Some(y))) => f32::midpoint(x, y),
        (None, (one, other)) => one.or(other).unwrap_or(4.0),
    };
    Ok(Some(Inpaint {
        mask: Some(mask),
        invert: fields.flag("inpainting_mask_invert", false)?,
        mask_blur,
        fill: choice(fields, "inpainting_fill", 0, &FILLS)?,
        only_masked: match fields.flag("inpaint_full_res", true)? {
            true => Some(fields.size("inpaint_full_res_padding")?.unwrap_or(0)),
            false => None,
        },
        extend: crate::Extend::default(),
    }))
}

/// One of four ways by its number.
fn choice(fields: &Fields, name: &str, otherwise: i64, ways: &[&str; 4]) -> Result<String, Refusal> {
    let number = fields.integer(name)?.unwrap_or(otherwise);
    let way = usize::try_from(number).ok().and_then(|number| ways.get(number));
    way.map(|way| (*way).to_owned()).ok_or_else(|| {
        Refusal::new(400, "out_of_range", format!("`{name}` is {number}: it must be from 0 to 3 ({})", ways.join(", ")))
    })
}
