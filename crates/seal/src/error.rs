use std::{io, net::SocketAddr, path::PathBuf};

/// Misuse of the seal. A mechanism that this system lacks is no error: the report names it.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Namespaces and Landlock hold only threads that start after them.
    #[error("this process already runs {threads} threads, but only a single-threaded one can be isolated")]
    AlreadyThreaded {
        /// Threads found.
        threads: usize,
    },
    /// The listener could be reached from other machines.
    #[error("the server listens on `{address}`, which other machines can reach")]
    ListenerNotLoopback {
        /// Where it listens.
        address: SocketAddr,
    },
    /// The listener is not usable.
    #[error("the listener's address cannot be read: {source}")]
    Listener {
        /// The system's reason.
        source: io::Error,
    },
    /// A path of [`crate::FileRules`] cannot be opened.
    #[error("`{}` was to stay usable inside the seal but cannot be opened: {source}", path.display())]
    RulePath {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl SealError {
    /// What to do now.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::AlreadyThreaded { .. } => "seal first thing in a newly started process, before any thread".to_owned(),
            Self::ListenerNotLoopback { .. } => "listen on `127.0.0.1` instead".to_owned(),
            Self::Listener { .. } => "start the server again".to_owned(),
            Self::RulePath { path, .. } => {
                format!("create `{}` or make it readable for this user", path.display())
            }
        })
    }
}
