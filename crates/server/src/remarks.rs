//! What a person should know about the running server: one sentence each.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// Most remarks that are kept.
const MAX_REMARKS: usize = 20;

/// What a remark is passed on to.
pub(crate) type Tell = dyn Fn(&str) + Send + Sync;

/// Passes remarks on once and keeps them for the page.
#[derive(Clone, Default)]
pub(crate) struct Remarks {
    tell: Option<Arc<Tell>>,
    all: Arc<Mutex<Vec<String>>>,
}

impl Remarks {
    /// Passes each remark on to `tell`.
    pub(crate) fn told_to(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { tell: Some(Arc::new(tell)), all: Arc::default() }
    }

    /// Makes a remark, unless it was made before.
    pub(crate) fn note(&self, remark: String) {
        let mut all = lock(&self.all);
        if all.contains(&remark) || all.len() >= MAX_REMARKS {
            return;
        }
        if let Some(tell) = &self.tell {
            tell(&remark);
        }
        all.push(remark);
    }

    /// The remarks so far, in their order.
    pub(crate) fn all(&self) -> Vec<String> {
        lock(&self.all).clone()
    }
}

impl fmt::Debug for Remarks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Remarks").field(&self.all()).finish()
    }
}
