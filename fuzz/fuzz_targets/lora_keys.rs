//! Any names and shapes as a LoRA: each key is used or reported, and never a panic. One line a tensor: its name, then
//! its sides.
#![no_main]

use std::sync::{Arc, LazyLock};

use engine::{AppliedLora, Lora, Model};

static SPARK: LazyLock<Model> = LazyLock::new(|| {
    let bytes = include_bytes!("../../models/spark/spark.safetensors");
    Model::from_static("spark", bytes).expect("spark")
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut tensors = std::collections::BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let sides: Vec<usize> = words.take(4).map(|side| usize::from(side.parse::<u8>().unwrap_or(1))).collect();
        if name != "__metadata__" && sides.iter().product::<usize>() < 1 << 20 {
            tensors.insert(name.to_owned(), sides);
        }
    }
    let Ok(lora) = Lora::from_bytes("fuzz", file(&tensors)) else { return };
    let applied = AppliedLora { lora: Arc::new(lora), unet_weight: 1.0, text_weight: 1.0 };
    if let Ok(reports) = SPARK.set_loras(&[applied]) {
        let report = &reports[0];
        assert_eq!(report.matched + report.unmatched.len(), tensors.len(), "{report:?}");
        let merged = SPARK.weight("model.diffusion_model.input_blocks.1.0.in_layers.2.weight");
        assert!(merged.is_ok());
    }
});

/// A safetensors file of half-precision zeros.
fn file(tensors: &std::collections::BTreeMap<String, Vec<usize>>) -> Vec<u8> {
    let mut end = 0;
    let entries = tensors.iter().map(|(name, sides)| {
        let start = end;
        end += 2 * sides.iter().product::<usize>();
        let entry = serde_json::json!({"dtype": "F16", "shape": sides, "data_offsets": [start, end]});
        (name.clone(), entry)
    });
    let header = serde_json::Value::Object(entries.collect()).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + end, 0);
    bytes
}
