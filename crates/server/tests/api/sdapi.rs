//! A1111's interface, as its clients use it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use server::{Facts, GenerateRequest, PictureRef};

use crate::client::Reply;
use crate::fake::{Fake, png};
use crate::running::Running;

const V1: &str = "/sdapi/v1";

fn post(running: &Running, path: &str, body: &Value) -> Reply {
    let headers = [("Content-Type", "application/json")];
    running.connect().request("POST", &format!("{V1}/{path}"), &headers, body.to_string().as_bytes())
}

fn ask(running: &Running, path: &str) -> Value {
    let reply = running.get(&format!("{V1}/{path}"));
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

/// A server in a folder of its own, and its engine.
fn watched(engine: Fake) -> (Running, Arc<Fake>, tempfile::TempDir) {
    let (engine, folder) = (Arc::new(engine), tempfile::tempdir().expect("a folder"));
    let running = Running::at(&folder.path().join("outputs"), Arc::clone(&engine) as _, Facts::default());
    (running, engine, folder)
}

fn last(engine: &Fake) -> GenerateRequest {
    engine.last.lock().expect("no panic").clone().expect("a request")
}

fn base64_png(width: u32, height: u32) -> String {
    STANDARD.encode(png(width, height, None))
}

#[test]
fn txt2img_answers_with_pictures_and_info_as_text() {
    let (running, engine, _folder) = watched(Fake::default());
    let body = json!({
        "prompt": "a cat", "negative_prompt": "dog", "styles": ["Ink", "unknown"], "seed": 7, "width": 131, "height": "72",
        "steps": 3, "cfg_scale": 5, "sampler_name": "euler a", "scheduler": "karras", "batch_size": 2, "n_iter": 2,
        "override_settings": {"CLIP_stop_at_last_layers": 2, "randn_source": "GPU"}, "restore_faces": false,
    });
    let reply = post(&running, "txt2img", &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let images = answer["images"].as_array().expect("a list");
    assert_eq!(images.len(), 4);
    let first = STANDARD.decode(images[0].as_str().expect("a text")).expect("base64");
    let reader = png::Decoder::new(std::io::Cursor::new(first)).read_info().expect("a PNG");
    assert_eq!(reader.info().size(), (128, 72));
    assert_eq!(answer["parameters"], body);
    let info: Value = serde_json::from_str(answer["info"].as_str().expect("a text")).expect("JSON in it");
    assert_eq!((&info["seed"], &info["all_seeds"]), (&json!(7), &json!([7, 8, 9, 10])));
    assert_eq!((&info["prompt"], &info["negative_prompt"]), (&json!("a cat, in ink"), &json!("dog, colour")));
    assert_eq!(
        (&info["sampler_name"], &info["clip_skip"], &info["batch_size"]),
        (&json!("Euler a"), &json!(2), &json!(2))
    );
    assert_eq!(info["infotexts"][3], "a cat, in ink\nSteps: 3, Seed: 10");
    let drawn = last(&engine);
    assert_eq!(
        (drawn.noise.as_deref(), drawn.scheduler.as_deref(), drawn.clip_skip),
        (Some("NV"), Some("Karras"), Some(2))
    );
    assert_eq!(running.files().len(), 4);
}

#[test]
fn a_second_seed_a_second_pass_and_a_refiner_reach_the_engine() {
    let (running, engine, _folder) = watched(Fake::default());
    let body = json!({
        "prompt": "a", "seed": 5, "subseed": 9, "subseed_strength": 0.25, "batch_size": 2, "steps": 1,
        "enable_hr": true, "hr_scale": 1.5, "hr_upscaler": "Lanczos", "hr_second_pass_steps": 0,
        "denoising_strength": 0.4, "hr_sampler_name": "Euler", "hr_prompt": "b", "hr_cfg": 3,
        "refiner_checkpoint": "grey", "refiner_switch_at": 0.6, "send_images": false,
        "alwayson_scripts": {"ControlNet": {"args": [
            {"enabled": false, "model": "gone"},
            {"model": "edges [01234567]", "module": "canny", "image": base64_png(8, 8), "weight": 0.5, "guidance_end": 0.7},
        ]}, "ADetailer": {"args": []}},
    });
    let reply = post(&running, "txt2img", &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["images"], json!([]));
    let drawn = last(&engine);
    let variation = drawn.variation.expect("a second seed");
    assert_eq!((drawn.seed, variation.seed, variation.strength), (5, 10, 0.25));
    let hires = drawn.hires.expect("a second pass");
    assert_eq!((hires.scale, hires.steps, hires.strength, hires.cfg_scale), (1.5, None, 0.4, Some(3.0)));
    assert_eq!(
        (hires.upscaler.as_str(), hires.sampler.as_deref(), hires.prompt.as_str()),
        ("Lanczos", Some("Euler"), "b")
    );
    assert_eq!(drawn.refiner.map(|refiner| refiner.switch_at), Some(0.6));
    let control = &drawn.controls[0];
    assert_eq!((control.net.as_str(), control.preprocess.as_str()), ("edges", "canny"));
    assert_eq!((control.weight, control.end), (0.5, 0.7));
    let reply = post(&running, "txt2img", &json!({"infotext": "a hare\nSteps: 2, Seed: 3", "steps": 1}));
    assert_eq!(reply.status, 400, "{}", reply.text());
}

#[test]
fn img2img_starts_from_the_picture_and_draws_in_the_mask() {
    let (running, engine, _folder) = watched(Fake::default());
    let body = json!({
        "init_images": [format!("data:image/png;base64,{}", base64_png(100, 80))], "mask": base64_png(100, 80),
        "prompt": "a", "steps": 1, "denoising_strength": 0.3, "resize_mode": 1, "mask_blur": 7,
        "inpainting_fill": 1, "inpaint_full_res": true, "inpaint_full_res_padding": 32, "inpainting_mask_invert": 1,
    });
    let answer = post(&running, "img2img", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        (&answer.json()["parameters"]["init_images"], &answer.json()["parameters"]["mask"]),
        (&Value::Null, &Value::Null)
    );
    let drawn = last(&engine);
    assert_eq!((drawn.width, drawn.height), (96, 80));
    let init = drawn.init.expect("a picture");
    assert_eq!((init.strength, init.resize_mode.as_str()), (0.3, "crop"));
    assert!(matches!(init.picture, PictureRef::Upload(_)));
    let inpaint = drawn.inpaint.expect("a mask");
    assert_eq!((inpaint.invert, inpaint.mask_blur, inpaint.fill.as_str()), (true, 7.0, "original"));
    assert_eq!(inpaint.only_masked, Some(32));

    assert_eq!(post(&running, "img2img", &json!({"prompt": "a"})).status, 404);
    for (picture, status) in [("http://127.0.0.1/x.png", 400), ("no base64!", 400), ("aGVsbG8=", 400)] {
        assert_eq!(post(&running, "img2img", &json!({"init_images": [picture]})).status, status, "{picture}");
    }
}

#[test]
fn progress_tells_the_truth_and_interrupt_ends_the_call() {
    let (running, _engine, _folder) = watched(Fake::slow());
    assert_eq!(ask(&running, "progress")["state"]["job_count"], 0);
    let address = running.address;
    let body = json!({"prompt": "a", "steps": 100, "batch_size": 2, "force_task_id": "mine"}).to_string();
    let call = std::thread::spawn(move || {
        crate::client::Client::connect(address).request("POST", "/sdapi/v1/txt2img", &[], body.as_bytes())
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    let progress = loop {
        let progress = ask(&running, "progress");
        if progress["current_image"].is_string() && progress["eta_relative"].as_f64() > Some(0.0) {
            break progress;
        }
        assert!(Instant::now() < deadline, "no preview: {progress}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(progress["current_image"].as_str().expect("a text").starts_with("iVBORw0KGgo"));
    let done = progress["progress"].as_f64().expect("a number");
    assert!(done > 0.0 && done < 0.5, "{done}");
    assert!(progress["eta_relative"].as_f64() > Some(2.0), "two pictures of five seconds: {progress}");
    assert_eq!((&progress["state"]["job_count"], &progress["state"]["sampling_steps"]), (&json!(2), &json!(100)));
    assert_eq!(ask(&running, "progress?skip_current_image=true")["current_image"], Value::Null);
    assert_eq!(running.get("/internal/pending-tasks").json(), json!({"size": 1, "tasks": ["mine"]}));
    let internal = running.connect().request("POST", "/internal/progress", &[], br#"{"id_task":"mine"}"#).json();
    assert_eq!((&internal["active"], &internal["completed"]), (&json!(true), &json!(false)));

    assert_eq!(post(&running, "interrupt", &json!({})).json(), json!({}));
    let reply = call.join().expect("no panic");
    assert_eq!((reply.status, &reply.json()["images"]), (200, &json!([])));
    assert!(running.files().is_empty());
    assert_eq!(running.get("/internal/pending-tasks").json()["size"], 0);
}

#[test]
fn skip_leaves_one_picture_out_and_other_dialects_alone() {
    let (running, _engine, _folder) = watched(Fake::slow());
    let ours = running.order(r#"{"prompt":"page","steps":10}"#);
    running.wait_for(&ours, &["running"]);
    post(&running, "interrupt", &json!({}));
    assert_eq!(running.finished(&ours)["state"], "done");

    let address = running.address;
    let call = std::thread::spawn(move || {
        let body = br#"{"prompt":"a","steps":20,"batch_size":2}"#;
        crate::client::Client::connect(address).request("POST", "/sdapi/v1/txt2img", &[], body)
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    while ask(&running, "progress")["state"]["sampling_step"].as_u64() < Some(2) {
        assert!(Instant::now() < deadline, "it never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    post(&running, "skip", &json!({}));
    assert_eq!(call.join().expect("no panic").json()["images"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_client_that_hangs_up_cancels_its_pictures() {
    let (running, _engine, _folder) = watched(Fake::slow());
    let body = br#"{"prompt":"a","steps":150}"#;
    let mut client = running.connect();
    client.send(b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: 127.0.0.1:");
    client.send(format!("{}\r\nContent-Length: {}\r\n\r\n", running.address.port(), body.len()).as_bytes());
    client.send(body);
    running.wait_for("j1", &["running"]);
    drop(client);
    assert_eq!(running.finished("j1")["state"], "cancelled");
}

#[test]
fn options_are_kept_and_the_model_is_checked() {
    let running = Running::fast();
    let mut all = ask(&running, "options");
    assert_eq!((&all["sd_model_checkpoint"], &all["CLIP_stop_at_last_layers"]), (&json!("grey"), &json!(1)));
    // Open WebUI posts the whole object back.
    all["something_new"] = json!({"a": [1]});
    all["CLIP_stop_at_last_layers"] = json!(2);
    assert_eq!(post(&running, "options", &all).status, 200);
    assert_eq!(ask(&running, "options"), all);
    assert_eq!(post(&running, "options", &json!({"sd_model_checkpoint": "Grey"})).status, 200);
    assert_eq!(post(&running, "options", &json!({"sd_model_checkpoint": "gone.safetensors [0123456789]"})).status, 404);
    assert_eq!(ask(&running, "options")["sd_model_checkpoint"], "grey");
}

#[test]
fn every_list_has_the_shape_that_clients_read() {
    let running = Running::fast();
    assert_eq!(ask(&running, "sd-models")[0]["title"], "grey");
    assert_eq!(ask(&running, "samplers")[1], json!({"name": "Euler a", "aliases": ["k_euler_a"], "options": {}}));
    assert_eq!(ask(&running, "schedulers")[1]["label"], "Karras");
    assert_eq!(ask(&running, "upscalers")[3]["name"], "twice");
    assert_eq!(ask(&running, "loras")[0]["name"], "ink");
    assert_eq!(ask(&running, "prompt-styles")[0]["name"], "Ink");
    assert_eq!(ask(&running, "embeddings"), json!({"loaded": {}, "skipped": {}}));
    assert_eq!(ask(&running, "scripts")["txt2img"][1], "controlnet m2m");
    for name in [
        "cmd-flags",
        "latent-upscale-modes",
        "sd-vae",
        "sd-modules",
        "hypernetworks",
        "face-restorers",
        "realesrgan-models",
        "memory",
        "script-info",
        "extensions",
    ] {
        ask(&running, name);
    }
    for name in ["refresh-checkpoints", "refresh-vae", "refresh-loras", "unload-checkpoint", "reload-checkpoint"] {
        assert_eq!(post(&running, name, &json!({})).status, 200, "{name}");
    }
    for name in ["version", "model_list", "module_list", "control_types", "settings"] {
        assert_eq!(running.get(&format!("/controlnet/{name}")).status, 200, "{name}");
    }
    assert_eq!(running.get("/internal/ping").status, 200);
}

#[test]
fn pictures_are_enlarged_and_tell_about_themselves() {
    let (running, engine, _folder) = watched(Fake::default());
    let body = json!({"image": base64_png(16, 16), "upscaler_1": "twice"});
    assert!(post(&running, "extra-single-image", &body).json()["image"].is_string());
    assert_eq!(last(&engine).upscale.as_deref(), Some("twice"));
    let body = json!({"imageList": [{"data": base64_png(8, 8), "name": "a"}], "upscaler_1": "None"});
    assert_eq!(post(&running, "extra-batch-images", &body).json()["images"][0], base64_png(8, 8));
    let body = json!({"image": base64_png(8, 8), "upscaler_1": "gone"});
    assert_eq!(post(&running, "extra-single-image", &body).status, 404);

    let settings = GenerateRequest { prompt: "a hare".into(), steps: 2, seed: 3, ..GenerateRequest::default() };
    let told = post(&running, "png-info", &json!({"image": STANDARD.encode(png(8, 8, Some(&settings)))})).json();
    assert_eq!((&told["info"], &told["items"]["parameters"]), (&json!("a hare\nSteps: 2, Seed: 3"), &told["info"]));
    assert_eq!(post(&running, "png-info", &json!({"image": base64_png(8, 8)})).json()["info"], "");
}

#[test]
fn refusals_come_in_the_words_that_clients_expect() {
    let running = Running::fast();
    let wrong = post(&running, "txt2img", &json!({"prompt": "a", "steps": "many"}));
    assert_eq!((wrong.status, &wrong.json()["detail"][0]["loc"]), (422, &json!(["body", "steps"])));
    for (body, status, part) in [
        (json!({"prompt": "a", "sampler_name": "none such"}), 400, "Sampler not found"),
        (json!({"prompt": "a", "steps": 1000}), 400, "`steps` is 1000"),
        (json!({"prompt": "a", "script_name": "x/y/z plot"}), 422, "Script 'x/y/z plot' not found"),
        (json!({"prompt": "a", "alwayson_scripts": {"roop": {"args": [1]}}}), 422, "always on script roop"),
        (json!({"prompt": "a", "tiling": true}), 400, "no tiling"),
        (json!({"prompt": "a", "batch_size": 1000}), 400, "at most 100"),
        (json!({"prompt": "a", "override_settings": {"sd_model_checkpoint": "gone"}}), 404, "installed: grey"),
    ] {
        let reply = post(&running, "txt2img", &body);
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        assert!(reply.json()["detail"].as_str().expect("a text").contains(part), "{body}: {}", reply.text());
    }
    let failed = post(&running, "txt2img", &json!({"prompt": "fail"}));
    assert_eq!((failed.status, &failed.json()["error"]), (500, &json!("RuntimeError")));
    assert!(failed.json()["errors"].as_str().expect("a text").starts_with("`grey.safetensors` is damaged"));
    assert_eq!(running.get("/sdapi/v1/none-such").json(), json!({"detail": "Not Found"}));
    assert_eq!(running.get("/sdapi/v1/txt2img").status, 405);
    assert_eq!(post(&running, "interrogate", &json!({"image": ""})).status, 501);
    let headers = [("Origin", "http://evil.example")];
    assert_eq!(running.connect().request("POST", "/sdapi/v1/interrupt", &headers, b"{}").status, 403);
}
