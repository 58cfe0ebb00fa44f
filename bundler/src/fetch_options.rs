//! How to fetch.

use crate::{Endpoints, Tokens};
use std::path::PathBuf;
use std::time::Duration;

/// Where to keep files, whom to ask, and with how much patience.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// The folder that keeps what was fetched, by content. Made if there is none.
    pub cache: PathBuf,
    /// Folders (or files) that somebody carried here: searched by digest before the network is asked.
    pub from: Vec<PathBuf>,
    /// Further certificates to trust, in PEM form, beside those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// How many requests run at a time, 1 to 8.
    pub parallel: usize,
    /// Nothing is asked of the network.
    pub offline: bool,
    /// The servers.
    pub endpoints: Endpoints,
    /// The user's secrets.
    pub tokens: Tokens,
    /// Patience.
    pub timeouts: Timeouts,
}

/// Patience with servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// How long finding and reaching a server may take.
    pub connect: Duration,
    /// How long nothing may arrive.
    pub stall: Duration,
    /// How often a request is made before its source is given up.
    pub tries: u32,
    /// The pause after the first failure; it doubles with every further one.
    pub backoff: Duration,
    /// The longest pause of our own choice.
    pub longest_backoff: Duration,
    /// The longest pause that a server may ask for (`Retry-After`).
    pub longest_wait: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            tries: 8,
            backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(20),
            longest_wait: Duration::from_secs(300),
        }
    }
}

impl FetchOptions {
    /// The usual: four requests at a time, public servers, no secrets.
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            from: Vec::new(),
            ca_file: None,
            parallel: 4,
            offline: false,
            endpoints: Endpoints::default(),
            tokens: Tokens::default(),
            timeouts: Timeouts::default(),
        }
    }
}
