use super::fields::fields;
use super::{Infotext, UsedFiles};
use crate::{GenerateSettings, Precision, RandomSource};

/// What it takes to draw a picture once more: what its infotext means.
///
/// ```
/// use engine::{GenerateSettings, Infotext, Recipe};
///
/// let text = "a cat\nSteps: 30, Sampler: DPM++ 2M Karras, Seed: 5, Size: 512x768, Model hash: 6ce0161689, Hires upscaler: 4x_foo";
/// let recipe = Recipe::understand(&Infotext::parse(text), &GenerateSettings::default());
/// assert_eq!((recipe.settings.seed, recipe.settings.height), (5, 768));
/// assert_eq!(recipe.files.model.hash, "6ce0161689");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The settings.
    pub settings: GenerateSettings,
    /// The files.
    pub files: UsedFiles,
    /// The precision of its products; the text names it if it is not f32.
    pub precision: Precision,
    /// The program that drew it, with its version.
    pub program: String,
    /// Entries that mean nothing to this engine, as they stand.
    pub other: Vec<(String, String)>,
}

impl Recipe {
    /// The recipe of a picture that this program draws.
    pub fn new(settings: GenerateSettings, files: UsedFiles) -> Self {
        let program = concat!("fieldforge ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { settings, files, precision: Precision::F32, program, other: Vec::new() }
    }

    /// The same for a picture whose products were taken in another precision than f32.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// What an infotext of this program, AUTOMATIC1111, Forge, Fooocus or another that writes the format means. What it
    /// leaves open is at AUTOMATIC1111's default, but size, steps, CFG scale, seed and sampler are as in `defaults`. The
    /// settings are not checked: see [`GenerateSettings::check`]. A picture that was drawn from a picture needs that one
    /// again, and one whose text has a refiner needs that model.
    pub fn understand(text: &Infotext, defaults: &GenerateSettings) -> Self {
        let mut recipe = Self {
            settings: GenerateSettings {
                prompt: text.prompt.clone(),
                negative_prompt: text.negative_prompt.clone(),
                width: defaults.width,
                height: defaults.height,
                steps: defaults.steps,
                cfg_scale: defaults.cfg_scale,
                seed: defaults.seed,
                sampler: defaults.sampler,
                ..GenerateSettings::default()
            },
            files: UsedFiles::default(),
            precision: Precision::F32,
            program: String::new(),
            other: text.entries.clone(),
        };
        for field in fields() {
            // of entries with the same key the last one counts
            let place = recipe.other.iter().rposition(|(key, _)| field.has_key(key));
            let Some(place) = place else { continue };
            let (key, value) = recipe.other.remove(place);
            if (field.read)(&mut recipe, value.trim()).is_none() {
                recipe.other.insert(place, (key, value));
            }
        }
        // AUTOMATIC1111 and Forge name the generator only if it is not the card's; Fooocus knows only the processor's
        let silent = text.get("Steps").is_some() && text.get("RNG").is_none();
        if silent && !recipe.program.starts_with("Fooocus") {
            recipe.settings.sampling.noise.source = RandomSource::Nv;
        }
        recipe
    }

    /// The infotext: entries in AUTOMATIC1111's order, then the others, the program last.
    pub fn infotext(&self) -> Infotext {
        let mut entries: Vec<(String, String)> =
            fields().filter_map(|field| Some((field.key.to_owned(), (field.write)(self)?))).collect();
        // the program stays last
        let end = entries.len() - usize::from(entries.last().is_some_and(|(key, _)| key == "Version"));
        entries.splice(end..end, self.other.iter().cloned());
        Infotext {
            prompt: self.settings.prompt.clone(),
            negative_prompt: self.settings.negative_prompt.clone(),
            entries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_ops::{Extension, ResizeMode};
    use crate::{
        Emphasis, HiresSettings, ImageSettings, InpaintFill, InpaintSettings, RefinerSettings, Sampler,
        SamplingSettings, Scheduler, TextSettings, UpscalerName, UsedFile,
    };
    use proptest::prelude::*;

    fn settings() -> GenerateSettings {
        GenerateSettings {
            prompt: "a banana, \"ripe\"".to_owned(),
            width: 64,
            height: 72,
            seed: 1,
            sampler: Sampler::DpmPp2m,
            ..GenerateSettings::default()
        }
    }

    #[test]
    fn the_text_is_that_of_automatic1111() {
        let mut recipe =
            Recipe::new(settings(), UsedFiles { model: UsedFile::new("spark", "abcdef1234"), ..UsedFiles::default() });
        assert_eq!(
            recipe.infotext().to_string(),
            "a banana, \"ripe\"\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, \
             Size: 64x72, Model hash: abcdef1234, Model: spark, RNG: CPU, Version: fieldforge 0.1.0"
        );
        recipe.settings.negative_prompt = "blurry".to_owned();
        recipe.settings.cfg_scale = 7.5;
        recipe.settings.sampler = Sampler::EulerA;
        recipe.files = UsedFiles {
            model: UsedFile::new("my, \"model\"", "abcdef1234"),
            vae: Some(UsedFile::new("ft-mse.safetensors", "735e4c3a44")),
            refiner: Some(UsedFile::new("sd_xl_refiner", "7440042bbd")),
            loras: vec![UsedFile::new("ink", "0123456789ab"), UsedFile::new("a:b,c", "ba9876543210")],
            embeddings: vec![UsedFile::new("easynegative", "c74b4e810b03")],
        };
        assert_eq!(
            recipe.infotext().to_string(),
            "a banana, \"ripe\"\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.5, Seed: 1, \
             Size: 64x72, Model hash: abcdef1234, Model: \"my, \\\"model\\\"\", VAE hash: 735e4c3a44, VAE: ft-mse.safetensors, RNG: CPU, \
             Lora hashes: \"ink: 0123456789ab, abc: ba9876543210\", TI hashes: easynegative: c74b4e810b03, Refiner: sd_xl_refiner [7440042bbd], Version: fieldforge 0.1.0"
                .replace("easynegative: c74b4e810b03", "\"easynegative: c74b4e810b03\"")
        );
    }

    #[test]
    fn the_text_names_the_precision_if_it_is_not_f32() {
        let recipe = Recipe::new(settings(), UsedFiles::default()).in_precision(Precision::Bf16);
        let text = recipe.infotext().to_string();
        assert!(text.ends_with("RNG: CPU, Precision: bf16, Version: fieldforge 0.1.0"), "{text}");
        assert_eq!(Recipe::understand(&Infotext::parse(&text), &settings()), recipe);
        let odd =
            Recipe::understand(&Infotext::parse("a\nSteps: 3, Size: 64x64, Seed: 1, Precision: full"), &settings());
        assert_eq!((odd.precision, odd.other.len()), (Precision::F32, 1));
    }

    #[test]
    fn texts_of_other_programs_are_understood() {
        let understood = |text: &str| Recipe::understand(&Infotext::parse(text), &settings());
        let old = understood(
            "a\nSteps: 30, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 965400086, Size: 512x512, Model hash: 45dee52b",
        );
        assert_eq!((old.settings.steps, old.settings.sampler, old.settings.seed), (30, Sampler::DpmPp2m, 965_400_086));
        assert_eq!(
            (old.files.model.hash.as_str(), old.files.model.name.as_str(), old.other.len()),
            ("45dee52b", "", 0)
        );
        let fooocus = understood(
            "a, cinematic\nNegative prompt: b\nSteps: 30, Sampler: Euler a, Seed: 7, Size: 1152x896, CFG scale: 4, Sharpness: 2, \
             ADM Guidance: \"(1.5, 0.8, 0.3)\", Model: juggernautXL_v8, Model hash: aeb7e9e689, Performance: Speed, Scheduler: karras, \
             VAE: Default (model), Raw prompt: a, Refiner: sd_xl_refiner, Refiner hash: 7440042bbd, Lora hashes: \"offset: 4852686128\", \
             Lora weights: \"offset: 0.1\", Version: Fooocus v2.5.5",
        );
        assert_eq!((fooocus.settings.width, fooocus.settings.height, fooocus.settings.cfg_scale), (1152, 896, 4.0));
        assert_eq!(fooocus.files.loras, [UsedFile::new("offset", "4852686128")]);
        assert_eq!(fooocus.files.refiner, Some(UsedFile::new("sd_xl_refiner", "7440042bbd")));
        assert_eq!((fooocus.files.vae, fooocus.program.as_str()), (None, "Fooocus v2.5.5"));
        assert!(fooocus.other.contains(&("ADM Guidance".to_owned(), "(1.5, 0.8, 0.3)".to_owned())));
        let deep =
            understood("a\nSteps: 30, Sampler: Euler a, Clip skip: 2, RNG: CPU, Emphasis: No norm, Pad conds: True");
        assert_eq!(deep.settings.text, TextSettings { clip_skip: 2, emphasis: Emphasis::NoNorm, pad_conds: true });
        let written = deep.infotext().to_string();
        assert!(written.contains("Clip skip: 2, RNG: CPU, Emphasis: No norm, Pad conds: True"), "{written}");
        let odd = understood(
            "a\nSteps: many, Sampler: Magic, Seed: -1, Size: 0x0x0, CFG scale: NaN, ADetailer model: face_yolov8n.pt",
        );
        let mut expected = GenerateSettings { prompt: "a".to_owned(), ..settings() };
        expected.sampling.noise.source = RandomSource::Nv;
        assert_eq!(odd.settings, expected, "no word about the generator means the card's");
        assert_eq!(fooocus.settings.sampling.noise.source, RandomSource::Cpu);
        let hires = understood(
            "a\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 3, Size: 512x768, Denoising strength: 0.4, \
             Hires upscale: 1.5, Hires steps: 10, Hires upscaler: 4x-UltraSharp, Refiner: sd_xl_refiner_1.0 [7440042bbd], \
             Refiner switch at: 0.8, ControlNet 0: \"Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 1.0\", Version: v1.10.1",
        );
        let second = hires.settings.hires.unwrap_or_default();
        assert_eq!((second.strength, second.scale, second.steps), (0.4, 1.5, Some(10)));
        assert_eq!(second.upscaler, UpscalerName::Model("4x-UltraSharp".to_owned()));
        assert_eq!(hires.settings.refiner.map(|refiner| refiner.switch_at), Some(0.8));
        assert_eq!(hires.other.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(", "), "ControlNet 0");
        let inpaint = understood(
            "a\nSteps: 20, Sampler: Euler, Seed: 3, Denoising strength: 0.75, Mask blur: 8, Inpaint area: Only masked, Masked area padding: 40",
        );
        let mask = inpaint.settings.inpaint.unwrap_or_default();
        assert_eq!((mask.mask_blur_x, mask.mask_blur_y, mask.only_masked), (8.0, 8.0, Some(40)));
        assert_eq!(inpaint.settings.image.map(|image| image.strength), Some(0.75));
        assert_eq!(odd.other.len(), 6, "{:?}", odd.other);
    }

    #[test]
    fn settings_of_sampling_come_back() {
        let json = r#"{"scheduler": "SGM Uniform", "eta": 0.5, "s_churn": 2.0, "s_tmin": 0.1, "s_tmax": 9.5, "s_noise": 1.01,
            "sigma_min": 0.1, "sigma_max": 10.0, "rho": 5.0, "discard_penultimate": true, "sgm_noise": true,
            "noise": {"source": "NV", "steps": "cpu_next_seed", "seed_delta": 31337, "variation_seed": 7, "variation_strength": 0.25, "resized_from": [512, 640]}}"#;
        let sampling = serde_json::from_str(json).expect("settings");
        let recipe = Recipe::new(GenerateSettings { sampling, ..settings() }, UsedFiles::default());
        let text = recipe.infotext().to_string();
        assert!(
            text.contains(
                "Variation seed: 7, Variation seed strength: 0.25, Seed resize from: 512x640, ENSD: 31337, RNG: NV"
            ),
            "{text}"
        );
        assert_eq!(Recipe::understand(&Infotext::parse(&text), &settings()).settings, recipe.settings, "{text}");
    }

    #[test]
    fn a_file_is_known_by_the_start_of_its_digest() {
        let sha256 = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa";
        assert!(UsedFile::new("", "6ce0161689").has_sha256(sha256));
        assert!(UsedFile::new("", "6CE0161689B3").has_sha256(sha256));
        assert!(!UsedFile::new("", "6ce016168a").has_sha256(sha256));
        assert!(!UsedFile::new("", "").has_sha256(sha256) && !UsedFile::new("", "6ce01616").has_sha256(sha256));
    }

    fn any_settings() -> impl Strategy<Value = GenerateSettings> {
        let text = "[^\n\r:]{0,12}(\n[a-z(:1.2)]{1,9})?";
        (text, text, 1_u32..300, 1_u32..150, 0.0_f32..40.0, any::<u64>(), 0_usize..Sampler::ALL.len()).prop_map(
            |(prompt, negative, side, steps, cfg_scale, seed, sampler)| GenerateSettings {
                prompt: prompt.trim().to_owned(),
                negative_prompt: negative.trim().to_owned(),
                width: side * 8,
                height: 2048 - side,
                steps,
                cfg_scale,
                seed,
                sampler: Sampler::ALL[sampler],
                ..GenerateSettings::default()
            },
        )
    }

    fn any_sampling() -> impl Strategy<Value = SamplingSettings> {
        let number = || prop::option::of(0.0_f32..20.0);
        (number(), number(), number(), number(), number(), 0.0_f32..2.0, any::<[bool; 3]>()).prop_map(
            |(eta, s_tmax, sigma_min, sigma_max, rho, s_noise, [discard_penultimate, quantize, sgm_noise])| {
                let (s_churn, s_tmin) = (s_noise * 3.0, s_noise / 7.0);
                SamplingSettings {
                    eta,
                    s_tmax,
                    sigma_min,
                    sigma_max,
                    rho,
                    s_noise,
                    s_churn,
                    s_tmin,
                    discard_penultimate,
                    quantize,
                    sgm_noise,
                    cfg_rescale: s_noise / 2.0,
                    ..SamplingSettings::default()
                }
            },
        )
    }

    fn any_image() -> impl Strategy<Value = (ImageSettings, Option<InpaintSettings>)> {
        let mode = 0_usize..ResizeMode::ALL.len();
        let numbers = (0.0_f32..1.0, 0.0_f32..2.0, 0.0_f32..9.0);
        let mask = (0_usize..4, prop::option::of(0_u32..99), any::<bool>(), any::<bool>(), any::<[u8; 4]>());
        (mode, numbers, prop::option::of(mask)).prop_map(
            |(mode, (strength, noise_multiplier, image_cfg_scale), mask)| {
                let resize_mode = ResizeMode::ALL[mode];
                let image = ImageSettings {
                    strength,
                    noise_multiplier,
                    image_cfg_scale,
                    resize_mode,
                    ..ImageSettings::default()
                };
                let inpaint = mask.map(|(fill, only_masked, invert, even, sides)| {
                    let [left, right, top, bottom] = sides.map(|side| u32::from(side) / 64 * 8);
                    InpaintSettings {
                        fill: InpaintFill::ALL[fill],
                        only_masked,
                        mask_blur_x: noise_multiplier,
                        mask_blur_y: if even { noise_multiplier } else { strength },
                        invert,
                        extend: Extension { left, right, top, bottom },
                    }
                });
                (image, inpaint)
            },
        )
    }

    fn any_hires() -> impl Strategy<Value = HiresSettings> {
        let size = prop::option::of((0_u32..2000, 1_u32..2000));
        let names = ["Latent (nearest-exact)", "Lanczos", "4x-UltraSharp", "R-ESRGAN 4x+, fast"];
        let other =
            prop::option::of((1_u32..150, 1.0_f32..30.0, 0_usize..Sampler::ALL.len(), 1_usize..Scheduler::ALL.len()));
        (size, 0_usize..names.len(), 0.0_f32..1.0, other, "[^\\s:]{0,9}").prop_map(
            move |(size, name, strength, other, prompt)| HiresSettings {
                scale: if size.is_some() { 2.0 } else { 1.0 + strength },
                size,
                upscaler: UpscalerName::from(names[name]),
                strength,
                steps: other.map(|other| other.0),
                cfg_scale: other.map(|other| other.1),
                sampler: other.map(|other| Sampler::ALL[other.2]),
                sampling: other.map(|other| SamplingSettings {
                    scheduler: Scheduler::ALL[other.3],
                    ..SamplingSettings::default()
                }),
                negative_prompt: prompt.chars().rev().collect(),
                prompt,
            },
        )
    }

    fn any_file() -> impl Strategy<Value = UsedFile> {
        ("[a-zA-Z0-9_ .-]{1,9}[a-z]", "[0-9a-f]{10,12}").prop_map(|(name, hash)| UsedFile::new(name.trim(), hash))
    }

    fn come_back(recipe: &Recipe) -> Result<(), TestCaseError> {
        let text = recipe.infotext().to_string();
        let other = GenerateSettings { steps: 149, ..settings() };
        prop_assert_eq!(&Recipe::understand(&Infotext::parse(&text), &other), recipe, "{}", text);
        Ok(())
    }

    proptest! {
        #[test]
        fn settings_and_files_come_back(
            settings in any_settings(),
            (model, vae, refiner) in (any_file(), prop::option::of(any_file()), prop::option::of(any_file())),
            (loras, embeddings) in (prop::collection::vec(any_file(), 0..3), prop::collection::vec(any_file(), 0..3)),
        ) {
            let settings = GenerateSettings {
                refiner: refiner.as_ref().map(|file| RefinerSettings { model: file.name.clone(), switch_at: settings.cfg_scale / 40.0 }),
                ..settings
            };
            let recipe = Recipe::new(settings, UsedFiles { model, vae, refiner, loras, embeddings });
            come_back(&recipe)?;
        }

        #[test]
        fn every_way_of_drawing_comes_back(
            (settings, sampling) in (any_settings(), any_sampling()),
            (image, hires) in (any_image(), any_hires()),
        ) {
            let (image, inpaint) = image;
            let drawn = GenerateSettings { sampling, ..settings };
            let none = || UsedFiles { model: UsedFile::new("m", ""), ..UsedFiles::default() };
            come_back(&Recipe::new(drawn.clone(), none()))?;
            come_back(&Recipe::new(GenerateSettings { image: Some(image), inpaint, ..drawn.clone() }, none()))?;
            let mut hires = hires;
            if let Some(sampling) = &mut hires.sampling {
                *sampling = SamplingSettings { scheduler: sampling.scheduler, ..drawn.sampling.clone() };
            }
            come_back(&Recipe::new(GenerateSettings { hires: Some(hires), ..drawn }, none()))?;
        }
    }
}
