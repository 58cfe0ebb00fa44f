//! Why a graph is not drawn, in ComfyUI's words, so that its clients mark the node.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::graph::Graph;
use crate::api_error::ApiError;
use crate::http::Reply;

/// What is wrong with one node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) node: String,
    /// ComfyUI's word for it, such as `value_not_in_list`.
    pub(crate) kind: &'static str,
    /// The input that is wrong.
    pub(crate) input: Option<&'static str>,
    /// One sentence for a person.
    pub(crate) message: String,
}

impl Fault {
    /// Something that ComfyUI draws and we do not.
    pub(crate) fn cannot(node: &str, message: impl Into<String>) -> Self {
        Self { node: node.to_owned(), kind: "custom_validation_failed", input: None, message: message.into() }
    }

    pub(crate) fn of(node: &str, kind: &'static str, input: &'static str, message: impl Into<String>) -> Self {
        Self { node: node.to_owned(), kind, input: Some(input), message: message.into() }
    }

    pub(crate) fn at(mut self, input: &'static str) -> Self {
        self.input = Some(input);
        self
    }
}

/// Why nothing of a graph is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// The graph as a whole: ComfyUI's word, a sentence, and further facts.
    Whole { kind: &'static str, message: String, extra: Value },
    /// Nodes of it, and the outputs that need them.
    Nodes { faults: Vec<Fault>, outputs: Vec<String> },
}

impl Refusal {
    pub(crate) fn whole(kind: &'static str, message: impl Into<String>) -> Self {
        Self::Whole { kind, message: message.into(), extra: json!({}) }
    }

    /// The answer: 400 with `error` and `node_errors`.
    pub(crate) fn reply(&self, graph: Option<&Graph>) -> Reply {
        Reply::json(400, &self.json(graph))
    }

    fn json(&self, graph: Option<&Graph>) -> Value {
        match self {
            Self::Whole { kind, message, extra } => json!({
                "error": { "type": kind, "message": message, "details": "", "extra_info": extra },
                "node_errors": {},
            }),
            Self::Nodes { faults, outputs } => {
                let mut nodes: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
                let mut details = String::new();
                for fault in faults {
                    let mut extra = Map::new();
                    if let Some(input) = fault.input {
                        extra.insert("input_name".into(), input.into());
                    }
                    nodes.entry(&fault.node).or_default().push(json!({
                        "type": fault.kind,
                        "message": fault.message,
                        "details": fault.input.unwrap_or_default(),
                        "extra_info": extra,
                    }));
                    details.push_str(&format!("node {}: {}\n", fault.node, fault.message));
                }
                let errors: Map<String, Value> = nodes
                    .into_iter()
                    .map(|(id, errors)| {
                        let class = graph.and_then(|graph| graph.node(id)).map_or("", |node| node.class.as_str());
                        let entry = json!({ "errors": errors, "dependent_outputs": outputs, "class_type": class });
                        (id.to_owned(), entry)
                    })
                    .collect();
                json!({
                    "error": {
                        "type": "prompt_outputs_failed_validation",
                        "message": "This workflow cannot be drawn here",
                        "details": details.trim_end(),
                        "extra_info": {},
                    },
                    "node_errors": errors,
                })
            }
        }
    }
}

/// An error of our own interface in ComfyUI's shape.
pub(crate) fn reply(error: &ApiError) -> Reply {
    let mut message = error.body.message.clone();
    if let Some(hint) = &error.body.hint {
        message.push_str(&format!(" ({hint})"));
    }
    let body = json!({
        "error": { "type": error.body.code, "message": message, "details": "", "extra_info": {} },
        "node_errors": {},
    });
    let reply = Reply::json(error.status, &body);
    match &error.allow {
        Some(allow) => reply.header("Allow", allow.clone()),
        None => reply,
    }
}
