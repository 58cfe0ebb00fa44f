//! What a fetch leaves behind.

use crate::{Content, SurveyedFile};
use manifest::{ComponentId, Lock, LockedFile};
use std::sync::Arc;

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
    /// What reading all of it found out, if it was read: packing need not do that again.
    pub surveyed: Option<Arc<SurveyedFile>>,
}
