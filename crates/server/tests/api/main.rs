//! The server over real loopback connections, with a fake engine.

mod client;
mod fake;
mod running;

mod alone;
mod comfy;
mod comfy_frontend;
mod generation;
mod history;
mod hostile;
mod lan;
mod openai;
mod refusals;
mod routes;
mod sdapi;
mod starting;
