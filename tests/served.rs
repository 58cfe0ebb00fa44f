//! Everything that the engine can do, asked of the real server.

use crate::journey::Serving;
use crate::run::{PROGRAM, Place};
use serde_json::{Value, json};
use std::io::BufReader;

/// A network that makes pictures twice as large: one convolution, as Real-ESRGAN's compact networks are stored.
pub(crate) fn upscaler() -> Vec<u8> {
    let (weights, bias): (usize, usize) = (12 * 3 * 9, 12);
    let header = json!({
        "body.0.weight": {"dtype": "F32", "shape": [12, 3, 3, 3], "data_offsets": [0, weights * 4]},
        "body.0.bias": {"dtype": "F32", "shape": [12], "data_offsets": [weights * 4, (weights + bias) * 4]},
    })
    .to_string();
    let data: Vec<u8> = (0..weights + bias).flat_map(|at| ((at % 7) as f32 * 0.004).to_le_bytes()).collect();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

pub(crate) fn serve(place: &Place) -> Serving {
    let mut command = place.command(PROGRAM);
    command.args(["serve", "--no-browser", "--home", "home"]);
    Serving::start(command)
}

/// Pixels and texts of a PNG file.
fn opened(file: &[u8]) -> (u32, u32, Vec<u8>, impl Fn(&str) -> String) {
    let mut reader = png::Decoder::new(BufReader::new(std::io::Cursor::new(file.to_vec()))).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    pixels.truncate(frame.buffer_size());
    let info = reader.info().clone();
    let text = move |name: &str| {
        let latin =
            info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == name).map(|chunk| chunk.text.clone());
        let wide = || info.utf8_text.iter().find(|chunk| chunk.keyword == name).and_then(|chunk| chunk.get_text().ok());
        latin.or_else(wide).unwrap_or_default()
    };
    (frame.width, frame.height, pixels, text)
}

fn upload(serving: &Serving, file: &[u8]) -> String {
    let (head, body) = serving.send("/api/v1/uploads", "image/png", file);
    let answer: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{head}"));
    answer["picture"].as_str().unwrap_or_else(|| panic!("{answer:#}")).to_owned()
}

fn request(more: &Value) -> String {
    let mut all = json!({
        "model": "spark", "prompt": "a red apple", "width": 64, "height": 64, "steps": 4, "cfg_scale": 5.0, "seed": 1,
        "sampler": "Euler a"
    });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all.to_string()
}

const REQUEST: &str = r#"
name = "kit"
include = ["spark"]

[[component]]
id = "double"
kind = "upscaler"
title = "Double"
licence = "MIT"
file = "double.safetensors"
sources = [{ kind = "file", path = "double.safetensors" }]
"#;

#[test]
fn the_server_draws_what_the_command_line_draws() {
    let place = Place::new();
    place.write("wish/double.safetensors", upscaler());
    place.write("wish/forge.toml", REQUEST);
    place.run(["bundle", "wish/forge.toml", "--out", "kit"]).expect_success();
    place.run(["install", "kit", "--home", "home"]).expect_success();
    let by_hand = |args: &[&str]| {
        let always =
            ["generate", "a red apple", "--seed", "1", "--steps", "4", "--size", "64x64", "--sampler", "Euler a"];
        place.run([&always[..], &["--home", "home", "--out", "by hand.png"], args].concat()).expect_success();
        fs_err::read(place.path("by hand.png")).unwrap()
    };
    let serving = serve(&place);
    let served = |more: &Value| {
        let name = serving.draw(&request(more));
        fs_err::read(place.path(&format!("home/outputs/{name}.png"))).unwrap()
    };
    let same = |served: &[u8], by_hand: &[u8]| {
        let ((width, height, pixels, texts), (wide, high, others, text)) = (opened(served), opened(by_hand));
        assert_eq!((width, height), (wide, high));
        assert_eq!(texts("parameters"), text("parameters"));
        assert!(pixels == others, "other pixels for\n{}", text("parameters"));
        texts("parameters")
    };
    let plain = by_hand(&[]);
    same(&served(&json!({})), &plain);
    let text = same(&served(&json!({"noise": "NV", "clip_skip": 2})), &by_hand(&["--noise", "NV", "--clip-skip", "2"]));
    assert!(text.contains("Clip skip: 2") && text.contains("RNG: NV"), "{text}");

    let text = served(&json!({"eta": 0.5, "variation": {"seed": 9, "strength": 0.25}}));
    let text = opened(&text).3("parameters");
    assert!(text.contains("Eta: 0.5") && text.contains("Variation seed: 9, Variation seed strength: 0.25"), "{text}");

    place.write("plain.png", &plain);
    let picture = upload(&serving, &plain);
    same(
        &served(&json!({"init": {"picture": picture, "strength": 0.6, "resize_mode": "crop"}})),
        &by_hand(&["--init", "plain.png", "--strength", "0.6", "--resize-mode", "crop"]),
    );

    let mut mask = Vec::new();
    let mut encoder = png::Encoder::new(&mut mask, 64, 64);
    encoder.set_color(png::ColorType::Grayscale);
    let half: Vec<u8> = (0..64 * 64).map(|at| if at % 64 < 24 { 255 } else { 0 }).collect();
    encoder.write_header().unwrap().write_image_data(&half).unwrap();
    place.write("mask.png", &mask);
    let mask = upload(&serving, &mask);
    same(
        &served(&json!({
            "init": {"picture": picture, "strength": 1.0},
            "inpaint": {"mask": mask, "invert": true, "mask_blur": 2.0, "fill": "noise", "only_masked": 16}
        })),
        &by_hand(&[
            "--init",
            "plain.png",
            "--strength",
            "1",
            "--mask",
            "mask.png",
            "--invert-mask",
            "--mask-blur",
            "2",
            "--inpaint-fill",
            "noise",
            "--only-masked",
            "16",
        ]),
    );

    let hires = json!({"scale": 2.0, "upscaler": "double", "strength": 0.5, "steps": 3, "prompt": "a green apple"});
    let text = same(
        &served(&json!({"hires": hires, "refiner": {"model": "spark", "switch_at": 0.5}})),
        &by_hand(&[
            "--hires",
            "2",
            "--hires-upscaler",
            "double",
            "--hires-strength",
            "0.5",
            "--hires-steps",
            "3",
            "--hires-prompt",
            "a green apple",
            "--refiner",
            "spark@0.5",
        ]),
    );
    for part in ["Hires upscaler: double", "Hires prompt: a green apple", "Refiner: spark [", "Refiner switch at: 0.5"]
    {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }

    let larger = served(&json!({"upscale": "double"}));
    let text = same(&larger, &by_hand(&["--upscale", "double"]));
    assert!(text.contains("Postprocess upscale by: 2, Postprocess upscaler: double"), "{text}");
    let enlarged = served(&json!({"enlarge": picture, "upscale": "double"}));
    let (width, _, pixels, texts) = opened(&enlarged);
    assert_eq!(
        (width, texts("postprocessing").as_str()),
        (128, "Postprocess upscale by: 2, Postprocess upscaler: double")
    );
    assert_eq!(texts("parameters"), opened(&plain).3("parameters"), "what was known of the picture stays with it");
    assert!(pixels == opened(&larger).2, "the same network made the same of the same picture");
}

#[test]
fn files_that_come_while_it_runs_can_be_used_at_once() {
    let place = Place::new();
    let serving = serve(&place);
    let order = request(&json!({"upscale": "twice"}));
    assert_eq!(serving.json("POST", "/api/v1/generate", &order)["error"]["code"], "unknown_asset");
    place.write("twice.safetensors", upscaler());
    let said = place.run(["import", "twice.safetensors", "--home", "home"]).expect_success().stdout;
    assert!(said.contains("added as upscaler: `") && said.contains("models/upscalers/twice.safetensors"), "{said}");
    std::thread::sleep(std::time::Duration::from_millis(700));
    let name = serving.draw(&order);
    let file = fs_err::read(place.path(&format!("home/outputs/{name}.png"))).unwrap();
    assert_eq!(opened(&file).0, 128);
    let listed = place.run(["models", "--home", "home"]).expect_success().stdout;
    assert!(listed.contains("upscaler   twice"), "{listed}");

    place.run(["import", "twice.safetensors", "--home", "home"]).expect_refusal(&["is here already"]);
    place.write("old.ckpt", b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8P\x19.");
    place.run(["import", "old.ckpt", "--home", "home"]).expect_refusal(&["`old.ckpt` is not added", "pickle"]);
}

#[test]
fn a_picture_says_how_it_was_drawn_and_is_drawn_again() {
    let place = Place::new();
    let first =
        ["generate", "a star\nat night", "--negative", "blur", "--seed", "5", "--steps", "3", "--sampler", "Euler a"];
    place.run([&first[..], &["--noise", "NV", "--home", "home", "--out", "star.png"]].concat()).expect_success();
    let said = place.run(["inspect", "star.png"]).expect_success().stdout;
    for part in [
        "is a picture of 64x64 pixels",
        "negative_prompt  blur",
        "seed             5",
        "noise            NV",
        "--prompt-from",
    ] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
    let facts: Value = serde_json::from_str(&place.run(["inspect", "star.png", "--json"]).stdout).unwrap();
    assert_eq!((&facts["settings"]["prompt"], &facts["settings"]["steps"]), (&json!("a star\nat night"), &json!(3)));

    let again = ["generate", "--prompt-from", "star.png", "--home", "home", "--out"];
    place.run([&again[..], &["again.png"]].concat()).expect_success();
    assert_eq!(fs_err::read(place.path("again.png")).unwrap(), fs_err::read(place.path("star.png")).unwrap());
    place.run([&again[..], &["other.png", "--seed", "6", "a moon"]].concat()).expect_success();
    let text = opened(&fs_err::read(place.path("other.png")).unwrap()).3("parameters");
    assert!(text.starts_with("a moon\nNegative prompt: blur\n") && text.contains("Seed: 6"), "{text}");

    let mut silent = Vec::new();
    let mut encoder = png::Encoder::new(&mut silent, 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[0; 64]).unwrap();
    place.write("silent.png", silent);
    place
        .run(["generate", "--prompt-from", "silent.png", "--home", "home"])
        .expect_refusal(&["does not say how it was drawn"]);
    let none = place.run(["generate", "--home", "home"]);
    assert_eq!(none.code, Some(2), "neither a prompt nor a picture");
}

#[test]
fn other_devices_come_in_only_when_asked_for_and_the_seal_says_so() {
    let place = Place::new();
    let start = |args: &[&str]| {
        let mut command = place.command(PROGRAM);
        command.args(["serve", "--no-browser", "--home", "home"]).args(args);
        Serving::start(command)
    };
    let elsewhere = |serving: &Serving| std::net::SocketAddr::new([127, 0, 0, 2].into(), serving.address.port());

    let serving = start(&[]);
    assert!(std::net::TcpStream::connect(elsewhere(&serving)).is_err());
    assert_eq!(serving.json("GET", "/api/v1/lan", "")["on"], false);
    let seal = serving.json("GET", "/api/v1/seal", "");
    assert_eq!(seal["listens_on"], json!([serving.address.to_string()]));
    drop(serving);

    let mut serving = start(&["--lan", "127.0.0.2"]);
    let network = elsewhere(&serving);
    let seal = serving.json("GET", "/api/v1/seal", "");
    assert_eq!(seal["listens_on"], json!([serving.address.to_string(), network.to_string()]));
    assert!(seal["sentence"].as_str().unwrap().ends_with(&format!("for paired devices: {network}.")), "{seal:#}");
    for attempt in seal["attempts"].as_array().unwrap() {
        assert_eq!(attempt["refused"], true, "{attempt:#}");
    }
    let code = serving.json("GET", "/api/v1/lan", "")["code"].as_str().unwrap().to_owned();
    let own = std::mem::replace(&mut serving.address, network);
    assert_eq!(serving.json("GET", "/api/v1/status", "")["error"]["code"], "not_paired");
    let paired = serving.json("POST", "/pair", &json!({"code": code, "name": "Test"}).to_string());
    assert_eq!(paired["device"]["name"], "Test", "{paired:#}");
    serving.address = own;
    assert_eq!(serving.json("GET", "/api/v1/lan", "")["devices"][0]["name"], "Test");
}

#[test]
fn addresses_that_no_device_could_use_are_refused() {
    let place = Place::new();
    for (address, why) in [
        ("0.0.0.0", "stands for many addresses"),
        ("127.0.0.1", "other devices cannot reach it"),
        ("fe80::1", "link-local"),
    ] {
        let ran = place.run(["serve", "--home", "home", "--no-browser", "--lan", address]);
        assert!(ran.stderr.contains(why) && ran.stderr.contains("hint: "), "{}", ran.stderr);
        assert_eq!(ran.code, Some(2));
    }
    place
        .run(["serve", "--home", "home", "--no-browser", "--lan", "192.0.2.77"])
        .expect_refusal(&["cannot listen on 192.0.2.77:", "is no address of this computer"]);
}
