//! Which program a folder belongs to.

use super::settings::read_text;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// A program whose folders are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// stable-diffusion-webui of AUTOMATIC1111.
    A1111,
    /// stable-diffusion-webui-forge.
    Forge,
    /// Fooocus.
    Fooocus,
    /// ComfyUI.
    ComfyUi,
    /// InvokeAI.
    InvokeAi,
    /// None of them: a folder with models.
    Folder,
}

impl Program {
    /// How it is called in paths.
    #[must_use]
    pub const fn folder_name(self) -> &'static str {
        match self {
            Self::A1111 => "a1111",
            Self::Forge => "forge",
            Self::Fooocus => "fooocus",
            Self::ComfyUi => "comfyui",
            Self::InvokeAi => "invokeai",
            Self::Folder => "folder",
        }
    }

    /// Recognizes a folder by what lies in it. Portable packages have the program one folder further down: that one
    /// is answered, too.
    pub(crate) fn recognize(folder: &Path) -> (Self, PathBuf) {
        const FURTHER_DOWN: [&str; 6] =
            ["webui", "ComfyUI", "Fooocus", "stable-diffusion-webui", "stable-diffusion-webui-forge", "invokeai"];
        let below = FURTHER_DOWN.iter().map(|name| folder.join(name));
        let mut places = std::iter::once(folder.to_path_buf()).chain(below);
        let known = places.find_map(|place| Self::of(&place).map(|program| (program, place)));
        known.unwrap_or_else(|| (Self::Folder, folder.to_path_buf()))
    }

    fn of(root: &Path) -> Option<Self> {
        let has = |name: &str| root.join(name).exists();
        let any = |names: &[&str]| names.iter().any(|name| has(name));
        if any(&["invokeai.yaml", "invokeai.init", "databases/invokeai.db"]) {
            return Some(Self::InvokeAi);
        }
        if has("modules_forge") {
            return Some(Self::Forge);
        }
        if has("models/Stable-diffusion") || (has("webui.py") && has("modules")) {
            return Some(Self::A1111);
        }
        if any(&["fooocus_version.py", "sdxl_styles", "config_modification_tutorial.txt"]) {
            return Some(Self::Fooocus);
        }
        if any(&["folder_paths.py", "comfy", "custom_nodes", "extra_model_paths.yaml"])
            || (has("models/checkpoints") && any(&["output", "input", "user/default"]))
        {
            return Some(Self::ComfyUi);
        }
        (has("config.txt") && has("models/checkpoints")).then_some(Self::Fooocus)
    }

    /// Its version, where a file tells.
    pub(crate) fn version(self, root: &Path) -> Option<String> {
        let quoted = |file: &str| {
            let text = read_text(&root.join(file))?;
            let line = text.lines().find(|line| line.contains("version") && line.contains('='))?;
            let value = line.split_once('=')?.1.trim();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            value.get(1..)?.split(quote).next().map(str::to_owned)
        };
        let found = match self {
            Self::A1111 => {
                let changes = read_text(&root.join("CHANGELOG.md"))?;
                changes.lines().find_map(|line| line.strip_prefix("## ")).map(|version| version.trim().to_owned())
            }
            Self::Forge => quoted("modules_forge/forge_version.py"),
            Self::Fooocus => quoted("fooocus_version.py"),
            Self::ComfyUi => quoted("comfyui_version.py"),
            Self::InvokeAi => installed_package(root, "invokeai-"),
            Self::Folder => None,
        };
        let printable = |version: &String| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
            !version.is_empty() && version.len() <= 60 && version.chars().all(fits)
        };
        found.filter(printable)
    }
}

/// The version of a Python package in the folder's own environment, by the name of its `.dist-info` folder.
fn installed_package(root: &Path, prefix: &str) -> Option<String> {
    let environment = root.join(".venv");
    let mut libraries = vec![environment.join("Lib/site-packages")];
    for entry in fs_err::read_dir(environment.join("lib")).ok()?.flatten() {
        libraries.push(entry.path().join("site-packages"));
    }
    libraries.iter().filter_map(|library| fs_err::read_dir(library).ok()).flatten().flatten().find_map(|entry| {
        let name = entry.file_name().to_string_lossy().to_lowercase();
        name.strip_prefix(prefix)?.strip_suffix(".dist-info").map(str::to_owned)
    })
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A1111 => "Stable Diffusion web UI (AUTOMATIC1111)",
            Self::Forge => "Stable Diffusion WebUI Forge",
            Self::Fooocus => "Fooocus",
            Self::ComfyUi => "ComfyUI",
            Self::InvokeAi => "InvokeAI",
            Self::Folder => "A folder of models",
        })
    }
}
