//! Names in the installation: portable, never twice, and as close to the old ones as that allows.

use manifest::{BundleManifest, BundlePath, BundlePathError, ComponentId};
use std::collections::BTreeSet;

/// Longest part of a path that is made of a foreign name, in bytes.
const LONGEST: usize = 100;

/// The names that are given away already.
#[derive(Debug, Default)]
pub(crate) struct Names {
    paths: BTreeSet<String>,
    ids: BTreeSet<String>,
}

impl Names {
    /// Those of an installation.
    pub(crate) fn of(manifest: Option<&BundleManifest>) -> Self {
        let mut names = Self::default();
        if let Some(manifest) = manifest {
            names.paths.extend(manifest.files.iter().map(|file| file.path.case_key()));
            names.ids.extend(manifest.components.iter().map(|component| component.id.to_string()));
        }
        names
    }

    /// A component name made of `text`.
    pub(crate) fn id(&mut self, text: &str) -> Option<ComponentId> {
        let mut slug = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            match c {
                c if c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-') => slug.push(c),
                _ if slug.ends_with('-') => {}
                _ => slug.push('-'),
            }
        }
        let slug: String = slug.trim_matches(['-', '.', '_']).chars().take(56).collect();
        let slug = if slug.is_empty() { "model" } else { slug.trim_end_matches('.') };
        let id = numbered(slug, "", |name| self.ids.contains(name));
        self.ids.insert(id.clone());
        id.parse().ok()
    }

    /// A stem for a file with this ending in `folder` that no other file has; `path` is the whole.
    pub(crate) fn stem(&self, folder: &str, text: &str, ending: &str) -> String {
        numbered(&portable(text), ending, |name| self.paths.contains(&format!("{folder}/{name}").to_lowercase()))
            .strip_suffix(ending)
            .map(str::to_owned)
            .unwrap_or_default()
    }

    /// Gives a path away; if it is taken, its file gets a number.
    ///
    /// # Errors
    /// When no system-independent path can be made of it, for example because it is too long.
    pub(crate) fn take(&mut self, path: &str) -> Result<BundlePath, BundlePathError> {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let (stem, ending) = file.rfind('.').filter(|at| *at > 0).map_or((file, ""), |at| file.split_at(at));
        let file = numbered(stem, ending, |name| self.paths.contains(&format!("{folder}/{name}").to_lowercase()));
        let path: BundlePath = format!("{folder}/{file}").parse()?;
        self.paths.insert(path.case_key());
        Ok(path)
    }
}

/// `stem`, or `stem-2`, `stem-3`… with `ending` behind: the first one that is free.
fn numbered(stem: &str, ending: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let plain = format!("{stem}{ending}");
    if !is_taken(&plain) {
        return plain;
    }
    (2_u32..).map(|number| format!("{stem}-{number}{ending}")).find(|name| !is_taken(name)).unwrap_or(plain)
}

/// A part of a path that every system can hold: what cannot stand there becomes `_`.
pub(crate) fn portable(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        let single = format!("a{c}a");
        let fits = c != '/' && c != char::REPLACEMENT_CHARACTER && single.parse::<BundlePath>().is_ok();
        if name.len() + c.len_utf8() > LONGEST {
            break;
        }
        name.push(if fits { c } else { '_' });
    }
    let name = name.trim_matches(' ').trim_end_matches('.').to_owned();
    match name.parse::<BundlePath>() {
        Ok(_) => name,
        // A device name of Windows, or nothing.
        Err(_) => format!("_{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_portable_and_never_twice() {
        for (old, new) in [
            ("juggernautXL v9 (final)", "juggernautXL v9 (final)"),
            ("a: b?", "a_ b_"),
            ("CON", "_CON"),
            ("...", "_"),
            ("猫", "猫"),
            ("not \u{fffd} Unicode", "not _ Unicode"),
        ] {
            assert_eq!(portable(old), new);
        }
        let mut names = Names::default();
        let mut id = |text: &str| names.id(text).unwrap().to_string();
        assert_eq!(
            [id("Pony V6 XL"), id("pony-v6-xl"), id("猫"), id("._x.")],
            ["pony-v6-xl", "pony-v6-xl-2", "model", "x"]
        );
        let mut take = |path: &str| names.take(path).unwrap().to_string();
        assert_eq!(
            [take("models/a.safetensors"), take("models/A.safetensors")],
            ["models/a.safetensors", "models/A-2.safetensors"]
        );
        assert_eq!(names.stem("models", "a", ".safetensors"), "a-3");
    }

    proptest! {
        #[test]
        fn whatever_it_was_called_it_can_be_written(text in ".{0,300}") {
            let mut names = Names::default();
            prop_assert!(names.id(&text).is_some());
            let path = format!("models/checkpoints/{}.safetensors", portable(&text));
            prop_assert!(names.take(&path).is_ok(), "{path:?}");
        }
    }
}
