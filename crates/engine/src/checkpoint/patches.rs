/// Changes to a checkpoint's tensors that leave its file alone: what a LoRA adds to them.
pub(crate) trait Patches: Send + Sync {
    /// Whether the tensor of this name (that of the single-file layout) is changed.
    fn touches(&self, name: &str) -> bool;

    /// Changes the tensor's elements, given in the order of the file. The number of elements is that of the tensor.
    fn apply(&self, name: &str, values: &mut [f32]);
}
