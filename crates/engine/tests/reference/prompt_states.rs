//! What becomes of prompts inside a model: tokens and weights of each chunk, hidden states with weights.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use candle_core::{DType, Device, Tensor};
use engine::prompt::PromptSteps;
use engine::{Emphasis, EngineError, GenerateSettings, Model, OpenOptions, PromptChunk, Shelf, TextSettings};
use serde_json::Value;

use crate::procedural;
use crate::prompts::rows;
use crate::support::{Golden, assert_close, golden_path};

/// How many vectors each embedding has; as in `scripts/reference/prompt_goldens.py`.
const VECTORS: [(&str, usize); 5] =
    [("easy", 3), ("easy negative", 9), ("bad-hands", 4), ("long one", 40), ("full", 75)];

/// The tiny model with embeddings, some named as A1111 does and some as diffusers does.
static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder").keep();
    for (name, vectors) in VECTORS {
        let key = if name.contains(' ') { format!("<{name}>") } else { "emb_params".to_owned() };
        save(&folder, name, [(key, procedural::tensor(&format!("embedding.{name}"), &[vectors, 128]))]);
    }
    save(&folder, "xl/xlhands", [("clip_l".to_owned(), zeros(768)), ("clip_g".to_owned(), zeros(1280))]);
    fs_err::write(folder.join("picklejar.pt"), b"\x80\x02}q\x00.").expect("a pickle");
    let model = procedural::open(&procedural::tensors("tiny"), &OpenOptions::default()).expect("a tiny model");
    model.set_embeddings(Shelf::of_folder("embedding", &folder).expect("a shelf"));
    model
});

/// The tiny XL with embeddings.
static XL: LazyLock<Model> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder").keep();
    for (name, vectors) in VECTORS {
        let tensors = [("clip_l", 64), ("clip_g", 128)].map(|(key, width)| {
            (key.to_owned(), procedural::tensor(&format!("embedding.{key}.{name}"), &[vectors, width]))
        });
        save(&folder, name, tensors);
    }
    let model = procedural::open(&procedural::with_vae("sdxl"), &OpenOptions::default()).expect("a tiny XL");
    model.set_embeddings(Shelf::of_folder("embedding", &folder).expect("a shelf"));
    model
});

fn zeros(width: usize) -> Tensor {
    Tensor::zeros((2, width), DType::F32, &Device::Cpu).expect("vectors")
}

fn save<const N: usize>(folder: &Path, name: &str, tensors: [(String, Tensor); N]) {
    let path = folder.join(format!("{name}.safetensors"));
    fs_err::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    candle_core::safetensors::save(&tensors.into(), path).expect("an embedding");
}

fn settings(prompt: &str, emphasis: Emphasis) -> GenerateSettings {
    let text = TextSettings { emphasis, ..TextSettings::default() };
    GenerateSettings { prompt: prompt.to_owned(), steps: 12, text, ..GenerateSettings::recommended(MODEL.info()) }
}

fn assert_chunks(prompt: &str, found: &[PromptChunk], expected: &Value) {
    let expected = expected.as_array().expect("chunks");
    assert_eq!(found.len(), expected.len(), "{prompt:?}: chunks");
    for (found, expected) in found.iter().zip(expected) {
        let mut ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).expect("ids");
        ids.resize(77, 49_407);
        assert_eq!(found.ids, ids, "{prompt:?}");
        let runs: Vec<(f32, usize)> = serde_json::from_value(expected["weights"].clone()).expect("weights");
        let weights: Vec<f32> = runs.into_iter().flat_map(|(weight, count)| vec![weight; count]).collect();
        assert_eq!(weights.len(), 77);
        for (found, expected) in found.weights.iter().zip(&weights) {
            assert!((found - expected).abs() <= 1e-6, "{prompt:?}: weight {found}, expected {expected}");
        }
        let vectors: Vec<(usize, String)> = serde_json::from_value(expected["vectors"].clone()).expect("vectors");
        assert_eq!(found.embeddings, vectors, "{prompt:?}");
    }
}

#[test]
fn chunks_of_both_grammars() {
    for (prompt, row) in rows() {
        for (emphasis, key) in [(Emphasis::Original, "webui_chunks"), (Emphasis::ComfyUi, "comfy_chunks")] {
            let report = MODEL.read_prompts(&settings(&prompt, emphasis)).expect("a report");
            assert_chunks(&prompt, &report.prompt, &row[key]);
        }
    }
}

#[test]
fn states_equal_the_reference() {
    let golden = Golden::load("prompt_states");
    let cases = fs_err::read_to_string(golden_path("prompt_states.json")).expect("cases");
    let cases: Vec<BTreeMap<String, Value>> = serde_json::from_str(&cases).expect("cases");
    assert!(cases.len() >= 21);
    for case in cases {
        let (name, prompt) = (case["name"].as_str().expect("a name"), case["prompt"].as_str().expect("a prompt"));
        let number = |key: &str| case[key].as_u64().expect("a number");
        let text = TextSettings {
            clip_skip: number("clip_skip") as u32,
            emphasis: serde_json::from_value(case["emphasis"].clone()).expect("a formula"),
            ..TextSettings::default()
        };
        let settings = GenerateSettings { text, ..settings(prompt, Emphasis::None) };
        let steps = PromptSteps::first_pass(10);
        let model = if name.starts_with("xl") { &XL } else { &MODEL };
        let (parts, _) = model.conditionings(&settings, steps, number("call") as usize).expect("conditionings");
        let [(1.0, found)] = parts.as_slice() else { panic!("{name}: {} parts", parts.len()) };
        let norms = found.context.sqr().and_then(|squares| squares.sum(2)?.sqrt()).expect("norms");
        assert_close(&format!("prompt {name} norms"), &norms, golden.get(&format!("{name}.norms")), 1e-4);
        if let Some(pooled) = &found.pooled {
            assert_close(&format!("prompt {name} pooled"), pooled, golden.get(&format!("{name}.pooled")), 1e-4);
        }
        let places = golden.get(&format!("{name}.states")).dims()[1];
        let places: Vec<u32> = (0..places as u32).map(|place| place * 11).collect();
        let found = found.context.index_select(&Tensor::new(places, &Device::Cpu).expect("places"), 1).expect("states");
        assert_close(&format!("prompt {name}"), &found, golden.get(&format!("{name}.states")), 1e-4);
    }
}

#[test]
fn plain_prompts_have_the_bits_of_the_text_encoder() {
    for prompt in ["", "a red apple, on a table"] {
        let (expected, _) = MODEL.encode(&[prompt, "blurry"], 1).expect("states");
        for emphasis in Emphasis::ALL {
            let settings = GenerateSettings { negative_prompt: "blurry".to_owned(), ..settings(prompt, emphasis) };
            let (parts, negative) =
                MODEL.conditionings(&settings, PromptSteps::first_pass(12), 0).expect("conditionings");
            let found = Tensor::cat(&[&parts[0].1.context, &negative.context], 0).expect("both");
            assert_close(&format!("prompt plain {emphasis} {}", prompt.len()), &found, &expected, 0.0);
        }
    }
}

#[test]
fn parts_of_different_lengths_get_one() {
    let long = format!("{} AND a dog:0.5", ["apple"; 80].join(" "));
    let (parts, negative) =
        MODEL.conditionings(&settings(&long, Emphasis::Original), PromptSteps::first_pass(12), 0).expect("two parts");
    let dog = MODEL.conditionings(&settings("a dog", Emphasis::Original), PromptSteps::first_pass(12), 0).expect("one");
    assert_eq!(
        parts.iter().map(|(weight, part)| (*weight, part.context.dims()[1])).collect::<Vec<_>>(),
        [(1.0, 154), (0.5, 154)]
    );
    assert_eq!(negative.context.dims()[1], 77);
    let (own, more) =
        (parts[1].1.context.narrow(1, 0, 77).expect("own"), parts[1].1.context.narrow(1, 77, 77).expect("more"));
    assert_close("prompt AND, own positions", &own, &dog.0[0].1.context, 1e-6);
    let last = own.narrow(1, 76, 1).and_then(|last| last.repeat((1, 77, 1))).expect("last");
    assert_close("prompt AND, lengthened", &more, &last, 0.0);
    let mut padded = settings(&["apple"; 80].join(" "), Emphasis::Original);
    padded.text.pad_conds = true;
    let (_, negative) = MODEL.conditionings(&padded, PromptSteps::first_pass(12), 0).expect("padded");
    let half = |start| negative.context.narrow(1, start, 77).expect("half");
    assert_close("prompt negative padded", &half(77), &half(0), 0.0);
}

#[test]
fn embeddings_that_cannot_be_used_are_named() {
    let told = |prompt, emphasis| -> Vec<String> {
        let report = MODEL.read_prompts(&settings(prompt, emphasis)).expect("a report");
        report.notices.iter().map(ToString::to_string).collect()
    };
    let unfit = "the embedding `xlhands` has vectors of 768 and 1280 numbers, this model needs 128: it was not used";
    assert_eq!(told("a cat, xlhands", Emphasis::Original), [unfit]);
    assert_eq!(told("a cat, embedding:xl/xlhands", Emphasis::ComfyUi), [unfit.replace("xlhands", "xl/xlhands")]);
    assert_eq!(told("embedding:nobody, a", Emphasis::ComfyUi), ["no embedding is called `nobody`: it was left out"]);
    assert_eq!(told("a cat", Emphasis::Original), [""; 0]);
    for (prompt, emphasis) in [("a picklejar", Emphasis::Original), ("embedding:picklejar", Emphasis::ComfyUi)] {
        let error = MODEL.read_prompts(&settings(prompt, emphasis)).expect_err("a pickle");
        assert!(matches!(error, EngineError::Pickle { ref file, .. } if file.ends_with("picklejar.pt")), "{error}");
    }
}

#[test]
fn what_was_perhaps_meant_otherwise_is_told() {
    let report = |prompt: &str, negative: &str| {
        let settings =
            GenerateSettings { negative_prompt: negative.to_owned(), ..settings(prompt, Emphasis::Original) };
        MODEL.read_prompts(&settings).expect("a report")
    };
    let found = report("a photo <lora:film:0.5> 16:9", "<lora:x:1> (a BREAK b)");
    assert_eq!(found.networks.len(), 1);
    assert_eq!(
        found.notices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "the `:9` at the end is read as the weight of the whole prompt",
            "`<lora:x:1>` is read as words: networks are taken from the prompt, not from the negative prompt",
            "`BREAK` inside weighted brackets is read as a word, as AUTOMATIC1111 does",
        ]
    );
    assert_eq!(report("a | [b:c:3]", "").notices.len(), 1);
}

#[test]
fn an_empty_negative_prompt_of_xl_is_zero_where_a1111_has_it_so() {
    for (negative, emphasis, zero) in
        [("", Emphasis::Original, true), ("", Emphasis::ComfyUi, false), ("x", Emphasis::Original, false)]
    {
        let settings = GenerateSettings { negative_prompt: negative.to_owned(), ..settings("a cat", emphasis) };
        let (_, found) = XL.conditionings(&settings, PromptSteps::first_pass(12), 0).expect("conditionings");
        let sum = |tensor: &Tensor| tensor.abs().and_then(|t| t.sum_all()?.to_scalar::<f32>()).expect("a sum");
        assert_eq!(sum(&found.context) == 0.0, zero, "{emphasis}");
        assert_eq!(sum(found.pooled.as_ref().expect("a summary")) == 0.0, zero, "{emphasis}");
    }
}
