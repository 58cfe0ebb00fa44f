//! A sealed tiny_http server: it answers, streams events, and cannot call out.

use crate::child::{Findings, rules, thread_states};
use crate::outer::surround;
use crate::parent::{Case, User, command, findings, for_users, room};
use crate::work::ordinary_work;
use libtest_mimic::{Failed, Trial};
use seal::{Canary, Level, Mechanism};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    let cases: &[(&str, Case)] = &[
        ("sealed server: pages, posts and events work, ways out do not", serving),
        ("sealed server: without Landlock it still serves", serving_without_landlock),
        ("sealed server: threads that ran before are covered", old_threads),
        ("sealed server: a listener for other machines is misuse", open_listener),
    ];
    cases.iter().flat_map(|(name, case)| for_users(name, *case)).collect()
}

/// The child: binds, seals, then serves until asked to stop.
pub(crate) fn serve(around: &str, canary: SocketAddr, room: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    surround(around);
    let report = seal::seal_server(&listener, &rules(room)).unwrap();
    let server = tiny_http::Server::from_listener(listener, None).unwrap();
    let mut output = std::io::stdout();
    writeln!(output, "{address}").unwrap();
    output.flush().unwrap();
    let level = report.level;
    let mut report = Some(report);
    let room = room.to_owned();
    for mut request in server.incoming_requests() {
        match request.url() {
            "/page" => request.respond(tiny_http::Response::from_string("page")).unwrap(),
            "/echo" => {
                let mut text = String::new();
                request.as_reader().read_to_string(&mut text).unwrap();
                request.respond(tiny_http::Response::from_string(text)).unwrap();
            }
            "/events" => drop(std::thread::spawn(move || stream_events(request))),
            "/findings" => {
                let findings = Findings {
                    report: report.take(),
                    attempts: seal::probe(canary, level),
                    broken: ordinary_work(&room),
                    threads: thread_states(),
                    ..Findings::default()
                };
                let text = serde_json::to_vec(&findings).unwrap();
                request.respond(tiny_http::Response::from_data(text)).unwrap();
            }
            _ => {
                request.respond(tiny_http::Response::from_string("bye")).unwrap();
                // The server's own way to stop, a connection to itself, is refused too.
                return;
            }
        }
    }
}

/// Server-sent events, each flushed on its own.
fn stream_events(request: tiny_http::Request) {
    let mut writer = request.into_writer();
    writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n").unwrap();
    for number in 0..3 {
        writer.write_all(format!("data: {number}\n\n").as_bytes()).unwrap();
        writer.flush().unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn request(address: &str, method: &str, path: &str, body: &str) -> Result<String, Failed> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (_, body) = text.split_once("\r\n\r\n").ok_or("no body")?;
    Ok(body.to_owned())
}

fn journey(user: User, around: &str) -> Result<Findings, Failed> {
    let canary = Canary::listen()?;
    seal::knock(canary.address())?;
    let room = room(user);
    let path = room.path().to_str().unwrap();
    let knocked = canary.address().to_string();
    let mut child = command(user, "serve", &[around, &knocked, path]).spawn()?;
    let mut address = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    let address = address.trim();
    assert_eq!(request(address, "GET", "/page", "")?, "page");
    assert_eq!(request(address, "POST", "/echo", "a picture of a house")?, "a picture of a house");
    assert_eq!(request(address, "GET", "/events", "")?, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    // Many at once, so that the server has to start threads.
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| assert_eq!(request(address, "GET", "/events", "").unwrap().len(), 27));
        }
    });
    // The body may come in pieces; look for the object in it.
    let text = request(address, "GET", "/findings", "")?;
    let object = text.find('{').zip(text.rfind('}')).ok_or("no object")?;
    let findings: Findings = serde_json::from_str(&text[object.0..=object.1])?;
    // Still serving after every way out was tried.
    assert_eq!(request(address, "GET", "/page", "")?, "page");
    assert_eq!(request(address, "GET", "/stop", "")?, "bye");
    assert!(child.wait()?.success());
    assert_eq!((canary.tcp_hits(), canary.udp_hits()), (1, 1), "only the positive control");
    assert_eq!(findings.passed(), Vec::<&str>::new());
    assert_eq!(findings.broken, Vec::<String>::new());
    assert!(findings.threads.len() > 1, "{:?}", findings.threads);
    for line in &findings.threads {
        assert!(line.starts_with("NoNewPrivs:1 Seccomp:2"), "{:?}", findings.threads);
    }
    Ok(findings)
}

fn serving(user: User) -> Result<(), Failed> {
    let findings = journey(user, "none")?;
    let report = findings.report();
    assert_eq!(report.level, Level::S2);
    assert!(report.mechanisms.iter().all(|mechanism| mechanism.enforced), "{report:#?}");
    let program = seal::Policy::ServeOnly.program(seal::Machine::native().unwrap());
    assert_eq!(report.filter_sha256, Some(program.sha256()));
    Ok(())
}

fn serving_without_landlock(user: User) -> Result<(), Failed> {
    let findings = journey(user, "no landlock")?;
    assert_eq!(findings.report().level, Level::S2);
    assert!(!findings.detail(Mechanism::LANDLOCK_FILES).0);
    Ok(())
}

fn old_threads(user: User) -> Result<(), Failed> {
    let canary = Canary::listen()?;
    let room = room(user);
    let address = canary.address().to_string();
    let found = findings(command(user, "old threads", &[&address, room.path().to_str().unwrap()]))?;
    assert_eq!(found.reached, Vec::<String>::new());
    assert_eq!(canary.tcp_hits(), 0);
    let report = found.report();
    assert_eq!((report.level, report.threads, report.threads_sealed), (Level::S2, 2, 2));
    assert_eq!(found.threads, ["NoNewPrivs:1 Seccomp:2", "NoNewPrivs:1 Seccomp:2"]);
    // Landlock of this kernel's version may not reach the old thread; then it must say so.
    let (enforced, detail) = found.detail(Mechanism::LANDLOCK_FILES);
    assert!(enforced || detail.contains("ran before"), "{detail}");
    Ok(())
}

fn open_listener(user: User) -> Result<(), Failed> {
    let room = room(user);
    let found = findings(command(user, "listener", &["0.0.0.0:0", room.path().to_str().unwrap()]))?;
    let error = found.error.unwrap_or_default();
    assert!(error.contains("other machines can reach"), "{error}");
    assert!(error.ends_with("listen on `127.0.0.1` instead"), "{error}");
    Ok(())
}
