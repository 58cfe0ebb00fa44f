//! What can stop the server from starting.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A reason why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The one port that was asked for belongs to another program.
    #[error("port {port} on 127.0.0.1 is taken by another program")]
    PortTaken {
        /// The port that was asked for.
        port: u16,
    },
    /// The wished port and the ones after it are all taken.
    #[error("all ports from {first} to {last} on 127.0.0.1 are taken by other programs")]
    NoFreePort {
        /// The first port that was tried.
        first: u16,
        /// The last port that was tried.
        last: u16,
    },
    /// The system refused the port for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where the server was to listen.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder for pictures cannot be used.
    #[error("the folder for pictures `{}` cannot be used: {source}", path.display())]
    Outputs {
        /// The folder.
        path: PathBuf,
        /// The system's reason; names the file.
        source: io::Error,
    },
    /// Not even a database in memory could be had, or the one on disk failed while it was read.
    #[error("the server's database cannot be used: {reason}")]
    Database {
        /// What the database said.
        reason: String,
    },
    /// The system gave no thread or no descriptor.
    #[error("the server cannot run: {source}")]
    Run {
        /// The system's reason.
        source: io::Error,
    },
}

impl ServerError {
    /// What to do now.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::PortTaken { port } => Some(format!(
                "choose another one with `--port {}`, or leave `--port` out to take the next free one",
                port.checked_add(1).unwrap_or(7860)
            )),
            Self::NoFreePort { last, .. } => Some(format!(
                "choose a free one with `--port`, for example `--port {}`",
                last.wrapping_add(100).max(1024)
            )),
            Self::Listen { source, address } if source.kind() == io::ErrorKind::AddrNotAvailable => {
                Some(format!("{} is no address of this computer; `--lan` alone finds those that it has", address.ip()))
            }
            Self::Listen { address, .. } if address.port() < 1024 => {
                Some("ports below 1024 belong to the system; choose one with `--port 7860`".to_owned())
            }
            Self::Listen { .. } => Some("choose another port with `--port`".to_owned()),
            Self::Outputs { .. } => Some("make the folder writable, or name another one".to_owned()),
            Self::Database { .. } => {
                Some("start again; if it stays, rename `fieldforge.sqlite3` in the home's `state` folder".to_owned())
            }
            Self::Run { .. } => Some("close other programs and start again".to_owned()),
        }
    }
}
