//! What each entry means, in AUTOMATIC1111's order: for writing and for reading.
//!
//! What AUTOMATIC1111 leaves out at its default is left out here. Settings that it does not have get keys of our own.

use super::field::{Field, by_name, named, number, put, set, set_number, size, text, unless};
use super::{Recipe, UsedFile};
use crate::image_ops::{Extension, ResizeMode};
use crate::{
    Emphasis, HiresSettings, ImageSettings, InpaintFill, InpaintSettings, Precision, RefinerSettings, Sampler,
    SamplingSettings, Scheduler, UpscalerName,
};

/// All of them. A field that makes another one more precise comes after it.
pub(super) fn fields() -> impl Iterator<Item = &'static Field> {
    [FIRST, PICTURES, FILES, SAMPLING, HIRES, LAST].into_iter().flatten()
}

const FIRST: &[Field] = &[
    Field::new(
        "Steps",
        |recipe| Some(recipe.settings.steps.to_string()),
        |recipe, value| set(&mut recipe.settings.steps, value),
    ),
    Field::new(
        "Sampler",
        |recipe| Some(recipe.settings.sampler.to_string()),
        |recipe, value| {
            (recipe.settings.sampler, recipe.settings.sampling.scheduler) = Sampler::with_scheduler(value).ok()?;
            Some(())
        },
    ),
    Field::new(
        "Schedule type",
        // the sampler's own is named, as before AUTOMATIC1111 knew "Automatic", unless it is the usual one
        |recipe| match (recipe.settings.sampling.scheduler, recipe.settings.sampler.automatic()) {
            (Scheduler::Automatic, Scheduler::Normal) => Some(Scheduler::Automatic.to_string()),
            (Scheduler::Automatic, own) => Some(own.to_string()),
            (chosen, _) => Some(chosen.to_string()),
        },
        |recipe, value| {
            let scheduler: Scheduler = value.parse().ok()?;
            let own = scheduler == recipe.settings.sampler.automatic() && scheduler != Scheduler::Normal;
            put(&mut recipe.settings.sampling.scheduler, if own { Scheduler::Automatic } else { scheduler })
        },
    )
    .alias("Scheduler"),
    Field::new(
        "CFG scale",
        |recipe| Some(recipe.settings.cfg_scale.to_string()),
        |recipe, value| set_number(&mut recipe.settings.cfg_scale, value),
    ),
    Field::new(
        "Image CFG scale",
        |recipe| unless(&recipe.settings.image.as_ref()?.image_cfg_scale, &ImageSettings::default().image_cfg_scale),
        |recipe, value| put(&mut image(recipe).image_cfg_scale, number(value)?),
    ),
    Field::new(
        "Seed",
        |recipe| Some(recipe.settings.seed.to_string()),
        |recipe, value| set(&mut recipe.settings.seed, value),
    ),
    Field::new(
        "Size",
        |recipe| Some(format!("{}x{}", recipe.settings.width, recipe.settings.height)),
        |recipe, value| {
            (recipe.settings.width, recipe.settings.height) = size(value)?;
            Some(())
        },
    )
    .alias("Resolution"),
    Field::new(
        "Model hash",
        |recipe| text(&recipe.files.model.hash),
        |recipe, value| put(&mut recipe.files.model.hash, value.to_owned()),
    ),
    Field::new(
        "Model",
        |recipe| text(&recipe.files.model.name),
        |recipe, value| put(&mut recipe.files.model.name, value.to_owned()),
    ),
    Field::new(
        "VAE hash",
        |recipe| text(&recipe.files.vae.as_ref()?.hash),
        |recipe, value| put(&mut recipe.files.vae.get_or_insert_default().hash, value.to_owned()),
    ),
    Field::new(
        "VAE",
        |recipe| text(&recipe.files.vae.as_ref()?.name),
        |recipe, value| match value {
            "Automatic" | "None" | "Default (model)" => Some(()),
            name => put(&mut recipe.files.vae.get_or_insert_default().name, name.to_owned()),
        },
    ),
    Field::new(
        "Denoising strength",
        |recipe| {
            let hires = recipe.settings.hires.as_ref().map(|hires| hires.strength);
            let image = recipe.settings.image.as_ref().map(|image| image.strength);
            hires.or(image).map(|strength| strength.to_string())
        },
        |recipe, value| {
            let strength = number(value)?;
            // one entry for both; what a hires fix is told by stands behind it
            let hires = recipe.other.iter().any(|(key, _)| matches!(key.as_str(), "Hires upscale" | "Hires resize"));
            match hires {
                true => put(&mut self::hires(recipe).strength, strength),
                false => put(&mut image(recipe).strength, strength),
            }
        },
    ),
    Field::new(
        "Variation seed",
        |recipe| {
            let noise = &recipe.settings.sampling.noise;
            (noise.variation_strength > 0.0).then(|| noise.variation_seed.to_string())
        },
        |recipe, value| put(&mut recipe.settings.sampling.noise.variation_seed, value.parse().ok()?),
    ),
    Field::new(
        "Variation seed strength",
        |recipe| unless(&recipe.settings.sampling.noise.variation_strength, &0.0),
        |recipe, value| set_number(&mut recipe.settings.sampling.noise.variation_strength, value),
    ),
    Field::new(
        "Seed resize from",
        |recipe| recipe.settings.sampling.noise.resized_from.map(|(width, height)| format!("{width}x{height}")),
        |recipe, value| put(&mut recipe.settings.sampling.noise.resized_from, Some(size(value)?)),
    ),
    Field::new(
        "Clip skip",
        |recipe| unless(&recipe.settings.text.clip_skip, &1),
        |recipe, value| set(&mut recipe.settings.text.clip_skip, value),
    ),
    Field::new(
        "ENSD",
        |recipe| unless(&recipe.settings.sampling.noise.seed_delta, &0),
        |recipe, value| put(&mut recipe.settings.sampling.noise.seed_delta, value.parse().ok()?),
    ),
    Field::new(
        "RNG",
        |recipe| Some(recipe.settings.sampling.noise.source.to_string()),
        |recipe, value| put(&mut recipe.settings.sampling.noise.source, value.parse().ok()?),
    ),
];

const PICTURES: &[Field] = &[
    Field::new(
        "Resize mode",
        |recipe| unless(&recipe.settings.image.as_ref()?.resize_mode, &ResizeMode::default()),
        |recipe, value| put(&mut image(recipe).resize_mode, value.parse().ok()?),
    ),
    Field::new(
        "Strength rule",
        |recipe| named(&recipe.settings.image.as_ref()?.strength_rule),
        |recipe, value| put(&mut image(recipe).strength_rule, by_name(value)?),
    ),
    Field::new(
        "Mask mode",
        |recipe| recipe.settings.inpaint.as_ref()?.invert.then(|| "Inpaint not masked".to_owned()),
        |recipe, value| match value {
            "Inpaint masked" => put(&mut inpaint(recipe).invert, false),
            "Inpaint not masked" => put(&mut inpaint(recipe).invert, true),
            _ => None,
        },
    ),
    Field::new(
        "Mask blur",
        // always, because there may be nothing else to tell that a mask was used
        |recipe| Some(recipe.settings.inpaint.as_ref()?.mask_blur_x.to_string()),
        |recipe, value| {
            let blur = number(value)?;
            let inpaint = inpaint(recipe);
            (inpaint.mask_blur_x, inpaint.mask_blur_y) = (blur, blur);
            Some(())
        },
    ),
    Field::new(
        "Mask blur y",
        |recipe| {
            let inpaint = recipe.settings.inpaint.as_ref()?;
            unless(&inpaint.mask_blur_y, &inpaint.mask_blur_x)
        },
        |recipe, value| put(&mut inpaint(recipe).mask_blur_y, number(value)?),
    ),
    Field::new(
        "Inpaint area",
        |recipe| recipe.settings.inpaint.as_ref()?.only_masked.map(|_| "Only masked".to_owned()),
        |recipe, value| match value {
            "Whole picture" => put(&mut inpaint(recipe).only_masked, None),
            "Only masked" => put(&mut inpaint(recipe).only_masked, Some(32)),
            _ => None,
        },
    ),
    Field::new(
        "Masked area padding",
        |recipe| recipe.settings.inpaint.as_ref()?.only_masked.map(|padding| padding.to_string()),
        |recipe, value| put(recipe.settings.inpaint.as_mut()?.only_masked.as_mut()?, value.parse().ok()?),
    ),
    Field::new(
        "Masked content",
        |recipe| match recipe.settings.inpaint.as_ref()?.fill {
            InpaintFill::Original => None,
            InpaintFill::Fill => Some("fill".to_owned()),
            InpaintFill::Noise => Some("latent noise".to_owned()),
            InpaintFill::Nothing => Some("latent nothing".to_owned()),
        },
        |recipe, value| {
            let fill = match value {
                "original" => InpaintFill::Original,
                "fill" => InpaintFill::Fill,
                "latent noise" => InpaintFill::Noise,
                "latent nothing" => InpaintFill::Nothing,
                _ => return None,
            };
            put(&mut inpaint(recipe).fill, fill)
        },
    ),
    Field::new(
        "Outpaint",
        |recipe| {
            let Extension { left, right, top, bottom } = recipe.settings.inpaint.as_ref()?.extend;
            let grown = [left, right, top, bottom].map(|side| side.to_string());
            (grown.iter().any(|side| side != "0")).then(|| grown.join(" "))
        },
        |recipe, value| {
            let sides = value.split(' ').map(|side| side.parse().ok()).collect::<Option<Vec<u32>>>()?;
            let [left, right, top, bottom] = *sides.as_slice() else { return None };
            put(&mut inpaint(recipe).extend, Extension { left, right, top, bottom })
        },
    ),
    Field::new(
        "Noise multiplier",
        |recipe| unless(&recipe.settings.image.as_ref()?.noise_multiplier, &1.0),
        |recipe, value| put(&mut image(recipe).noise_multiplier, number(value)?),
    ),
];

const FILES: &[Field] = &[
    Field::new(
        "Emphasis",
        |recipe| unless(&recipe.settings.text.emphasis, &Emphasis::Original),
        |recipe, value| put(&mut recipe.settings.text.emphasis, value.parse().ok()?),
    ),
    Field::new(
        "Pad conds",
        |recipe| flag(recipe.settings.text.pad_conds),
        |recipe, value| set_flag(&mut recipe.settings.text.pad_conds, value),
    ),
    Field::new(
        "Lora hashes",
        |recipe| UsedFile::to_list(&recipe.files.loras),
        |recipe, value| put(&mut recipe.files.loras, UsedFile::from_list(value)?),
    ),
    Field::new(
        "TI hashes",
        |recipe| UsedFile::to_list(&recipe.files.embeddings),
        |recipe, value| put(&mut recipe.files.embeddings, UsedFile::from_list(value)?),
    ),
];

const SAMPLING: &[Field] = &[
    Field::new(
        "Eta",
        |recipe| recipe.settings.sampling.eta.map(|eta| eta.to_string()),
        |recipe, value| put(&mut recipe.settings.sampling.eta, Some(number(value)?)),
    )
    .alias("Eta DDIM"),
    Field::new(
        "Sigma churn",
        |recipe| unless(&recipe.settings.sampling.s_churn, &0.0),
        |recipe, value| set_number(&mut recipe.settings.sampling.s_churn, value),
    ),
    Field::new(
        "Sigma tmin",
        |recipe| unless(&recipe.settings.sampling.s_tmin, &0.0),
        |recipe, value| set_number(&mut recipe.settings.sampling.s_tmin, value),
    ),
    Field::new(
        "Sigma tmax",
        |recipe| recipe.settings.sampling.s_tmax.map(|sigma| sigma.to_string()),
        |recipe, value| put(&mut recipe.settings.sampling.s_tmax, Some(number(value)?)),
    ),
    Field::new(
        "Sigma noise",
        |recipe| unless(&recipe.settings.sampling.s_noise, &1.0),
        |recipe, value| set_number(&mut recipe.settings.sampling.s_noise, value),
    ),
    Field::new(
        "Schedule min sigma",
        |recipe| recipe.settings.sampling.sigma_min.map(|sigma| sigma.to_string()),
        |recipe, value| put(&mut recipe.settings.sampling.sigma_min, Some(number(value)?)),
    ),
    Field::new(
        "Schedule max sigma",
        |recipe| recipe.settings.sampling.sigma_max.map(|sigma| sigma.to_string()),
        |recipe, value| put(&mut recipe.settings.sampling.sigma_max, Some(number(value)?)),
    ),
    Field::new(
        "Schedule rho",
        |recipe| recipe.settings.sampling.rho.map(|rho| rho.to_string()),
        |recipe, value| put(&mut recipe.settings.sampling.rho, Some(number(value)?)),
    ),
    Field::new(
        "Discard penultimate sigma",
        |recipe| flag(recipe.settings.sampling.discard_penultimate),
        |recipe, value| set_flag(&mut recipe.settings.sampling.discard_penultimate, value),
    ),
    Field::new(
        "CFG Rescale",
        |recipe| unless(&recipe.settings.sampling.cfg_rescale, &0.0),
        |recipe, value| set_number(&mut recipe.settings.sampling.cfg_rescale, value),
    ),
    Field::new(
        "Step noise",
        |recipe| named(&recipe.settings.sampling.noise.steps),
        |recipe, value| put(&mut recipe.settings.sampling.noise.steps, by_name(value)?),
    ),
    Field::new(
        "SGM noise multiplier",
        |recipe| flag(recipe.settings.sampling.sgm_noise),
        |recipe, value| set_flag(&mut recipe.settings.sampling.sgm_noise, value),
    ),
    Field::new(
        "Quantized timesteps",
        |recipe| flag(recipe.settings.sampling.quantize),
        |recipe, value| set_flag(&mut recipe.settings.sampling.quantize, value),
    ),
    Field::new(
        "Refiner",
        |recipe| match (&recipe.files.refiner, &recipe.settings.refiner) {
            (Some(file), _) => Some(file.to_string()),
            (None, settings) => settings.as_ref().map(|settings| settings.model.clone()),
        },
        |recipe, value| {
            let file = UsedFile::from_title(value);
            recipe.settings.refiner = Some(RefinerSettings { model: file.name.clone(), switch_at: 0.8 });
            put(&mut recipe.files.refiner, Some(file))
        },
    ),
    Field::new(
        "Refiner hash",
        |_| None,
        |recipe, value| put(&mut recipe.files.refiner.as_mut()?.hash, value.to_owned()),
    ),
    Field::new(
        "Refiner switch at",
        |recipe| recipe.settings.refiner.as_ref().map(|refiner| refiner.switch_at.to_string()),
        |recipe, value| set_number(&mut recipe.settings.refiner.as_mut()?.switch_at, value),
    ),
];

const HIRES: &[Field] = &[
    Field::new(
        "Hires sampler",
        |recipe| recipe.settings.hires.as_ref()?.sampler.map(|sampler| sampler.to_string()),
        |recipe, value| match value {
            "Use same sampler" => Some(()),
            name => put(&mut hires(recipe).sampler, Some(name.parse().ok()?)),
        },
    ),
    Field::new(
        "Hires prompt",
        |recipe| text(&recipe.settings.hires.as_ref()?.prompt),
        |recipe, value| put(&mut hires(recipe).prompt, value.to_owned()),
    ),
    Field::new(
        "Hires negative prompt",
        |recipe| text(&recipe.settings.hires.as_ref()?.negative_prompt),
        |recipe, value| put(&mut hires(recipe).negative_prompt, value.to_owned()),
    ),
    Field::new(
        "Hires CFG Scale",
        |recipe| recipe.settings.hires.as_ref()?.cfg_scale.map(|scale| scale.to_string()),
        |recipe, value| put(&mut hires(recipe).cfg_scale, Some(number(value)?)),
    ),
    Field::new(
        "Hires schedule type",
        |recipe| recipe.settings.hires.as_ref()?.sampling.as_ref().map(|sampling| sampling.scheduler.to_string()),
        |recipe, value| match value {
            "Use same scheduler" => Some(()),
            name => {
                let scheduler = name.parse().ok()?;
                let sampling = SamplingSettings { scheduler, ..recipe.settings.sampling.clone() };
                put(&mut hires(recipe).sampling, Some(sampling))
            }
        },
    ),
    Field::new(
        "Hires upscale",
        |recipe| {
            let hires = recipe.settings.hires.as_ref()?;
            hires.size.is_none().then(|| hires.scale.to_string())
        },
        |recipe, value| put(&mut hires(recipe).scale, number(value)?),
    ),
    Field::new(
        "Hires resize",
        |recipe| recipe.settings.hires.as_ref()?.size.map(|(width, height)| format!("{width}x{height}")),
        |recipe, value| match size(value)? {
            (0, 0) => Some(()),
            size => put(&mut hires(recipe).size, Some(size)),
        },
    ),
    Field::new(
        "Hires steps",
        |recipe| recipe.settings.hires.as_ref()?.steps.map(|steps| steps.to_string()),
        |recipe, value| put(&mut hires(recipe).steps, Some(value.parse().ok()?)),
    ),
    Field::new(
        "Hires upscaler",
        |recipe| Some(recipe.settings.hires.as_ref()?.upscaler.to_string()),
        |recipe, value| put(&mut recipe.settings.hires.as_mut()?.upscaler, UpscalerName::from(value)),
    ),
];

const LAST: &[Field] = &[
    Field::new(
        "Precision",
        |recipe| (recipe.precision != Precision::F32).then(|| recipe.precision.to_string()),
        |recipe, value| match value {
            "f32" => put(&mut recipe.precision, Precision::F32),
            "bf16" => put(&mut recipe.precision, Precision::Bf16),
            _ => None,
        },
    ),
    Field::new("Version", |recipe| text(&recipe.program), |recipe, value| put(&mut recipe.program, value.to_owned())),
];

fn image(recipe: &mut Recipe) -> &mut ImageSettings {
    recipe.settings.image.get_or_insert_default()
}

fn inpaint(recipe: &mut Recipe) -> &mut InpaintSettings {
    image(recipe);
    recipe.settings.inpaint.get_or_insert_default()
}

fn hires(recipe: &mut Recipe) -> &mut HiresSettings {
    recipe.settings.hires.get_or_insert_default()
}

fn flag(value: bool) -> Option<String> {
    value.then(|| "True".to_owned())
}

fn set_flag(setting: &mut bool, value: &str) -> Option<()> {
    match value {
        "True" | "true" => put(setting, true),
        "False" | "false" => put(setting, false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_once() {
        let mut keys: Vec<&str> = fields().flat_map(|field| field.alias.into_iter().chain([field.key])).collect();
        keys.sort_unstable();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
