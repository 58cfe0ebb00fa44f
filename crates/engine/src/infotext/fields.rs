//! What each entry means, in AUTOMATIC1111's order: one line a setting, for writing and for reading.

use super::{Recipe, UsedFile};
use crate::{Sampler, Scheduler};

/// An entry that means something to the engine.
pub(super) struct Field {
    /// Its key.
    pub(super) key: &'static str,
    /// Other programs' keys for it.
    pub(super) aliases: &'static [&'static str],
    /// Its value; absent where AUTOMATIC1111 leaves it out.
    pub(super) write: fn(&Recipe) -> Option<String>,
    /// Takes it over; `None` for a value that means nothing.
    pub(super) read: fn(&mut Recipe, &str) -> Option<()>,
}

/// All of them. A field that makes another one more precise comes after it.
pub(super) const FIELDS: &[Field] = &[
    Field {
        key: "Steps",
        aliases: &[],
        write: |recipe| Some(recipe.settings.steps.to_string()),
        read: |recipe, value| set(&mut recipe.settings.steps, value),
    },
    Field {
        key: "Sampler",
        aliases: &[],
        write: |recipe| Some(recipe.settings.sampler.to_string()),
        read: |recipe, value| {
            (recipe.settings.sampler, recipe.settings.sampling.scheduler) = Sampler::with_scheduler(value).ok()?;
            Some(())
        },
    },
    Field {
        key: "Schedule type",
        aliases: &["Scheduler"],
        // the sampler's own is named, as before AUTOMATIC1111 knew "Automatic", unless it is the usual one
        write: |recipe| match (recipe.settings.sampling.scheduler, recipe.settings.sampler.automatic()) {
            (Scheduler::Automatic, Scheduler::Normal) => Some(Scheduler::Automatic.to_string()),
            (Scheduler::Automatic, own) => Some(own.to_string()),
            (chosen, _) => Some(chosen.to_string()),
        },
        read: |recipe, value| {
            let scheduler: Scheduler = value.parse().ok()?;
            let own = scheduler == recipe.settings.sampler.automatic();
            replace(&mut recipe.settings.sampling.scheduler, if own { Scheduler::Automatic } else { scheduler })
        },
    },
    Field {
        key: "CFG scale",
        aliases: &[],
        write: |recipe| Some(recipe.settings.cfg_scale.to_string()),
        read: |recipe, value| set_number(&mut recipe.settings.cfg_scale, value),
    },
    Field {
        key: "Seed",
        aliases: &[],
        write: |recipe| Some(recipe.settings.seed.to_string()),
        read: |recipe, value| set(&mut recipe.settings.seed, value),
    },
    Field {
        key: "Size",
        aliases: &["Resolution"],
        write: |recipe| Some(format!("{}x{}", recipe.settings.width, recipe.settings.height)),
        read: |recipe, value| {
            (recipe.settings.width, recipe.settings.height) = size(value)?;
            Some(())
        },
    },
    Field {
        key: "Model hash",
        aliases: &[],
        write: |recipe| text(&recipe.files.model.hash),
        read: |recipe, value| put(&mut recipe.files.model.hash, value),
    },
    Field {
        key: "Model",
        aliases: &[],
        write: |recipe| text(&recipe.files.model.name),
        read: |recipe, value| put(&mut recipe.files.model.name, value),
    },
    Field {
        key: "VAE hash",
        aliases: &[],
        write: |recipe| text(&recipe.files.vae.as_ref()?.hash),
        read: |recipe, value| put(&mut recipe.files.vae.get_or_insert_default().hash, value),
    },
    Field {
        key: "VAE",
        aliases: &[],
        write: |recipe| text(&recipe.files.vae.as_ref()?.name),
        read: |recipe, value| match value {
            "Automatic" | "None" | "Default (model)" => Some(()),
            name => put(&mut recipe.files.vae.get_or_insert_default().name, name),
        },
    },
    Field {
        key: "RNG",
        aliases: &[],
        write: |_| Some("CPU".to_owned()),
        read: |_, value| (value == "CPU").then_some(()),
    },
    Field {
        key: "Lora hashes",
        aliases: &[],
        write: |recipe| UsedFile::to_list(&recipe.files.loras),
        read: |recipe, value| replace(&mut recipe.files.loras, UsedFile::from_list(value)?),
    },
    Field {
        key: "TI hashes",
        aliases: &[],
        write: |recipe| UsedFile::to_list(&recipe.files.embeddings),
        read: |recipe, value| replace(&mut recipe.files.embeddings, UsedFile::from_list(value)?),
    },
    Field {
        key: "Refiner",
        aliases: &[],
        write: |recipe| recipe.files.refiner.as_ref().map(ToString::to_string),
        read: |recipe, value| replace(&mut recipe.files.refiner, Some(UsedFile::from_title(value))),
    },
    Field {
        key: "Refiner hash",
        aliases: &[],
        write: |_| None,
        read: |recipe, value| put(&mut recipe.files.refiner.as_mut()?.hash, value),
    },
    Field {
        key: "Version",
        aliases: &[],
        // written behind everything else
        write: |_| None,
        read: |recipe, value| put(&mut recipe.program, value),
    },
];

fn set<T: std::str::FromStr>(setting: &mut T, value: &str) -> Option<()> {
    replace(setting, value.parse().ok()?)
}

fn set_number(setting: &mut f32, value: &str) -> Option<()> {
    replace(setting, value.parse().ok().filter(|number: &f32| number.is_finite())?)
}

fn put(setting: &mut String, value: &str) -> Option<()> {
    replace(setting, value.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "every `read` ends with one of these")]
fn replace<T>(setting: &mut T, value: T) -> Option<()> {
    *setting = value;
    Some(())
}

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// Width and height: `512x768`, also with `×`, `*` or a comma between them, and in brackets.
fn size(value: &str) -> Option<(u32, u32)> {
    let value = value.trim().trim_start_matches('(').trim_end_matches(')');
    let (width, height) = value.split_once(['x', 'X', '×', '*', ','])?;
    Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_form() {
        for text in ["512x768", "512 × 768", "(512, 768)", "512*768", "512X768"] {
            assert_eq!(size(text), Some((512, 768)), "{text}");
        }
        for text in ["", "512", "x", "-1x5", "512x768x3", "99999999999x1"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn every_key_is_there_once() {
        let mut keys: Vec<&str> =
            FIELDS.iter().flat_map(|field| field.aliases.iter().chain([&field.key])).copied().collect();
        keys.sort_unstable();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
