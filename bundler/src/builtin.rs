//! Components that are part of this program.

/// A component inside this program: what `{ kind = "builtin", name = "…" }` in a catalog stands for.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// The name that catalogs use.
    pub name: &'static str,
    /// Its files.
    pub files: &'static [BuiltinFile],
}

/// One file of such a component.
#[derive(Clone, Copy, Debug)]
pub struct BuiltinFile {
    /// Its place in the bundle, for example `models/checkpoints/spark.safetensors`.
    pub path: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}
