//! LoRA files of every kind: the weights that they make of the tiny model's, against peft, diffusers and LyCORIS.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use candle_core::Tensor;
use engine::{AppliedLora, EngineError, Lora, LoraReport, Model, OpenOptions};
use proptest::prelude::*;

use crate::support::{Golden, assert_close, assert_same_bits, golden_path, values};
use crate::{procedural, tiny};

static TINY: LazyLock<Golden> = LazyLock::new(|| Golden::load("tiny"));
static GOLDEN: LazyLock<Golden> = LazyLock::new(|| Golden::load("lora"));

fn lora(name: &str) -> Arc<Lora> {
    Arc::new(Lora::open(&golden_path(&format!("lora/{name}.safetensors"))).expect("a LoRA"))
}

fn apply(model: &Model, name: &str, weight: f32) -> LoraReport {
    let applied = AppliedLora { lora: lora(name), unet_weight: weight, text_weight: weight };
    model.set_loras(&[applied]).expect("applied").remove(0)
}

/// Every fifth element, as the golden file has it.
fn thinned(tensor: &Tensor) -> Tensor {
    let thin: Vec<f32> = values(tensor).into_iter().step_by(5).collect();
    Tensor::new(thin, tensor.device()).expect("a tensor")
}

/// Compares every weight that the golden file has for a LoRA, whole and as the difference to the model's own.
fn assert_merged(model: &Model, name: &str, weight: f32) -> LoraReport {
    let prefix = format!("{name}|");
    let expected: BTreeSet<&str> =
        GOLDEN.names().filter_map(|key| key.strip_prefix(&prefix)).filter(|key| *key != "unet").collect();
    let own: Vec<Tensor> = expected.iter().map(|key| thinned(&model.weight(key).expect("a weight"))).collect();
    let report = apply(model, name, weight);
    assert_eq!(report.tensors, expected.len(), "{name}: changed tensors");
    for (key, own) in expected.iter().zip(own) {
        let merged = thinned(&model.weight(key).expect("a weight"));
        let golden = GOLDEN.get(&format!("{name}|{key}"));
        assert_close(&format!("LoRA merged, {name} {key}"), &merged, golden, 1e-5);
        let difference = |tensor: &Tensor| (tensor - &own).expect("a difference");
        assert_close(&format!("LoRA difference, {name} {key}"), &difference(&merged), &difference(golden), 1e-4);
    }
    report
}

#[test]
fn every_kind_is_merged_as_its_reference_merges_it() {
    let model = tiny::model();
    let report = assert_merged(&model, "kohya", 0.8);
    assert_eq!((report.matched, report.unmatched.len()), (33, 0));
    let report = assert_merged(&model, "peft", 1.0);
    assert_eq!((report.matched, report.unmatched.len()), (12, 0));
    let report = assert_merged(&model, "dora", 1.0);
    assert_eq!((report.matched, report.unmatched.len()), (15, 0));
    for name in ["locon", "loha", "lokr", "ia3", "doha"] {
        assert!(assert_merged(&model, name, 0.7).unmatched.is_empty(), "{name}");
    }
    let report = assert_merged(&model, "full", 0.7);
    let strays = ["lora_unet_output_blocks_11_1_no_such_layer.alpha", "lora_unet_output_blocks_77_1_proj_in.diff"];
    assert_eq!(report.unmatched, strays);
}

#[test]
fn sdxl_takes_both_text_encoders() {
    let model = procedural::open(&procedural::with_vae("sdxl"), &OpenOptions::default()).expect("a model");
    let report = assert_merged(&model, "sdxl", 0.6);
    assert_eq!((report.matched, report.unmatched.len()), (38, 0));
}

#[test]
fn the_unet_and_the_text_encoder_draw_with_it_and_without_it_again() {
    let model = tiny::model();
    let (noise, context) = (TINY.get("noise"), TINY.get("context"));
    let draw = |model: &Model| model.predict_noise(noise, 981.0, context, None).expect("noise");
    let before = draw(&model);
    for (name, weight) in [("kohya", 0.8), ("peft", 1.0)] {
        apply(&model, name, weight);
        assert_close(&format!("LoRA UNet output, {name}"), &draw(&model), GOLDEN.get(&format!("{name}|unet")), 1e-4);
    }
    let text = |model: &Model| model.encode(&["a red apple"], 1).expect("hidden states").0;
    let both = [("kohya", 0.5, 0.0), ("peft", -0.25, 1.0)];
    let loras = both.map(|(name, unet_weight, text_weight)| AppliedLora { lora: lora(name), unet_weight, text_weight });
    model.set_loras(&loras).expect("applied");
    let together = draw(&model);
    // a fresh model with the same LoRAs draws the same: nothing is left of what was applied before
    let fresh = tiny::model();
    fresh.set_loras(&loras).expect("applied");
    assert_same_bits("LoRA together, anew", &values(&draw(&fresh)), &values(&together));
    assert_same_bits("LoRA text weight only", &values(&text(&fresh)), &values(&text(&model)));
    model.set_loras(&[]).expect("taken off");
    assert_same_bits("LoRA taken off", &values(&draw(&model)), &values(&before));
}

#[test]
fn weights_go_where_they_are_meant_to() {
    let model = tiny::model();
    let (unet, text) = (
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
        "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.k_proj.weight",
    );
    let weights = || [unet, text].map(|name| values(&model.weight(name).expect("a weight")));
    let own = weights();
    for (unet_weight, text_weight) in [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)] {
        model.set_loras(&[AppliedLora { lora: lora("kohya"), unet_weight, text_weight }]).expect("applied");
        let changed = weights().iter().zip(&own).map(|(now, own)| now != own).collect::<Vec<_>>();
        assert_eq!(changed, [unet_weight != 0.0, text_weight != 0.0]);
    }
}

#[test]
fn the_file_tells_what_it_is() {
    let kohya = lora("kohya");
    let info = kohya.info();
    assert_eq!((info.name.as_str(), info.rank, info.kinds.join(" ")), ("tiny_ink", Some(4), "LoRA".to_owned()));
    assert_eq!((info.unet, info.text_encoder, info.tags.len()), (true, true, 1));
    for (name, kinds) in [
        ("locon", "LoCon"),
        ("loha", "LoHa"),
        ("lokr", "LoKr"),
        ("ia3", "IA3"),
        ("doha", "LoHa LoRA DoRA"),
        ("full", "full difference"),
    ] {
        let lora = lora(name);
        assert_eq!((lora.info().name.as_str(), lora.info().kinds.join(" ")), (name, kinds.to_owned()));
    }
}

#[test]
fn what_does_not_fit_is_refused_and_the_model_stays_as_it_was() {
    let model = tiny::model();
    apply(&model, "kohya", 1.0);
    let spark = golden_path("../../../../models/spark/spark.safetensors");
    let error = Lora::open(&spark).expect_err("a checkpoint");
    assert!(
        error.to_string().ends_with("cannot be applied as a LoRA: it is a Stable Diffusion 1.x checkpoint"),
        "{error}"
    );
    let weight = |model: &Model| {
        let name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight";
        values(&model.weight(name).expect("a weight"))
    };
    let before = weight(&model);
    let refusal = |tensors: &[(&str, &[usize])]| {
        let lora = Lora::from_bytes("bad.safetensors", file(tensors)).expect("a LoRA");
        let applied = AppliedLora { lora: Arc::new(lora), unet_weight: 1.0, text_weight: 1.0 };
        let error = model.set_loras(&[applied]).expect_err("refused");
        assert!(error.hint().is_some(), "{error}");
        error.to_string()
    };
    let key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
    let (up, down) = (format!("{key}.lora_up.weight"), format!("{key}.lora_down.weight"));
    assert_eq!(
        refusal(&[(&up, &[320, 4]), (&down, &[4, 2048])]),
        "`bad.safetensors` was trained for a Stable Diffusion XL checkpoint; this model is a Stable Diffusion 1.x \
         checkpoint"
    );
    let place = "`model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight` [32, 128]";
    assert_eq!(
        refusal(&[(&up, &[64, 4]), (&down, &[4, 128])]),
        format!("`bad.safetensors`: tensor `{up}` is F16 [64, 4], expected 32 rows, to fit {place}")
    );
    assert_eq!(
        refusal(&[(&up, &[32, 3]), (&down, &[4, 128])]),
        format!("`bad.safetensors`: tensor `{up}` is F16 [32, 3], expected a rank of 4, to fit {place}")
    );
    assert_eq!(
        refusal(&[("lora_unet_down_blocks_7_resnets_0_conv1.diff", &[2, 2])]),
        "none of the 1 keys of `bad.safetensors` belongs to this model; the first is \
         `lora_unet_down_blocks_7_resnets_0_conv1.diff`"
    );
    assert!(
        refusal(&[("lora_unet_double_blocks_0_img_attn_qkv.diff", &[2, 2])]).contains("trained for a Flux checkpoint")
    );
    assert_same_bits("LoRA refused", &weight(&model), &before);

    let bytes = file(&[("vae.decoder.conv_in.weight", &[2, 2])]);
    assert!(matches!(Lora::from_bytes("v", bytes), Err(EngineError::NotALora { .. })));
    let bytes = file(&[("lora_unet_conv_in.oft_blocks", &[2, 2])]);
    assert!(matches!(Lora::from_bytes("o", bytes), Err(EngineError::LoraKeys { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Every key is used or reported, whatever a file holds; and what was accepted can be merged.
    #[test]
    fn no_key_is_swallowed(keys in prop::collection::vec((layer(), ending(), sides()), 1..12)) {
        let mut tensors: Vec<(String, Vec<usize>)> = keys.into_iter().map(|(l, e, sides)| (format!("{l}{e}"), sides)).collect();
        tensors.sort();
        tensors.dedup_by(|a, b| a.0 == b.0);
        let named: Vec<(&str, &[usize])> = tensors.iter().map(|(name, sides)| (name.as_str(), &sides[..])).collect();
        if let Ok(lora) = Lora::from_bytes("any", file(&named)) {
            let applied = AppliedLora { lora: Arc::new(lora), unet_weight: 1.0, text_weight: 1.0 };
            if let Ok(reports) = SHARED.set_loras(&[applied]) {
                prop_assert_eq!(reports[0].matched + reports[0].unmatched.len(), tensors.len());
                for (name, _) in SHARED.patchable().filter(|(name, _)| name.contains("input_blocks.1.")) {
                    SHARED.weight(name).expect("a merged weight");
                }
            }
        }
    }
}

static SHARED: LazyLock<Model> = LazyLock::new(tiny::model);

/// A layer of the tiny model in one naming or another, or something else.
fn layer() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "lora_unet_down_blocks_0_resnets_0_conv1",
        "lora_unet_input_blocks_1_1_norm",
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_out",
        "base_model.model.down_blocks.0.attentions.0.proj_in",
        "lora_te_text_model_encoder_layers_0_mlp_fc1",
        "text_encoder.text_model.encoder.layers.0.self_attn.to_q",
    ];
    prop_oneof![8 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => "[a-z_.]{0,20}"]
}

fn ending() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        ".lora_up.weight",
        ".lora_down.weight",
        ".lora_mid.weight",
        ".lora_A.weight",
        "_lora.down.weight",
        ".alpha",
        ".dora_scale",
        ".lora_magnitude_vector",
        ".hada_w1_a",
        ".hada_w1_b",
        ".hada_w2_a",
        ".hada_w2_b",
        ".hada_t1",
        ".hada_t2",
        ".lokr_w1",
        ".lokr_w1_a",
        ".lokr_w1_b",
        ".lokr_w2",
        ".lokr_w2_a",
        ".lokr_w2_b",
        ".lokr_t2",
        ".diff",
        ".diff_b",
        ".w_norm",
        ".b_norm",
        ".weight",
        ".on_input",
    ];
    prop_oneof![20 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => "[a-z_.]{0,9}"]
}

fn sides() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop::sample::select(&[0_usize, 1, 1, 2, 3, 4, 4, 8, 32, 32, 128][..]), 0..5)
}

/// A file of half-precision zeros.
fn file(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut end = 0;
    let entries = tensors.iter().map(|(name, shape)| {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        (name.to_string(), serde_json::json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]}))
    });
    let header = serde_json::Value::Object(entries.collect()).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + end, 0);
    bytes
}
