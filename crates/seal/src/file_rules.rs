use std::path::PathBuf;

/// Which files a sealed process may still open; everything else is refused.
///
/// What the C library itself needs (`/dev/null`, `/dev/urandom`, `/proc/self` and the processor
/// and memory facts) is added to every set. Descriptors that are already open are not affected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRules {
    /// Folders (or files) to read, write, create, rename and remove in.
    pub read_write: Vec<PathBuf>,
    /// Folders (or files) to read only.
    pub read_only: Vec<PathBuf>,
}
