//! The decoders of byte planes, as files of the bundle that needs them.

use super::PackFile;
use crate::Content;
use manifest::{Codec, Component, ComponentKind, Sha256, layout};

/// Adds them to what goes into a bundle, unless they are there already (they came with a backup's home, say).
pub fn add_decoders(components: &mut Vec<Component>, files: &mut Vec<PackFile>) {
    let Ok(id) = layout::DECODERS.parse::<manifest::ComponentId>() else { return };
    for (name, text) in Codec::DECODERS {
        let Ok(path) = layout::decoder_path(name).parse() else { continue };
        if files.iter().all(|file| file.path != path) {
            let (size, sha256) = (text.len() as u64, Sha256::of(text));
            files.push(PackFile {
                path,
                component: id.clone(),
                content: Content::Memory(text),
                size,
                sha256,
                surveyed: None,
            });
        }
    }
    if components.iter().all(|component| component.id != id) {
        components.push(Component {
            id,
            kind: ComponentKind::Part,
            family: None,
            title: "Decoder of byte planes, for whoever has no fieldforge".to_owned(),
            licence: "MIT OR Apache-2.0".to_owned(),
            sources: vec![],
            settings: None,
        });
    }
}
