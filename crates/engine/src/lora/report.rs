use serde::Serialize;

/// What became of a LoRA's keys when it was applied to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoraReport {
    /// The file.
    pub file: String,
    /// How many of its keys are used.
    pub matched: usize,
    /// The keys that are not, by name: they belong to no layer of the model, or to no method that is known.
    pub unmatched: Vec<String>,
    /// How many of the model's tensors it changes.
    pub tensors: usize,
}
