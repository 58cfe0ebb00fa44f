//! The line, the shelf and what lies on it, through `/api/v1`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::Facts;

use crate::client::Reply;
use crate::fake::{Fake, png};
use crate::running::Running;

fn send(running: &Running, method: &str, path: &str, body: &Value) -> Reply {
    let text = body.to_string();
    running.connect().request(method, path, &[("Content-Type", "application/json")], text.as_bytes())
}

fn ids(list: &Value) -> Vec<&str> {
    let entries = list.as_array().expect("a list");
    entries.iter().map(|entry| entry["id"].as_str().expect("an id")).collect()
}

fn draw(running: &Running, prompt: &str) -> String {
    let job = running.finished(&running.order(&json!({ "prompt": prompt }).to_string()));
    job["picture"].as_str().expect("a picture").to_owned()
}

#[test]
fn a_line_is_paused_reordered_stopped_and_cleared() {
    let running = Running::fast();
    let mut events = running.connect().listen();
    assert_eq!(running.send("POST", "/api/v1/queue/pause").json()["paused"], true);
    assert_eq!(events.until("line")["paused"], true);
    let batch = running.post(r#"{"orders":[{"prompt":"a"},{"prompt":"b","count":2}]}"#).json();
    assert_eq!(ids(&batch["jobs"]), ["j1", "j2", "j3"]);
    running.order(r#"{"prompt":"c"}"#);
    let line = send(&running, "POST", "/api/v1/jobs/j4/move", &json!({ "position": 1 })).json();
    assert_eq!(ids(&line["waiting"]), ["j4", "j1", "j2", "j3"]);
    assert_eq!(ids(&events.until("line")["waiting"]), ["j4", "j1", "j2", "j3"]);
    let page = running.get("/api/v1/jobs?state=waiting,running&limit=2&before=j4").json();
    assert_eq!((ids(&page["jobs"]), &page["more"]), (vec!["j3", "j2"], &true.into()));
    assert_eq!(page["jobs"][0]["position"], 4);
    assert_eq!(running.send("DELETE", "/api/v1/batches/b1").json()["waiting_count"], 1);
    assert_eq!(running.send("DELETE", "/api/v1/batches/b1").refusal(), (404, "unknown_batch".to_owned()));
    assert_eq!(running.send("DELETE", "/api/v1/queue").json()["waiting_count"], 0);
    assert_eq!(running.send("POST", "/api/v1/queue/resume").json()["paused"], false);
    assert_eq!(running.finished(&running.order(r#"{"prompt":"d"}"#))["state"], "done");
    for (path, refusal) in [
        ("/api/v1/jobs?state=lost", (400, "out_of_range")),
        ("/api/v1/jobs?limit=0", (400, "out_of_range")),
        ("/api/v1/jobs?before=x", (404, "unknown_job")),
        ("/api/v1/tasks/t9", (404, "unknown_task")),
        ("/api/v1/models/upscaler/twice/preview", (404, "no_preview")),
        ("/api/v1/models/pickle/ink/preview", (400, "out_of_range")),
    ] {
        assert_eq!(running.get(path).refusal(), (refusal.0, refusal.1.to_owned()), "{path}");
    }
    let moved = send(&running, "POST", "/api/v1/jobs/j1/move", &json!({ "position": 1 }));
    assert_eq!(moved.refusal(), (409, "already_over".to_owned()));
}

#[test]
fn the_line_outlives_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let outputs = folder.path().join("outputs");
    let slow = Arc::new(Fake { step: Duration::from_millis(100), ..Fake::default() });
    let mut running = Running::at(&outputs, slow, Facts::default());
    let first = running.order(r#"{"prompt":"a","steps":100,"seed":7}"#);
    running.order(r#"{"prompt":"b"}"#);
    running.wait_for(&first, &["running"]);
    running.stop();
    let running = Running::at(&outputs, Arc::new(Fake::default()), Facts::default());
    assert_eq!(running.get("/api/v1/status").json()["remarks"], json!([]));
    assert_eq!(running.finished("j1")["settings"]["seed"], 7);
    assert_eq!(running.finished("j1")["state"], "done");
    assert_eq!(running.finished("j2")["state"], "done");
    assert_eq!(running.order(r#"{"prompt":"c"}"#), "j3");
}

#[test]
fn pictures_are_found_starred_thrown_away_and_brought_back() {
    let running = Running::fast();
    let cat = draw(&running, "a grey cat on a sofa");
    let dog = draw(&running, "ein Käse, a dog");
    let found = |query: &str| {
        let page = running.get(&format!("/api/v1/pictures?{query}")).json();
        let ids: Vec<String> = ids(&page["pictures"]).into_iter().map(str::to_owned).collect();
        assert_eq!(page["total"], ids.len());
        ids
    };
    assert_eq!(found("q=gr%20CAT"), [cat.as_str()]);
    assert_eq!(found("q=kase"), [dog.as_str()]);
    assert_eq!(found("q=a"), [dog.as_str(), cat.as_str()]);
    assert_eq!(found("q=at"), [""; 0]);
    assert_eq!(found("q=%22%2A"), [""; 0]);
    assert_eq!(found("model=grey&q=dog"), [dog.as_str()]);
    assert_eq!(found("model=other"), [""; 0]);

    let starred = send(&running, "PATCH", &format!("/api/v1/pictures/{cat}"), &json!({ "starred": true }));
    assert_eq!((starred.status, &starred.json()["starred"]), (200, &true.into()));
    assert_eq!(found("starred=1"), [cat.as_str()]);

    let deleted = send(&running, "POST", "/api/v1/pictures/delete", &json!({ "ids": [cat, "nobody"] })).json();
    assert_eq!((&deleted["done"], &deleted["failed"][0]["id"]), (&json!([cat]), &"nobody".into()));
    assert_eq!(found("deleted=1"), [cat.as_str()]);
    let trashed = running.get(&format!("/api/v1/pictures/{cat}")).json();
    assert_eq!((&trashed["deleted"], running.get(trashed["url"].as_str().expect("a URL")).status), (&true.into(), 200));
    let restored = send(&running, "POST", "/api/v1/pictures/restore", &json!({ "ids": [cat] })).json();
    assert_eq!(restored["done"], json!([cat]));
    assert_eq!(found("starred=1"), [cat.as_str()], "the star is still there");
    running.send("DELETE", &format!("/api/v1/pictures/{cat}"));
    assert_eq!(running.send("DELETE", "/api/v1/trash").json()["done"], json!([cat]));
    assert_eq!(found("deleted=1"), [""; 0]);
    assert_eq!(running.send("POST", &format!("/api/v1/pictures/{cat}/restore")).refusal().0, 404);
}

#[test]
fn stars_outlive_the_program_and_a_lost_database_is_made_from_the_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let outputs = folder.path().join("outputs");
    let mut running = Running::at(&outputs, Arc::new(Fake::default()), Facts::default());
    let cat = draw(&running, "a cat");
    send(&running, "PATCH", &format!("/api/v1/pictures/{cat}"), &json!({ "starred": true }));
    running.stop();
    let mut running = Running::at(&outputs, Arc::new(Fake::default()), Facts::default());
    assert_eq!(ids(&running.get("/api/v1/pictures?starred=1").json()["pictures"]), [cat.as_str()]);
    running.stop();
    fs_err::write(folder.path().join("state/fieldforge.sqlite3"), vec![7; 9000]).expect("written");
    let running = Running::at(&outputs, Arc::new(Fake::default()), Facts::default());
    assert_eq!(ids(&running.get("/api/v1/pictures?q=cat").json()["pictures"]), [cat.as_str()]);
    let remarks = running.get("/api/v1/status").json()["remarks"].clone();
    assert!(remarks[0].as_str().expect("a remark").contains("was renamed"), "{remarks}");
}

#[test]
fn small_pictures_and_uploads_come_and_stay() {
    let running = Running::fast();
    let id = draw(&running, "a cat");
    let small = running.get(&format!("/thumbnails/{id}.jpg"));
    assert_eq!(
        (small.status, small.header("content-type"), &small.body[..2]),
        (200, Some("image/jpeg"), &b"\xff\xd8"[..])
    );
    let etag = small.header("etag").expect("a tag").to_owned();
    let path = format!("/thumbnails/{id}.jpg");
    assert_eq!(running.connect().request("GET", &path, &[("If-None-Match", &etag)], b"").status, 304);
    assert_eq!(running.get("/thumbnails/nobody.jpg").refusal(), (404, "unknown_picture".to_owned()));

    let sent =
        running.connect().request("POST", "/api/v1/uploads", &[("Content-Type", "image/png")], &png(16, 8, None));
    let picture = sent.json()["picture"].as_str().expect("a name").to_owned();
    assert_eq!((sent.status, &sent.json()["width"], &sent.json()["height"]), (201, &16.into(), &8.into()));
    let order = json!({ "prompt": "a", "init": { "picture": picture } }).to_string();
    assert_eq!(running.finished(&running.order(&order))["state"], "done");
    let wrong = running.connect().request("POST", "/api/v1/uploads", &[], b"rubbish");
    assert_eq!(wrong.refusal(), (400, "no_picture".to_owned()));
    let read = running.connect().request("POST", "/api/v1/read", &[], &png(16, 8, None));
    assert_eq!(read.json()["width"], 16);
}

#[test]
fn the_other_answers_are_there() {
    let running = Running::fast();
    assert_eq!(running.get("/api/v1/openapi.json").json()["openapi"], "3.1.0");
    let lists = running.get("/api/v1/models").json();
    assert_eq!(lists["models"][0]["id"], "grey");
    let listed = |kind: &str, name: &str, has_preview: &serde_json::Value| {
        let answer = running.get(&format!("/api/v1/models/{kind}/{name}/preview"));
        assert_eq!(*has_preview, answer.status == 200, "{kind} {name}");
    };
    listed("checkpoint", "grey", &lists["models"][0]["has_preview"]);
    for asset in lists["assets"].as_array().expect("assets") {
        let text = |field: &str| asset[field].as_str().expect("text");
        listed(text("kind"), text("name"), &asset["has_preview"]);
    }
    assert!(lists["assets"].as_array().expect("assets").iter().any(|asset| asset["has_preview"] == true));
    assert_eq!(running.get("/api/v1/system").json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(running.send("POST", "/api/v1/self-test").refusal(), (503, "no_self_test".to_owned()));
    let wrong = running.send("PUT", "/api/v1/queue");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD, DELETE")));
    let wrong = running.get("/api/v1/pictures/delete");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    let ordered = send(&running, "POST", "/api/v1/generate", &json!({ "prompt": "a", "steps": 2.0, "seed": -1.0 }));
    assert_eq!((ordered.status, &ordered.json()["jobs"][0]["settings"]["steps"]), (202, &2.into()));
    let added = running.connect().request("POST", "/api/v1/models?name=a.safetensors", &[], b"abc");
    assert_eq!(added.refusal(), (400, "no_model".to_owned()));

    let started = running.send("POST", "/api/v1/models/checkpoint/grey/check").json();
    let path = format!("/api/v1/tasks/{}", started["task"].as_str().expect("a task"));
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let task = running.get(&path).json();
        if task["state"] == "failed" {
            assert_eq!(task["error"]["code"], "check_failed");
            break;
        }
        assert!(Instant::now() < deadline, "{task}");
    }
}
