//! `/object_info`: what nodes there are, for those who build graphs.

use serde_json::{Map, Value, json};

use super::node_kind::{Choices, InputKind, KINDS, NodeKind, ValueKind};
use super::shelf::Shelf;

/// All kinds of nodes by name, or only one.
pub(crate) fn object_info(class: Option<&str>, shelf: &Shelf) -> Value {
    let wanted = KINDS.iter().filter(|kind| class.is_none_or(|class| class == kind.class));
    Value::Object(wanted.map(|kind| (kind.class.to_owned(), describe(kind, shelf))).collect())
}

fn describe(kind: &NodeKind, shelf: &Shelf) -> Value {
    let part = |required: bool| -> Map<String, Value> {
        let inputs = kind.inputs.iter().filter(|input| input.required == required);
        inputs.map(|input| (input.name.to_owned(), input_json(input, shelf))).collect()
    };
    let order = |required: bool| -> Vec<&str> {
        kind.inputs.iter().filter(|input| input.required == required).map(|input| input.name).collect()
    };
    let mut input = Map::new();
    input.insert("required".into(), part(true).into());
    let mut input_order = Map::new();
    input_order.insert("required".into(), json!(order(true)));
    if !order(false).is_empty() {
        input.insert("optional".into(), part(false).into());
        input_order.insert("optional".into(), json!(order(false)));
    }
    if kind.is_output {
        input.insert("hidden".into(), json!({ "prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO" }));
        input_order.insert("hidden".into(), json!(["prompt", "extra_pnginfo"]));
    }
    json!({
        "input": input,
        "input_order": input_order,
        "output": kind.outputs.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        "output_is_list": vec![false; kind.outputs.len()],
        "output_name": kind.outputs.iter().map(|(_, name)| *name).collect::<Vec<_>>(),
        "name": kind.class,
        "display_name": kind.title,
        "description": "",
        "python_module": "nodes",
        "category": kind.category,
        "output_node": kind.is_output,
        "deprecated": false,
        "experimental": false,
    })
}

/// Lists stay in the old form `[[names], {}]`, which other programs index.
fn input_json(input: &InputKind, shelf: &Shelf) -> Value {
    let seed = matches!(input.name, "seed" | "noise_seed");
    match input.value {
        ValueKind::Link(kind) => json!([kind, {}]),
        ValueKind::Text { multiline: true, .. } => json!(["STRING", { "multiline": true, "dynamicPrompts": true }]),
        ValueKind::Text { default, .. } => json!(["STRING", { "default": default }]),
        ValueKind::Int(default, least, most, _) if seed => {
            json!(["INT", { "default": default, "min": least, "max": most, "control_after_generate": true }])
        }
        ValueKind::Int(default, least, most, step) => {
            json!(["INT", { "default": default, "min": least, "max": most, "step": step }])
        }
        ValueKind::Float(default, least, most, step) => {
            json!(["FLOAT", { "default": default, "min": least, "max": most, "step": step, "round": 0.01 }])
        }
        ValueKind::Choice(choices @ Choices::Pictures) => json!([shelf.names(choices), { "image_upload": true }]),
        ValueKind::Choice(choices) => json!([shelf.names(choices), {}]),
    }
}
