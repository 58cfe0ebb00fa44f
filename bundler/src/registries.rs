//! The public registries and hubs, for machines whose clients are not configured otherwise.

/// The public default of npm.
pub(crate) const NPM: &str = concat!("https://registry.", "npm", "js.org/");
/// The public default of pip.
pub(crate) const PYPI: &str = concat!("https://", "py", "pi.org/simple/");
/// The public default of `huggingface_hub`.
pub(crate) const HUGGINGFACE: &str = "https://huggingface.co";
/// CivitAI has one address.
pub(crate) const CIVITAI: &str = "https://civitai.com";
/// GitHub releases.
pub(crate) const GITHUB: &str = "https://github.com";
