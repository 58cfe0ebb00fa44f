//! `serve`: the page on this machine, behind the kernel's seal.

use crate::browser;
use crate::cli::{PageArgs, ServeArgs};
use crate::failure::{Failure, Outcome};
use crate::generator::Generator;
use crate::home;
use crate::models::ModelChoice;
use crate::output::Output;
use crate::self_test::SealedTest;
use crate::stock::Warehouse;
use engine::Precision;
use manifest::layout;
use seal::{FileRules, Level, SealReport};
use serde_json::Value;
use server::{Facts, Server, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// The port that everybody expects.
const PORT: u16 = 7860;

pub(crate) fn run(args: &ServeArgs, output: &Output) -> Outcome {
    let home = home::resolve(&args.home)?;
    if !home::is_home(&home) {
        output.say(format!("nothing is installed in `{}`: serving with the built-in model spark", home.display()));
    }
    serve(&home, &args.page, args.precision.precision, output)
}

/// Serves `home` until the program is stopped.
pub(crate) fn serve(home: &Path, page: &PageArgs, precision: Precision, output: &Output) -> Outcome {
    seal::raise_loopback().map_err(|error| {
        Failure::new(format!("the loopback interface of this machine is down and cannot be raised: {error}"))
            .with_hint("raise it first: sudo ip link set lo up")
    })?;
    let warehouse = Warehouse::open(home, precision)?;
    let outputs = home.join(layout::OUTPUTS);
    let state = home.join(layout::STATE);
    fs_err::create_dir_all(&outputs)?;
    let added = home.join(layout::MODELS);
    let self_test = home.join(layout::SELF_TEST);
    for folder in [&state, &added, &self_test] {
        fs_err::create_dir_all(folder)?;
    }
    let server = Server::bind(ServerConfig {
        port: page.port.unwrap_or(PORT),
        port_is_fixed: page.port.is_some(),
        outputs: outputs.clone(),
        state: state.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    if let Some(taken) = server.moved_from() {
        output.say(format!("port {taken} is taken by another program; using the next free one"));
    }
    let url = format!("http://{}/", server.address());
    if !page.no_browser && !browser::open(&url) {
        output.say("no browser could be started: open the address below yourself");
    }
    let reads = warehouse.stock().choices.iter().flat_map(ModelChoice::reads).collect::<Vec<_>>();
    let below = |path: &PathBuf| path.starts_with(&added);
    let mut read_only: Vec<PathBuf> = reads.into_iter().filter(|path| !below(path)).collect();
    read_only.extend([home.join(layout::GENERATIONS)].into_iter().filter(|path| path.exists()));
    let rules = FileRules { read_write: vec![outputs, state, added, self_test], read_only };
    let report = seal::seal_server(server.listener(), &rules)?;
    check(&report, page.allow_unsealed, output)?;

    // Only now, because the seal must come before the first thread.
    let last = last_self_test(home);
    let self_test = SealedTest::new(report.clone(), server.address(), last.as_ref());
    let generator = Arc::new(Generator::new(warehouse, self_test));
    let facts =
        Facts { seal: seal_facts(&report, server.address()), self_test: last, self_test_picture: last_picture(home) };
    output.stop().gently(|| {
        output.say("the page is at");
        output.result(&serde_json::json!({ "event": "serving", "url": url }), &url);
        output.say(format!("{} Stop with Ctrl+C.", report.level.sentence()));
        let warming = Arc::clone(&generator);
        let _ = std::thread::Builder::new().name("warm-up".to_owned()).spawn(move || warming.warm_up());
        passing_on(output, |tell| server.on_remark(tell).run(generator, facts, output.stop().flag()))
    })?;
    output.say("Stopped. Pictures that were complete are kept.");
    Ok(())
}

/// Runs a server, and warns of what it remarks.
fn passing_on<T>(output: &Output, run: impl FnOnce(Box<dyn Fn(&str) + Send + Sync>) -> T) -> T {
    let (sender, remarks) = mpsc::channel::<String>();
    let over = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match remarks.recv_timeout(Duration::from_millis(200)) {
                    Ok(remark) => output.warn(remark),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        // Nobody listens any more when the run is over.
        let result = run(Box::new(move |remark| drop(sender.send(remark.to_owned()))));
        over.store(true, Ordering::Relaxed);
        result
    })
}

fn check(report: &SealReport, allow_unsealed: bool, output: &Output) -> Outcome {
    match report.level {
        Level::S0 if !allow_unsealed => Err(Failure::new(
            "the kernel of this machine cannot shut off the network for the server",
        )
        .with_hint("run `fieldforge doctor` to see why; to serve all the same, with nothing proven: --allow-unsealed")),
        Level::S0 | Level::S1 => {
            output.warn(report.level.sentence());
            Ok(())
        }
        Level::S2 | Level::S3 => Ok(()),
    }
}

/// The report as the page shows it, with what this very process was refused.
fn seal_facts(report: &SealReport, address: std::net::SocketAddr) -> Value {
    let mut facts = serde_json::to_value(report).unwrap_or_default();
    if let Some(facts) = facts.as_object_mut() {
        let attempts = match report.level {
            Level::S2 | Level::S3 => seal::probe(address, report.level),
            Level::S0 | Level::S1 => Vec::new(),
        };
        facts.insert("sentence".to_owned(), report.level.sentence().into());
        facts.insert("attempts".to_owned(), serde_json::to_value(attempts).unwrap_or_default());
    }
    facts
}

fn last_picture(home: &Path) -> Option<Vec<u8>> {
    fs_err::read(home.join(layout::SELF_TEST).join(layout::SELF_TEST_PICTURE)).ok()
}

fn last_self_test(home: &Path) -> Option<Value> {
    let text = fs_err::read(home.join(layout::SELF_TEST).join(layout::SELF_TEST_REPORT)).ok()?;
    serde_json::from_slice(&text).ok()
}
