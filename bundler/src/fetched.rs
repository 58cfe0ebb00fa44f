//! What a fetch leaves behind.

use crate::Content;
use manifest::{ComponentId, Lock, LockedFile};

/// Every file of a bundle to be, each verified, and the lock that pins them.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Exactly which bytes these are; the text of `forge.lock`.
    pub lock: Lock,
    /// The files, in the lock's order.
    pub files: Vec<FetchedFile>,
}

/// One verified file.
#[derive(Clone, Debug)]
pub struct FetchedFile {
    /// The component that it belongs to.
    pub component: ComponentId,
    /// Its place in the bundle, size and digest.
    pub file: LockedFile,
    /// Where its bytes are.
    pub content: Content,
}
