/// How a model is opened, besides which.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Bytes that weights widened to f32 may occupy. Without it: two thirds of the memory that is free at that time.
    /// The pictures are the same, only the time they take is not.
    pub memory: Option<u64>,
}
