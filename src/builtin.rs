//! What is inside the program: spark with its papers, and the catalog.

use bundler::{Builtin, BuiltinFile};
use manifest::{Catalog, ManifestError, RecommendedSettings};

/// The embedded checkpoint. A `static`, not a `const`: there must be one copy of it in the program, not one per use.
pub(crate) static SPARK: &[u8] = include_bytes!("../models/spark/spark.safetensors");

/// Its name in the catalog.
pub(crate) const SPARK_ID: &str = "spark";

/// The names that sources of the kind `builtin` can have.
pub(crate) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "spark",
        files: &[
            BuiltinFile { path: "models/checkpoints/spark.safetensors", bytes: SPARK },
            BuiltinFile {
                path: "licences/spark/MODEL_CARD.md",
                bytes: include_bytes!("../models/spark/MODEL_CARD.md"),
            },
            BuiltinFile { path: "licences/spark/NOTICE.md", bytes: include_bytes!("../models/spark/NOTICE.md") },
            BuiltinFile { path: "licences/spark/LICENSE-APACHE", bytes: include_bytes!("../LICENSE-APACHE") },
        ],
    },
    Builtin { name: "page", files: &[] },
];

/// The whole catalog.
pub(crate) fn catalog() -> Result<Catalog, ManifestError> {
    const FILES: &[(&str, &str)] = &[
        ("builtin.toml", include_str!("../catalog/builtin.toml")),
        ("checkpoints.toml", include_str!("../catalog/checkpoints.toml")),
        ("loras.toml", include_str!("../catalog/loras.toml")),
        ("vaes.toml", include_str!("../catalog/vaes.toml")),
        ("controlnets.toml", include_str!("../catalog/controlnets.toml")),
        ("upscalers.toml", include_str!("../catalog/upscalers.toml")),
        ("frontends.toml", include_str!("../catalog/frontends.toml")),
    ];
    let mut catalog = Catalog::default();
    for (file, text) in FILES {
        catalog.merge(file, Catalog::parse(file, text)?)?;
    }
    Ok(catalog)
}

/// What the catalog recommends for one of its entries.
pub(crate) fn recommended(id: &str) -> RecommendedSettings {
    let catalog = catalog().unwrap_or_default();
    let entry = catalog.entries().find(|entry| entry.id.as_str() == id);
    entry.and_then(|entry| entry.settings.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_is_sound() {
        let catalog = catalog().unwrap();
        assert!(catalog.entries().count() >= 35);
        for entry in catalog.entries() {
            let unknown = entry.sha256.is_none() && entry.file.is_some();
            let says_so = entry.notes.as_deref().is_some_and(|notes| notes.contains("--trust-on-first-use"));
            assert_eq!(unknown, says_so, "`{}`: an unknown digest and its note go together", entry.id);
        }
    }
}
