//! The Linux side: every mechanism is switched on, then tried, and only then reported.

mod descriptors;
mod explain;
mod landlock;
mod loopback;
mod namespace;
mod privileges;
mod probe;
mod process;
mod ring;
mod seccomp;

pub(crate) use loopback::raise_loopback;
pub(crate) use probe::attempts;

use crate::{FileRules, Mechanism, Policy, SealError, SealReport};
use std::net::TcpListener;
use std::os::fd::AsRawFd;

pub(crate) fn isolate(rules: &FileRules, keep: &[i32]) -> Result<SealReport, SealError> {
    let threads = process::threads();
    if threads > 1 {
        return Err(SealError::AlreadyThreaded { threads });
    }
    let descriptors = descriptors::close_all_but(keep);
    // The rules' paths are opened first: a user namespace takes root's right to open anything.
    let files = landlock::Files::prepare(rules)?;
    let (namespace, change) = namespace::enter(rules);
    let mechanisms = vec![descriptors, namespace];
    Ok(finish(mechanisms, files, Policy::NoSockets, change))
}

pub(crate) fn seal_server(
    listener: &TcpListener,
    network: &[TcpListener],
    rules: &FileRules,
    keep: &[i32],
) -> Result<SealReport, SealError> {
    let address = listener.local_addr().map_err(|source| SealError::Listener { source })?;
    if !address.ip().is_loopback() {
        return Err(SealError::ListenerNotLoopback { address });
    }
    let mut keep = keep.to_vec();
    keep.push(listener.as_raw_fd());
    keep.extend(network.iter().map(AsRawFd::as_raw_fd));
    let descriptors = descriptors::close_all_but(&keep);
    let files = landlock::Files::prepare(rules)?;
    Ok(finish(vec![descriptors], files, Policy::ServeOnly, None))
}

/// The steps that both users share, in the only order that works.
fn finish(
    mut mechanisms: Vec<Mechanism>,
    files: landlock::Files,
    policy: Policy,
    network_namespace: Option<crate::NamespaceChange>,
) -> SealReport {
    mechanisms.push(privileges::give_up_new_ones());
    mechanisms.push(files.enforce());
    mechanisms.push(landlock::refuse_tcp());
    let (seccomp, filter_sha256) = seccomp::install(policy);
    mechanisms.push(seccomp);
    let (threads, threads_sealed) = process::filtered_threads();
    SealReport {
        level: SealReport::level_of(&mechanisms),
        mechanisms,
        kernel: process::kernel(),
        architecture: std::env::consts::ARCH.to_owned(),
        filter_sha256,
        network_namespace,
        threads,
        threads_sealed,
    }
}
