//! OpenAI's interface for pictures.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use server::{Facts, PictureRef};

use crate::client::Reply;
use crate::fake::{Fake, png};
use crate::running::Running;

fn post(running: &Running, path: &str, body: &Value) -> Reply {
    let headers = [("Content-Type", "application/json"), ("Authorization", "Bearer anything")];
    running.connect().request("POST", &format!("/v1/{path}"), &headers, body.to_string().as_bytes())
}

fn form(running: &Running, path: &str, parts: &[(&str, &[u8])]) -> Reply {
    let mut body = Vec::new();
    for (name, content) in parts {
        body.extend(format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes());
        body.extend_from_slice(content);
        body.extend(b"\r\n");
    }
    body.extend(b"--xx--\r\n");
    let headers = [("Content-Type", "multipart/form-data; boundary=xx")];
    running.connect().request("POST", &format!("/v1/{path}"), &headers, &body)
}

#[test]
fn pictures_come_as_data_and_as_addresses() {
    let running = Running::fast();
    let body = json!({"model": "dall-e-3", "prompt": "a cat", "n": 2, "size": "128x64", "seed": 5, "steps": 2});
    let answer = post(&running, "images/generations", &body).json();
    assert_eq!((answer["data"].as_array().map(Vec::len), &answer["size"]), (Some(2), &json!("128x64")));
    let second = &answer["data"][1];
    let url = second["url"].as_str().expect("an address");
    let path = url.strip_prefix(&format!("http://{}", running.address)).expect("our address");
    let file = running.get(path);
    assert_eq!(STANDARD.encode(&file.body), second["b64_json"].as_str().expect("a text"));
    assert_eq!(answer["usage"]["total_tokens"], 0);
    for (format, other) in [("url", "b64_json"), ("b64_json", "url")] {
        let body = json!({"prompt": "a", "response_format": format});
        let data = post(&running, "images/generations", &body).json()["data"][0].clone();
        assert!(data[format].is_string() && data[other].is_null(), "{format}");
    }
}

#[test]
fn forms_change_pictures() {
    let engine = Arc::new(Fake::default());
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::at(&folder.path().join("outputs"), Arc::clone(&engine) as _, Facts::default());
    let picture = png(96, 64, None);
    let parts: [(&str, &[u8]); 5] =
        [("image[]", &picture), ("mask", &picture), ("prompt", b"a hat"), ("n", b"1"), ("guidance_scale", b"3.5")];
    let reply = form(&running, "images/edits", &parts);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let drawn = engine.last.lock().expect("no panic").clone().expect("a request");
    assert_eq!((drawn.width, drawn.height, drawn.cfg_scale, drawn.prompt.as_str()), (96, 64, 3.5, "a hat"));
    assert!(matches!(drawn.inpaint.expect("a mask").mask, Some(PictureRef::Upload(_))));
    assert_eq!(form(&running, "images/variations", &[("image", &picture), ("size", b"64x64")]).status, 200);
    let drawn = engine.last.lock().expect("no panic").clone().expect("a request");
    assert_eq!((drawn.width, drawn.init.expect("a picture").strength), (64, 0.6));
    let two = form(&running, "images/edits", &[("image[]", &picture), ("image[]", &picture), ("prompt", b"a")]);
    assert_eq!((two.status, &two.json()["error"]["param"]), (400, &json!("image")));
}

#[test]
fn a_stream_shows_the_picture_as_it_comes() {
    let running = Running::with(Fake::slow());
    let body = json!({"prompt": "a", "stream": true, "partial_images": 2, "steps": 20});
    let mut client = running.connect();
    let text = body.to_string();
    let head = format!(
        "POST /v1/images/generations HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        running.address,
        text.len()
    );
    client.send(head.as_bytes());
    client.send(text.as_bytes());
    let head = client.head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream; charset=utf-8")));
    let text = String::from_utf8(client.rest(Duration::from_secs(15)).expect("an end")).expect("UTF-8");
    let events: Vec<(&str, Value)> = text
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once("\ndata: ").expect("data");
            (name.strip_prefix("event: ").expect("a name"), serde_json::from_str(data).expect("JSON"))
        })
        .collect();
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    let partial = "image_generation.partial_image";
    assert_eq!(names, [partial, partial, "image_generation.completed"]);
    assert!(events.iter().all(|(name, data)| data["type"] == *name && data["b64_json"].is_string()));
    assert_eq!((&events[1].1["partial_image_index"], &events[2].1["usage"]["total_tokens"]), (&json!(1), &json!(0)));

    let body = json!({"prompt": "b", "stream": true, "steps": 150}).to_string();
    let mut leaving = running.connect();
    let head = format!(
        "POST /v1/images/generations HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        running.address,
        body.len()
    );
    leaving.send(head.as_bytes());
    leaving.send(body.as_bytes());
    assert_eq!(leaving.head().status, 200);
    drop(leaving);
    let jobs = running.get("/api/v1/status").json();
    let id = jobs["queue"]["running"]["id"].as_str().unwrap_or("j2").to_owned();
    assert_eq!(running.finished(&id)["state"], "cancelled");
}

#[test]
fn models_and_refusals_have_openais_shape() {
    let running = Running::fast();
    let models = running.get("/v1/models").json();
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&json!("list"), &json!("grey")));
    assert_eq!(running.get("/v1/models/grey").json()["object"], "model");
    assert_eq!(running.get("/v1/models/gone").json()["error"]["code"], "model_not_found");
    for (body, status, param, code) in [
        (json!({"model": "gone", "prompt": "a"}), 404, json!("model"), "model_not_found"),
        (json!({}), 400, json!("prompt"), "missing_required_parameter"),
        (json!({"prompt": "a", "n": 11}), 400, json!("n"), "invalid_value"),
        (json!({"prompt": "a", "size": "large"}), 400, json!("size"), "invalid_value"),
        (json!({"prompt": "a", "size": "65x64"}), 400, json!("width"), "out_of_range"),
        (json!({"prompt": "a", "output_format": "webp"}), 400, json!("output_format"), "invalid_value"),
        (json!({"prompt": "fail"}), 500, json!(null), "engine_failed"),
    ] {
        let reply = post(&running, "images/generations", &body);
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["param"], &error["code"]), (status, &param, &json!(code)), "{body}: {error}");
    }
    assert_eq!(running.get("/v1/none").json()["error"]["type"], "invalid_request_error");
    assert_eq!(form(&running, "images/edits", &[("prompt", b"a")]).json()["error"]["param"], "image");
}
