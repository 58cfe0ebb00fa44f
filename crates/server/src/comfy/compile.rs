//! From a graph to requests: our engine makes whole pictures, so each kept picture is walked back to where it begins.

use super::drawn::{Canvas, Chain, Conditioning, Drawn, Enlarge, Guide, Lora, Start};
use super::graph::{Graph, Link, Node, link, number, whole};
use super::mask::Mask;
use super::names;
use super::refusal::Fault;
use super::shelf::Shelf;
use super::texts::{combine, translate};
use crate::check::shown;
use crate::generate_request::{MAX_PROMPT_CHARS, MAX_SEED, MAX_STEPS, SIDE_MULTIPLE};
use crate::{AssetKind, ControlRequest, GenerateRequest, Hires, Init, Inpaint, PictureRef, Refiner};

/// Most conditionings that are combined.
const MAX_TEXTS: usize = 16;

/// Gives the walk the pictures that a graph names.
pub(crate) trait Desk {
    /// A picture by its name in the graph: what it is, its size in pixels.
    ///
    /// # Errors
    /// A sentence.
    fn picture(&self, name: &str) -> Result<(PictureRef, u32, u32), String>;

    /// The bytes of the picture whose channels are the mask of that name.
    ///
    /// # Errors
    /// A sentence.
    fn mask(&self, name: &str) -> Result<Vec<u8>, String>;

    /// Keeps a mask that was made.
    ///
    /// # Errors
    /// A sentence.
    fn keep(&self, png: &[u8]) -> Result<PictureRef, String>;
}

/// What is drawn for one node that keeps pictures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) requests: Vec<GenerateRequest>,
    /// The node that takes the time.
    pub(crate) at_work: String,
}

/// Reads a checked graph.
pub(crate) struct Compiler<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) shelf: &'a Shelf,
    pub(crate) desk: &'a dyn Desk,
}

/// A node being read.
#[derive(Clone, Copy)]
struct At<'a> {
    id: &'a str,
    node: &'a Node,
}

type Found<T> = Result<T, Fault>;

impl At<'_> {
    fn link(&self, input: &'static str) -> Found<Link> {
        let value = self.node.inputs.get(input).and_then(link);
        value.ok_or_else(|| Fault::of(self.id, "bad_linked_input", input, format!("`{input}` must be linked")))
    }

    fn text(&self, input: &'static str) -> Found<&str> {
        let value = self.node.inputs.get(input).and_then(|value| value.as_str());
        value.ok_or_else(|| Fault::of(self.id, "invalid_input_type", input, format!("`{input}` must be a text")))
    }

    fn whole(&self, input: &'static str) -> Found<i128> {
        let value = self.node.inputs.get(input).and_then(whole);
        value
            .ok_or_else(|| Fault::of(self.id, "invalid_input_type", input, format!("`{input}` must be a whole number")))
    }

    fn count(&self, input: &'static str) -> Found<u32> {
        u32::try_from(self.whole(input)?)
            .map_err(|_| Fault::of(self.id, "value_smaller_than_min", input, format!("`{input}` is out of bounds")))
    }

    fn number(&self, input: &'static str) -> Found<f64> {
        let value = self.node.inputs.get(input).and_then(number);
        value.ok_or_else(|| Fault::of(self.id, "invalid_input_type", input, format!("`{input}` must be a number")))
    }

    fn cannot(&self, message: impl Into<String>) -> Fault {
        Fault::cannot(self.id, message)
    }
}

/// What a sampler node says.
struct Pass {
    seed: u64,
    steps: u32,
    cfg: f32,
    sampler: String,
    scheduler: String,
    /// Steps that are drawn, at the end of `total`.
    drawn: u32,
    total: u32,
}

impl Pass {
    /// The strength that makes a picture start where ComfyUI does.
    fn strength(&self) -> f32 {
        ((f64::from(self.drawn) - 0.5) / f64::from(self.total)).clamp(0.0, 1.0) as f32
    }

    fn is_whole(&self) -> bool {
        self.drawn == self.total
    }
}

impl Compiler<'_> {
    /// What is drawn for a node that keeps pictures.
    ///
    /// # Errors
    /// The node that cannot be drawn here, and why.
    pub(crate) fn order(&self, output: &str) -> Found<Order> {
        let at = self.at(output)?;
        let canvas = self.image(&at.link("images")?)?;
        let (drawn, upscale) = match canvas {
            Canvas::Drawn(drawn) => (*drawn, None),
            Canvas::Enlarged(drawn, Enlarge { upscaler, plain: true, .. }) => (*drawn, Some(upscaler)),
            Canvas::Enlarged(_, Enlarge { node, .. }) => {
                return Err(Fault::cannot(
                    &node,
                    "a finished picture is enlarged by an upscale model only: link ImageUpscaleWithModel to the output",
                ));
            }
            Canvas::FileEnlarged { start, upscaler } => {
                let request = GenerateRequest {
                    model: self.shelf.models.first().map(|card| card.id.clone()).unwrap_or_default(),
                    sampler: self.shelf.models.first().map(|card| card.sampler.clone()).unwrap_or_default(),
                    upscale: Some(upscaler),
                    enlarge: Some(start.picture),
                    ..GenerateRequest::default()
                };
                return Ok(Order { requests: vec![request], at_work: start.node });
            }
            Canvas::File(_) | Canvas::Empty { .. } => {
                return Err(at.cannot("nothing is drawn for this output: a sampler or an upscaler must come before it"));
            }
        };
        if drawn.stopped.is_some() {
            return Err(Fault::cannot(&drawn.sampler, "it stops before its last step, and no other sampler goes on"));
        }
        let requests = (0..u64::from(drawn.batch))
            .map(|index| {
                let seed = drawn.request.seed + index;
                GenerateRequest { seed, upscale: upscale.clone(), ..drawn.request.clone() }
            })
            .collect();
        Ok(Order { requests, at_work: drawn.sampler })
    }

    fn at<'s>(&'s self, id: &'s str) -> Found<At<'s>> {
        let node = self.graph.node(id).ok_or_else(|| Fault::cannot(id, "this node is not there"))?;
        Ok(At { id, node })
    }

    /// The checkpoint and the LoRAs behind a `MODEL` or `CLIP`.
    fn chain(&self, to: &Link) -> Found<Chain> {
        let at = self.at(&to.node)?;
        match at.node.class.as_str() {
            "CheckpointLoaderSimple" => {
                let name = at.text("ckpt_name")?;
                let card = self.shelf.model(name).ok_or_else(|| at.cannot("this checkpoint is not installed here"))?;
                Ok(Chain { model: card.id.clone(), loras: Vec::new(), skip: None })
            }
            "LoraLoader" | "LoraLoaderModelOnly" => {
                let (input, strength) =
                    if to.slot == 0 { ("model", "strength_model") } else { ("clip", "strength_clip") };
                let mut chain = self.chain(&at.link(input)?)?;
                let asset = self.shelf.asset(AssetKind::Lora, at.text("lora_name")?);
                let asset = asset.ok_or_else(|| at.cannot("this LoRA is not installed here"))?;
                let strength = at.number(strength)?;
                chain.loras.push(Lora { node: to.node.clone(), name: asset.name.clone(), strength });
                Ok(chain)
            }
            "CLIPSetLastLayer" => {
                let mut chain = self.chain(&at.link("clip")?)?;
                let layer = at.whole("stop_at_clip_layer")?;
                let skip = u32::try_from(-layer).ok().filter(|skip| (1..=12).contains(skip));
                let why = format!("the text encoder can stop at layers -1 to -12, not at {layer}");
                chain.skip = Some(skip.ok_or_else(|| at.cannot(why).at("stop_at_clip_layer"))?);
                Ok(chain)
            }
            _ => Err(at.cannot("a model or text encoder cannot come from here")),
        }
    }

    fn conditioning(&self, to: &Link) -> Found<Conditioning> {
        let at = self.at(&to.node)?;
        let said = |input: &'static str| {
            let text = translate(at.text(input)?, self.shelf).map_err(|why| at.cannot(why).at(input))?;
            if text.chars().count() > MAX_PROMPT_CHARS {
                return Err(at.cannot(format!("the text is longer than {MAX_PROMPT_CHARS} characters")).at(input));
            }
            Ok(text)
        };
        let plain = |text, size| {
            Ok(Conditioning { texts: vec![text], clip: self.chain(&at.link("clip")?)?, guides: Vec::new(), size })
        };
        match at.node.class.as_str() {
            "CLIPTextEncode" => plain(said("text")?, None),
            "CLIPTextEncodeSDXL" => {
                let text = said("text_g")?;
                if text != said("text_l")? {
                    return Err(at.cannot("both text encoders read the same text here: make it the same").at("text_l"));
                }
                if at.count("crop_w")? != 0 || at.count("crop_h")? != 0 {
                    return Err(at.cannot("crops must be 0: the picture is drawn as a whole one").at("crop_w"));
                }
                let size = (at.count("width")?, at.count("height")?);
                if (at.count("target_width")?, at.count("target_height")?) != size {
                    return Err(at
                        .cannot("`target_width` and `target_height` must be `width` and `height`")
                        .at("target_width"));
                }
                plain(text, Some(size))
            }
            "ConditioningCombine" => {
                let mut one = self.conditioning(&at.link("conditioning_1")?)?;
                let other = self.conditioning(&at.link("conditioning_2")?)?;
                self.same_surroundings(&at, &one, &other)?;
                one.texts.extend(other.texts);
                if one.texts.len() > MAX_TEXTS {
                    return Err(at.cannot(format!("at most {MAX_TEXTS} texts are combined")));
                }
                Ok(one)
            }
            "ConditioningConcat" => {
                let mut one = self.conditioning(&at.link("conditioning_to")?)?;
                let other = self.conditioning(&at.link("conditioning_from")?)?;
                self.same_surroundings(&at, &one, &other)?;
                let ([first], [second]) = (one.texts.as_slice(), other.texts.as_slice()) else {
                    return Err(
                        at.cannot("combined conditionings cannot be concatenated: concatenate first, then combine")
                    );
                };
                let text = format!("{first} BREAK {second}");
                if text.chars().count() > MAX_PROMPT_CHARS {
                    return Err(at.cannot(format!("the texts are together longer than {MAX_PROMPT_CHARS} characters")));
                }
                one.texts = vec![text];
                Ok(one)
            }
            "ControlNetApply" | "ControlNetApplyAdvanced" => {
                let advanced = at.node.class == "ControlNetApplyAdvanced";
                let input = match (advanced, to.slot) {
                    (false, _) => "conditioning",
                    (true, 0) => "positive",
                    (true, _) => "negative",
                };
                let mut conditioning = self.conditioning(&at.link(input)?)?;
                let loader = at.link("control_net")?;
                let loader = self.at(&loader.node)?;
                let asset = self.shelf.asset(AssetKind::Controlnet, loader.text("control_net_name")?);
                let asset = asset.ok_or_else(|| loader.cannot("this ControlNet is not installed here"))?;
                let Canvas::File(start) = self.image(&at.link("image")?)? else {
                    return Err(at.cannot("a ControlNet follows a picture from LoadImage").at("image"));
                };
                let (begin, end) =
                    if advanced { (at.number("start_percent")?, at.number("end_percent")?) } else { (0.0, 1.0) };
                conditioning.guides.push(Guide {
                    node: to.node.clone(),
                    net: asset.name.clone(),
                    picture: start.picture,
                    weight: at.number("strength")?,
                    start: begin,
                    end,
                });
                Ok(conditioning)
            }
            _ => Err(at.cannot("a conditioning cannot come from here")),
        }
    }

    fn same_surroundings(&self, at: &At<'_>, one: &Conditioning, other: &Conditioning) -> Found<()> {
        if one.clip != other.clip {
            return Err(at.cannot("both texts must be read by the same text encoder with the same LoRAs"));
        }
        if one.guides != other.guides || one.size != other.size {
            return Err(at.cannot("ControlNets and sizes must be the same on both sides: apply them after this node"));
        }
        Ok(())
    }

    fn image(&self, to: &Link) -> Found<Canvas> {
        let at = self.at(&to.node)?;
        match at.node.class.as_str() {
            "LoadImage" => {
                let (picture, width, height) =
                    self.desk.picture(at.text("image")?).map_err(|why| at.cannot(why).at("image"))?;
                let node = to.node.clone();
                Ok(Canvas::File(Start { node, picture, width, height, resize_mode: "crop", mask: None }))
            }
            "VAEDecode" | "VAEDecodeTiled" => {
                let canvas = self.latent(&at.link("samples")?)?;
                match &canvas {
                    Canvas::Drawn(drawn) | Canvas::Enlarged(drawn, _) => {
                        self.check_vae(
                            &at.link("vae")?,
                            &drawn
                                .request
                                .refiner
                                .as_ref()
                                .map_or_else(|| drawn.request.model.clone(), |refiner| refiner.model.clone()),
                            &drawn.request.model,
                        )?;
                        Ok(canvas)
                    }
                    _ => Err(at.cannot("there is nothing to decode: a sampler must come before it")),
                }
            }
            "ImageScale" | "ImageScaleBy" => {
                let by = at.node.class == "ImageScaleBy";
                let canvas = self.image(&at.link("image")?)?;
                let (wide, high) = size_of(&canvas);
                let (width, height) = if by {
                    let scale = at.number("scale_by")?;
                    (scaled(wide, scale), scaled(high, scale))
                } else {
                    fill(&at, (wide, high))?
                };
                let crop = !by && at.text("crop")? == "center";
                match canvas {
                    Canvas::File(start) => {
                        let resize_mode = if crop { "crop" } else { "stretch" };
                        Ok(Canvas::File(Start { width, height, resize_mode, ..start }))
                    }
                    Canvas::Drawn(drawn) => {
                        let node = to.node.clone();
                        let upscaler = "Lanczos".to_owned();
                        Ok(Canvas::Enlarged(drawn, Enlarge { node, upscaler, width, height, plain: false }))
                    }
                    Canvas::Enlarged(drawn, enlarge) => {
                        let node = to.node.clone();
                        Ok(Canvas::Enlarged(drawn, Enlarge { node, width, height, plain: false, ..enlarge }))
                    }
                    _ => Err(at.cannot("what an upscale model made is kept as it is: link it to the output")),
                }
            }
            "ImageUpscaleWithModel" => {
                let loader = at.link("upscale_model")?;
                let loader = self.at(&loader.node)?;
                let asset = self.shelf.asset(AssetKind::Upscaler, loader.text("model_name")?);
                let asset = asset.ok_or_else(|| loader.cannot("this upscaler is not installed here"))?;
                let scale = asset.scale.unwrap_or(4);
                let upscaler = asset.name.clone();
                match self.image(&at.link("image")?)? {
                    Canvas::File(start) => {
                        Ok(Canvas::FileEnlarged { start: Start { node: to.node.clone(), ..start }, upscaler })
                    }
                    Canvas::Drawn(drawn) => {
                        let (width, height) =
                            (drawn_size(&drawn).0.saturating_mul(scale), drawn_size(&drawn).1.saturating_mul(scale));
                        let node = to.node.clone();
                        Ok(Canvas::Enlarged(drawn, Enlarge { node, upscaler, width, height, plain: true }))
                    }
                    _ => Err(at.cannot("only one upscaler is used, and before any other resizing")),
                }
            }
            _ => Err(at.cannot("a picture cannot come from here")),
        }
    }

    fn latent(&self, to: &Link) -> Found<Canvas> {
        let at = self.at(&to.node)?;
        match at.node.class.as_str() {
            "EmptyLatentImage" => Ok(Canvas::Empty {
                width: at.count("width")? / SIDE_MULTIPLE * SIDE_MULTIPLE,
                height: at.count("height")? / SIDE_MULTIPLE * SIDE_MULTIPLE,
                batch: at.count("batch_size")?,
            }),
            "VAEEncode" => match self.image(&at.link("pixels")?)? {
                Canvas::Drawn(drawn) => {
                    let (width, height) = drawn_size(&drawn);
                    let node = to.node.clone();
                    let upscaler = "Lanczos".to_owned();
                    Ok(Canvas::Enlarged(drawn, Enlarge { node, upscaler, width, height, plain: false }))
                }
                canvas @ (Canvas::File(_) | Canvas::Enlarged(..)) => Ok(canvas),
                _ => Err(at.cannot("an enlarged picture is kept as it is: save it, then load it to draw on it")),
            },
            "VAEEncodeForInpaint" => {
                let Canvas::File(start) = self.image(&at.link("pixels")?)? else {
                    return Err(at.cannot("only a picture from LoadImage can be inpainted").at("pixels"));
                };
                let by = usize::try_from(at.whole("grow_mask_by")?).unwrap_or_default();
                let mask = self.mask(&at, by)?;
                Ok(Canvas::File(Start { mask: Some((mask, "nothing")), ..start }))
            }
            "SetLatentNoiseMask" => match self.latent(&at.link("samples")?)? {
                Canvas::File(start) if start.mask.is_none() => {
                    let mask = self.mask(&at, 0)?;
                    Ok(Canvas::File(Start { mask: Some((mask, "original")), ..start }))
                }
                _ => Err(at.cannot("only an encoded picture from LoadImage can be masked, once").at("samples")),
            },
            "LatentUpscale" | "LatentUpscaleBy" => {
                let canvas = self.latent(&at.link("samples")?)?;
                let (wide, high) = size_of(&canvas);
                let (width, height) = if at.node.class == "LatentUpscaleBy" {
                    let scale = at.number("scale_by")?;
                    (scaled(wide / 8, scale).saturating_mul(8), scaled(high / 8, scale).saturating_mul(8))
                } else {
                    fill(&at, (wide, high))?
                };
                let upscaler = match at.text("upscale_method")? {
                    "nearest-exact" => "Latent (nearest-exact)",
                    "bicubic" => "Latent (bicubic)",
                    _ => "Latent",
                };
                let Canvas::Drawn(drawn) = canvas else {
                    return Err(at.cannot("only what a sampler has drawn is enlarged as a latent").at("samples"));
                };
                let node = to.node.clone();
                Ok(Canvas::Enlarged(
                    drawn,
                    Enlarge { node, upscaler: upscaler.to_owned(), width, height, plain: false },
                ))
            }
            "KSampler" | "KSamplerAdvanced" => self.sample(&at).map(|drawn| Canvas::Drawn(Box::new(drawn))),
            _ => Err(at.cannot("a latent cannot come from here")),
        }
    }

    fn mask(&self, at: &At<'_>, grow: usize) -> Found<PictureRef> {
        let to = at.link("mask")?;
        let source = self.at(&to.node)?;
        let channel = if source.node.class == "LoadImageMask" { source.text("channel")? } else { "alpha" };
        let wrong = |why: String| source.cannot(why).at("image");
        let bytes = self.desk.mask(source.text("image")?).map_err(wrong)?;
        let mask = Mask::read(&bytes, channel).map_err(wrong)?;
        if mask.is_empty() {
            return Err(wrong("the mask is empty: paint where the picture shall change".to_owned()));
        }
        let png = mask.grow(grow).png().map_err(|error| wrong(error.to_string()))?;
        self.desk.keep(&png).map_err(wrong)
    }

    /// Only a model's own VAE is used.
    fn check_vae(&self, to: &Link, model: &str, other: &str) -> Found<()> {
        let at = self.at(&to.node)?;
        if at.node.class == "VAELoader" {
            return Err(at.cannot(
                "pictures are decoded by the VAE inside the checkpoint: link VAE from CheckpointLoaderSimple",
            ));
        }
        let chain = self.chain(to)?;
        if chain.model == model || chain.model == other {
            return Ok(());
        }
        Err(at.cannot("the VAE must come from the checkpoint that draws the picture"))
    }

    fn pass(&self, at: &At<'_>) -> Found<Pass> {
        let advanced = at.node.class == "KSamplerAdvanced";
        let seed = at.whole(if advanced { "noise_seed" } else { "seed" })?;
        let seed = u64::try_from(seed).unwrap_or_default();
        // The generator takes the lower 32 bits only, so this is the same noise; room is left for a batch.
        let seed = if seed > MAX_SEED - 1000 { seed & 0xffff_ffff } else { seed };
        let (sampler, scheduler) = (at.text("sampler_name")?, at.text("scheduler")?);
        let steps = at.count("steps")?;
        let (drawn, total) = if advanced {
            (steps.saturating_sub(at.count("start_at_step")?), steps)
        } else {
            let denoise = at.number("denoise")?;
            if denoise <= 0.0 {
                return Err(at.cannot("`denoise` is 0: nothing would be drawn").at("denoise"));
            }
            let total = if denoise > 0.9999 { steps } else { (f64::from(steps) / denoise) as u32 };
            (steps, total)
        };
        if total > MAX_STEPS {
            let message = match total == steps {
                true => format!("{steps} steps: at most {MAX_STEPS} are drawn"),
                false => {
                    format!("{steps} steps at this `denoise` are the end of {total}: at most {MAX_STEPS} are counted")
                }
            };
            return Err(at.cannot(message).at("steps"));
        }
        if drawn == 0 {
            return Err(at.cannot("it starts after its last step: nothing would be drawn").at("start_at_step"));
        }
        let unknown =
            |input: &'static str, name: &str| at.cannot(format!("there is no `{}` here", shown(name))).at(input);
        Ok(Pass {
            seed,
            steps,
            cfg: at.number("cfg")? as f32,
            sampler: names::sampler(sampler).ok_or_else(|| unknown("sampler_name", sampler))?.to_owned(),
            scheduler: names::scheduler(scheduler).ok_or_else(|| unknown("scheduler", scheduler))?.to_owned(),
            drawn,
            total,
        })
    }

    fn sample(&self, at: &At<'_>) -> Found<Drawn> {
        let pass = self.pass(at)?;
        let canvas = self.latent(&at.link("latent_image")?)?;
        let chain = self.chain(&at.link("model")?)?;
        let advanced = at.node.class == "KSamplerAdvanced";
        let stopped = match advanced {
            true => self.stopped(at, &pass)?,
            false => None,
        };
        if let Canvas::Drawn(first) = &canvas
            && let Some(end) = first.stopped
        {
            return self.go_on(at, &pass, &chain, (**first).clone(), end, stopped);
        }
        if advanced && at.text("add_noise")? == "disable" {
            return Err(at.cannot("without noise only a latent with noise left over can be drawn on").at("add_noise"));
        }
        match canvas {
            Canvas::Empty { width, height, batch } => {
                if !pass.is_whole() {
                    let input = if advanced { "start_at_step" } else { "denoise" };
                    return Err(at.cannot("an empty latent must be drawn from its first step on").at(input));
                }
                self.first(at, &pass, chain, (width, height), batch, None, stopped)
            }
            Canvas::File(start) => {
                let size = (start.width / SIDE_MULTIPLE * SIDE_MULTIPLE, start.height / SIDE_MULTIPLE * SIDE_MULTIPLE);
                if stopped.is_some() {
                    return Err(at.cannot("a picture is drawn over in one go").at("end_at_step"));
                }
                self.first(at, &pass, chain, size, 1, Some(start), None)
            }
            Canvas::Drawn(first) => {
                let (width, height) = drawn_size(&first);
                let (node, upscaler) = (at.id.to_owned(), "Latent".to_owned());
                self.second(at, &pass, &chain, *first, Enlarge { node, upscaler, width, height, plain: false })
            }
            Canvas::Enlarged(first, enlarge) => self.second(at, &pass, &chain, *first, enlarge),
            Canvas::FileEnlarged { .. } => Err(at.cannot("save the enlarged picture first, then load it")),
        }
    }

    /// The step at which `KSamplerAdvanced` stops with noise left, if it does.
    fn stopped(&self, at: &At<'_>, pass: &Pass) -> Found<Option<u32>> {
        let end = at.count("end_at_step")?;
        let left = at.text("return_with_leftover_noise")? == "enable";
        match (end < pass.steps, left) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(end)),
            (true, false) => {
                let message = "it must go to its last step, or hand its leftover noise to another sampler";
                Err(at.cannot(message).at("return_with_leftover_noise"))
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one request is made of all of them")]
    fn first(
        &self,
        at: &At<'_>,
        pass: &Pass,
        chain: Chain,
        (width, height): (u32, u32),
        batch: u32,
        start: Option<Start>,
        stopped: Option<u32>,
    ) -> Found<Drawn> {
        let (positive_link, negative_link) = (at.link("positive")?, at.link("negative")?);
        let (prompt, negative_prompt, positive) = self.prompts(at, &chain, (width, height))?;
        let (init, inpaint) = match start {
            None => (None, None),
            Some(start) => {
                let resize_mode = start.resize_mode.to_owned();
                let init = Init { picture: start.picture, strength: pass.strength(), resize_mode };
                let inpaint = start.mask.map(|(mask, fill)| Inpaint {
                    mask: Some(mask),
                    invert: false,
                    mask_blur: 0.0,
                    fill: fill.to_owned(),
                    only_masked: None,
                    extend: crate::Extend::default(),
                });
                (Some(init), inpaint)
            }
        };
        let controls = positive
            .guides
            .iter()
            .map(|guide| ControlRequest {
                net: guide.net.clone(),
                picture: guide.picture.clone(),
                preprocess: "none".to_owned(),
                weight: guide.weight as f32,
                start: guide.start as f32,
                end: guide.end as f32,
            })
            .collect();
        let request = GenerateRequest {
            model: chain.model.clone(),
            prompt,
            negative_prompt,
            width,
            height,
            steps: pass.total,
            cfg_scale: pass.cfg,
            seed: pass.seed,
            sampler: pass.sampler.clone(),
            scheduler: Some(pass.scheduler.clone()),
            clip_skip: positive.clip.skip,
            noise: Some("CPU".to_owned()),
            init,
            inpaint,
            controls,
            ..GenerateRequest::default()
        };
        let sampler = at.id.to_owned();
        Ok(Drawn { request, batch, sampler, chain, stopped, positive: positive_link, negative: negative_link })
    }

    /// Both prompts, with the LoRAs called in the first.
    fn prompts(&self, at: &At<'_>, chain: &Chain, size: (u32, u32)) -> Found<(String, String, Conditioning)> {
        let positive = self.conditioning(&at.link("positive")?)?;
        let negative = self.conditioning(&at.link("negative")?)?;
        if positive.clip != negative.clip {
            return Err(at
                .cannot("both texts must be read by the same text encoder with the same LoRAs")
                .at("negative"));
        }
        if positive.clip.model != chain.model {
            return Err(at.cannot("model and text encoder must come from the same checkpoint").at("positive"));
        }
        // `ControlNetApply` hangs on one side and counts for both.
        let both = positive
            .guides
            .iter()
            .filter(|guide| self.graph.node(&guide.node).is_some_and(|node| node.class == "ControlNetApplyAdvanced"));
        if !both.eq(negative.guides.iter()) {
            let message = "a ControlNet must be applied to both sides by one `ControlNetApplyAdvanced`";
            return Err(at.cannot(message).at("negative"));
        }
        for (input, conditioning) in [("positive", &positive), ("negative", &negative)] {
            if let Some((width, height)) = conditioning.size.filter(|stated| *stated != size) {
                let message = format!(
                    "`CLIPTextEncodeSDXL` says {width}x{height}, but the picture is {}x{}: it must say that",
                    size.0, size.1
                );
                return Err(at.cannot(message).at(input));
            }
        }
        let [negative_text] = negative.texts.as_slice() else {
            return Err(at.cannot("texts can be combined for what is wanted, not for what is not").at("negative"));
        };
        let mut prompt = combine(&positive.texts);
        for (name, text, unet) in weights(&chain.loras, &positive.clip.loras) {
            prompt.push_str(&format!(" <lora:{name}:{text}:{unet}>"));
        }
        Ok((prompt, negative_text.clone(), positive))
    }

    /// A second sampler that draws on a larger picture.
    fn second(&self, at: &At<'_>, pass: &Pass, chain: &Chain, first: Drawn, enlarge: Enlarge) -> Found<Drawn> {
        if first.request.hires.is_some() || first.request.init.is_some() || first.request.refiner.is_some() {
            return Err(at
                .cannot("a second pass can follow one pass that started from noise alone")
                .at("latent_image"));
        }
        if *chain != first.chain {
            return Err(at.cannot("the second pass must use the first one's model and LoRAs").at("model"));
        }
        if pass.seed != first.request.seed {
            let message = format!(
                "both passes share one seed here: set it to {}, the first one's (and switch off that it changes by itself)",
                first.request.seed
            );
            return Err(at.cannot(message).at(if at.node.class == "KSampler" { "seed" } else { "noise_seed" }));
        }
        let (wide, high) = (first.request.width, first.request.height);
        let (width, height) = (enlarge.width / 8 * 8, enlarge.height / 8 * 8);
        let skew = (u64::from(width) * u64::from(high)).abs_diff(u64::from(height) * u64::from(wide));
        if skew > 8 * u64::from(wide.max(high)) || width < wide || height < high {
            let message = format!(
                "{wide}x{high} can be enlarged for a second pass with its proportions only, not to {width}x{height}"
            );
            return Err(Fault::cannot(&enlarge.node, message));
        }
        let (prompt, negative_prompt, positive) = self.prompts(at, chain, (width, height))?;
        if positive.guides.iter().map(|guide| &guide.net).ne(first.request.controls.iter().map(|control| &control.net))
        {
            return Err(at.cannot("the second pass must have the first one's ControlNets").at("positive"));
        }
        let hires = Hires {
            scale: 2.0,
            size: Some((width, height)),
            upscaler: enlarge.upscaler,
            strength: pass.strength(),
            steps: Some(pass.total),
            cfg_scale: Some(pass.cfg),
            sampler: Some(pass.sampler.clone()),
            scheduler: Some(pass.scheduler.clone()),
            prompt: if prompt == first.request.prompt { String::new() } else { prompt },
            negative_prompt: if negative_prompt == first.request.negative_prompt {
                String::new()
            } else {
                negative_prompt
            },
        };
        let request = GenerateRequest { hires: Some(hires), ..first.request };
        Ok(Drawn { request, sampler: at.id.to_owned(), ..first })
    }

    /// A second sampler that goes on where another one stopped: with the same model, or with a refiner.
    fn go_on(
        &self,
        at: &At<'_>,
        pass: &Pass,
        chain: &Chain,
        first: Drawn,
        end: u32,
        stopped: Option<u32>,
    ) -> Found<Drawn> {
        if at.node.class != "KSamplerAdvanced" || at.text("add_noise")? == "enable" {
            return Err(at.cannot("it must go on with the noise that is left over, and add none").at("add_noise"));
        }
        if at.count("start_at_step")? != end || stopped.is_some() {
            return Err(at
                .cannot(format!("it must go on at step {end} and end with the last one"))
                .at("start_at_step"));
        }
        let one = &first.request;
        let same = (one.steps, one.cfg_scale, one.sampler.as_str(), one.scheduler.as_deref())
            == (pass.steps, pass.cfg, pass.sampler.as_str(), Some(pass.scheduler.as_str()));
        if !same {
            return Err(at
                .cannot("steps, cfg, sampler and scheduler must be those of the sampler before it")
                .at("steps"));
        }
        let size = (one.width, one.height);
        let (theirs, ours) = (self.prompts(at, chain, size)?, (&one.prompt, &one.negative_prompt));
        if (&theirs.0, &theirs.1) != ours {
            return Err(at.cannot("the texts must be those of the sampler before it").at("positive"));
        }
        let refiner = (chain.model != first.chain.model).then(|| Refiner {
            model: chain.model.clone(),
            switch_at: (f64::from(end) / f64::from(pass.steps.max(1))) as f32,
        });
        let request = GenerateRequest { refiner, ..first.request };
        Ok(Drawn { request, sampler: at.id.to_owned(), stopped: None, ..first })
    }
}

/// Each LoRA's name with its weights for text encoder and model, in order.
fn weights<'a>(model: &'a [Lora], clip: &'a [Lora]) -> Vec<(&'a str, f64, f64)> {
    let on = |loras: &[Lora], node: &str| loras.iter().find(|lora| lora.node == node).map_or(0.0, |lora| lora.strength);
    let alone = clip.iter().filter(|lora| !model.iter().any(|other| other.node == lora.node));
    let both = model.iter().map(|lora| (lora.name.as_str(), on(clip, &lora.node), lora.strength));
    both.chain(alone.map(|lora| (lora.name.as_str(), lora.strength, 0.0))).collect()
}

fn drawn_size(drawn: &Drawn) -> (u32, u32) {
    let request = &drawn.request;
    request.hires.as_ref().and_then(|hires| hires.size).unwrap_or((request.width, request.height))
}

fn size_of(canvas: &Canvas) -> (u32, u32) {
    match canvas {
        Canvas::Empty { width, height, .. } => (*width, *height),
        Canvas::File(start) | Canvas::FileEnlarged { start, .. } => (start.width, start.height),
        Canvas::Drawn(drawn) => drawn_size(drawn),
        Canvas::Enlarged(_, enlarge) => (enlarge.width, enlarge.height),
    }
}

fn scaled(side: u32, by: f64) -> u32 {
    (f64::from(side) * by).round().clamp(1.0, 100_000.0) as u32
}

/// `width` and `height` of a node, where 0 for one of them keeps the proportions.
fn fill(at: &At<'_>, (wide, high): (u32, u32)) -> Found<(u32, u32)> {
    let of = |side: u32, part: u32, whole: u32| scaled(side, f64::from(part) / f64::from(whole.max(1)));
    Ok(match (at.count("width")?, at.count("height")?) {
        (0, 0) => (wide, high),
        (0, height) => (of(wide, height, high), height),
        (width, 0) => (width, of(high, width, wide)),
        size => size,
    })
}
