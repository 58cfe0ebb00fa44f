//! From the order to the picture.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use server::Facts;

use crate::fake::Fake;
use crate::running::Running;

#[test]
fn a_picture_goes_all_the_way_and_everybody_hears_of_it() {
    let running = Running::with(Fake::slow());
    let mut events = running.connect().listen();
    let (name, hello) = events.next().expect("hello");
    assert_eq!(
        (name.as_str(), hello.to_string().as_str()),
        ("hello", r#"{"paused":false,"running":null,"waiting":[],"waiting_count":0}"#)
    );

    let reply = running.post(r#"{"prompt":"a grey Käse","seed":42,"width":128}"#);
    assert_eq!(reply.status, 202);
    let job = reply.json()["jobs"][0].clone();
    assert_eq!(job["id"], "j1");
    let created = job["created"].as_str().expect("a time");
    assert_eq!(created.len(), "2026-11-23T14:15:02Z".len());
    assert_eq!(
        reply.text().replace(created, "NOW"),
        concat!(
            r#"{"jobs":[{"id":"j1","batch":"b1","source":"page","state":"waiting","settings":{"model":"grey","prompt":"a grey Käse","#,
            r#""negative_prompt":"","width":128,"height":64,"steps":4,"cfg_scale":7.1,"seed":42,"sampler":"Euler"},"#,
            r#""step":0,"steps":4,"picture":null,"error":null,"position":1,"created":"NOW","finished":null}]}"#
        )
    );

    let mut heard = Vec::new();
    let mut picture = serde_json::Value::Null;
    loop {
        let (name, data) = events.next().expect("an event");
        match name.as_str() {
            "job" => heard.push(format!("job {}", data["state"].as_str().expect("a state"))),
            "progress" => {
                assert_eq!((&data["id"], &data["steps"]), (&"j1".into(), &4.into()));
                heard.push(format!("progress {}", data["step"]));
            }
            "picture" => {
                picture = data.clone();
                heard.push(name.clone());
            }
            other => panic!("an unexpected {other} event"),
        }
        if name == "job" && data["state"] == "done" {
            assert_eq!(data["picture"], picture["id"]);
            break;
        }
    }
    assert_eq!(
        heard,
        ["job waiting", "job running", "progress 1", "progress 2", "progress 3", "progress 4", "picture", "job done"]
    );

    assert_eq!(picture["settings"]["prompt"], "a grey Käse");
    assert_eq!(picture["infotext"], "a grey Käse\nSteps: 4, Seed: 42");
    assert_eq!((&picture["width"], &picture["height"]), (&128.into(), &64.into()));
    let file = running.get(picture["url"].as_str().expect("an address"));
    assert_eq!((file.status, file.header("content-type")), (200, Some("image/png")));
    assert_eq!(&file.body[..8], b"\x89PNG\r\n\x1a\n");
    let id = picture["id"].as_str().expect("an id");
    assert_eq!(running.files(), [format!("{id}.png")]);
    assert_eq!(fs_err::read(running.outputs.join(format!("{id}.png"))).expect("a file"), file.body);
}

#[test]
fn previews_are_drawn_only_for_listeners_and_not_too_often() {
    let engine = Arc::new(Fake::slow());
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::at(&folder.path().join("outputs"), Arc::clone(&engine) as _, Facts::default());
    let job = running.order(r#"{"prompt":"alone","steps":10}"#);
    running.finished(&job);
    assert_eq!(engine.previews.load(Ordering::Relaxed), 0);

    let mut events = running.connect().listen();
    running.order(r#"{"prompt":"heard","steps":20}"#);
    let mut previews = 0;
    loop {
        let (name, data) = events.next().expect("an event");
        if name == "progress"
            && let Some(preview) = data["preview"].as_str()
        {
            assert!(preview.starts_with("data:image/png;base64,iVBORw0KGgo"), "{preview}");
            previews += 1;
        }
        if data["state"] == "done" {
            break;
        }
    }
    // 20 steps of 50 ms are at least a second: one preview at once and one each 300 ms.
    assert!((2..=10).contains(&previews), "{previews} previews");
    assert_eq!(engine.previews.load(Ordering::Relaxed), previews);
}

#[test]
fn jobs_are_cancelled_waiting_and_running() {
    let running = Running::with(Fake::slow());
    let first = running.order(r#"{"prompt":"a","steps":150}"#);
    let second = running.order(r#"{"prompt":"b","steps":150}"#);
    running.wait_for(&first, &["running"]);
    let status = running.get("/api/v1/status").json();
    assert_eq!(status["queue"]["running"]["id"], first.as_str());
    assert_eq!(status["queue"]["waiting"][0]["position"], 1);

    let cancelled = running.send("DELETE", &format!("/api/v1/jobs/{second}"));
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (200, &"cancelled".into()));
    let started = Instant::now();
    assert_eq!(running.send("DELETE", &format!("/api/v1/jobs/{first}")).status, 200);
    let job = running.finished(&first);
    assert_eq!(job["state"], "cancelled");
    assert!(job["step"].as_u64().expect("a step") < 150);
    assert!(started.elapsed() < Duration::from_secs(5));

    let again = running.send("DELETE", &format!("/api/v1/jobs/{first}"));
    assert_eq!(again.refusal(), (409, "already_over".to_owned()));
    assert_eq!(running.send("DELETE", "/api/v1/jobs/j99").refusal(), (404, "unknown_job".to_owned()));
    assert_eq!(running.files(), [""; 0]);
    let third = running.order(r#"{"prompt":"c"}"#);
    assert_eq!(running.finished(&third)["state"], "done");
}

#[test]
fn a_full_queue_refuses_and_keeps_what_it_has() {
    let running = Running::with(Fake { step: Duration::from_millis(200), ..Fake::default() });
    let first = running.order(r#"{"prompt":"x","steps":100}"#);
    running.wait_for(&first, &["running"]);
    // Ten thousand jobs, a hundred orders of a hundred.
    let orders = format!(r#"{{"orders":[{}]}}"#, vec![r#"{"prompt":"x","count":100,"seed":1}"#; 100].join(","));
    assert_eq!(running.post(&orders).status, 202);
    let refused = running.post(r#"{"prompt":"x"}"#);
    assert_eq!(refused.refusal(), (429, "queue_full".to_owned()));
    assert!(refused.json()["error"]["message"].as_str().expect("a text").starts_with("10000 pictures already wait"));
    let queue = &running.get("/api/v1/status").json()["queue"];
    assert_eq!((&queue["waiting_count"], queue["waiting"].as_array().map(Vec::len)), (&10_000.into(), Some(200)));
    assert_eq!(running.send("DELETE", "/api/v1/jobs/j50").status, 200);
    assert_eq!(running.post(r#"{"prompt":"x"}"#).status, 202);
}

#[test]
fn a_failing_engine_fails_its_job_only() {
    let running = Running::fast();
    let failed = running.finished(&running.order(r#"{"prompt":"fail"}"#));
    assert_eq!(
        failed["error"].to_string(),
        r#"{"code":"engine_failed","hint":"run `fieldforge repair`","message":"`grey.safetensors` is damaged"}"#
    );
    let crashed = running.finished(&running.order(r#"{"prompt":"crash"}"#));
    assert_eq!((&crashed["state"], &crashed["error"]["code"]), (&"failed".into(), &"engine_crashed".into()));
    let rubbish = running.finished(&running.order(r#"{"prompt":"rubbish"}"#));
    assert_eq!(rubbish["error"]["code"], "not_saved");
    assert_eq!(running.files(), [""; 0]);
    assert_eq!(running.finished(&running.order(r#"{"prompt":"good"}"#))["state"], "done");
}

#[test]
fn a_late_listener_learns_what_runs_and_waits() {
    let running = Running::with(Fake::slow());
    let first = running.order(r#"{"prompt":"a","steps":100}"#);
    running.wait_for(&first, &["running"]);
    running.order(r#"{"prompt":"b"}"#);
    let (_, hello) = running.connect().listen().next().expect("hello");
    assert_eq!((&hello["running"]["id"], &hello["waiting"][0]["id"]), (&"j1".into(), &"j2".into()));
}
