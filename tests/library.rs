//! LoRAs and embeddings: carried in a bundle, installed, listed, called by name in a prompt.

use crate::run::{Place, Ran};
use serde_json::{Value, json};
use std::path::Path;

const REQUEST: &str = r#"
name = "kit"
include = ["spark"]

[[component]]
id = "ink"
kind = "lora"
family = "sd1"
title = "Ink"
licence = "MIT"
file = "ink.safetensors"
sources = [{ kind = "file", path = "ink.safetensors" }]

[[component]]
id = "swirl"
kind = "embedding"
family = "sd1"
title = "Swirl"
licence = "MIT"
file = "swirlword.safetensors"
sources = [{ kind = "file", path = "swirlword.safetensors" }]
"#;

/// A safetensors file of f32 tensors, and these metadata.
fn safetensors(metadata: &Value, tensors: &[(&str, &[usize], f32)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), metadata.clone());
    let mut data: Vec<u8> = Vec::new();
    for (name, shape, value) in tensors {
        let start = data.len();
        let count: usize = shape.iter().product();
        // alternating signs, so that nothing cancels out by being constant
        data.extend((0..count).flat_map(|i| (if i % 3 == 0 { -value } else { *value }).to_le_bytes()));
        header.insert((*name).to_owned(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// The shape of one of spark's tensors.
fn spark_shape(tensor: &str) -> Vec<usize> {
    let spark = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/spark/spark.safetensors");
    let file = fs_err::read(spark).unwrap();
    let end = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..end]).unwrap();
    serde_json::from_value(header[tensor]["shape"].clone()).unwrap()
}

/// A LoRA and an embedding made to spark's measure, as `wish/ink.safetensors` and `wish/swirlword.safetensors`.
fn made() -> Place {
    let place = Place::new();
    let query = spark_shape("model.diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q.weight");
    let words = spark_shape("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight");
    let layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
    let trained = json!({"ss_output_name": "ink_v2", "modelspec.trigger_phrase": "ink wash, sumi"});
    let (down, up) = (format!("{layer}.lora_down.weight"), format!("{layer}.lora_up.weight"));
    let lora = safetensors(&trained, &[(&down, &[2, query[1]], 0.5), (&up, &[query[0], 2], 0.5)]);
    place.write("wish/ink.safetensors", lora);
    place.write("wish/swirlword.safetensors", safetensors(&json!({}), &[("emb_params", &[2, words[1]], 0.7)]));
    place
}

/// A bundle with spark and these, installed.
fn installed() -> Place {
    let place = made();
    place.write("wish/forge.toml", REQUEST);
    place.run(["bundle", "wish/forge.toml", "--out", "kit"]).expect_success();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    place
}

fn draw(place: &Place, prompt: &str, out: &str) -> Ran {
    place.run(["generate", prompt, "--steps", "4", "--seed", "1", "--home", "home", "--out", out])
}

#[test]
fn a_lora_and_an_embedding_of_a_bundle_change_the_picture() {
    let place = installed();
    let picture = |name: &str| {
        let mut reader =
            png::Decoder::new(std::io::Cursor::new(fs_err::read(place.path(name)).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let text = reader.info().uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == "parameters");
        (pixels, text.map(|chunk| chunk.text.clone()).unwrap_or_default())
    };
    draw(&place, "a banana", "plain.png").expect_success();
    draw(&place, "a banana <lora:ink:0>", "none.png").expect_success();
    draw(&place, "a banana <lora:ink:0.8>", "ink.png").expect_success();
    draw(&place, "a banana <lora:ink_v2:0.8>", "alias.png").expect_success();
    let (ink, text) = picture("ink.png");
    assert_ne!(ink, picture("plain.png").0, "the LoRA changes the picture");
    assert_eq!(ink, picture("alias.png").0, "it is found by the name that it was trained under");
    assert_eq!(picture("none.png").0, picture("plain.png").0, "nothing of it changes nothing");
    assert!(text.starts_with("a banana <lora:ink:0.8>\n") && text.contains("Lora hashes: \"ink: "), "{text}");

    draw(&place, "a banana <lora:inc:1>", "wrong.png")
        .expect_refusal(&["no LoRA is called `inc`", "there is only `ink`"]);
    assert!(!place.path("wrong.png").exists());

    draw(&place, "a banana swirlword", "swirl.png").expect_success();
    draw(&place, "a banana swirlwort", "no swirl.png").expect_success();
    let (swirl, text) = picture("swirl.png");
    assert_ne!(swirl, picture("no swirl.png").0);
    assert!(text.contains("TI hashes: \"swirlword: "), "{text}");
    assert!(!picture("no swirl.png").1.contains("TI hashes"));
}

#[test]
fn what_is_installed_is_listed_and_any_file_says_what_it_is() {
    let place = installed();
    let listed = place.run(["models", "--home", "home"]).expect_success().stdout;
    for part in ["checkpoint spark", "(default)", "lora       ink ", "say: ink wash, sumi", "embedding  swirlword"] {
        assert!(listed.contains(part), "`{part}` is missing in:\n{listed}");
    }
    let json: Value =
        serde_json::from_str(&place.run(["models", "--home", "home", "--kind", "lora", "--json"]).stdout).unwrap();
    assert_eq!((json.as_array().map(Vec::len), &json[0]["name"]), (Some(1), &json!("ink")));
    assert_eq!(json[0]["trigger_words"], json!(["ink wash", "sumi"]));

    let file = place.run(["inspect", "wish/ink.safetensors", "--json"]).expect_success();
    let json: Value = serde_json::from_str(&file.stdout).unwrap();
    assert_eq!((&json["family"], &json["tensors"], &json["lora"]["rank"]), (&json!("lora"), &json!(2), &json!(2)));
    assert_eq!(json["auto_v3"].as_str().map(str::len), Some(12));
    let text = place.run(["inspect", "wish/swirlword.safetensors"]).expect_success().stdout;
    assert!(text.contains("is a textual inversion") && text.contains("AutoV2 "), "{text}");
    place.write("broken.safetensors", "<!DOCTYPE html><title>Sign in</title>");
    place.run(["inspect", "broken.safetensors"]).expect_refusal(&["is a web page"]);
}

/// What a person adds on the offline machine is part of the home: a backup carries it, and the next bundle leaves it.
#[test]
fn models_that_were_added_offline_survive_in_a_backup_and_draw_the_same_picture() {
    let place = made();
    place.spark_bundle();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    for file in ["wish/ink.safetensors", "wish/swirlword.safetensors"] {
        place.run(["import", file, "--home", "home"]).expect_success();
    }
    let prompt = "a banana swirlword <lora:ink:0.8>";
    draw(&place, "a banana", "plain.png").expect_success();
    draw(&place, prompt, "before.png").expect_success();
    let (plain, before) = (place.path("plain.png"), place.path("before.png"));
    assert!(fs_err::read(&plain).unwrap() != fs_err::read(&before).unwrap(), "they change the picture");

    let ran = place.run(["backup", "--home", "home", "--out", "safe"]).expect_success();
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    fs_err::remove_dir_all(place.path("home")).unwrap();
    fs_err::remove_dir_all(place.path("wish")).unwrap();
    place.run(["restore", "safe", "--to", "elsewhere/forge"]).expect_success();
    let drawn = |home: &str, out: &str| {
        let args = ["generate", prompt, "--steps", "4", "--seed", "1", "--home", home, "--out", out];
        place.run(args).expect_success();
        fs_err::read(place.path(out)).unwrap() == fs_err::read(&before).unwrap()
    };
    assert!(drawn("elsewhere/forge", "after.png"), "the picture is another one");
    let listed = place.run(["models", "--home", "elsewhere/forge"]).expect_success().stdout;
    assert!(listed.contains("lora       ink ") && listed.contains("embedding  swirlword"), "{listed}");

    // An increment has them, too, and so has a home into which a bundle was installed anew.
    place.run(["backup", "--home", "elsewhere/forge", "--out", "safe2", "--have", "safe"]).expect_success();
    place.run(["restore", "safe2", "safe", "--to", "third"]).expect_success();
    place.run(["bundle", "--out", "kit2"]).expect_success();
    place.run(["install", "kit2", "--home", "third"]).expect_success();
    assert!(drawn("third", "third.png"), "the picture is another one");
}
