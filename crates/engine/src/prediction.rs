use serde::{Deserialize, Serialize};

/// What a model's UNet predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise in the latent (Ho et al. 2020).
    #[default]
    Epsilon,
    /// The velocity `sqrt(signal) * noise - sqrt(1 - signal) * picture` (Salimans and Ho 2022).
    #[serde(rename = "v_prediction")]
    Velocity,
}
