//! ComfyUI's dialect through a real connection.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use server::{Generate, GenerateError, GenerateRequest, Generated, ModelCard, Progress};
use std::ops::ControlFlow;

use crate::fake::Fake;
use crate::running::Running;

/// The fake engine with a scheduler that ComfyUI has a name for.
struct Grey(Fake);

impl Generate for Grey {
    fn models(&self) -> Vec<ModelCard> {
        self.0.models()
    }
    fn samplers(&self) -> Vec<String> {
        self.0.samplers()
    }
    fn schedulers(&self) -> Vec<String> {
        vec!["Automatic".into(), "Normal".into()]
    }
    fn generate(
        &self,
        request: &GenerateRequest,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        self.0.generate(request, progress)
    }
}

fn graph(text: &str) -> Value {
    json!({
        "3": { "class_type": "KSampler", "inputs": {
            "model": ["4", 0], "seed": 5, "steps": 4, "cfg": 7, "sampler_name": "euler", "scheduler": "normal",
            "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0], "denoise": 1 } },
        "4": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "grey" } },
        "5": { "class_type": "EmptyLatentImage", "inputs": { "width": 64, "height": 64, "batch_size": 2 } },
        "6": { "class_type": "CLIPTextEncode", "inputs": { "text": text, "clip": ["4", 1] } },
        "7": { "class_type": "CLIPTextEncode", "inputs": { "text": "", "clip": ["4", 1] } },
        "8": { "class_type": "VAEDecode", "inputs": { "samples": ["3", 0], "vae": ["4", 2] } },
        "9": { "class_type": "SaveImage", "inputs": { "images": ["8", 0], "filename_prefix": "x" } },
    })
}

fn post(server: &Running, path: &str, body: &Value) -> (u16, Value) {
    let reply = server.connect().request("POST", path, &[], body.to_string().as_bytes());
    (reply.status, reply.json())
}

type Socket = tungstenite::WebSocket<TcpStream>;

fn listen(server: &Running, origin: Option<&str>) -> Result<Socket, Box<tungstenite::Error>> {
    use tungstenite::client::IntoClientRequest;
    let mut request = format!("ws://{}/ws?clientId=me", server.address).into_client_request().expect("an address");
    if let Some(origin) = origin {
        request.headers_mut().insert("Origin", origin.parse().expect("a header"));
    }
    let stream = TcpStream::connect(server.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a time limit");
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(error)) => Err(Box::new(error)),
        Err(interrupted) => panic!("{interrupted}"),
    }
}

/// Everything up to the end of the run: texts, and the types of binary messages.
fn heard(socket: &mut Socket) -> (Vec<Value>, Vec<u8>) {
    let (mut texts, mut binary) = (Vec::new(), Vec::new());
    loop {
        match socket.read().expect("a message in time") {
            tungstenite::Message::Text(text) => {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                let over = message["type"] == "executing" && message["data"]["node"].is_null();
                texts.push(message);
                if over {
                    return (texts, binary);
                }
            }
            tungstenite::Message::Binary(bytes) => binary.push(bytes[3]),
            _ => {}
        }
    }
}

#[test]
fn a_client_that_says_nothing_of_itself_gets_no_previews() {
    let server = Running::with(Grey(Fake::slow()));
    let mut socket = listen(&server, None).expect("a socket");
    let (status, reply) = post(&server, "/prompt", &json!({ "client_id": "me", "prompt": graph("a cat") }));
    assert_eq!(status, 200, "{reply}");
    let (texts, binary) = heard(&mut socket);
    assert!(texts.iter().any(|message| message["type"] == "progress"));
    assert!(binary.is_empty(), "it would take them for results");
}

#[test]
fn a_workflow_is_drawn_told_and_kept() {
    let server = Running::with(Grey(Fake::slow()));
    let mut socket = listen(&server, None).expect("a socket");
    let abilities = json!({ "type": "feature_flags", "data": { "supports_preview_metadata": false } });
    socket.send(tungstenite::Message::text(abilities.to_string())).expect("sent");
    let workflow = json!({ "nodes": ["é"] });
    let order = json!({ "client_id": "me", "prompt": graph("a cat"), "extra_data": { "extra_pnginfo": { "workflow": workflow } } });
    let (status, reply) = post(&server, "/prompt", &order);
    assert_eq!(status, 200, "{reply}");
    let id = reply["prompt_id"].as_str().expect("an id").to_owned();
    let (texts, binary) = heard(&mut socket);
    let said: Vec<&str> = texts.iter().filter_map(|message| message["type"].as_str()).collect();
    for kind in [
        "status",
        "execution_start",
        "execution_cached",
        "executing",
        "progress",
        "progress_state",
        "executed",
        "execution_success",
    ] {
        assert!(said.contains(&kind), "{kind}: {said:?}");
    }
    assert!(!binary.is_empty() && binary.iter().all(|kind| *kind == 1), "{binary:?}");
    let executed = texts.iter().find(|message| message["type"] == "executed").expect("pictures");
    let images = executed["data"]["output"]["images"].as_array().expect("images").clone();
    assert_eq!((images.len(), executed["data"]["node"].as_str()), (2, Some("9")));

    let history = server.get(&format!("/api/history/{id}")).json();
    assert_eq!(history[&id]["outputs"]["9"]["images"], json!(images));
    assert_eq!(history[&id]["status"]["status_str"], "success");
    let jobs = server.get("/api/jobs?status=completed&limit=5").json();
    assert_eq!((&jobs["jobs"][0]["id"], &jobs["jobs"][0]["outputs_count"]), (&json!(id), &json!(2)));
    let name = images[0]["filename"].as_str().expect("a name");
    let picture = server.get(&format!("/view?filename={name}&subfolder=&type=output"));
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/png")));
    let reader = png::Decoder::new(std::io::Cursor::new(&picture.body)).read_info().expect("a PNG");
    let text = |keyword: &str| {
        let texts = &reader.info().uncompressed_latin1_text;
        texts.iter().find(|chunk| chunk.keyword == keyword).map(|chunk| serde_json::from_str::<Value>(&chunk.text))
    };
    assert_eq!(text("prompt").expect("a chunk").expect("JSON"), graph("a cat"));
    assert_eq!(text("workflow").expect("a chunk").expect("JSON"), workflow);
    assert_eq!(post(&server, "/history", &json!({ "clear": true })).0, 200);
    assert_eq!(server.get("/history").json(), json!({}));
}

#[test]
fn failures_and_interruptions_are_told() {
    let server = Running::with(Grey(Fake::slow()));
    let mut socket = listen(&server, Some(&format!("http://{}", server.address))).expect("a socket");
    post(&server, "/api/prompt", &json!({ "client_id": "me", "prompt": graph("fail") }));
    let (texts, _) = heard(&mut socket);
    let error = texts.iter().find(|message| message["type"] == "execution_error").expect("an error");
    assert_eq!((&error["data"]["node_id"], &error["data"]["node_type"]), (&json!("3"), &json!("KSampler")));
    assert!(error["data"]["exception_message"].as_str().expect("a text").contains("fieldforge repair"));

    let mut long = graph("a cat");
    long["3"]["inputs"]["steps"] = json!(100);
    post(&server, "/prompt", &json!({ "client_id": "me", "prompt": long }));
    loop {
        if let tungstenite::Message::Text(text) = socket.read().expect("a message")
            && text.contains("\"progress\"")
        {
            break;
        }
    }
    post(&server, "/interrupt", &json!({}));
    let (texts, _) = heard(&mut socket);
    assert!(texts.iter().any(|message| message["type"] == "execution_interrupted"), "{texts:?}");
    assert_eq!(server.get("/prompt").json()["exec_info"]["queue_remaining"], 0);
}

#[test]
fn refusals_name_the_node() {
    let server = Running::with(Grey(Fake::default()));
    let mut wrong = graph("a cat");
    wrong["4"]["inputs"]["ckpt_name"] = json!("no.ckpt");
    let (status, reply) = post(&server, "/prompt", &json!({ "prompt": wrong }));
    assert_eq!(status, 400);
    assert_eq!(reply["node_errors"]["4"]["class_type"], "CheckpointLoaderSimple");
    assert_eq!(reply["node_errors"]["4"]["errors"][0]["extra_info"]["input_name"], "ckpt_name");
    for body in ["", "[", "{}", "{\"prompt\":3}", "\u{1}"] {
        assert_eq!(server.connect().request("POST", "/prompt", &[], body.as_bytes()).status, 400, "{body:?}");
    }
}

#[test]
fn what_clients_look_at_answers() {
    let server = Running::with(Grey(Fake::default()));
    for path in [
        "object_info",
        "object_info/KSampler",
        "system_stats",
        "embeddings",
        "models",
        "models/checkpoints",
        "extensions",
        "users",
        "settings",
        "userdata?dir=workflows&recurse=true",
        "features",
        "i18n",
        "workflow_templates",
        "templates/index.json",
        "global_subgraphs",
        "node_replacements",
        "experiment/models",
        "queue",
        "history",
        "internal/logs",
        "internal/folder_paths",
        "prompt",
    ] {
        let (plain, api) = (server.get(&format!("/{path}")), server.get(&format!("/api/{path}")));
        assert_eq!((plain.status, api.status), (200, 200), "{path}: {}", plain.text());
    }
    assert_eq!(server.get("/manager/version").status, 404);
    assert_eq!(server.get("/api/v1/status").status, 200);
    let names = server.get("/object_info/CheckpointLoaderSimple").json();
    assert_eq!(names["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0], json!(["grey"]));
    let sent = server.connect().request("POST", "/api/userdata/workflows%2Fcat.json", &[], b"{\"a\":1}");
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(server.get("/userdata/workflows%2Fcat.json").json(), json!({ "a": 1 }));
    assert_eq!(server.connect().request("POST", "/userdata/..%2Fcat.json", &[], b"{}").status, 400);
    post(&server, "/settings/Comfy.Locale", &json!("de"));
    assert_eq!(server.get("/settings").json()["Comfy.Locale"], "de");
}

#[test]
fn pages_of_other_sites_get_no_socket() {
    let server = Running::with(Grey(Fake::default()));
    assert!(listen(&server, Some("http://evil.example")).is_err());
    let foreign = [("Origin", "http://evil.example")];
    assert_eq!(server.connect().request("POST", "/prompt", &foreign, b"{}").status, 403);
    assert_eq!(server.get("/ws").status, 426);
}
