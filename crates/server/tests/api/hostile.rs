//! Clients that break the rules, and a system that runs out of things.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use server::Facts;

use crate::fake::Fake;
use crate::running::{Running, one_crowd};

/// Less than the ten seconds after which silent connections end by themselves; much more than an answer takes.
const BEFORE_THEY_END: Duration = Duration::from_secs(8);

fn healthy(running: &Running) {
    assert_eq!(running.get("/api/v1/healthz").text(), r#"{"ok":true}"#);
}

/// The lines of a request's head for this server, without the empty one.
fn head(running: &Running, first: &str) -> String {
    format!("{first} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", running.address)
}

#[test]
fn lengths_that_are_none_are_refused() {
    let running = Running::fast();
    for length in ["-5", "+5", "5x", "0x5", "1e3", "99999999999999999999999999", "4, 4"] {
        let mut client = running.connect();
        client.send(format!("{}Content-Length: {length}\r\n\r\n", head(&running, "POST /api/v1/generate")).as_bytes());
        assert_eq!(client.reply(false).refusal(), (400, "bad_content_length".to_owned()), "{length}");
    }
    let mut client = running.connect();
    let two = "Content-Length: 4\r\nContent-Length: 5\r\n\r\n{   ";
    client.send(format!("{}{two}", head(&running, "POST /api/v1/generate")).as_bytes());
    assert_eq!(client.reply(false).refusal(), (400, "bad_content_length".to_owned()));
    healthy(&running);
}

#[test]
fn an_announced_petabyte_does_not_end_the_program() {
    let running = Running::fast();
    for (method, path) in [("POST", "/api/v1/generate"), ("GET", "/"), ("DELETE", "/api/v1/jobs/j1")] {
        for length in ["17000000", "1125899906842624", "9223372036854775807", "18446744073709551615"] {
            let mut client = running.connect();
            client.send(
                format!("{}Content-Length: {length}\r\n\r\nabc", head(&running, &format!("{method} {path}")))
                    .as_bytes(),
            );
            let status = client.reply(false).status;
            assert!([413, 200, 404, 400].contains(&status), "{method} {length}: {status}");
        }
    }
    healthy(&running);
}

#[test]
fn bodies_that_stop_in_the_middle_hold_up_nobody() {
    let running = Running::fast();
    let mut stalled = Vec::new();
    for index in 0..20 {
        let mut client = running.connect();
        let length = if index % 2 == 0 { 2_000_000 } else { 900 };
        client.send(
            format!("{}Content-Length: {length}\r\n\r\n{{\"pro", head(&running, "POST /api/v1/generate")).as_bytes(),
        );
        stalled.push(client);
    }
    let started = Instant::now();
    healthy(&running);
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn half_closed_and_abandoned_connections_are_answered_or_dropped() {
    let running = Running::fast();
    let mut client = running.connect();
    client.send(format!("{}\r\n", head(&running, "GET /api/v1/healthz")).as_bytes());
    client.close_writing();
    assert_eq!(client.reply(false).status, 200);
    assert!(client.rest(Duration::from_secs(5)).is_some(), "the server closes its half too");

    for bytes in
        [&b""[..], b"G", b"GET / HTTP/1.1\r\n", b"POST /api/v1/generate HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"]
    {
        let mut client = running.connect();
        client.send(bytes);
        client.close_writing();
        assert!(client.rest(Duration::from_secs(5)).is_some(), "{bytes:?} keeps the connection open");
    }
    for _ in 0..50 {
        let mut client = running.connect();
        client.send(format!("{}\r\n", head(&running, "GET /api/v1/status")).as_bytes());
    }
    healthy(&running);
}

#[test]
fn rubbish_is_no_reason_to_stop() {
    let running = Running::fast();
    for bytes in [
        &b"\r\n\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nExpect: magic\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut client = running.connect();
        client.send(bytes);
        client.close_writing();
        let answer = client.rest(Duration::from_secs(5)).expect("the server closes");
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 5"), "{text}");
    }
    healthy(&running);
}

#[test]
fn requests_behind_each_other_are_answered_in_order() {
    let running = Running::fast();
    let mut client = running.connect();
    let one = |path: &str| format!("{}\r\n", head(&running, path));
    client.send((one("GET /api/v1/healthz") + &one("GET /nowhere") + &one("GET /api/v1/pictures")).as_bytes());
    let statuses: Vec<u16> = (0..3).map(|_| client.reply(false).status).collect();
    assert_eq!(statuses, [200, 404, 200]);
    let last = client.request("GET", "/api/v1/healthz", &[("Connection", "close")], b"");
    assert_eq!(last.status, 200);
    assert_eq!(client.rest(Duration::from_secs(5)), Some(Vec::new()));
}

#[test]
fn events_end_with_their_page_and_hold_back_nobody() {
    let engine = Arc::new(Fake::slow());
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::at(&folder.path().join("outputs"), Arc::clone(&engine) as _, Facts::default());
    for _ in 0..12 {
        let mut client = running.connect();
        let events = format!("{}\r\n", head(&running, "GET /api/v1/events"));
        client.send(events.as_bytes());
        assert_eq!(client.head().status, 200);
    }
    healthy(&running);
    // The clients above have gone: soon nobody listens, and no preview is drawn.
    thread::sleep(Duration::from_millis(2000));
    running.finished(&running.order(r#"{"prompt":"alone","steps":5}"#));
    assert_eq!(engine.previews.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn too_many_listeners_make_the_oldest_go() {
    let running = Running::fast();
    let mut listeners: Vec<_> = (0..33).map(|_| running.connect().listen()).collect();
    let mut newest = listeners.pop().expect("a listener");
    assert!(newest.next().is_some());
    assert_eq!(listeners[0].next().map(|(name, _)| name).as_deref(), Some("hello"));
    assert_eq!(listeners[0].next(), None);
    running.order(r#"{"prompt":"a"}"#);
    assert_eq!(newest.until("job")["state"], "waiting");
    assert_eq!(listeners[1].until("job")["state"], "waiting");
}

#[test]
fn an_old_protocol_gets_answers_but_no_events() {
    let running = Running::fast();
    for (path, status) in [("/api/v1/healthz", 200), ("/api/v1/events", 505)] {
        let mut client = running.connect();
        client.send(format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", running.address).as_bytes());
        let reply = client.reply(false);
        assert_eq!((reply.status, reply.header("connection")), (status, Some("close")));
        assert_eq!(client.rest(Duration::from_secs(5)), Some(Vec::new()));
    }
}

#[test]
fn three_hundred_stalled_connections_keep_nobody_out() {
    let _alone = one_crowd();
    let running = Running::fast();
    // Silent ones, heads that stop, heads that trickle, bodies that stop: as many as there are places, twice over.
    let body = format!("{}Content-Length: 900\r\n\r\n{{\"pro", head(&running, "POST /api/v1/generate"));
    let starts = [&b""[..], b"GET / HT", b"G", body.as_bytes()];
    let mut stalled = Vec::new();
    for start in starts.iter().cycle().take(300) {
        let mut client = running.connect();
        client.send(start);
        stalled.push(client);
    }
    for _ in 0..3 {
        let started = Instant::now();
        healthy(&running);
        assert!(started.elapsed() < BEFORE_THEY_END, "{:?}", started.elapsed());
    }
    // Who was sent away had waited the longest.
    assert!(stalled[0].rest(Duration::from_secs(5)).is_some());
    assert!(stalled[299].rest(Duration::from_millis(200)).is_none());
}

#[test]
fn clients_that_ask_and_never_read_keep_nobody_out() {
    let _alone = one_crowd();
    let running = Running::fast();
    let job = running.finished(&running.order(r#"{"prompt":"noise","width":2048,"height":2048}"#));
    let picture = format!("/outputs/{}.png", job["picture"].as_str().expect("a picture"));
    let asks = format!("{}\r\n", head(&running, &format!("GET {picture}"))).repeat(3);
    let mut greedy = Vec::new();
    for _ in 0..130 {
        let mut client = running.connect();
        client.send(asks.as_bytes());
        greedy.push(client);
    }
    let started = Instant::now();
    healthy(&running);
    assert!(started.elapsed() < BEFORE_THEY_END, "{:?}", started.elapsed());
}

#[test]
fn when_every_place_is_in_use_the_next_is_told_so() {
    let _alone = one_crowd();
    let running = Running::with(Fake { step: Duration::from_secs(60), ..Fake::default() });
    // These wait for us, not we for them: nobody can be sent away.
    let ask = r#"{"prompt":"a","steps":2}"#;
    let request = format!("{}Content-Length: {}\r\n\r\n{ask}", head(&running, "POST /sdapi/v1/txt2img"), ask.len());
    let waiting: Vec<_> = (0..128)
        .map(|_| {
            let mut client = running.connect();
            client.send(request.as_bytes());
            client
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut next = running.connect();
        next.send(format!("{}\r\n", head(&running, "GET /api/v1/healthz")).as_bytes());
        let reply = next.reply(false);
        if reply.status == 503 {
            assert_eq!(reply.refusal(), (503, "too_many_connections".to_owned()));
            break;
        }
        assert!(Instant::now() < deadline, "the places never fill");
    }
    drop(waiting);
    while running.connect().request("GET", "/api/v1/healthz", &[], b"").status != 200 {
        assert!(Instant::now() < deadline, "the places never become free");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_head_of_32_mib_is_refused_after_its_first_kibibytes() {
    let running = Running::fast();
    let mut client = running.connect();
    client.send(format!("{}X-Large: ", head(&running, "GET /api/v1/healthz")).as_bytes());
    let piece = vec![b'x'; 1 << 20];
    // The server stops reading: sending fails, or goes into a closed connection.
    let sent = (0..32).take_while(|_| client.try_send(&piece)).count();
    let answer = client.rest(Duration::from_secs(5)).expect("the server closes");
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    assert!(sent < 32, "the server reads it all");
    healthy(&running);
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_wherever_they_stand() {
    let running = Running::fast();
    let own = format!("Host: {}\r\n", running.address).into_bytes();
    for (first, header, status) in [
        (&b"GET /\xff\xfe HTTP/1.1\r\n"[..], &b""[..], 400),
        (b"GET /outputs/%ff.png HTTP/1.1\r\n", b"", 400),
        (b"GET /?q=%c3%28 HTTP/1.1\r\n", b"", 400),
        (b"G\xcbT / HTTP/1.1\r\n", b"", 400),
        (b"GET /api/v1/healthz HTTP/1.1\r\n", b"X-Name: \xff\xfe\r\n", 200),
        (b"POST /api/v1/queue/pause HTTP/1.1\r\n", b"Origin: http://\xff\r\n", 403),
    ] {
        let mut client = running.connect();
        client.send(&[first, &own, header, b"\r\n"].concat());
        assert_eq!(client.reply(false).status, status, "{}", String::from_utf8_lossy(first));
    }
    let mut foreign = running.connect();
    foreign.send(b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n");
    assert_eq!(foreign.reply(false).refusal(), (421, "wrong_host".to_owned()));
    healthy(&running);
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let running = Running::fast();
    let mut client = running.connect();
    client.send(format!("{}X-Large: {}", head(&running, "GET /api/v1/healthz"), "x".repeat(40_000)).as_bytes());
    assert_eq!(client.reply(false).refusal(), (431, "head_too_large".to_owned()));
    assert!(client.rest(Duration::from_secs(5)).is_some());

    let mut client = running.connect();
    let started = Instant::now();
    client.send(b"GET / HT");
    assert_eq!(client.reply(false).refusal(), (408, "too_slow".to_owned()));
    assert!(started.elapsed() < Duration::from_secs(13), "{:?}", started.elapsed());
}
