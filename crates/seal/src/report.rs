use crate::Level;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One way in which the kernel holds the process, and how we know.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Mechanism {
    /// One of the constants of this type, such as `network namespace`.
    pub name: String,
    /// Whether it was seen to work after it was switched on.
    pub enforced: bool,
    /// How it was checked, or the reason why it is not there.
    pub detail: String,
}

impl Mechanism {
    /// Name of the network namespace in reports.
    pub const NETWORK_NAMESPACE: &'static str = "network namespace";
    /// Name of the system call filter in reports.
    pub const SECCOMP: &'static str = "seccomp";
    /// Name of Landlock's file rules in reports.
    pub const LANDLOCK_FILES: &'static str = "Landlock files";
    /// Name of Landlock's TCP rules in reports.
    pub const LANDLOCK_TCP: &'static str = "Landlock TCP";
    /// Name of the `no_new_privs` flag in reports.
    pub const NO_NEW_PRIVILEGES: &'static str = "no new privileges";
    /// Name of the closing of inherited descriptors in reports.
    pub const DESCRIPTORS: &'static str = "inherited descriptors closed";

    #[cfg(target_os = "linux")]
    pub(crate) fn enforced(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), enforced: true, detail: detail.into() }
    }

    pub(crate) fn missing(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), enforced: false, detail: detail.into() }
    }
}

/// The network namespace before and after, as `/proc/self/ns/net` names it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct NamespaceChange {
    /// Such as `net:[4026531833]`.
    pub before: String,
    /// Such as `net:[4026532201]`.
    pub after: String,
}

/// What holds this process, written into the self-test record.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SealReport {
    /// The verdict.
    pub level: Level,
    /// Every mechanism that was tried, whether or not it is there.
    pub mechanisms: Vec<Mechanism>,
    /// System, release and version of the kernel.
    pub kernel: String,
    /// Processor family, such as `x86_64`.
    pub architecture: String,
    /// SHA-256 of the filter's instructions, in lower-case hex; `None` if no filter is in force.
    pub filter_sha256: Option<String>,
    /// The change of network namespace; `None` if there was none.
    pub network_namespace: Option<NamespaceChange>,
    /// Threads of this process when it was sealed.
    pub threads: usize,
    /// How many of them the kernel shows as filtered.
    pub threads_sealed: usize,
}

impl SealReport {
    /// The mechanism with this name, if it was tried.
    #[must_use]
    pub fn mechanism(&self, name: &str) -> Option<&Mechanism> {
        self.mechanisms.iter().find(|mechanism| mechanism.name == name)
    }

    /// The level that these mechanisms add up to.
    #[cfg(target_os = "linux")]
    pub(crate) fn level_of(mechanisms: &[Mechanism]) -> Level {
        let holds = |name: &str| mechanisms.iter().any(|one| one.name == name && one.enforced);
        match (holds(Mechanism::SECCOMP), holds(Mechanism::NETWORK_NAMESPACE)) {
            (true, true) => Level::S3,
            (true, false) => Level::S2,
            _ if holds(Mechanism::LANDLOCK_TCP) => Level::S1,
            _ => Level::S0,
        }
    }
}

/// The sentence of the level, then one line per mechanism.
impl fmt::Display for SealReport {
    fn fmt(&self, output: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(output, "{:?}  {}", self.level, self.level.sentence())?;
        for mechanism in &self.mechanisms {
            let mark = if mechanism.enforced { "enforced" } else { "NOT THERE" };
            writeln!(output, "    {:9}  {}: {}", mark, mechanism.name, mechanism.detail)?;
        }
        writeln!(output, "    {}, {}", self.kernel, self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mechanism, SealReport};
    use crate::Level;

    #[test]
    fn the_text_says_what_holds_and_what_does_not() {
        let mechanism = |name: &str, enforced| Mechanism { name: name.to_owned(), enforced, detail: "why".to_owned() };
        let report = SealReport {
            level: Level::S2,
            mechanisms: vec![mechanism("network namespace", false), mechanism("seccomp", true)],
            kernel: "Linux 6.18".to_owned(),
            architecture: "x86_64".to_owned(),
            filter_sha256: None,
            network_namespace: None,
            threads: 1,
            threads_sealed: 1,
        };
        let expected = "S2  Sealed: the kernel refuses this process every way to open a connection.\n    \
                        NOT THERE  network namespace: why\n    enforced   seccomp: why\n    Linux 6.18, x86_64\n";
        assert_eq!(report.to_string(), expected);
    }
}
