//! Systems without a seal of ours: everything is reported as missing, and nothing is claimed.

use crate::{Attempt, FileRules, Level, Mechanism, SealError, SealReport};
use std::net::{SocketAddr, TcpListener};

pub(crate) fn isolate(_: &FileRules, _: &[i32]) -> Result<SealReport, SealError> {
    Ok(unsealed())
}

pub(crate) fn seal_server(
    listener: &TcpListener,
    _: &[TcpListener],
    _: &FileRules,
    _: &[i32],
) -> Result<SealReport, SealError> {
    let address = listener.local_addr().map_err(|source| SealError::Listener { source })?;
    if !address.ip().is_loopback() {
        return Err(SealError::ListenerNotLoopback { address });
    }
    Ok(unsealed())
}

pub(crate) fn attempts(_: SocketAddr, _: Option<TcpListener>, _: &[SocketAddr]) -> Vec<Attempt> {
    Vec::new()
}

pub(crate) fn raise_loopback() -> std::io::Result<bool> {
    Ok(false)
}

fn unsealed() -> SealReport {
    let detail = format!("not available here: sealing exists on Linux, this is {}", std::env::consts::OS);
    let mechanisms = [
        Mechanism::NETWORK_NAMESPACE,
        Mechanism::SECCOMP,
        Mechanism::LANDLOCK_FILES,
        Mechanism::LANDLOCK_TCP,
        Mechanism::NO_NEW_PRIVILEGES,
        Mechanism::DESCRIPTORS,
    ]
    .map(|name| Mechanism::missing(name, detail.clone()))
    .to_vec();
    SealReport {
        level: Level::S0,
        mechanisms,
        kernel: std::env::consts::OS.to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        filter_sha256: None,
        network_namespace: None,
        threads: 1,
        threads_sealed: 0,
    }
}
