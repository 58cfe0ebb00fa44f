//! An engine that draws grey squares at a chosen pace.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use server::{
    Asset, AssetKind, Generate, GenerateError, GenerateRequest, Generated, ModelCard, PictureFacts, Progress, Style,
};

/// Words in the prompt choose what happens: `fail`, `crash`, `rubbish`, `noise` (a large file).
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) step: Duration,
    pub(crate) previews: AtomicUsize,
    /// The last request that was drawn.
    pub(crate) last: Mutex<Option<GenerateRequest>>,
}

impl Fake {
    pub(crate) fn slow() -> Self {
        Self { step: Duration::from_millis(50), ..Self::default() }
    }
}

impl Generate for Fake {
    fn models(&self) -> Vec<ModelCard> {
        vec![ModelCard {
            id: "grey".into(),
            name: "Grey".into(),
            family: "fake".into(),
            licence: "CC0-1.0".into(),
            width: 64,
            height: 64,
            steps: 4,
            cfg_scale: 7.1,
            sampler: "Euler".into(),
            scheduler: None,
            note: "Draws grey squares.".into(),
            is_default: true,
            ..ModelCard::default()
        }]
    }

    fn samplers(&self) -> Vec<String> {
        vec!["Euler".into(), "Euler a".into()]
    }

    fn assets(&self) -> Vec<Asset> {
        [(AssetKind::Controlnet, "edges"), (AssetKind::Upscaler, "twice"), (AssetKind::Lora, "ink")]
            .into_iter()
            .map(|(kind, name)| Asset {
                kind,
                name: name.into(),
                title: name.into(),
                file: format!("{name}.safetensors"),
                family: None,
                licence: "CC0-1.0".into(),
                size: 1,
                sha256: Some("0123456789abcdef".repeat(4)),
                trigger_words: Vec::new(),
                scale: (kind == AssetKind::Upscaler).then_some(2),
                note: String::new(),
            })
            .collect()
    }

    fn styles(&self) -> Vec<Style> {
        vec![Style { name: "Ink".into(), prompt: "{prompt}, in ink".into(), negative_prompt: "colour".into() }]
    }

    fn preview(&self, kind: AssetKind, name: &str) -> Option<Vec<u8>> {
        (kind == AssetKind::Lora && name == "ink").then(|| png(8, 8, None))
    }

    fn schedulers(&self) -> Vec<String> {
        vec!["Automatic".into(), "Karras".into()]
    }

    fn read_picture(&self, bytes: &[u8]) -> Result<PictureFacts, GenerateError> {
        let wrong = |error: png::DecodingError| GenerateError::Failed { message: error.to_string(), hint: None };
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().map_err(wrong)?;
        let text = |keyword: &str| {
            let found = reader.info().utf8_text.iter().find(|chunk| chunk.keyword == keyword)?;
            found.get_text().ok()
        };
        let (width, height) = reader.info().size();
        let settings = text("fieldforge").and_then(|text| serde_json::from_str(&text).ok());
        Ok(PictureFacts { width, height, settings, infotext: text("parameters"), remarks: Vec::new() })
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        *self.last.lock().expect("no panic") = Some(request.clone());
        for step in 1..=request.steps {
            thread::sleep(self.step);
            let preview_png = request.previews.wanted().then(|| {
                self.previews.fetch_add(1, Ordering::Relaxed);
                png(8, 8, None)
            });
            if progress(Progress { step, steps: request.steps, preview_png }).is_break() {
                return Err(GenerateError::Cancelled);
            }
        }
        match request.prompt.as_str() {
            "fail" => Err(GenerateError::Failed {
                message: "`grey.safetensors` is damaged".into(),
                hint: Some("run `fieldforge repair`".into()),
            }),
            "crash" => panic!("a crash that the test asked for"),
            "rubbish" => Ok(Generated { png: b"no picture".to_vec(), ..Generated::default() }),
            _ => Ok(Generated { png: png(request.width, request.height, Some(request)), ..Generated::default() }),
        }
    }
}

/// A picture; with settings it carries both text chunks.
pub(crate) fn png(width: u32, height: u32, settings: Option<&GenerateRequest>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let mut noise = 0;
    if let Some(settings) = settings {
        let infotext = format!("{}\nSteps: {}, Seed: {}", settings.prompt, settings.steps, settings.seed);
        encoder.add_itxt_chunk("parameters".into(), infotext).expect("a keyword");
        encoder.add_itxt_chunk("fieldforge".into(), settings.to_json()).expect("a keyword");
        if settings.prompt == "noise" {
            noise = settings.seed | 1;
        }
    }
    let pixels: Vec<u8> = (0..width * height)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(noise & 1);
            (noise >> 56) as u8
        })
        .collect();
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&pixels).expect("pixels");
    writer.finish().expect("an end");
    bytes
}
