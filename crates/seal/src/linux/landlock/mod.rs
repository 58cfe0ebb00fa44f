//! Landlock's file and TCP rules, by raw system calls (linux/landlock.h).

mod files;
mod ruleset;
mod tcp;

pub(super) use files::Files;
pub(super) use tcp::refuse_tcp;
