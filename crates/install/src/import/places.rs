//! Where each program keeps what. Facts about their folders, no code of theirs.

use super::Program;
use super::found::{LeftOut, Reason};
use super::invoke_database::InvokeDatabase;
use super::settings::{command_line_options, json_texts, read_text, resolve, yaml_sections};
use manifest::ComponentKind;
use std::path::{Path, PathBuf};

/// Everything to look at, and where it belongs.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Folders (or single files) with models, and what such a folder is for.
    pub(crate) models: Vec<(PathBuf, Option<ComponentKind>)>,
    /// Folders with pictures, and the name that they get below the imported ones.
    pub(crate) outputs: Vec<(PathBuf, PathBuf)>,
    /// Files and folders with papers: settings, styles, wildcards, workflows; likewise.
    pub(crate) papers: Vec<(PathBuf, PathBuf)>,
    /// What the settings name and is not there.
    pub(crate) left: Vec<LeftOut>,
    /// The checkpoint that the program starts with, by file name.
    pub(crate) default_model: Option<String>,
    /// What InvokeAI's database says.
    pub(crate) invoke: InvokeDatabase,
}

use ComponentKind::{Checkpoint, Controlnet, Embedding, Lora, Taesd, Upscaler, Vae};

/// Folders of AUTOMATIC1111's program and of Forge, below `models`.
const WEBUI_MODELS: [(&str, ComponentKind); 16] = [
    ("Stable-diffusion", Checkpoint),
    ("Lora", Lora),
    ("LyCORIS", Lora),
    ("VAE", Vae),
    ("VAE-approx", Taesd),
    ("embeddings", Embedding),
    ("ESRGAN", Upscaler),
    ("RealESRGAN", Upscaler),
    ("BSRGAN", Upscaler),
    ("SwinIR", Upscaler),
    ("ScuNET", Upscaler),
    ("DAT", Upscaler),
    ("HAT", Upscaler),
    ("LDSR", Upscaler),
    ("ControlNet", Controlnet),
    ("diffusers", Checkpoint),
];

/// Options of their command line that name folders with models.
const WEBUI_OPTIONS: [(&str, ComponentKind); 13] = [
    ("--ckpt", Checkpoint),
    ("--ckpt-dir", Checkpoint),
    ("--ckpt-dirs", Checkpoint),
    ("--lora-dir", Lora),
    ("--lora-dirs", Lora),
    ("--lyco-dir", Lora),
    ("--vae-dir", Vae),
    ("--embeddings-dir", Embedding),
    ("--esrgan-models-path", Upscaler),
    ("--realesrgan-models-path", Upscaler),
    ("--bsrgan-models-path", Upscaler),
    ("--swinir-models-path", Upscaler),
    ("--controlnet-dir", Controlnet),
];

/// Folders of ComfyUI and of Fooocus below `models`; also the keys of ComfyUI's `extra_model_paths.yaml`, and, behind
/// `path_`, those of Fooocus's `config.txt`.
const COMFY_MODELS: [(&str, ComponentKind); 8] = [
    ("checkpoints", Checkpoint),
    ("diffusers", Checkpoint),
    ("loras", Lora),
    ("vae", Vae),
    ("vae_approx", Taesd),
    ("embeddings", Embedding),
    ("upscale_models", Upscaler),
    ("controlnet", Controlnet),
];

/// Keys of `extra_model_paths.yaml` that name no folders with models.
const COMFY_OTHERS: [&str; 4] = ["base_path", "is_default", "custom_nodes", "configs"];

impl Places {
    /// Where `program` keeps things below `root`.
    pub(crate) fn of(program: Program, root: &Path) -> Self {
        let mut places = Self::default();
        match program {
            Program::A1111 | Program::Forge => places.webui(root),
            Program::ComfyUi => places.comfy_ui(root),
            Program::Fooocus => places.fooocus(root),
            Program::InvokeAi => places.invoke_ai(root),
            Program::Folder => places.models.push((root.to_path_buf(), None)),
        }
        places
    }

    fn webui(&mut self, root: &Path) {
        self.webui_data(root);
        for script in ["webui-user.sh", "webui-user.bat"] {
            for (option, value) in read_text(&root.join(script)).iter().flat_map(|text| command_line_options(text)) {
                let named = resolve(root, &value);
                match option.as_str() {
                    "--data-dir" | "--forge-ref-a1111-home" => {
                        if self.is_there(&named, script) {
                            self.webui_data(&named);
                        }
                    }
                    "--forge-ref-comfy-home" | "--model-ref" => {
                        let models = if option == "--model-ref" { named } else { named.join("models") };
                        if self.is_there(&models, script) {
                            self.models_below(&models, &COMFY_MODELS);
                        }
                    }
                    "--styles-file" => {
                        let name = PathBuf::from(named.file_name().unwrap_or_default());
                        self.papers.push((named, name));
                    }
                    option => {
                        if let Some((_, kind)) = WEBUI_OPTIONS.iter().find(|(name, _)| *name == option)
                            && self.is_there(&named, script)
                        {
                            self.models.push((named, Some(*kind)));
                        }
                    }
                }
            }
        }
    }

    /// What the web UI keeps in its own folder, or in the one that `--data-dir` names.
    fn webui_data(&mut self, root: &Path) {
        self.models.push((root.join("embeddings"), Some(Embedding)));
        self.models_below(&root.join("models"), &WEBUI_MODELS);
        for extension in folders_in(&root.join("extensions")) {
            let name = extension.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            let kind = name.contains("controlnet").then_some(Controlnet);
            self.models.push((extension.join("models"), kind));
            self.papers.push((extension.join("wildcards"), "wildcards".into()));
        }
        self.papers.push((root.join("scripts/wildcards"), "wildcards".into()));
        self.papers_in(root, &["config.json", "ui-config.json", "styles.csv", "styles", "user.css"]);
        for name in ["outputs", "output", "log/images"] {
            self.outputs.push((root.join(name), file_name(name)));
        }
        let text = read_text(&root.join("config.json")).unwrap_or_default();
        for (key, values) in json_texts(&text) {
            let Some(value) = values.first().filter(|value| !value.is_empty()) else { continue };
            if key == "sd_model_checkpoint" {
                // "folder/name.safetensors [0123456789]"
                let name = value.split(" [").next().unwrap_or_default().replace('\\', "/");
                self.default_model = name.rsplit('/').next().map(str::to_owned);
            } else if key.starts_with("outdir_") {
                let named = resolve(root, value);
                // The program makes its own folders when it first needs them.
                if named.starts_with(root) || self.is_there(&named, "config.json") {
                    let name = file_name(&named);
                    self.outputs.push((named, name));
                }
            }
        }
    }

    fn comfy_ui(&mut self, root: &Path) {
        self.models_below(&root.join("models"), &COMFY_MODELS);
        let settings = "extra_model_paths.yaml";
        let sections = read_text(&root.join(settings)).map(|text| yaml_sections(&text)).unwrap_or_default();
        for (_, fields) in sections {
            let base = fields.iter().find(|(key, _)| key == "base_path").and_then(|(_, values)| values.first());
            let base = base.map_or_else(|| root.to_path_buf(), |base| resolve(root, base));
            for (key, values) in fields.iter().filter(|(key, _)| !COMFY_OTHERS.contains(&key.as_str())) {
                let kind = COMFY_MODELS.iter().find(|(name, _)| name == key).map(|(_, kind)| *kind);
                for named in values.iter().filter(|value| !value.is_empty()).map(|value| resolve(&base, value)) {
                    if self.is_there(&named, settings) {
                        self.models.push((named, kind));
                    }
                }
            }
        }
        self.papers.push((root.join("user"), "user".into()));
        self.papers_in(root, &[settings]);
        self.outputs.push((root.join("output"), "output".into()));
        self.outputs.push((root.join("input"), "input".into()));
    }

    fn fooocus(&mut self, root: &Path) {
        let text = read_text(&root.join("config.txt")).unwrap_or_default();
        for (key, values) in json_texts(&text) {
            if key == "default_model" {
                self.default_model = values.first().cloned();
            }
            let Some(name) = key.strip_prefix("path_") else { continue };
            for named in values.iter().map(|value| resolve(root, value)) {
                if !self.is_there(&named, "config.txt") {
                    continue;
                }
                match name {
                    "outputs" => self.outputs.push((named, "outputs".into())),
                    "wildcards" => self.papers.push((named, "wildcards".into())),
                    name => {
                        let kind = COMFY_MODELS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
                        self.models.push((named, kind));
                    }
                }
            }
        }
        self.models_below(&root.join("models"), &COMFY_MODELS);
        self.papers_in(root, &["config.txt", "presets", "sdxl_styles", "wildcards"]);
        self.outputs.push((root.join("outputs"), "outputs".into()));
    }

    fn invoke_ai(&mut self, root: &Path) {
        let settings = "invokeai.yaml";
        let sections = read_text(&root.join(settings)).map(|text| yaml_sections(&text)).unwrap_or_default();
        let mut folder = |key: &str, usual: &str| {
            let fields = sections.iter().flat_map(|(_, fields)| fields);
            let named = fields.filter(|(name, _)| name == key).find_map(|(_, values)| values.first());
            let Some(named) = named else { return root.join(usual) };
            let named = resolve(root, named);
            if !named.exists() {
                self.left.push(not_there(&named, settings));
            }
            named
        };
        let [models, outputs, database] =
            [("models_dir", "models"), ("outputs_dir", "outputs"), ("db_dir", "databases")]
                .map(|(key, usual)| folder(key, usual));
        // `api_keys.yaml` stays where it is: nobody wants keys to travel.
        let file = database.join("invokeai.db");
        match InvokeDatabase::read(&file, &models) {
            Ok(found) => self.invoke = found.unwrap_or_default(),
            Err(reason) => self.left.push(LeftOut { path: file, size: 0, reason: Reason::Unreadable(reason) }),
        }
        // Models that it uses in place lie elsewhere.
        for path in std::mem::take(&mut self.invoke.elsewhere) {
            if self.is_there(&path, "databases/invokeai.db") {
                self.models.push((path, None));
            }
        }
        self.models.push((models, None));
        self.outputs.push((outputs, "outputs".into()));
        self.papers.push((database, "databases".into()));
        self.papers_in(root, &[settings, "style_presets"]);
    }

    fn models_below(&mut self, folder: &Path, kinds: &[(&str, ComponentKind)]) {
        self.models.extend(kinds.iter().map(|(name, kind)| (folder.join(name), Some(*kind))));
        // What lies in folders of no known name is known by its content, or reported.
        self.models.push((folder.to_path_buf(), None));
    }

    fn papers_in(&mut self, root: &Path, names: &[&str]) {
        self.papers.extend(names.iter().map(|name| (root.join(name), PathBuf::from(name))));
    }

    /// Is the folder there that a settings file names? If not, that is reported.
    fn is_there(&mut self, named: &Path, settings: &str) -> bool {
        let there = named.exists();
        if !there {
            self.left.push(not_there(named, settings));
        }
        there
    }
}

fn not_there(named: &Path, settings: &str) -> LeftOut {
    LeftOut { path: named.to_path_buf(), size: 0, reason: Reason::NotThere(settings.to_owned()) }
}

fn file_name(path: impl AsRef<Path>) -> PathBuf {
    path.as_ref().file_name().map(PathBuf::from).unwrap_or_else(|| "outputs".into())
}

/// Folders in a folder, sorted; links to folders count.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
