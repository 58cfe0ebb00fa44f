//! Reading the settings files of other programs, as far as they name folders. Nothing in them is believed: a folder
//! that is not there is reported, and everything else is passed over.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Longer settings files are not read.
const LONGEST: u64 = 4 << 20;

/// The text of a small file; nothing when it cannot be had.
pub(crate) fn read_text(file: &Path) -> Option<String> {
    // Only a plain file: opening a pipe would wait for ever.
    if !fs_err::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    fs_err::File::open(file).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// A JSON object's fields that are texts or lists of texts.
pub(crate) fn json_texts(text: &str) -> Vec<(String, Vec<String>)> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else { return Vec::new() };
    let texts = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => vec![text],
        serde_json::Value::Array(values) => {
            values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    fields.into_iter().map(|(key, value)| (key, texts(value))).collect()
}

/// A section of a YAML file: its name (empty: before the first one) and its fields, each with its lines.
pub(crate) type Section = (String, Vec<(String, Vec<String>)>);

/// As much of YAML as `extra_model_paths.yaml` and `invokeai.yaml` use: sections, `key: value`, and blocks of lines
/// (`key: |`). Deeper levels count to their section.
pub(crate) fn yaml_sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = vec![(String::new(), Vec::new())];
    let mut block: Option<usize> = None;
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        let Some((_, fields)) = sections.last_mut() else { continue };
        if block.is_some_and(|at| indent > at) {
            if let Some((_, lines)) = fields.last_mut() {
                lines.push(unquoted(content.trim_start_matches("- ")));
            }
            continue;
        }
        block = None;
        let Some((key, value)) = content.split_once(':') else { continue };
        let value = value.split(" #").next().unwrap_or_default().trim();
        let key = unquoted(key);
        match (indent, value) {
            (0, "") => sections.push((key, Vec::new())),
            (_, "" | "|" | ">" | "|-" | ">-") => {
                // An empty value can also open a deeper level; then its lines have keys, and no list begins.
                block = (!value.is_empty()).then_some(indent);
                fields.push((key, Vec::new()));
            }
            (_, value) => fields.push((key, vec![unquoted(value)])),
        }
    }
    sections
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(text).to_owned()
}

/// The options in the `COMMANDLINE_ARGS` of `webui-user.sh` or `webui-user.bat`, each with its value.
pub(crate) fn command_line_options(script: &str) -> Vec<(String, String)> {
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for line in script.lines().map(str::trim) {
        let lower = line.to_ascii_lowercase();
        let assignment =
            ["export ", "set "].iter().find_map(|word| lower.starts_with(word).then(|| line.get(word.len()..)));
        let assignment = assignment.flatten().unwrap_or(line);
        let Some((name, value)) = assignment.split_once('=') else { continue };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let value = unquoted(&value.replace("\\\"", "\""));
        let value = variables.iter().fold(value, |value, (name, meaning)| {
            let value = value.replace(&format!("%{name}%"), meaning).replace(&format!("${{{name}}}"), meaning);
            value.replace(&format!("${name}"), meaning)
        });
        variables.insert(name.to_owned(), value);
    }
    let words = words(variables.get("COMMANDLINE_ARGS").map_or("", String::as_str));
    let value_of = |(at, word): (usize, &String)| match word.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), unquoted(value))),
        None => Some((word.clone(), words.get(at + 1).filter(|next| !next.starts_with("--"))?.clone())),
    };
    words.iter().enumerate().filter(|(_, word)| word.starts_with("--")).filter_map(value_of).collect()
}

/// Words as a shell cuts them, quotes removed.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(mark)) if c == mark => quote = None,
            ('"' | '\'', None) => (quote, open) = (Some(c), true),
            (c, None) if c.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (c, _) => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

/// A folder as a settings file names it: from `base` on if it is relative, `~` for the account's own folder.
pub(crate) fn resolve(base: &Path, text: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let path = match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => base.join(text),
    };
    // For people; a path that climbs is hard to read.
    let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
    if climbs { fs_err::canonicalize(&path).unwrap_or(path) } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_of_comfyui_are_read() {
        let text = "# comment\na111:\n    base_path: /srv/sd/   # where it is\n    checkpoints: models/Stable-diffusion\n    \
                    loras: |\n         models/Lora\n         models/LyCORIS\n    vae: \"models/VAE\"\nother:\n  base_path: ~/x\n";
        let sections = yaml_sections(text);
        assert_eq!(sections[1].0, "a111");
        let fields = &sections[1].1;
        assert_eq!(fields[0], ("base_path".to_owned(), vec!["/srv/sd/".to_owned()]));
        assert_eq!(fields[2].1, ["models/Lora", "models/LyCORIS"]);
        assert_eq!(fields[3].1, ["models/VAE"]);
        assert_eq!(sections[2].0, "other");
        // InvokeAI 3 nests its folders, InvokeAI 4 does not.
        for text in ["InvokeAI:\n  Paths:\n    outputs_dir: /pictures\n", "schema_version: 4\noutputs_dir: /pictures\n"]
        {
            let fields: Vec<_> = yaml_sections(text).into_iter().flat_map(|(_, fields)| fields).collect();
            assert!(fields.contains(&("outputs_dir".to_owned(), vec!["/pictures".to_owned()])), "{fields:?}");
        }
    }

    #[test]
    fn options_of_start_scripts_are_read() {
        let script = "#!/bin/bash\n#export COMMANDLINE_ARGS=\"--ckpt-dir /no\"\nexport BASE=/srv\n\
                      export COMMANDLINE_ARGS=\"--medvram --ckpt-dir $BASE/models --lora-dir='/a b' --xformers\"\n";
        let options = command_line_options(script);
        assert_eq!(
            options,
            [("--ckpt-dir".to_owned(), "/srv/models".to_owned()), ("--lora-dir".to_owned(), "/a b".to_owned())]
        );
        let script = "@echo off\r\nREM set COMMANDLINE_ARGS=--vae-dir X\r\nset A=D:/SD\r\nset COMMANDLINE_ARGS=--vae-dir \"%A%/my VAE\" --api\r\n";
        assert_eq!(command_line_options(script), [("--vae-dir".to_owned(), "D:/SD/my VAE".to_owned())]);
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "(?s).{0,200}") {
            let _ = (yaml_sections(&text), command_line_options(&text), json_texts(&text), words(&text));
        }
    }
}
