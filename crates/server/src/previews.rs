//! Whether a preview is wanted right now.

use std::fmt;
use std::sync::Arc;

/// A question that the engine asks before it spends time on a preview.
///
/// The server answers yes at most every 300 ms, and only while a page listens. The default never
/// wants one.
#[derive(Clone, Default)]
pub struct Previews(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Previews {
    /// Asks `wanted` each time.
    pub fn when(wanted: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(wanted)))
    }

    /// True if a preview made now would be shown.
    pub fn wanted(&self) -> bool {
        self.0.as_ref().is_some_and(|wanted| wanted())
    }
}

impl fmt::Debug for Previews {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Previews(asked)" } else { "Previews(never)" })
    }
}

/// Two wishes are never what tells two requests apart.
impl PartialEq for Previews {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
