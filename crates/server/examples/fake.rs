//! The server with a generator that draws gradients: about 2 s per picture, with previews.
//!
//! `cargo run -p fieldforge-server --example fake -- [PORT] [FOLDER]`

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::json;
use server::{Facts, Generate, GenerateError, GenerateRequest, Generated, ModelCard, Progress, Server, ServerConfig};

struct Gradients;

impl Generate for Gradients {
    fn models(&self) -> Vec<ModelCard> {
        let card = |id: &str, name: &str, side: u32, note: &str, is_default| ModelCard {
            id: id.to_owned(),
            name: name.to_owned(),
            family: "gradient".to_owned(),
            licence: "MIT OR Apache-2.0".to_owned(),
            width: side,
            height: side,
            steps: 20,
            cfg_scale: 7.0,
            sampler: "Euler a".to_owned(),
            scheduler: None,
            note: note.to_owned(),
            is_default,
            ..ModelCard::default()
        };
        vec![
            card("gradient", "Gradient", 512, "Draws colours from the seed.", true),
            card("gradient-small", "Gradient small", 64, "The same, quite small.", false),
        ]
    }

    fn samplers(&self) -> Vec<String> {
        ["Euler", "Euler a", "DPM++ 2M", "DDIM"].map(str::to_owned).to_vec()
    }

    fn schedulers(&self) -> Vec<String> {
        ["Automatic", "Karras"].map(str::to_owned).to_vec()
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        for step in 1..=request.steps {
            std::thread::sleep(Duration::from_secs(2) / request.steps);
            let done = f64::from(step) / f64::from(request.steps);
            let preview_png = if request.previews.wanted() {
                let scale = (request.width.max(request.height) / 128).max(1);
                Some(draw(request, request.width / scale, request.height / scale, done, false)?)
            } else {
                None
            };
            if progress(Progress { step, steps: request.steps, preview_png }).is_break() {
                return Err(GenerateError::Cancelled);
            }
        }
        if request.prompt.contains("fail") {
            return Err(GenerateError::Failed {
                message: "the prompt asked for a failure".to_owned(),
                hint: Some("leave the word `fail` out".to_owned()),
            });
        }
        Ok(Generated { png: draw(request, request.width, request.height, 1.0, true)?, ..Generated::default() })
    }
}

/// A gradient whose colours come from the seed; the undone part is noise.
fn draw(request: &GenerateRequest, width: u32, height: u32, done: f64, texts: bool) -> Result<Vec<u8>, GenerateError> {
    let hue = |shift: u64| (request.seed.wrapping_mul(2_654_435_761).rotate_right(7) >> shift) as u8;
    let mut noise = request.seed | 1;
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (right, down) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
            for shift in [0, 8, 16] {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let clean = f64::from(hue(shift)) * right + f64::from(hue(shift + 3)) * down * 0.8;
                pixels.push((clean * done + ((noise >> 56) as f64) * (1.0 - done)).min(255.0) as u8);
            }
        }
    }
    encode(request, width, height, &pixels, texts)
        .map_err(|error| GenerateError::Failed { message: error.to_string(), hint: None })
}

fn encode(
    request: &GenerateRequest,
    width: u32,
    height: u32,
    pixels: &[u8],
    texts: bool,
) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    if texts {
        let infotext = format!(
            "{}\nNegative prompt: {}\nSteps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}x{}, Model: {}",
            request.prompt,
            request.negative_prompt,
            request.steps,
            request.sampler,
            request.cfg_scale,
            request.seed,
            request.width,
            request.height,
            request.model
        );
        encoder.add_itxt_chunk("parameters".to_owned(), infotext)?;
        encoder.add_itxt_chunk("fieldforge".to_owned(), request.to_json())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(7860), |port| port.parse())?;
    let outputs = arguments.next().map_or_else(|| std::env::temp_dir().join("fieldforge-fake"), Into::into);
    let server = Server::bind(ServerConfig {
        port,
        port_is_fixed: false,
        outputs: outputs.clone(),
        state: outputs.join(".state"),
        version: "0.1.0".to_owned(),
        network: Vec::new(),
        comfy_frontend: None,
    })?;
    let address = server.address();
    #[expect(clippy::print_stdout, reason = "an example speaks to its user")]
    {
        println!("http://{address}/ (pictures in {})", outputs.display());
    }
    let seal = json!({
        "level": "S0",
        "sentence": "This is the example server: nothing is sealed.",
        "mechanisms": [
            {"name": "network namespace", "enforced": false, "detail": "not tried by the example"},
            {"name": "seccomp", "enforced": false, "detail": "not tried by the example"}
        ],
        "kernel": "example",
        "architecture": std::env::consts::ARCH,
        "filter_sha256": null,
        "network_namespace": null,
        "attempts": []
    });
    let self_test = json!({
        "verdict": "passed",
        "seal": seal,
        "attempts": [{"what": "connect to 192.0.2.1", "refused": true, "detail": "an invented answer"}],
        "picture": {"prompt": "a red apple", "seconds": 2.0, "comparison": "equal bytes"}
    });
    let facts = Facts { seal, self_test: Some(self_test), self_test_picture: None };
    server.run(Arc::new(Gradients), facts, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}
