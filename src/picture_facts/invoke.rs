//! The metadata of InvokeAI as AUTOMATIC1111's text.

use engine::Infotext;
use serde_json::{Map, Value};

/// The keyword under which InvokeAI (from version 3 on) keeps its metadata in PNG files.
pub(crate) const KEYWORD: &str = "invokeai_metadata";

/// Its samplers and what AUTOMATIC1111 calls them; `_k` behind a name means Karras' steps. What is not here is
/// computed differently in the two programs and keeps its name.
const SAMPLERS: [(&str, &str); 13] = [
    ("euler", "Euler"),
    ("euler_a", "Euler a"),
    ("heun", "Heun"),
    ("lms", "LMS"),
    ("ddim", "DDIM"),
    ("ddpm", "DDPM"),
    ("kdpm_2", "DPM2"),
    ("kdpm_2_a", "DPM2 a"),
    ("dpmpp_2m", "DPM++ 2M"),
    ("dpmpp_2m_sde", "DPM++ 2M SDE"),
    ("dpmpp_sde", "DPM++ SDE"),
    ("unipc", "UniPC"),
    ("lcm", "LCM"),
];

/// What the metadata say; nothing when they are none, or say neither a prompt nor a seed. Weights in prompts stay as
/// InvokeAI writes them (`red+`), LoRAs become words.
pub(crate) fn infotext(metadata: &str) -> Option<Infotext> {
    let Ok(Value::Object(metadata)) = serde_json::from_str(metadata) else { return None };
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let number = |key: &str| metadata.get(key).filter(|value| value.is_number()).map(Value::to_string);
    if text("positive_prompt").is_none() && number("seed").is_none() {
        return None;
    }
    let mut prompt = text("positive_prompt").unwrap_or_default().to_owned();
    for (name, weight) in metadata.get("loras").and_then(Value::as_array).into_iter().flatten().filter_map(lora) {
        prompt.push_str(&format!(" <lora:{name}:{weight}>"));
    }
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut put = |key: &str, value: Option<String>| {
        entries.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("Steps", number("steps"));
    if let Some(scheduler) = text("scheduler") {
        let (name, karras) = match scheduler.strip_suffix("_k") {
            Some(name) => (name, true),
            None => (scheduler, false),
        };
        let known = SAMPLERS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
        put("Sampler", Some(known.unwrap_or(scheduler).to_owned()));
        // Left open, AUTOMATIC1111 would take Karras' steps for some.
        let steps = if karras { "Karras" } else { "Uniform" };
        put("Schedule type", known.map(|_| steps.to_owned()));
    }
    put("CFG scale", number("cfg_scale"));
    put("Seed", number("seed"));
    let size = number("width").zip(number("height")).map(|(width, height)| format!("{width}x{height}"));
    put("Size", size);
    put("Model", model(&metadata, "model"));
    put("VAE", model(&metadata, "vae"));
    let image = text("init_image").is_some() || text("generation_mode").is_some_and(|mode| !mode.ends_with("txt2img"));
    put("Denoising strength", number("strength").filter(|_| image));
    put("RNG", text("rand_device").map(|device| if device == "cpu" { "CPU" } else { "NV" }.to_owned()));
    // Theirs counts the layers that are left out, AUTOMATIC1111's begins with 1.
    let skipped = metadata.get("clip_skip").and_then(Value::as_u64).filter(|skipped| (1..12).contains(skipped));
    put("Clip skip", skipped.map(|skipped| (skipped + 1).to_string()));
    put("Refiner", model(&metadata, "refiner_model"));
    put("Refiner switch at", number("refiner_start"));
    put("Version", Some(format!("InvokeAI {}", text("app_version").unwrap_or_default()).trim().to_owned()));
    Some(Infotext { prompt, negative_prompt: text("negative_prompt").unwrap_or_default().to_owned(), entries })
}

/// The name of a model.
fn model(metadata: &Map<String, Value>, key: &str) -> Option<String> {
    let model = metadata.get(key)?;
    // Version 3 called it otherwise.
    ["name", "model_name"].into_iter().find_map(|key| Some(model.get(key)?.as_str()?.to_owned()))
}

/// Name and weight of a LoRA.
fn lora(lora: &Value) -> Option<(String, String)> {
    let of = ["model", "lora"].into_iter().find_map(|key| lora.get(key)?.as_object())?;
    let name = ["name", "model_name"].into_iter().find_map(|key| of.get(key)?.as_str())?;
    let weight =
        lora.get("weight").filter(|weight| weight.is_number()).map_or_else(|| "1".to_owned(), Value::to_string);
    (!name.is_empty() && !name.contains([':', '<', '>'])).then(|| (name.to_owned(), weight))
}

/// Looks at a picture that InvokeAI drew: the PNG file with AUTOMATIC1111's text added, where it has none yet and the
/// metadata in the file, or else those of the database, can be said so. Everything else in the file stays as it is.
pub(crate) fn with_infotext(png: &[u8], of_database: Option<&str>) -> Option<Vec<u8>> {
    let texts = texts(png)?;
    if texts.iter().any(|(keyword, _)| keyword == "parameters") {
        return None;
    }
    let of_file = texts.iter().find(|(keyword, _)| keyword == KEYWORD).map(|(_, text)| text.as_str());
    let infotext = [of_file, of_database].into_iter().flatten().find_map(infotext)?;
    Some(server::with_texts(png, &[("parameters".to_owned(), infotext.to_string())]))
}

/// The texts of a PNG file that are not compressed; nothing when it is none.
fn texts(png: &[u8]) -> Option<Vec<(String, String)>> {
    let mut rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    if rest.get(4..8)? != b"IHDR" {
        return None;
    }
    let mut texts = Vec::new();
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (content, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        match kind {
            b"IEND" => return after.get(..4).map(|_| texts),
            b"tEXt" => {
                let latin = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
                let mut parts = content.splitn(2, |byte| *byte == 0);
                texts.extend(parts.next().zip(parts.next()).map(|(keyword, text)| (latin(keyword), latin(text))));
            }
            // Keyword, compressed?, how, language, keyword in it, text.
            b"iTXt" => {
                let mut parts = content.splitn(2, |byte| *byte == 0);
                let keyword = parts.next().unwrap_or_default();
                if let Some([0, _, more @ ..]) = parts.next()
                    && let Some(text) = more.splitn(3, |byte| *byte == 0).nth(2)
                {
                    let read = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    texts.push((read(keyword), read(text)));
                }
            }
            _ => {}
        }
        rest = after.get(4..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{GenerateSettings, Picture, PictureFile, Recipe, Sampler, Scheduler};

    const METADATA: &str = r#"{"generation_mode": "txt2img", "positive_prompt": "ein Löwe, red+", "negative_prompt": "blurry",
        "width": 512, "height": 768, "seed": 4294967290, "rand_device": "cpu", "cfg_scale": 7.5, "steps": 30, "strength": 1.0,
        "scheduler": "dpmpp_2m_k", "clip_skip": 1, "model": {"key": "k", "hash": "blake3:x", "name": "Dream, v8", "base": "sd-1", "type": "main"},
        "loras": [{"model": {"key": "l", "name": "ink"}, "weight": 0.75}, {"lora": {"model_name": "old"}, "weight": 1},
        {"model": {"name": "a:b"}}], "app_version": "6.14.2"}"#;

    #[test]
    fn metadata_of_invokeai_are_said_in_automatic1111s_words() {
        let text = infotext(METADATA).unwrap();
        assert_eq!(
            text.to_string(),
            "ein Löwe, red+ <lora:ink:0.75> <lora:old:1>\nNegative prompt: blurry\nSteps: 30, Sampler: DPM++ 2M, Schedule \
             type: Karras, CFG scale: 7.5, Seed: 4294967290, Size: 512x768, Model: \"Dream, v8\", RNG: CPU, Clip skip: 2, \
             Version: InvokeAI 6.14.2"
        );
        let recipe = Recipe::understand(&text, &GenerateSettings::default());
        assert_eq!(recipe.settings.sampler, Sampler::DpmPp2m);
        assert_eq!((recipe.settings.seed, recipe.settings.text.clip_skip), (4_294_967_290, 2));
        assert_eq!(recipe.other, [], "every entry means something");
        let redrawn =
            infotext(r#"{"seed": 1, "strength": 0.4, "generation_mode": "sdxl_img2img", "scheduler": "dpmpp_3m"}"#);
        let redrawn = redrawn.unwrap().to_string();
        assert_eq!(redrawn, "Sampler: dpmpp_3m, Seed: 1, Denoising strength: 0.4, Version: InvokeAI");
        for nothing in ["", "[]", "{}", "{\"width\": 5}", "{\"positive_prompt\": 3}"] {
            assert_eq!(infotext(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn every_sampler_is_one_of_ours() {
        for (theirs, ours) in SAMPLERS {
            assert!(ours.parse::<Sampler>().is_ok(), "{theirs}: {ours}");
        }
        assert!(matches!("Uniform".parse(), Ok(Scheduler::Normal)));
    }

    #[test]
    fn the_text_is_added_and_nothing_else_changes() {
        let picture = Picture { width: 2, height: 1, rgb: vec![1, 2, 3, 4, 5, 6] };
        let png = picture.to_png(&[(KEYWORD, METADATA)]).unwrap();
        let described = with_infotext(&png, Some("{\"seed\": 9}")).unwrap();
        let read = PictureFile::read(&described).unwrap();
        assert_eq!(
            read.infotext(),
            Some(infotext(METADATA).unwrap().to_string().as_str()),
            "the file's own come first"
        );
        assert_eq!(read.picture, picture);
        assert_eq!(read.text(KEYWORD), Some(METADATA));
        // What was added lies in one place.
        let at = png.iter().zip(&described).position(|(before, after)| before != after).unwrap();
        let added = described.len() - png.len();
        assert!([&described[..at], &described[at + added..]].concat() == png);
        assert_eq!(with_infotext(&described, None), None, "it has one now");

        let bare = picture.to_png(&[]).unwrap();
        assert_eq!(with_infotext(&bare, None), None);
        let described = with_infotext(&bare, Some(METADATA)).unwrap();
        assert!(PictureFile::read(&described).unwrap().infotext().unwrap().starts_with("ein Löwe, red+ <lora:ink"));
        for end in 0..png.len() {
            assert_eq!(with_infotext(&png[..end], Some(METADATA)), None, "{end} bytes of it");
        }
    }
}
