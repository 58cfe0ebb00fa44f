//! A graph of ComfyUI's core nodes as settings, where it is one walk from noise to picture.

use super::Settings;
use serde_json::{Map, Value};

/// How many nodes lie behind each other at most: a ring must end somewhere.
const DEPTH: usize = 32;

/// What the first `KSampler` of a graph does; `None` if it has none.
pub(super) fn settings(graph: &str, remarks: &mut Vec<String>) -> Option<Settings> {
    let Ok(Value::Object(graph)) = serde_json::from_str(graph) else { return None };
    let graph = Graph(graph);
    let samplers = graph.all("KSampler").chain(graph.all("KSamplerAdvanced")).count();
    let sampler = graph.all("KSampler").chain(graph.all("KSamplerAdvanced")).next()?;
    let mut settings = Settings::new();
    let mut copy = |from: &Map<String, Value>, key: &str, name: &str| {
        if let Some(value) = from.get(key).filter(|value| value.is_number() || value.is_string()) {
            settings.insert(name.to_owned(), value.clone());
        }
    };
    for (key, name) in [
        ("seed", "seed"),
        ("noise_seed", "seed"),
        ("steps", "steps"),
        ("cfg", "cfg_scale"),
        ("sampler_name", "sampler"),
        ("scheduler", "scheduler"),
    ] {
        copy(sampler, key, name);
    }
    if let Some(latent) = graph.before(sampler, "latent_image", "EmptyLatentImage") {
        copy(latent, "width", "width");
        copy(latent, "height", "height");
    }
    for (key, name) in [("positive", "prompt"), ("negative", "negative_prompt")] {
        if let Some(node) = graph.before(sampler, key, "CLIPTextEncode") {
            copy(node, "text", name);
        }
    }
    if let Some(loader) = graph.before(sampler, "model", "CheckpointLoaderSimple") {
        copy(loader, "ckpt_name", "model");
    }
    // LoRAs are nodes there and words here
    let tags: Vec<String> = graph
        .all("LoraLoader")
        .filter_map(|node| {
            let name = node.get("lora_name")?.as_str()?;
            let name = name.strip_suffix(".safetensors").unwrap_or(name);
            Some(format!(" <lora:{name}:{}>", node.get("strength_model").and_then(Value::as_f64).unwrap_or(1.0)))
        })
        .collect();
    if let Some(Value::String(prompt)) = settings.get_mut("prompt") {
        prompt.push_str(&tags.concat());
    }
    if samplers > 1 {
        remarks.push(format!("ComfyUI drew it in {samplers} passes: these are the settings of one of them"));
    }
    // what ComfyUI calls them is read, but shown as people know it
    let name =
        settings.get("sampler").and_then(Value::as_str).and_then(|name| engine::Sampler::with_scheduler(name).ok());
    if let Some((sampler, _)) = name {
        settings.insert("sampler".to_owned(), sampler.to_string().into());
    }
    if let Some(Ok(scheduler)) = settings.get("scheduler").and_then(Value::as_str).map(str::parse::<engine::Scheduler>)
    {
        settings.insert("scheduler".to_owned(), scheduler.to_string().into());
    }
    Some(settings)
}

/// Nodes by their numbers.
struct Graph(Map<String, Value>);

impl Graph {
    /// The inputs of all nodes of a class.
    fn all<'a>(&'a self, class: &'a str) -> impl Iterator<Item = &'a Map<String, Value>> {
        let of_class = move |node: &&Value| node.get("class_type").and_then(Value::as_str) == Some(class);
        self.0.values().filter(of_class).filter_map(|node| node.get("inputs")?.as_object())
    }

    /// The inputs of the nearest node of `class` before an input: straight behind it, or behind nodes that pass on what
    /// they get under the same name or as a conditioning, a model or samples.
    fn before(&self, node: &Map<String, Value>, input: &str, class: &str) -> Option<&Map<String, Value>> {
        let mut link = node.get(input)?;
        for _ in 0..DEPTH {
            let number = link.as_array()?.first()?.as_str()?;
            let found = self.0.get(number)?;
            let inputs = found.get("inputs")?.as_object()?;
            if found.get("class_type").and_then(Value::as_str) == Some(class) {
                return Some(inputs);
            }
            link = [input, "conditioning", "model", "samples"].iter().find_map(|name| inputs.get(*name))?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_graph_is_read_and_a_ring_ends() {
        let graph = r#"{
            "3": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": 20, "cfg": 6.5, "sampler_name": "dpmpp_2m",
                  "scheduler": "karras", "model": ["10", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
            "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dream.safetensors"}},
            "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
            "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["10", 1]}},
            "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["10", 1]}},
            "10": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.safetensors", "strength_model": 0.5, "model": ["4", 0]}}
        }"#;
        let settings = settings(graph, &mut Vec::new()).expect("settings");
        assert_eq!(
            Value::Object(settings),
            serde_json::json!({
                "seed": 5, "steps": 20, "cfg_scale": 6.5, "sampler": "DPM++ 2M", "scheduler": "Karras", "width": 512,
                "height": 768, "prompt": "a cat <lora:ink:0.5>", "negative_prompt": "blurry", "model": "dream.safetensors"
            })
        );
        let ring = r#"{"1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0]}}, "2": {"class_type": "X", "inputs": {"conditioning": ["2", 0]}}}"#;
        assert_eq!(super::settings(ring, &mut Vec::new()), Some(Settings::new()));
        assert_eq!(super::settings("[]", &mut Vec::new()), None);
    }
}
