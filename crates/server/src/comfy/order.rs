//! `POST /prompt`: a graph becomes jobs.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::compile::{Compiler, Desk, Order};
use super::graph::Graph;
use super::refusal::{self, Refusal};
use super::runs::{Run, RunOutput, now};
use super::{Comfy, body};
use crate::PictureRef;
use crate::api_error::ApiError;
use crate::check::shown;
use crate::http::{Call, Reply};
use crate::job::Source;
use crate::studio::Studio;

/// Most bytes of a posted graph.
const MAX_GRAPH: u64 = 8 << 20;

/// Why nothing is drawn.
enum NotOrdered {
    Graph(Refusal),
    Server(ApiError),
}

pub(crate) fn post(comfy: &Comfy, studio: &Studio, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let order = body(call, MAX_GRAPH)?;
    let prompt = order.get("prompt").cloned().unwrap_or_default();
    if prompt.is_null() {
        return Ok(Refusal::whole("no_prompt", "the body has no `prompt`").reply(None));
    }
    let graph = match Graph::read(&prompt) {
        Ok(graph) => graph,
        Err(refusal) => return Ok(refusal.reply(None)),
    };
    match run(comfy, studio, &order, prompt, &graph) {
        Ok(reply) => Ok(reply),
        Err(NotOrdered::Graph(refusal)) => Ok(refusal.reply(Some(&graph))),
        Err(NotOrdered::Server(error)) => Ok(refusal::reply(&error)),
    }
}

fn run(comfy: &Comfy, studio: &Studio, order: &Value, prompt: Value, graph: &Graph) -> Result<Reply, NotOrdered> {
    let targets: Option<Vec<String>> = order
        .get("partial_execution_targets")
        .and_then(Value::as_array)
        .map(|targets| targets.iter().filter_map(|target| target.as_str().map(str::to_owned)).collect());
    let shelf = comfy.shelf(studio);
    let compiler = Compiler { graph, shelf: &shelf, desk: &Pictures { comfy, studio } };
    let mut plans: Vec<(String, Vec<String>, Order)> = Vec::new();
    for output in graph.outputs(targets.as_deref()).map_err(NotOrdered::Graph)? {
        let path = graph.check(&output, &shelf).map_err(NotOrdered::Graph)?;
        let plan = compiler.order(&output).map_err(|fault| {
            NotOrdered::Graph(Refusal::Nodes { faults: vec![fault], outputs: vec![output.clone()] })
        })?;
        plans.push((output, path, plan));
    }
    let text =
        |name: &str| order.get(name).and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= 200);
    let bytes = order.to_string().len();
    let made = comfy.runs.add(|number| {
        // The same picture for two outputs is drawn once.
        let mut requests = Vec::new();
        for request in plans.iter().flat_map(|(_, _, plan)| &plan.requests) {
            if !requests.contains(request) {
                requests.push(request.clone());
            }
        }
        let jobs = studio.submit(requests.clone(), Source::Comfyui).map_err(NotOrdered::Server)?;
        let job_of = |request| {
            let place = requests.iter().position(|known| known == request)?;
            jobs.get(place).map(|job| job.id.clone())
        };
        let outputs = plans
            .iter()
            .map(|(node, path, plan)| RunOutput {
                node: node.clone(),
                class: graph.node(node).map_or_else(String::new, |node| node.class.clone()),
                path: path.clone(),
                at_work: plan.at_work.clone(),
                jobs: plan.requests.iter().filter_map(job_of).collect(),
            })
            .collect();
        let extra = order.get("extra_data").cloned().unwrap_or_else(|| json!({}));
        let id =
            text("prompt_id").filter(|id| comfy.runs_has_room_for(id)).map_or_else(|| new_id(number), str::to_owned);
        let client = text("client_id").map(str::to_owned);
        Ok::<Run, NotOrdered>(Run { id, number, client, prompt, extra, bytes, outputs, created: now() })
    })?;
    if order.get("front").and_then(Value::as_bool) == Some(true) {
        for id in made.jobs().collect::<Vec<_>>().into_iter().rev() {
            // One that already runs is at the front.
            let _ = studio.queue.move_to(id, 1);
        }
    }
    Ok(Reply::json(200, &json!({ "prompt_id": made.id, "number": made.number, "node_errors": {} })))
}

impl Comfy {
    /// Whether a client may choose this id: one that looks like one.
    fn runs_has_room_for(&self, id: &str) -> bool {
        id.len() >= 8 && id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
    }
}

/// An id in the form of a UUID, as clients expect it; it need not be secret.
fn new_id(number: u64) -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let digest = Sha256::digest(format!("{number} {} {}", time.as_nanos(), std::process::id()));
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// The pictures that graphs name.
struct Pictures<'a> {
    comfy: &'a Comfy,
    studio: &'a Studio,
}

impl Pictures<'_> {
    fn bytes(&self, picture: &PictureRef) -> Result<Vec<u8>, String> {
        let read = match picture {
            PictureRef::Upload(digest) => self.studio.uploads.read(digest),
            PictureRef::Output(id) => self.studio.output(id),
        };
        read.map_err(|error| format!("the picture cannot be read: {error}"))
    }
}

impl Desk for Pictures<'_> {
    fn picture(&self, name: &str) -> Result<(PictureRef, u32, u32), String> {
        let named = self.comfy.inputs.read(name);
        let picture = named.ok_or_else(|| format!("there is no picture `{}`: upload it first", shown(name)))?.picture;
        let facts = self.studio.generate.read_picture(&self.bytes(&picture)?).map_err(|error| error.to_string())?;
        Ok((picture, facts.width, facts.height))
    }

    fn mask(&self, name: &str) -> Result<Vec<u8>, String> {
        let named = self.comfy.inputs.read(name);
        let named = named.ok_or_else(|| format!("there is no picture `{}`: upload it first", shown(name)))?;
        self.bytes(&named.mask.unwrap_or(named.picture))
    }

    fn keep(&self, png: &[u8]) -> Result<PictureRef, String> {
        self.studio.uploads.keep(png).map_err(|error| format!("the mask cannot be kept: {error}"))
    }
}
