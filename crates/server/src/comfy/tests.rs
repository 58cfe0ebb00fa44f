//! Graphs and what they mean.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::compile::{Compiler, Desk, Order};
use super::graph::Graph;
use super::node_kind::{KINDS, ValueKind};
use super::refusal::{Fault, Refusal};
use super::shelf::Shelf;
use crate::{Asset, AssetKind, GenerateRequest, ModelCard, PictureRef};

struct Pictures;

fn upload(digit: char) -> PictureRef {
    PictureRef::Upload(digit.to_string().repeat(64))
}

impl Desk for Pictures {
    fn picture(&self, name: &str) -> Result<(PictureRef, u32, u32), String> {
        if name == "cat.png" { Ok((upload('a'), 515, 640)) } else { Err(format!("there is no picture `{name}`")) }
    }
    fn mask(&self, _: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 8, 8);
        encoder.set_color(png::ColorType::GrayscaleAlpha);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&[0; 128]).expect("pixels");
        writer.finish().expect("an end");
        Ok(bytes)
    }
    fn keep(&self, _: &[u8]) -> Result<PictureRef, String> {
        Ok(upload('b'))
    }
}

fn shelf() -> Shelf {
    let asset = |kind, name: &str, scale| Asset {
        kind,
        name: name.into(),
        title: name.into(),
        file: format!("{name}.safetensors"),
        family: None,
        licence: String::new(),
        size: 1,
        sha256: None,
        trigger_words: Vec::new(),
        scale,
        note: String::new(),
    };
    let card = |id: &str| ModelCard { id: id.into(), file: format!("{id}.safetensors"), ..ModelCard::default() };
    Shelf {
        models: vec![card("sd15"), card("sdxl"), card("refiner")],
        assets: vec![
            asset(AssetKind::Lora, "toy", None),
            asset(AssetKind::Lora, "ink", None),
            asset(AssetKind::Upscaler, "4x", Some(4)),
            asset(AssetKind::Controlnet, "canny", None),
        ],
        samplers: vec!["euler".into(), "dpmpp_2m".into()],
        schedulers: vec!["normal".into(), "karras".into()],
        pictures: vec!["cat.png".into()],
    }
}

/// The plainest workflow, as every client has it.
fn plain() -> Value {
    json!({
        "3": { "class_type": "KSampler", "inputs": {
            "model": ["4", 0], "seed": 42, "steps": 20, "cfg": 7.5, "sampler_name": "dpmpp_2m", "scheduler": "karras",
            "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0], "denoise": 1 } },
        "4": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "sd15.safetensors" } },
        "5": { "class_type": "EmptyLatentImage", "inputs": { "width": 512, "height": 768, "batch_size": 1 } },
        "6": { "class_type": "CLIPTextEncode", "inputs": { "text": "a [red] cat", "clip": ["4", 1] } },
        "7": { "class_type": "CLIPTextEncode", "inputs": { "text": "blurry", "clip": ["4", 1] } },
        "8": { "class_type": "VAEDecode", "inputs": { "samples": ["3", 0], "vae": ["4", 2] } },
        "9": { "class_type": "SaveImage", "inputs": { "images": ["8", 0], "filename_prefix": "x" } },
    })
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut graph = plain();
    for (at, value) in changes {
        match at.split_once('.') {
            Some((node, input)) => graph[node]["inputs"][input] = value.clone(),
            None => graph[*at] = value.clone(),
        }
    }
    graph
}

fn node(class: &str, inputs: Value) -> Value {
    json!({ "class_type": class, "inputs": inputs })
}

fn read(prompt: &Value) -> Result<Vec<Order>, Refusal> {
    let shelf = shelf();
    let graph = Graph::read(prompt)?;
    let compiler = Compiler { graph: &graph, shelf: &shelf, desk: &Pictures };
    let mut orders = Vec::new();
    for output in graph.outputs(None)? {
        graph.check(&output, &shelf)?;
        let order = compiler.order(&output);
        orders.push(order.map_err(|fault| Refusal::Nodes { faults: vec![fault], outputs: vec![output.clone()] })?);
    }
    Ok(orders)
}

fn request(prompt: &Value) -> GenerateRequest {
    let mut orders = read(prompt).expect("a workflow that can be drawn");
    orders.remove(0).requests.remove(0)
}

fn fault(prompt: &Value) -> Fault {
    match read(prompt).expect_err("a workflow that cannot be drawn") {
        Refusal::Nodes { mut faults, .. } => faults.remove(0),
        whole => panic!("{whole:?}"),
    }
}

#[test]
fn the_plain_workflow_is_one_request() {
    let orders = read(&plain()).expect("it can be drawn");
    assert_eq!((orders.len(), orders[0].at_work.as_str()), (1, "3"));
    let expected = GenerateRequest {
        model: "sd15".into(),
        prompt: r"a \[red\] cat".into(),
        negative_prompt: "blurry".into(),
        width: 512,
        height: 768,
        steps: 20,
        cfg_scale: 7.5,
        seed: 42,
        sampler: "DPM++ 2M".into(),
        scheduler: Some("Karras".into()),
        noise: Some("CPU".into()),
        ..GenerateRequest::default()
    };
    assert_eq!(orders[0].requests, std::slice::from_ref(&expected));
    let four = read(&with(&[("5.batch_size", json!(4))])).expect("it can be drawn");
    assert_eq!(four[0].requests.iter().map(|request| request.seed).collect::<Vec<_>>(), [42, 43, 44, 45]);
    // Only the lower 32 bits count.
    assert_eq!(request(&with(&[("3.seed", json!(u64::MAX))])).seed, 0xffff_ffff);
    let skipped = with(&[
        ("6.clip", json!(["2", 0])),
        ("7.clip", json!(["2", 0])),
        ("2", node("CLIPSetLastLayer", json!({"clip": ["4", 1], "stop_at_clip_layer": -2}))),
    ]);
    assert_eq!(request(&skipped), GenerateRequest { clip_skip: Some(2), ..expected });
}

#[test]
fn loras_are_called_in_the_prompt() {
    let lora = |model: Value, clip: Value, name: &str| {
        node(
            "LoraLoader",
            json!({ "model": model, "clip": clip, "lora_name": name, "strength_model": 0.8, "strength_clip": 0.5 }),
        )
    };
    let both = with(&[
        ("10", lora(json!(["4", 0]), json!(["4", 1]), "toy.safetensors")),
        ("11", node("LoraLoaderModelOnly", json!({ "model": ["10", 0], "lora_name": "ink", "strength_model": 1 }))),
        ("3.model", json!(["11", 0])),
        ("6.clip", json!(["10", 1])),
        ("7.clip", json!(["10", 1])),
    ]);
    assert_eq!(request(&both).prompt, r"a \[red\] cat <lora:toy:0.5:0.8> <lora:ink:0:1>");
    let mut uneven = both;
    uneven["7"]["inputs"]["clip"] = json!(["4", 1]);
    assert_eq!((fault(&uneven).node.as_str(), fault(&uneven).input), ("3", Some("negative")));
}

#[test]
fn conditionings_are_joined_as_the_engine_says_it() {
    let joined = |class: &str, one: &str, other: &str| {
        with(&[
            ("12", node("CLIPTextEncode", json!({ "text": "a dog", "clip": ["4", 1] }))),
            ("13", node(class, json!({ one: ["6", 0], other: ["12", 0] }))),
            ("3.positive", json!(["13", 0])),
        ])
    };
    let combined = joined("ConditioningCombine", "conditioning_1", "conditioning_2");
    assert_eq!(request(&combined).prompt, r"a \[red\] cat :0.5000 AND a dog :0.5000");
    let concatenated = joined("ConditioningConcat", "conditioning_to", "conditioning_from");
    assert_eq!(request(&concatenated).prompt, r"a \[red\] cat BREAK a dog");
}

#[test]
fn pictures_are_drawn_over_and_into() {
    let over = with(&[
        ("1", node("LoadImage", json!({ "image": "cat.png" }))),
        ("2", node("VAEEncode", json!({ "pixels": ["1", 0], "vae": ["4", 2] }))),
        ("3.latent_image", json!(["2", 0])),
        ("3.denoise", json!(0.5)),
    ]);
    let found = request(&over);
    let init = found.init.as_ref().expect("a picture");
    // 20 steps at the end of 40, as ComfyUI draws them.
    assert_eq!((found.width, found.height, found.steps, init.resize_mode.as_str()), (512, 640, 40, "crop"));
    assert!((init.strength - 19.5 / 40.0).abs() < 1e-6);
    let mut into = over.clone();
    into["2"] = node(
        "VAEEncodeForInpaint",
        json!({ "pixels": ["1", 0], "vae": ["4", 2], "mask": ["1", 1], "grow_mask_by": 6 }),
    );
    let inpaint = request(&into).inpaint.expect("a mask");
    assert_eq!((inpaint.mask, inpaint.fill.as_str(), inpaint.mask_blur), (Some(upload('b')), "nothing", 0.0));
    let mut masked = over.clone();
    masked["14"] = node("SetLatentNoiseMask", json!({ "samples": ["2", 0], "mask": ["1", 1] }));
    masked["3"]["inputs"]["latent_image"] = json!(["14", 0]);
    assert_eq!(request(&masked).inpaint.expect("a mask").fill, "original");
    let mut slow = over;
    slow["3"]["inputs"]["denoise"] = json!(0.05);
    assert!(fault(&slow).message.contains("the end of 400"), "{:?}", fault(&slow));
}

fn twice(seed: u64) -> Value {
    with(&[
        (
            "20",
            node(
                "LatentUpscale",
                json!({ "samples": ["3", 0], "upscale_method": "nearest-exact", "width": 1024, "height": 1536, "crop": "disabled" }),
            ),
        ),
        (
            "21",
            node(
                "KSampler",
                json!({
            "model": ["4", 0], "seed": seed, "steps": 10, "cfg": 7, "sampler_name": "euler", "scheduler": "normal",
            "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["20", 0], "denoise": 0.5 }),
            ),
        ),
        ("8.samples", json!(["21", 0])),
    ])
}

#[test]
fn a_second_sampler_is_a_second_pass() {
    let hires = request(&twice(42)).hires.expect("a second pass");
    assert_eq!(
        (hires.size, hires.upscaler.as_str(), hires.steps),
        (Some((1024, 1536)), "Latent (nearest-exact)", Some(20))
    );
    assert_eq!((hires.sampler.as_deref(), hires.cfg_scale), (Some("Euler"), Some(7.0)));
    let other = fault(&twice(43));
    assert_eq!((other.node.as_str(), other.input), ("21", Some("seed")));
    assert!(other.message.contains("set it to 42"), "{}", other.message);
}

#[test]
fn sdxl_with_its_refiner() {
    let pass = |model: &str, from: Value, texts: [&str; 2], noise: &str, start: u32, end: u32, left: &str| {
        node(
            "KSamplerAdvanced",
            json!({
            "model": [model, 0], "add_noise": noise, "noise_seed": 7, "steps": 25, "cfg": 8, "sampler_name": "euler",
            "scheduler": "normal", "positive": [texts[0], 0], "negative": [texts[1], 0], "latent_image": from,
            "start_at_step": start, "end_at_step": end, "return_with_leftover_noise": left }),
        )
    };
    let says = |clip: &str, text: &str| node("CLIPTextEncode", json!({ "text": text, "clip": [clip, 1] }));
    let graph = json!({
        "4": node("CheckpointLoaderSimple", json!({ "ckpt_name": "sdxl" })),
        "5": node("EmptyLatentImage", json!({ "width": 1024, "height": 1024, "batch_size": 1 })),
        "6": says("4", "a cat"), "7": says("4", ""),
        "10": pass("4", json!(["5", 0]), ["6", "7"], "enable", 0, 20, "enable"),
        "12": node("CheckpointLoaderSimple", json!({ "ckpt_name": "refiner" })),
        "15": says("12", "a cat"), "16": says("12", ""),
        "11": pass("12", json!(["10", 0]), ["15", "16"], "disable", 20, 10_000, "disable"),
        "17": node("VAEDecode", json!({ "samples": ["11", 0], "vae": ["12", 2] })),
        "19": node("SaveImage", json!({ "images": ["17", 0], "filename_prefix": "x" })),
    });
    let found = request(&graph);
    let refiner = found.refiner.expect("a refiner");
    assert_eq!((found.model.as_str(), refiner.model.as_str(), refiner.switch_at), ("sdxl", "refiner", 0.8));
    let mut alone = graph;
    alone["17"]["inputs"]["samples"] = json!(["10", 0]);
    alone["17"]["inputs"]["vae"] = json!(["4", 2]);
    assert!(fault(&alone).message.contains("stops before its last step"));
}

#[test]
fn finished_pictures_are_enlarged_and_guided() {
    let larger = with(&[
        ("30", node("UpscaleModelLoader", json!({ "model_name": "4x" }))),
        ("31", node("ImageUpscaleWithModel", json!({ "upscale_model": ["30", 0], "image": ["8", 0] }))),
        ("9.images", json!(["31", 0])),
    ]);
    assert_eq!(request(&larger).upscale.as_deref(), Some("4x"));
    let mut only = larger;
    only["1"] = node("LoadImage", json!({ "image": "cat.png" }));
    only["31"]["inputs"]["image"] = json!(["1", 0]);
    let found = request(&only);
    assert_eq!((found.upscale.as_deref(), found.enlarge), (Some("4x"), Some(upload('a'))));
    let guided = with(&[
        ("1", node("LoadImage", json!({ "image": "cat.png" }))),
        ("40", node("ControlNetLoader", json!({ "control_net_name": "canny" }))),
        (
            "41",
            node(
                "ControlNetApply",
                json!({ "conditioning": ["6", 0], "control_net": ["40", 0], "image": ["1", 0], "strength": 0.7 }),
            ),
        ),
        ("3.positive", json!(["41", 0])),
    ]);
    assert_eq!(request(&guided).controls[0].net, "canny");
}

#[test]
fn what_is_wrong_is_said_of_its_node() {
    for (changes, node, kind) in [
        (vec![("4.ckpt_name", json!("no.ckpt"))], "4", "value_not_in_list"),
        (vec![("3.steps", json!("many"))], "3", "invalid_input_type"),
        (vec![("3.steps", json!(0))], "3", "value_smaller_than_min"),
        (vec![("3.cfg", json!(1000))], "3", "value_bigger_than_max"),
        (vec![("3.model", json!(["99", 0]))], "3", "bad_linked_input"),
        (vec![("3.model", json!(["4", 9]))], "3", "bad_linked_input"),
        (vec![("3.model", json!(["5", 0]))], "3", "return_type_mismatch"),
        (vec![("3.model", json!(null))], "3", "bad_linked_input"),
        (vec![("3.denoise", json!(0.5))], "3", "custom_validation_failed"),
    ] {
        let found = fault(&with(&changes));
        assert_eq!((found.node.as_str(), found.kind), (node, kind), "{changes:?}");
    }
    let whole = |prompt: &Value| match read(prompt) {
        Err(Refusal::Whole { kind, .. }) => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(whole(&json!([])), "invalid_prompt");
    assert_eq!(whole(&json!({})), "prompt_no_outputs");
    assert_eq!(whole(&with(&[("5.width", json!(512)), ("5", node("Magic", json!({})))])), "missing_node_type");
    assert_eq!(
        whole(&with(&[
            (
                "10",
                node(
                    "LoraLoader",
                    json!({ "model": ["10", 0], "clip": ["10", 1], "lora_name": "toy", "strength_model": 1, "strength_clip": 1 })
                )
            ),
            ("3.model", json!(["10", 0]))
        ])),
        "dependency_cycle"
    );
}

/// Graphs of known nodes with links and values at random.
fn graphs() -> impl Strategy<Value = Value> {
    let input = (0..12_usize, 0..3_usize, any::<u8>(), -3.0..200.0_f64);
    let inputs = prop::collection::vec(input, 12);
    prop::collection::vec((0..KINDS.len(), inputs), 1..12).prop_map(|nodes| {
        let describe = |(kind, inputs): &(usize, Vec<(usize, usize, u8, f64)>)| {
            let kind = &KINDS[*kind];
            let pairs = kind.inputs.iter().zip(inputs).filter(|(_, random)| random.2 > 4);
            let values = pairs.map(|(input, (to, slot, what, number))| {
                let value = match input.value {
                    ValueKind::Link(_) => json!([to.to_string(), slot % 2]),
                    ValueKind::Text { .. } => json!("a cat"),
                    ValueKind::Int(..) if *what > 40 => json!(*number as i64),
                    ValueKind::Float(..) if *what > 40 => json!(number / 100.0),
                    ValueKind::Choice(choices) if *what > 20 => {
                        let names = shelf().names(choices);
                        json!(names.get(to % names.len().max(1)))
                    }
                    _ => json!(null),
                };
                (input.name.to_owned(), value)
            });
            node(kind.class, values.collect::<serde_json::Map<_, _>>().into())
        };
        Value::Object(nodes.iter().enumerate().map(|(id, node)| (id.to_string(), describe(node))).collect())
    })
}

proptest! {
    #[test]
    fn no_graph_is_too_strange(graph in graphs()) {
        let _ = read(&graph);
    }

    #[test]
    fn no_change_of_a_good_graph_is_too_strange(node in 3..10_usize, input in 0..10_usize, kind in 0..6_u8, to in 0..11_u8) {
        let mut graph = plain();
        let node = node.to_string();
        let names: Vec<String> = graph[&node]["inputs"].as_object().map(|inputs| inputs.keys().cloned().collect()).unwrap_or_default();
        if let Some(name) = names.get(input) {
            graph[&node]["inputs"][name] = match kind {
                0 => json!([to.to_string(), 0]),
                1 => json!(1e300),
                2 => json!(-1),
                3 => json!("é".repeat(20_000)),
                4 => json!({ "a": [] }),
                _ => json!(u64::MAX),
            };
        }
        let _ = read(&graph);
    }
}

#[test]
fn deep_and_wide_graphs_end_soon() {
    let mut deep = plain();
    for number in 0..400 {
        let to = if number == 0 { "6".to_owned() } else { format!("c{}", number - 1) };
        deep[format!("c{number}")] =
            node("ConditioningCombine", json!({ "conditioning_1": [to, 0], "conditioning_2": [to, 0] }));
    }
    deep["3"]["inputs"]["positive"] = json!(["c399", 0]);
    assert!(matches!(read(&deep), Err(Refusal::Whole { kind: "invalid_prompt", .. })));
    deep["3"]["inputs"]["positive"] = json!(["c50", 0]);
    assert!(fault(&deep).message.contains("at most 16 texts"));
    let many: serde_json::Map<String, Value> =
        (0..501).map(|id| (id.to_string(), node("LoadImage", json!({})))).collect();
    assert!(matches!(read(&many.into()), Err(Refusal::Whole { kind: "invalid_prompt", .. })));
}
