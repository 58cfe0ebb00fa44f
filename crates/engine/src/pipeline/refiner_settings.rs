use serde::{Deserialize, Serialize};

use super::image_settings::within;
use crate::EngineError;

/// A second model that draws the last steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefinerSettings {
    /// Its name, for the record; the model itself comes with [`crate::Inputs`].
    pub model: String,
    /// The share of the steps after which it takes over.
    pub switch_at: f32,
}

impl RefinerSettings {
    /// # Errors
    /// [`EngineError::Setting`] if the share is none.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        within("refiner switch", self.switch_at, 0.0..=1.0)
    }
}
