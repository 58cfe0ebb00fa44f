//! What is installed, in A1111's words: one answer per `GET`.

use serde_json::{Map, Value, json};

use super::models;
use super::models::short_hash;
use crate::studio::Studio;
use crate::{Asset, AssetKind};

/// A1111's ways to enlarge latents.
const LATENT_MODES: [&str; 6] = [
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
];

/// What `GET /sdapi/v1/NAME` answers; `None` for an unknown name.
pub(crate) fn list(studio: &Studio, name: &str) -> Option<Value> {
    let of = |kind, entry: &dyn Fn(&Asset) -> Value| -> Value {
        studio.generate.assets().iter().filter(|asset| asset.kind == kind).map(entry).collect()
    };
    Some(match name {
        "samplers" => each(&studio.generate.samplers(), |name| {
            let k = name.to_ascii_lowercase().replace("++", "pp").replace(' ', "_");
            json!({"name": name, "aliases": [format!("k_{k}")], "options": {}})
        }),
        "schedulers" => each(&studio.generate.schedulers(), |name| {
            let short = name.to_ascii_lowercase().replace(' ', "_");
            json!({"name": short, "label": name, "aliases": null, "default_rho": -1.0, "need_inner_model": false})
        }),
        "upscalers" => upscalers(studio),
        "latent-upscale-modes" => each(&LATENT_MODES, |name| json!({ "name": name })),
        "sd-models" => studio.generate.models().iter().map(models::entry).collect(),
        "sd-vae" | "sd-modules" => {
            of(AssetKind::Vae, &|asset| json!({"model_name": asset.name, "filename": asset.file}))
        }
        "hypernetworks" | "face-restorers" | "realesrgan-models" | "extensions" => json!([]),
        "prompt-styles" => studio
            .generate
            .styles()
            .iter()
            .map(|style| json!({"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative_prompt}))
            .collect(),
        "embeddings" => embeddings(studio),
        "loras" => of(AssetKind::Lora, &|asset| {
            json!({
                "name": asset.name, "alias": asset.title, "path": asset.file,
                "metadata": {"sshs_model_hash": asset.sha256, "ss_tag_frequency": {"words": words(asset)}},
            })
        }),
        "memory" => memory(studio),
        "cmd-flags" => json!({
            "api": true, "nowebui": false, "listen": studio.lan.is_on(), "share": false, "port": studio.port, "lowvram": false,
            "medvram": false, "no_half": false, "api_auth": null, "api_server_stop": false, "skip_install": true,
        }),
        "scripts" => json!({"txt2img": scripts(studio), "img2img": scripts(studio)}),
        "script-info" => {
            let info = |img2img: bool| {
                each(
                    &scripts(studio),
                    |name| json!({"name": name, "is_alwayson": true, "is_img2img": img2img, "args": []}),
                )
            };
            match (info(false), info(true)) {
                (Value::Array(first), Value::Array(second)) => first.into_iter().chain(second).collect(),
                _ => json!([]),
            }
        }
        _ => return None,
    })
}

fn each<T: AsRef<str>>(names: &[T], entry: impl Fn(&str) -> Value) -> Value {
    names.iter().map(|name| entry(name.as_ref())).collect()
}

fn words(asset: &Asset) -> Map<String, Value> {
    asset.trigger_words.iter().map(|word| (word.clone(), 1.into())).collect()
}

fn upscalers(studio: &Studio) -> Value {
    let plain =
        |name: &str| json!({"name": name, "model_name": null, "model_path": null, "model_url": null, "scale": 4});
    let mut all = vec![plain("None"), plain("Lanczos"), plain("Nearest")];
    all.extend(studio.generate.assets().iter().filter(|asset| asset.kind == AssetKind::Upscaler).map(|asset| {
        json!({
            "name": asset.name, "model_name": asset.title, "model_path": asset.file, "model_url": null,
            "scale": asset.scale.unwrap_or(4),
        })
    }));
    Value::Array(all)
}

fn embeddings(studio: &Studio) -> Value {
    let loaded: Map<String, Value> = studio
        .generate
        .assets()
        .iter()
        .filter(|asset| asset.kind == AssetKind::Embedding)
        .map(|asset| {
            let hash = short_hash(asset.sha256.as_deref());
            let entry = json!({
                "step": null, "sd_checkpoint": hash, "sd_checkpoint_name": asset.family, "shape": 0, "vectors": 0,
            });
            (asset.name.clone(), entry)
        })
        .collect();
    json!({"loaded": loaded, "skipped": {}})
}

/// ControlNet's names, when one is installed: clients look for them before they use it.
fn scripts(studio: &Studio) -> Vec<&'static str> {
    match studio.generate.assets().iter().any(|asset| asset.kind == AssetKind::Controlnet) {
        true => vec!["controlnet", "controlnet m2m"],
        false => Vec::new(),
    }
}

fn memory(studio: &Studio) -> Value {
    let system = studio.generate.system();
    let of = |name: &str| system.get("memory").and_then(|memory| memory.get(name)).and_then(Value::as_u64);
    let ram = match (of("total"), of("available")) {
        (Some(total), Some(free)) => json!({"free": free, "used": total.saturating_sub(free), "total": total}),
        _ => json!({"error": "the engine does not say how much memory there is"}),
    };
    json!({"ram": ram, "cuda": {"error": "pictures are drawn on the processor"}})
}
