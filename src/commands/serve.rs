//! `serve`: the page on this machine, behind the kernel's seal.

use crate::browser;
use crate::cli::{PageArgs, ServeArgs};
use crate::failure::{Failure, Outcome};
use crate::generator::Generator;
use crate::home;
use crate::lan;
use crate::models::ModelChoice;
use crate::output::Output;
use crate::self_test::SealedTest;
use crate::stock::Warehouse;
use engine::Precision;
use manifest::{ComponentKind, layout};
use seal::{FileRules, Level, SealReport};
use serde_json::Value;
use server::{Facts, Server, ServerConfig};
use std::net::{IpAddr, SocketAddr};
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
    serve(&home, &args.page, args.lan.as_deref(), args.precision.precision, output)
}

/// Serves `home` until the program is stopped. With `network`, paired devices reach it as well: at these addresses, or at
/// every private one.
pub(crate) fn serve(
    home: &Path,
    page: &PageArgs,
    network: Option<&[IpAddr]>,
    precision: Precision,
    output: &Output,
) -> Outcome {
    let network = network.map(lan::addresses).transpose()?.unwrap_or_default();
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
        network,
        comfy_frontend: warehouse.generation().and_then(comfy_frontend),
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
    let report = seal::seal_network_server(server.listener(), server.network_listeners(), &rules)?;
    check(&report, page.allow_unsealed, output)?;

    let listens_on: Vec<SocketAddr> =
        [&server.address()].into_iter().chain(server.network_addresses()).copied().collect();
    // Only now, because the seal must come before the first thread.
    let last = last_self_test(home);
    let self_test = SealedTest::new(report.clone(), listens_on.clone(), last.as_ref());
    let generator = Arc::new(Generator::new(warehouse, self_test));
    let seal = seal_facts(&report, &listens_on);
    let facts = Facts { seal, self_test: last, self_test_picture: last_picture(home) };
    output.stop().gently(|| {
        output.say("the page is at");
        let network: Vec<String> = server.network_addresses().iter().map(|at| format!("http://{at}/")).collect();
        output.result(&serde_json::json!({ "event": "serving", "url": url, "network": network }), &url);
        invite(&server, output);
        output.say(format!("{} Stop with Ctrl+C.", report.level.sentence()));
        let warming = Arc::clone(&generator);
        let _ = std::thread::Builder::new().name("warm-up".to_owned()).spawn(move || warming.warm_up());
        passing_on(output, |tell| {
            let heard = tell.clone();
            let server = server.on_remark(move |remark| tell(Said::Remark(remark.to_owned())));
            let server = server.on_pairing(move |text| heard(Said::AtTheDoor(text.to_owned())));
            server.run(generator, facts, output.stop().flag())
        })
    })?;
    output.say("Stopped. Pictures that were complete are kept.");
    Ok(())
}

/// The wheel of ComfyUI's frontend, if it is installed.
fn comfy_frontend(generation: &install::Generation) -> Option<PathBuf> {
    let mut files = generation.manifest.files_of(ComponentKind::Frontend);
    let (_, file) = files.find(|(component, file)| {
        component.id.as_str() == "comfyui-frontend" && file.path.file_name().ends_with(".whl")
    })?;
    Some(file.path.below(&generation.folder))
}

/// Says how other devices are paired, if they can reach the server.
fn invite(server: &Server, output: &Output) {
    let Some(invitation) = server.invitation() else { return };
    let addresses = server.network_addresses();
    output.say("other devices reach it, once they are paired, at");
    for address in addresses {
        output.say(format!("http://{address}/"));
    }
    output.say(format!(
        "Open that on the device and type {}: good for one device, for 10 minutes. The next code stands here when a \
         device asks for it, and always on the page, under System.",
        invitation.code
    ));
    output.draw("Or scan this with it:", &invitation.qr_lines());
    output.say(
        "The connection to other devices is not encrypted: whoever is on the same network can read along, pictures and \
         codes included.",
    );
    for address in addresses.iter().filter(|address| !lan::is_private(&address.ip()) && !address.ip().is_loopback()) {
        output.warn(format!("{} is no private address: strangers on the internet may reach it", address.ip()));
    }
}

/// What a running server has to say.
enum Said {
    /// Worth acting on.
    Remark(String),
    /// About a device that asks to be paired.
    AtTheDoor(String),
}

/// Runs a server, and passes on what it says.
fn passing_on<T>(output: &Output, run: impl FnOnce(Arc<dyn Fn(Said) + Send + Sync>) -> T) -> T {
    let (sender, said) = mpsc::channel::<Said>();
    let over = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match said.recv_timeout(Duration::from_millis(200)) {
                    Ok(Said::Remark(remark)) => output.warn(remark),
                    Ok(Said::AtTheDoor(text)) => output.say(text),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        // Nobody listens any more when the run is over.
        let result = run(Arc::new(move |said| drop(sender.send(said))));
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

/// The report as the page shows it, with what this very process was refused, and where it can be reached.
fn seal_facts(report: &SealReport, listens_on: &[SocketAddr]) -> Value {
    let mut facts = serde_json::to_value(report).unwrap_or_default();
    if let Some(facts) = facts.as_object_mut() {
        let attempts = match (report.level, listens_on.first()) {
            (Level::S2 | Level::S3, Some(own)) => seal::probe_network_server(*own, report.level, listens_on),
            _ => Vec::new(),
        };
        let mut sentence = report.level.sentence().to_owned();
        let places: Vec<String> = listens_on.iter().map(SocketAddr::to_string).collect();
        if let Some((_, network)) = places.split_first().filter(|(_, network)| !network.is_empty()) {
            sentence += &format!(" It listens on the network, for paired devices: {}.", network.join(", "));
        }
        facts.insert("sentence".to_owned(), sentence.into());
        facts.insert("listens_on".to_owned(), places.into());
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
