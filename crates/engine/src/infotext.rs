use crate::GenerateSettings;

/// The text that AUTOMATIC1111 stores in a picture under the keyword `parameters`, in its order and quoting:
///
/// ```text
/// a banana
/// Negative prompt: blurry
/// Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 64x64, Model hash: dc416b77b1, Model: spark, RNG: CPU, Version: fieldforge 0.1.0
/// ```
///
/// `model_hash` is the start of the model file's SHA-256 (10 digits there).
pub fn infotext(settings: &GenerateSettings, model_name: &str, model_hash: &str) -> String {
    let (sampler, schedule) = settings.sampler.infotext_names();
    let entries = [
        ("Steps", settings.steps.to_string()),
        ("Sampler", sampler.to_owned()),
        ("Schedule type", schedule.to_owned()),
        ("CFG scale", settings.cfg_scale.to_string()),
        ("Seed", settings.seed.to_string()),
        ("Size", format!("{}x{}", settings.width, settings.height)),
        ("Model hash", model_hash.to_owned()),
        ("Model", model_name.to_owned()),
        ("RNG", "CPU".to_owned()),
        ("Version", format!("fieldforge {}", env!("CARGO_PKG_VERSION"))),
    ];
    let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {}", quoted(value))).collect();
    let mut text = settings.prompt.clone();
    if !settings.negative_prompt.is_empty() {
        text.push_str("\nNegative prompt: ");
        text.push_str(&settings.negative_prompt);
    }
    text.push('\n');
    text.push_str(&entries.join(", "));
    text.trim().to_owned()
}

/// A value as a JSON string where it holds a comma, a colon or a line break; otherwise as it is.
fn quoted(value: &str) -> String {
    if value.contains([',', ':', '\n']) { serde_json::Value::from(value).to_string() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampler;

    #[test]
    fn the_text_is_that_of_automatic1111() {
        let mut settings = GenerateSettings {
            prompt: "a banana, \"ripe\"".to_owned(),
            negative_prompt: String::new(),
            width: 64,
            height: 72,
            steps: 20,
            cfg_scale: 7.0,
            seed: 1,
            sampler: Sampler::DpmPp2mKarras,
        };
        assert_eq!(
            infotext(&settings, "spark", "abcdef1234"),
            "a banana, \"ripe\"\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, \
             Size: 64x72, Model hash: abcdef1234, Model: spark, RNG: CPU, Version: fieldforge 0.1.0"
        );
        settings.negative_prompt = "blurry".to_owned();
        settings.cfg_scale = 7.5;
        settings.sampler = Sampler::EulerA;
        assert_eq!(
            infotext(&settings, "my, \"model\"", "abcdef1234"),
            "a banana, \"ripe\"\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.5, Seed: 1, \
             Size: 64x72, Model hash: abcdef1234, Model: \"my, \\\"model\\\"\", RNG: CPU, Version: fieldforge 0.1.0"
        );
    }
}
