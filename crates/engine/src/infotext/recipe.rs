use super::fields::FIELDS;
use super::{Infotext, UsedFiles};
use crate::GenerateSettings;

/// What it takes to draw a picture once more: what its infotext means.
///
/// ```
/// use engine::{Infotext, Recipe};
///
/// # let defaults = serde_json::from_str(r#"{"prompt": "", "width": 512, "height": 512, "steps": 20, "cfg_scale": 7.0, "seed": 0, "sampler": "Euler"}"#)?;
/// let text = "a cat\nSteps: 30, Sampler: DPM++ 2M Karras, Seed: 5, Size: 512x768, Model hash: 6ce0161689, Hires upscaler: 4x_foo";
/// let recipe = Recipe::understand(&Infotext::parse(text), &defaults);
/// assert_eq!((recipe.settings.seed, recipe.settings.height), (5, 768));
/// assert_eq!(recipe.files.model.hash, "6ce0161689");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The settings.
    pub settings: GenerateSettings,
    /// The files.
    pub files: UsedFiles,
    /// The program that drew it, with its version.
    pub program: String,
    /// Entries that mean nothing to this engine, as they stand.
    pub other: Vec<(String, String)>,
}

impl Recipe {
    /// The recipe of a picture that this program draws.
    pub fn new(settings: GenerateSettings, files: UsedFiles) -> Self {
        let program = concat!("fieldforge ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { settings, files, program, other: Vec::new() }
    }

    /// What an infotext of this program, AUTOMATIC1111, Forge, Fooocus or another that writes the format means. What it
    /// leaves open is what AUTOMATIC1111 leaves out when it has its default there, or else as in `defaults`. The
    /// settings are not checked: see [`GenerateSettings::check`].
    pub fn understand(text: &Infotext, defaults: &GenerateSettings) -> Self {
        let mut recipe = Self {
            settings: GenerateSettings {
                prompt: text.prompt.clone(),
                negative_prompt: text.negative_prompt.clone(),
                ..defaults.clone()
            },
            files: UsedFiles::default(),
            program: String::new(),
            other: text.entries.clone(),
        };
        for field in FIELDS {
            // of entries with the same key the last one counts
            let place =
                recipe.other.iter().rposition(|(key, _)| key == field.key || field.aliases.contains(&key.as_str()));
            let Some(place) = place else { continue };
            let (key, value) = recipe.other.remove(place);
            if (field.read)(&mut recipe, value.trim()).is_none() {
                recipe.other.insert(place, (key, value));
            }
        }
        recipe
    }

    /// The infotext: entries in AUTOMATIC1111's order, then the others, the program last.
    pub fn infotext(&self) -> Infotext {
        let written = FIELDS.iter().filter_map(|field| Some((field.key.to_owned(), (field.write)(self)?)));
        let mut entries: Vec<(String, String)> = written.chain(self.other.iter().cloned()).collect();
        if !self.program.is_empty() {
            entries.push(("Version".to_owned(), self.program.clone()));
        }
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
    use crate::{Sampler, UsedFile};
    use proptest::prelude::*;

    fn settings() -> GenerateSettings {
        let json = r#"{"prompt": "a banana, \"ripe\"", "width": 64, "height": 72, "steps": 20, "cfg_scale": 7.0, "seed": 1, "sampler": "DPM++ 2M Karras"}"#;
        serde_json::from_str(json).expect("settings")
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
        let odd = understood(
            "a\nSteps: many, Sampler: Magic, Seed: -1, Size: 0x0x0, CFG scale: NaN, ADetailer model: face_yolov8n.pt",
        );
        assert_eq!(odd.settings, GenerateSettings { prompt: "a".to_owned(), ..settings() });
        assert_eq!(odd.other.len(), 6, "{:?}", odd.other);
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
                ..super::tests::settings()
            },
        )
    }

    fn any_file() -> impl Strategy<Value = UsedFile> {
        ("[a-zA-Z0-9_ .-]{1,9}[a-z]", "[0-9a-f]{10,12}").prop_map(|(name, hash)| UsedFile::new(name.trim(), hash))
    }

    proptest! {
        #[test]
        fn settings_and_files_come_back(
            settings in any_settings(),
            (model, vae, refiner) in (any_file(), prop::option::of(any_file()), prop::option::of(any_file())),
            (loras, embeddings) in (prop::collection::vec(any_file(), 0..3), prop::collection::vec(any_file(), 0..3)),
        ) {
            let recipe = Recipe::new(settings, UsedFiles { model, vae, refiner, loras, embeddings });
            let text = recipe.infotext().to_string();
            let other = GenerateSettings { steps: 149, ..super::tests::settings() };
            prop_assert_eq!(Recipe::understand(&Infotext::parse(&text), &other), recipe, "{}", text);
        }
    }
}
