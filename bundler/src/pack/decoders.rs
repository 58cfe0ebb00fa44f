//! The decoders of byte planes, as files of the bundle that needs them.

use super::{PackFile, PackInput};
use crate::Content;
use manifest::{Codec, Component, ComponentKind, Sha256, layout};

/// Adds them, unless the input has them already (a backup of a home that got them with its bundle).
pub(crate) fn add<'a>(mut input: PackInput<'a>) -> PackInput<'a> {
    let Ok(id) = layout::DECODERS.parse::<manifest::ComponentId>() else { return input };
    for (name, text) in Codec::DECODERS {
        let Ok(path) = layout::decoder_path(name).parse() else { continue };
        if input.files.iter().all(|file| file.path != path) {
            let (size, sha256) = (text.len() as u64, Sha256::of(text));
            input.files.push(PackFile {
                path,
                component: id.clone(),
                content: Content::Memory(text),
                size,
                sha256,
                surveyed: None,
            });
        }
    }
    if input.components.iter().all(|component| component.id != id) {
        input.components.push(Component {
            id,
            kind: ComponentKind::Part,
            family: None,
            title: "Decoder of byte planes, for whoever has no fieldforge".to_owned(),
            licence: "MIT OR Apache-2.0".to_owned(),
            sources: vec![],
            settings: None,
        });
    }
    input
}
