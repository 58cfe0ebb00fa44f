//! Runs as ComfyUI's queue, history and jobs.

use serde_json::{Value, json};

use super::runs::{Run, Standing};
use crate::studio::{CANCEL_PATIENCE, Studio};
use std::time::Duration;

/// A finished run in the history.
pub(crate) fn history(run: &Run, standing: Standing, studio: &Studio) -> Value {
    let mut messages = vec![
        json!(["execution_start", { "prompt_id": run.id, "timestamp": run.created }]),
        json!(["execution_cached", { "nodes": [], "prompt_id": run.id, "timestamp": run.created }]),
    ];
    messages.push(match standing {
        Standing::Error => json!(["execution_error", error(run, studio)]),
        Standing::Interrupted => json!(["execution_interrupted", interrupted(run)]),
        _ => json!(["execution_success", { "prompt_id": run.id, "timestamp": run.created }]),
    });
    let meta: serde_json::Map<String, Value> = run
        .outputs
        .iter()
        .map(|output| {
            let node = &output.node;
            let meta = json!({ "node_id": node, "display_node": node, "parent_node": null, "real_node_id": node });
            (node.clone(), meta)
        })
        .collect();
    let success = standing == Standing::Success;
    json!({
        "prompt": run.tuple(),
        "outputs": run.pictures(studio),
        "status": {
            "status_str": if success { "success" } else { "error" },
            "completed": success,
            "messages": messages,
        },
        "meta": meta,
    })
}

/// The body of `execution_error`.
pub(crate) fn error(run: &Run, studio: &Studio) -> Value {
    let failed = run.failed(studio);
    let node = failed.as_ref().map_or("", |(output, _)| output.at_work.as_str());
    let class =
        run.prompt.get(node).and_then(|node| node.get("class_type")).and_then(Value::as_str).unwrap_or_default();
    let body = failed.as_ref().and_then(|(_, job)| job.error.as_ref());
    let message = body.map_or_else(String::new, |error| match &error.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message.clone(),
    });
    json!({
        "prompt_id": run.id, "node_id": node, "node_type": class, "executed": [], "exception_message": message,
        "exception_type": body.map_or("failed", |error| error.code), "traceback": [], "current_inputs": {},
        "current_outputs": [], "timestamp": run.created,
    })
}

/// The body of `execution_interrupted`.
pub(crate) fn interrupted(run: &Run) -> Value {
    let node = run.outputs.first().map_or("", |output| output.at_work.as_str());
    let class = run.prompt.get(node).and_then(|node| node.get("class_type")).cloned().unwrap_or_default();
    json!({ "prompt_id": run.id, "node_id": node, "node_type": class, "executed": [], "timestamp": run.created })
}

/// A run in `/api/jobs`.
pub(crate) fn job(run: &Run, standing: Standing, studio: &Studio, whole: bool) -> Value {
    let pictures = run.pictures(studio);
    let count: usize = pictures.values().map(|output| output["images"].as_array().map_or(0, Vec::len)).sum();
    let preview = pictures.iter().next().and_then(|(node, output)| {
        let mut image = output["images"].as_array()?.first()?.clone();
        image["nodeId"] = node.as_str().into();
        image["mediaType"] = "images".into();
        Some(image)
    });
    let over = matches!(standing, Standing::Success | Standing::Error | Standing::Interrupted);
    let mut job = json!({
        "id": run.id,
        "status": status(standing),
        "priority": run.number,
        "create_time": run.created,
        "execution_start_time": if standing == Standing::Pending { Value::Null } else { run.created.into() },
        "execution_end_time": if over { ended(run, studio).into() } else { Value::Null },
        "execution_error": if standing == Standing::Error { error(run, studio) } else { Value::Null },
        "outputs_count": count,
        "previewable_outputs_count": count,
        "preview_output": preview,
        "workflow_id": run.extra.pointer("/extra_pnginfo/workflow/id").cloned().unwrap_or_default(),
    });
    if whole {
        job["outputs"] = pictures.into();
        job["workflow"] = json!({ "prompt": run.prompt, "extra_data": run.extra });
        job["update_time"] = run.created.into();
    }
    job
}

/// The word of `/api/jobs`.
pub(crate) fn status(standing: Standing) -> &'static str {
    match standing {
        Standing::Pending => "pending",
        Standing::Running => "in_progress",
        Standing::Success => "completed",
        Standing::Error => "failed",
        Standing::Interrupted => "cancelled",
    }
}

fn ended(run: &Run, studio: &Studio) -> u64 {
    let last = run.jobs().filter_map(|id| studio.queue.find(id)?.picture).filter_map(|id| crate::clock::from_name(&id));
    last.max().map_or(run.created, |seconds| seconds * 1000).max(run.created)
}

/// Cancels every job of a run that is not over.
pub(crate) fn cancel(run: &Run, studio: &Studio) {
    for id in run.jobs() {
        // Those that are over stay as they are.
        let _ = studio.queue.cancel(id, Duration::ZERO);
    }
    if let Some(id) = run.jobs().next() {
        // Gives the running one a moment, so that whoever asks next finds it stopped.
        let _ = studio.queue.cancel(id, CANCEL_PATIENCE);
    }
}
