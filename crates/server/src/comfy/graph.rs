//! A workflow as it is posted: nodes that name each other's outputs.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::node_kind::{InputKind, NodeKind, ValueKind};
use super::refusal::{Fault, Refusal};
use super::shelf::Shelf;
use crate::check::shown;

/// Most nodes of one workflow.
const MAX_NODES: usize = 500;
/// Longest way from a picture back to where it begins: the walk is recursive.
const MAX_DEPTH: usize = 64;

/// The nodes of a workflow by their ids.
#[derive(Debug)]
pub(crate) struct Graph {
    nodes: BTreeMap<String, Node>,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) class: String,
    pub(crate) inputs: Map<String, Value>,
}

/// Another node's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) node: String,
    pub(crate) slot: usize,
}

impl Graph {
    /// Reads `{id: {class_type, inputs}}`.
    ///
    /// # Errors
    /// [`Refusal::Whole`] for anything else.
    pub(crate) fn read(prompt: &Value) -> Result<Self, Refusal> {
        let wrong = |message: String| Refusal::whole("invalid_prompt", message);
        let all = prompt.as_object().ok_or_else(|| wrong("`prompt` must hold the nodes by their ids".to_owned()))?;
        if all.len() > MAX_NODES {
            return Err(wrong(format!("the workflow has {} nodes: at most {MAX_NODES} are read", all.len())));
        }
        let mut nodes = BTreeMap::new();
        for (id, node) in all {
            let class = node.get("class_type").and_then(Value::as_str).ok_or_else(|| Refusal::Whole {
                kind: "missing_node_type",
                message: format!("node `{}` has no `class_type`", shown(id)),
                extra: json!({ "node_id": id }),
            })?;
            let inputs = match node.get("inputs") {
                None => Map::new(),
                Some(Value::Object(inputs)) => inputs.clone(),
                Some(_) => return Err(wrong(format!("`inputs` of node `{}` must be an object", shown(id)))),
            };
            nodes.insert(id.clone(), Node { class: class.to_owned(), inputs });
        }
        Ok(Self { nodes })
    }

    pub(crate) fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The nodes that keep pictures; only those named in `targets`, if given.
    ///
    /// # Errors
    /// [`Refusal::Whole`] when there is none, which names a node that is not known.
    pub(crate) fn outputs(&self, targets: Option<&[String]>) -> Result<Vec<String>, Refusal> {
        let is_output = |node: &Node| NodeKind::of(&node.class).is_some_and(|kind| kind.is_output);
        let wanted = |id: &String| targets.is_none_or(|targets| targets.contains(id));
        let outputs: Vec<String> =
            self.nodes.iter().filter(|(id, node)| is_output(node) && wanted(id)).map(|(id, _)| id.clone()).collect();
        if !outputs.is_empty() {
            return Ok(outputs);
        }
        match self.nodes.iter().find(|(_, node)| NodeKind::of(&node.class).is_none()) {
            Some((id, node)) => Err(unknown(id, node)),
            None => Err(Refusal::whole(
                "prompt_no_outputs",
                "the workflow keeps no picture: it needs a SaveImage or PreviewImage node",
            )),
        }
    }

    /// Checks every node that `output` needs, and gives them, each before those that need it.
    ///
    /// # Errors
    /// [`Refusal`] with every fault that was found.
    pub(crate) fn check(&self, output: &str, shelf: &Shelf) -> Result<Vec<String>, Refusal> {
        let mut walk = Walk { graph: self, shelf, done: HashSet::new(), path: Vec::new(), order: Vec::new() };
        let mut faults = Vec::new();
        walk.visit(output, &mut faults)?;
        if faults.is_empty() {
            return Ok(walk.order);
        }
        Err(Refusal::Nodes { faults, outputs: vec![output.to_owned()] })
    }
}

fn unknown(id: &str, node: &Node) -> Refusal {
    let class = shown(&node.class);
    Refusal::Whole {
        kind: "missing_node_type",
        message: format!("node `{}`: there is no node `{class}` here", shown(id)),
        extra: json!({ "node_id": id, "class_type": class, "node_title": class }),
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    shelf: &'a Shelf,
    done: HashSet<String>,
    path: Vec<String>,
    order: Vec<String>,
}

impl Walk<'_> {
    fn visit(&mut self, id: &str, faults: &mut Vec<Fault>) -> Result<(), Refusal> {
        if self.done.contains(id) {
            return Ok(());
        }
        if self.path.iter().any(|on| on == id) {
            let message = format!("node `{}` needs its own result", shown(id));
            return Err(Refusal::whole("dependency_cycle", message));
        }
        if self.path.len() >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} nodes lie one behind the other before `{}`", shown(id));
            return Err(Refusal::whole("invalid_prompt", message));
        }
        let Some(node) = self.graph.node(id) else { return Ok(()) };
        let kind = NodeKind::of(&node.class).ok_or_else(|| unknown(id, node))?;
        self.path.push(id.to_owned());
        for input in kind.inputs {
            match node.inputs.get(input.name) {
                None if input.required => {
                    let message = format!("`{}` is missing", input.name);
                    faults.push(Fault::of(id, "required_input_missing", input.name, message));
                }
                None => {}
                Some(value) => match link(value) {
                    Some(to) => {
                        let before = faults.len();
                        self.check_link(id, input, &to, faults);
                        if faults.len() == before {
                            self.visit(&to.node, faults)?;
                        }
                    }
                    None => faults.extend(check_value(id, input, value, self.shelf)),
                },
            }
        }
        self.path.pop();
        self.done.insert(id.to_owned());
        self.order.push(id.to_owned());
        Ok(())
    }

    fn check_link(&self, id: &str, input: &InputKind, to: &Link, faults: &mut Vec<Fault>) {
        let mut wrong = |kind, message| faults.push(Fault::of(id, kind, input.name, message));
        let Some(source) = self.graph.node(&to.node) else {
            let message = format!("`{}` is linked to node `{}`, which is not there", input.name, shown(&to.node));
            return wrong("bad_linked_input", message);
        };
        // An unknown kind is refused when it is visited.
        let Some(kind) = NodeKind::of(&source.class) else { return };
        let Some((given, _)) = kind.outputs.get(to.slot) else {
            let message = format!("node `{}` ({}) has no output {}", shown(&to.node), kind.class, to.slot);
            return wrong("bad_linked_input", message);
        };
        let wanted = match input.value {
            ValueKind::Link(wanted) => wanted,
            ValueKind::Text { .. } => "STRING",
            ValueKind::Int(..) => "INT",
            ValueKind::Float(..) => "FLOAT",
            ValueKind::Choice(_) => "COMBO",
        };
        if *given != wanted {
            wrong("return_type_mismatch", format!("`{}` takes {wanted}, but is linked to {given}", input.name));
        }
    }
}

/// `["id", slot]`; ids that are numbers are understood.
pub(crate) fn link(value: &Value) -> Option<Link> {
    match value.as_array()?.as_slice() {
        [node, slot] => {
            let node = match node {
                Value::String(id) => id.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            Some(Link { node, slot: usize::try_from(slot.as_u64()?).ok()? })
        }
        _ => None,
    }
}

/// A whole number, also written as `20.0` or `"20"`.
pub(crate) fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => {
            let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            exact.or_else(|| {
                number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e18).map(|float| float as i128)
            })
        }
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(flag) => Some(i128::from(*flag)),
        _ => None,
    }
}

/// A number, also written as `"7.5"`.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

fn check_value(id: &str, input: &InputKind, value: &Value, shelf: &Shelf) -> Option<Fault> {
    let wrong = |kind, message: String| Some(Fault::of(id, kind, input.name, message));
    let name = input.name;
    match input.value {
        ValueKind::Link(kind) => {
            wrong("bad_linked_input", format!("`{name}` must be linked to a node that gives {kind}"))
        }
        ValueKind::Text { .. } if value.is_string() => None,
        ValueKind::Text { .. } => wrong("invalid_input_type", format!("`{name}` must be a text")),
        ValueKind::Int(_, least, most, _) => match whole(value) {
            None => wrong("invalid_input_type", format!("`{name}` must be a whole number")),
            Some(found) if found < i128::from(least) => {
                wrong("value_smaller_than_min", format!("`{name}` is {found}: it must be at least {least}"))
            }
            Some(found) if found > i128::from(most) => {
                wrong("value_bigger_than_max", format!("`{name}` is {found}: it must be at most {most}"))
            }
            Some(_) => None,
        },
        ValueKind::Float(_, least, most, _) => match number(value) {
            None => wrong("invalid_input_type", format!("`{name}` must be a number")),
            Some(found) if found < least => {
                wrong("value_smaller_than_min", format!("`{name}` is {found}: it must be at least {least}"))
            }
            Some(found) if found > most => {
                wrong("value_bigger_than_max", format!("`{name}` is {found}: it must be at most {most}"))
            }
            Some(_) => None,
        },
        ValueKind::Choice(choices) => {
            let Some(found) = value.as_str() else {
                return wrong("invalid_input_type", format!("`{name}` must be a name out of its list"));
            };
            if shelf.has(choices, found) {
                return None;
            }
            let mut names = shelf.names(choices);
            let all = names.len();
            names.truncate(20);
            let list = match all {
                0 => "nothing of this kind is installed".to_owned(),
                _ => format!("there is {}{}", names.join(", "), if all > 20 { ", …" } else { "" }),
            };
            wrong("value_not_in_list", format!("`{name}`: there is no `{}` here; {list}", shown(found)))
        }
    }
}
