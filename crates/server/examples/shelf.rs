//! Measures a history of many pictures: the first reading of the folder, the second, and searches over HTTP.
//!
//! `cargo run --release -p fieldforge-server --example shelf -- [PICTURES]`

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use server::{Facts, Generate, GenerateError, GenerateRequest, Generated, ModelCard, Progress, Server, ServerConfig};

struct Nothing;

impl Generate for Nothing {
    fn models(&self) -> Vec<ModelCard> {
        Vec::new()
    }

    fn samplers(&self) -> Vec<String> {
        Vec::new()
    }

    fn schedulers(&self) -> Vec<String> {
        Vec::new()
    }

    fn generate(
        &self,
        _: &GenerateRequest,
        _: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        Err(GenerateError::Cancelled)
    }
}

const WORDS: [&str; 12] =
    ["lighthouse", "storm", "cat", "sofa", "oil", "painting", "mountain", "river", "red", "apple", "night", "city"];

fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let outputs = folder.path().join("outputs");
    fs_err::create_dir_all(&outputs)?;
    for index in 0..count {
        let word = |step: usize| WORDS[(index * step + index / 7) % WORDS.len()];
        let prompt = format!("{} {}, {} of a {}, number {index}", word(1), word(3), word(5), word(7));
        let request = GenerateRequest { prompt, seed: index as u64, ..GenerateRequest::default() };
        let name =
            format!("20260101-{:02}{:02}{:02}-{:04}.png", index / 3600 % 24, index / 60 % 60, index % 60, index % 9999);
        fs_err::write(outputs.join(name), png(&request)?)?;
    }
    for round in ["first", "second"] {
        let started = Instant::now();
        let server = serve(folder.path(), &outputs)?;
        ask(server.0, "/api/v1/pictures?limit=60")?;
        let reading = started.elapsed();
        let mut slowest = Duration::ZERO;
        for query in ["q=cat", "q=lighthouse%20storm", "q=number%20199", "q=a", "q=s&starred=1", "q=of%20a&limit=500"] {
            let started = Instant::now();
            let length = ask(server.0, &format!("/api/v1/pictures?{query}"))?;
            let took = started.elapsed();
            slowest = slowest.max(took);
            let _ = writeln!(std::io::stdout(), "{round}: {query}: {took:?}, {length} bytes");
        }
        let _ = writeln!(
            std::io::stdout(),
            "{round}: {count} pictures known after {reading:?}; slowest search {slowest:?}"
        );
        server.1.store(true, Ordering::Relaxed);
        let _ = server.2.join();
    }
    Ok(())
}

type Running = (SocketAddr, Arc<AtomicBool>, std::thread::JoinHandle<()>);

fn serve(folder: &Path, outputs: &Path) -> Result<Running, Box<dyn Error>> {
    let config =
        ServerConfig { port: 0, outputs: outputs.to_owned(), state: folder.join("state"), ..ServerConfig::default() };
    let server = Server::bind(config)?;
    let (address, stop) = (server.address(), Arc::new(AtomicBool::new(false)));
    let ending = Arc::clone(&stop);
    let thread = std::thread::spawn(move || drop(server.run(Arc::new(Nothing), Facts::default(), ending)));
    Ok((address, stop, thread))
}

/// Asks and gives the length of the answer.
fn ask(address: SocketAddr, path: &str) -> Result<usize, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(String::from_utf8_lossy(&answer).into_owned().into());
    }
    Ok(answer.len())
}

fn png(request: &GenerateRequest) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.add_itxt_chunk("fieldforge".into(), request.to_json())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&[0; 64])?;
    writer.finish()?;
    Ok(bytes)
}
