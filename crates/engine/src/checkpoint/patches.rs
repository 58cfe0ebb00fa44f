/// Changes to a checkpoint's tensors that leave its file alone: what a LoRA adds to them.
pub(crate) trait Patches: Send + Sync {
    /// What is done to the tensor of this name (that of the single-file layout), as a number that stands for it among
    /// all patches that exist at the same time; `None` where it stays as it is.
    fn mark(&self, name: &str) -> Option<u64>;

    /// Changes the tensor's elements, given in the order of the file. The number of elements is that of the tensor.
    ///
    /// # Errors
    /// When what is to be added cannot be computed.
    fn apply(&self, name: &str, values: &mut [f32]) -> candle_core::Result<()>;
}
