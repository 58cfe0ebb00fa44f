use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Recipe;

/// An entry that means something to the engine.
pub(super) struct Field {
    /// Its key.
    pub(super) key: &'static str,
    /// Another program's key for it.
    pub(super) alias: Option<&'static str>,
    /// Its value; absent where it is left out.
    pub(super) write: fn(&Recipe) -> Option<String>,
    /// Takes it over; `None` for a value that means nothing.
    pub(super) read: fn(&mut Recipe, &str) -> Option<()>,
}

impl Field {
    pub(super) const fn new(
        key: &'static str,
        write: fn(&Recipe) -> Option<String>,
        read: fn(&mut Recipe, &str) -> Option<()>,
    ) -> Self {
        Self { key, alias: None, write, read }
    }

    pub(super) const fn alias(self, key: &'static str) -> Self {
        Self { alias: Some(key), ..self }
    }

    pub(super) fn has_key(&self, key: &str) -> bool {
        self.key == key || self.alias == Some(key)
    }
}

/// Takes over what `value` spells.
pub(super) fn set<T: FromStr>(setting: &mut T, value: &str) -> Option<()> {
    put(setting, value.parse().ok()?)
}

/// Takes over a finite number.
pub(super) fn set_number(setting: &mut f32, value: &str) -> Option<()> {
    put(setting, number(value)?)
}

pub(super) fn number(value: &str) -> Option<f32> {
    value.parse().ok().filter(|number: &f32| number.is_finite())
}

#[expect(clippy::unnecessary_wraps, reason = "every `read` ends with it")]
pub(super) fn put<T>(setting: &mut T, value: T) -> Option<()> {
    *setting = value;
    Some(())
}

/// A value unless it is the one that goes without saying.
pub(super) fn unless<T: PartialEq + ToString>(value: &T, usual: &T) -> Option<String> {
    (value != usual).then(|| value.to_string())
}

pub(super) fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// The name that a choice has in JSON, unless it is the one that goes without saying.
pub(super) fn named<T: Default + PartialEq + Serialize>(choice: &T) -> Option<String> {
    let json = (*choice != T::default()).then(|| serde_json::to_value(choice).ok())??;
    json.as_str().map(str::to_owned)
}

/// The choice of that name.
pub(super) fn by_name<T: DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_value(name.into()).ok()
}

/// Width and height: `512x768`, also with `×`, `*` or a comma between them, and in brackets.
pub(super) fn size(value: &str) -> Option<(u32, u32)> {
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
}
