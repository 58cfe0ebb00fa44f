//! What a model file of another program is: the engine's answer, in the words of an import.

use ::install::{Judgement, Unfit};
use engine::checkpoint::{Family, FileKind, Header};
use engine::{EngineError, Lora, Taesd, Upscaler};
use manifest::ComponentKind;
use std::io::Read as _;
use std::path::Path;

/// Looks into a file or a diffusers folder, reads no more than its header, and tells what it is by its tensors. What
/// the tensors leave open, the folder that it lies in decides.
pub(crate) fn judge(path: &Path, place: Option<ComponentKind>) -> Result<Judgement, Unfit> {
    if path.is_dir() {
        return folder(path);
    }
    let header = header(path).map_err(unfit)?;
    let family = Family::of(&header);
    let mut found = Judgement { kind: None, family: None, usable: true, description: family.description().to_owned() };
    let has = |prefix: &str| header.tensors().any(|(name, _)| name.starts_with(prefix));
    match family {
        Family::Sd1 | Family::Sd2 | Family::Sdxl | Family::SdxlRefiner => {
            found.kind = Some(checkpoint_kind(family));
            found.family = Some(family.to_string());
            let text_encoder = ["cond_stage_model.", "conditioner.", "embedder."].into_iter().any(has);
            if !text_encoder || !has("first_stage_model.") {
                found.usable = false;
                found.kind = None;
                found.description = format!("part of {}: text encoder or VAE are not in it", family.description());
            }
        }
        Family::SdxlEdm | Family::Sd2Unclip | Family::Video | Family::Sd3 | Family::Flux => {
            found.kind = Some(ComponentKind::Checkpoint);
            found.family = Some(family.to_string());
            found.usable = false;
        }
        Family::Lora => {
            found.kind = Some(ComponentKind::Lora);
            found.family = Lora::open(path).ok().and_then(|lora| lora.info().family.clone());
            if header.tensors().any(|(name, _)| name.contains("double_blocks") || name.contains("joint_blocks")) {
                found.usable = false;
                found.description = "a LoRA for Flux or Stable Diffusion 3".to_owned();
            }
        }
        Family::ControlNet => {
            found.kind = Some(ComponentKind::Controlnet);
            found.family = width(&header, ".to_k.weight").and_then(family_of_width);
        }
        Family::Embedding => as_embedding(&header, &mut found),
        Family::Upscaler => found.kind = Some(ComponentKind::Upscaler),
        Family::Vae => found.kind = Some(ComponentKind::Vae),
        Family::DiffusersPart if has("decoder.up_blocks.") => {
            found.kind = Some(ComponentKind::Vae);
            found.description = "a VAE".to_owned();
        }
        Family::DiffusersPart | Family::Unknown => by_place(path, place, &header, &mut found),
    }
    if header.tensors().any(|(_, entry)| is_squeezed(&format!("{:?}", entry.dtype()))) && found.usable {
        found.usable = false;
        found.description = format!("{}, squeezed into 8 bits or fewer", found.description);
    }
    Ok(found)
}

/// A diffusers folder: usable when all its parts are there.
fn folder(path: &Path) -> Result<Judgement, Unfit> {
    let family = engine::checkpoint::inspect(path).map_err(unfit)?.family;
    let whole =
        path.join("vae").is_dir() && (path.join("text_encoder").is_dir() || path.join("text_encoder_2").is_dir());
    let description = format!("{} as a folder of diffusers", family.description());
    let (usable, kind) = (whole && family.is_supported(), Some(checkpoint_kind(family)));
    Ok(Judgement { kind, family: Some(family.to_string()), usable, description })
}

const fn checkpoint_kind(family: Family) -> ComponentKind {
    match family {
        Family::SdxlRefiner => ComponentKind::Refiner,
        _ => ComponentKind::Checkpoint,
    }
}

/// Files whose tensors have no telling names: what the folder is for is tried.
fn by_place(path: &Path, place: Option<ComponentKind>, header: &Header, found: &mut Judgement) {
    match place {
        Some(ComponentKind::Taesd | ComponentKind::Vae) if Taesd::open(path).is_ok() => {
            found.kind = Some(ComponentKind::Taesd);
            found.description = "a small VAE for previews".to_owned();
        }
        Some(ComponentKind::Embedding) if header.tensors().count() == 1 => as_embedding(header, found),
        None | Some(ComponentKind::Upscaler) if Upscaler::open(path).is_ok() => {
            found.kind = Some(ComponentKind::Upscaler);
            found.description = "an upscaler".to_owned();
        }
        Some(ComponentKind::Upscaler) => {
            found.usable = false;
            found.description = "an upscaler of another kind than ESRGAN".to_owned();
        }
        _ => found.usable = false,
    }
}

fn as_embedding(header: &Header, found: &mut Judgement) {
    found.kind = Some(ComponentKind::Embedding);
    found.description = "a textual inversion".to_owned();
    let is_pair = ["clip_g", "text_encoders_1"].iter().any(|name| header.get(name).is_some());
    found.family = if is_pair { Some("sdxl".to_owned()) } else { width(header, "").and_then(family_of_width) };
}

/// The last dimension of the first tensor whose name ends so and that is wide enough for a text encoder's output.
fn width(header: &Header, ending: &str) -> Option<usize> {
    let named =
        header.tensors().filter(|(name, _)| name.ends_with(ending) && (ending.is_empty() || name.contains("attn2")));
    named.filter_map(|(_, entry)| entry.shape().last().copied()).find(|width| *width >= 768)
}

fn family_of_width(width: usize) -> Option<String> {
    let family = match width {
        768 => "sd1",
        1024 => "sd2",
        1280 | 2048 => "sdxl",
        _ => return None,
    };
    Some(family.to_owned())
}

/// A number format that the engine does not compute with, by its name in the file.
fn is_squeezed(dtype: &str) -> bool {
    ["F8", "F6", "F4"].iter().any(|prefix| dtype.starts_with(prefix))
}

fn header(path: &Path) -> Result<Header, EngineError> {
    let mut file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    let mut start = Vec::new();
    std::io::Read::by_ref(&mut file).take(FileKind::BYTES_NEEDED as u64).read_to_end(&mut start)?;
    if FileKind::of(&start) == FileKind::Safetensors
        && let Some(needed) = Header::bytes_needed(&start).filter(|needed| *needed <= length)
    {
        file.take(needed.saturating_sub(start.len() as u64)).read_to_end(&mut start)?;
    }
    Header::parse(&path.display().to_string(), &start, length)
}

fn unfit(error: EngineError) -> Unfit {
    let broken = |reason: String| Unfit::Broken { reason };
    match error {
        EngineError::Pickle { .. } => Unfit::Pickle,
        EngineError::Gguf { .. } => Unfit::Gguf,
        EngineError::HtmlPage { .. } => Unfit::WebPage,
        EngineError::LfsPointer { .. } => Unfit::LfsPointer,
        EngineError::Truncated { expected, found, .. } => {
            broken(format!("cut off: {found} of {expected} bytes are there"))
        }
        EngineError::NotSafetensors { reason, .. } | EngineError::BrokenHeader { reason, .. } => broken(reason),
        EngineError::MissingPart { part, .. } => broken(format!("it has no {part}")),
        EngineError::Read(error) => Unfit::Unreadable { reason: ::install::plain_reason(&error) },
        other => broken(other.to_string()),
    }
}
