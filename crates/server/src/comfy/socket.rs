//! `/ws`: what happens, in ComfyUI's words.

use std::collections::HashSet;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::runs::{Run, Standing, now};
use super::{Comfy, jobs, queue_routes};
use crate::api_error::ApiError;
use crate::events::Next;
use crate::happening::{Happening, JobProgress};
use crate::http::{Body, Call, Reply};
use crate::job::{Job, JobState};
use crate::studio::Studio;
use crate::target::Target;

/// How long one look for events or messages takes.
const LOOK: Duration = Duration::from_millis(50);
/// A client that does not take what it is sent for so long is cut off.
const WRITE_TIME: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// Most bytes of a client's message.
const MAX_MESSAGE: usize = 64 << 10;

/// Answers the handshake.
///
/// # Errors
/// 426 for a request that is none.
pub(crate) fn open(
    comfy: &Arc<Comfy>,
    studio: &Arc<Studio>,
    target: &Target,
    call: &Call<'_>,
) -> Result<Reply, ApiError> {
    let asked = call.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let key = call.header("sec-websocket-key").filter(|key| asked && key.len() == 24);
    let key = key.ok_or_else(|| ApiError::new(426, "no_websocket", "this address speaks WebSocket only"))?;
    let accept = derive_accept_key(key.as_bytes());
    let given = target.query("clientId").filter(|id| !id.is_empty() && id.len() <= 200);
    let client = given.map_or_else(|| derive_accept_key(format!("{key}{}", now()).as_bytes()), str::to_owned);
    let client: String =
        client.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter)).collect();
    let (comfy, studio) = (Arc::clone(comfy), Arc::clone(studio));
    let talk = Box::new(move |stream: &TcpStream, stop: &AtomicBool| {
        // Whoever hangs up or does not read ends the talk, whatever the reason.
        let _ = attend(&comfy, &studio, client, stream, stop);
    });
    Ok(Reply { status: 101, headers: Vec::new(), body: Body::Socket(talk) }
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Accept", accept))
}

fn attend(comfy: &Comfy, studio: &Studio, client: String, stream: &TcpStream, stop: &AtomicBool) -> Result<(), Error> {
    stream.set_write_timeout(Some(WRITE_TIME))?;
    // A read of no bytes at once; what is there is read.
    stream.set_read_timeout(Some(Duration::from_millis(1)))?;
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let events = studio.subscribe();
    let mut talk = Talk {
        comfy,
        studio,
        client,
        socket,
        metadata: None,
        begun: HashSet::new(),
        told: HashSet::new(),
        over: HashSet::new(),
    };
    let sid = talk.client.clone();
    talk.say("status", &json!({ "status": queue_routes::status(studio), "sid": sid }))?;
    let mut asked = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        match events.next(LOOK) {
            Next::Event(happening) => talk.tell(&happening)?,
            Next::Quiet => {}
            Next::Over => break,
        }
        talk.listen()?;
        if asked.elapsed() >= PING {
            talk.socket.send(Message::Ping(Vec::new().into()))?;
            asked = Instant::now();
        }
    }
    talk.socket.close(None)?;
    talk.socket.flush()
}

/// One client's connection.
struct Talk<'a> {
    comfy: &'a Comfy,
    studio: &'a Studio,
    client: String,
    socket: WebSocket<&'a TcpStream>,
    /// Whether it takes previews that say whose they are; `None`: it said nothing of itself and gets no previews, because
    /// simple clients take every binary message for a result.
    metadata: Option<bool>,
    /// Runs whose start was told.
    begun: HashSet<String>,
    /// Outputs (run and node) that were told.
    told: HashSet<(String, String)>,
    /// Runs whose end was told.
    over: HashSet<String>,
}

impl Talk<'_> {
    fn say(&mut self, kind: &str, data: &Value) -> Result<(), Error> {
        self.socket.send(Message::text(json!({ "type": kind, "data": data }).to_string()))
    }

    /// Reads what the client has sent; only its abilities matter.
    fn listen(&mut self) -> Result<(), Error> {
        match self.socket.read() {
            Ok(Message::Text(text)) => {
                let message: Value = serde_json::from_str(&text).unwrap_or_default();
                if message.get("type").and_then(Value::as_str) == Some("feature_flags") {
                    let flag = message.pointer("/data/supports_preview_metadata").and_then(Value::as_bool);
                    self.metadata = Some(flag == Some(true));
                    let flags = json!({ "supports_preview_metadata": true, "max_upload_size": crate::api::MAX_UPLOAD });
                    self.say("feature_flags", &flags)?;
                }
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(Error::Io(error)) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn tell(&mut self, happening: &Happening) -> Result<(), Error> {
        match happening {
            Happening::Job(job) => {
                if let Some(run) = self.ours(&job.id) {
                    self.job(job, &run)?;
                }
                self.status()
            }
            Happening::Progress(progress) => match self.ours(&progress.id) {
                Some(run) => self.progress(progress, &run),
                None => Ok(()),
            },
            Happening::Hello(line) => {
                match line.running.as_ref().and_then(|job| self.ours(&job.id).map(|run| (job, run))) {
                    Some((job, run)) => self.job(job, &run),
                    None => Ok(()),
                }
            }
            Happening::Line(_) => self.status(),
            Happening::Picture(_) | Happening::Removed(_) => Ok(()),
        }
    }

    fn status(&mut self) -> Result<(), Error> {
        let status = queue_routes::status(self.studio);
        self.say("status", &json!({ "status": status }))
    }

    /// The run of a job, if this client ordered it.
    fn ours(&self, job: &str) -> Option<Arc<Run>> {
        self.comfy.runs.of_job(job).filter(|run| run.client.as_deref() == Some(self.client.as_str()))
    }

    fn job(&mut self, job: &Job, run: &Run) -> Result<(), Error> {
        if job.state == JobState::Waiting || self.over.contains(&run.id) {
            return Ok(());
        }
        let id = run.id.as_str();
        if self.begun.insert(run.id.clone()) {
            self.say("execution_start", &json!({ "prompt_id": id, "timestamp": now() }))?;
            self.say("execution_cached", &json!({ "nodes": [], "prompt_id": id, "timestamp": now() }))?;
        }
        for output in run.outputs.iter().filter(|output| output.jobs.contains(&job.id)) {
            if job.state == JobState::Running {
                let before = output.path.iter().take_while(|node| **node != output.at_work);
                for node in before.chain([&output.at_work]) {
                    self.say("executing", &json!({ "node": node, "display_node": node, "prompt_id": id }))?;
                }
                continue;
            }
            let images = run.images(output, self.studio);
            let done = images.len() == output.jobs.len();
            if done && self.told.insert((run.id.clone(), output.node.clone())) {
                let node = &output.node;
                self.say("executing", &json!({ "node": node, "display_node": node, "prompt_id": id }))?;
                let output = json!({ "images": images });
                self.say(
                    "executed",
                    &json!({ "node": node, "display_node": node, "output": output, "prompt_id": id }),
                )?;
            }
        }
        match run.standing(self.studio) {
            Standing::Success => {
                self.say("execution_success", &json!({ "prompt_id": id, "timestamp": now() }))?;
            }
            Standing::Error => {
                let error = jobs::error(run, self.studio);
                // As in ComfyUI, nothing more of this workflow is drawn.
                jobs::cancel(run, self.studio);
                self.say("execution_error", &error)?;
            }
            Standing::Interrupted => {
                self.say("execution_interrupted", &jobs::interrupted(run))?;
            }
            Standing::Pending | Standing::Running => return Ok(()),
        }
        self.over.insert(run.id.clone());
        self.say("executing", &json!({ "node": null, "prompt_id": id }))
    }

    fn progress(&mut self, progress: &JobProgress, run: &Run) -> Result<(), Error> {
        let Some(output) = run.outputs.iter().find(|output| output.jobs.contains(&progress.id)) else { return Ok(()) };
        let (id, node) = (run.id.as_str(), output.at_work.as_str());
        let told = json!({ "value": progress.step, "max": progress.steps, "prompt_id": id, "node": node });
        self.say("progress", &told)?;
        let mut nodes = Map::new();
        for known in &output.path {
            let at_work = known == node;
            let before = !at_work && !nodes.contains_key(node);
            let (value, max, state) = match (at_work, before) {
                (true, _) => (progress.step, progress.steps, "running"),
                (false, true) => (1, 1, "finished"),
                (false, false) => continue,
            };
            let entry = json!({
                "value": value, "max": max, "state": state, "node_id": known, "prompt_id": id,
                "display_node_id": known, "parent_node_id": null, "real_node_id": known,
            });
            nodes.insert(known.clone(), entry);
        }
        self.say("progress_state", &json!({ "prompt_id": id, "nodes": nodes }))?;
        let (Some(png), Some(metadata)) = (&progress.preview_png, self.metadata) else { return Ok(()) };
        self.socket.send(Message::Binary(preview(png, metadata.then_some((id, node))).into()))
    }
}

/// A preview as a binary message: type 1 with the format PNG, or type 4 with whose it is.
fn preview(png: &[u8], whose: Option<(&str, &str)>) -> Vec<u8> {
    let Some((run, node)) = whose else {
        return [&1_u32.to_be_bytes()[..], &2_u32.to_be_bytes(), png].concat();
    };
    let metadata = json!({
        "node_id": node, "display_node_id": node, "real_node_id": node, "prompt_id": run, "image_type": "image/png",
    });
    let metadata = metadata.to_string();
    let length = u32::try_from(metadata.len()).unwrap_or_default();
    [&4_u32.to_be_bytes()[..], &length.to_be_bytes(), metadata.as_bytes(), png].concat()
}
