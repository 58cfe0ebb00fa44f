use serde::{Deserialize, Serialize};

/// How well a process is cut off, decided by trying and never by a version number.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not sealed.
    S0,
    /// Landlock's TCP rules only: UDP and TCP Fast Open still pass.
    S1,
    /// A system call filter that refuses every way to open a connection.
    S2,
    /// The filter of `S2`, inside a network namespace with nothing in it.
    S3,
}

impl Level {
    /// The level in one plain sentence, for a report or a terminal.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::S0 => "NOT SEALED: this process may use the network; nothing proves that it cannot.",
            Self::S1 => "Partial: new TCP connections are refused; UDP and TCP Fast Open not covered.",
            Self::S2 => "Sealed: the kernel refuses this process every way to open a connection.",
            Self::S3 => {
                "Sealed: this process has an empty network of its own, and the kernel refuses it \
                 every way to open a connection."
            }
        }
    }

    /// Whether nothing can leave by any way known to this crate (`S2` and `S3`).
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        *self >= Self::S2
    }
}

#[cfg(test)]
mod tests {
    use super::Level;

    #[test]
    fn only_a_filter_counts_as_sealed() {
        let sealed = [Level::S0, Level::S1, Level::S2, Level::S3].map(|level| level.is_sealed());
        assert_eq!(sealed, [false, false, true, true]);
        assert!(Level::S0.sentence().starts_with("NOT SEALED"));
        assert!(Level::S1.sentence().contains("UDP and TCP Fast Open not covered"));
    }
}
