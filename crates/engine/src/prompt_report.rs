use crate::prompt::{NetworkTag, PromptNotice};
use crate::tokenizer::Chunk;

/// What a prompt and a negative prompt mean to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptReport {
    /// The networks that the prompt asks for.
    pub networks: Vec<NetworkTag>,
    /// What the text encoders see of the prompt at first: of its first part, and of its schedules the first texts.
    pub prompt: Vec<PromptChunk>,
    /// The same of the negative prompt.
    pub negative_prompt: Vec<PromptChunk>,
    /// What is perhaps not what the person meant.
    pub notices: Vec<PromptNotice>,
}

/// What a text encoder sees at once.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptChunk {
    /// Start, 75 tokens, end, in the first text encoder's ids; 0 where a vector of an embedding stands.
    pub ids: Vec<u32>,
    /// The weight of each.
    pub weights: Vec<f32>,
    /// Embeddings by name, each with the place of its first vector here.
    pub embeddings: Vec<(usize, String)>,
}

impl PromptChunk {
    pub(crate) fn of(chunk: &Chunk) -> Self {
        let embeddings = chunk.vectors().iter().map(|vectors| (vectors.at, vectors.embedding.name().to_owned()));
        Self { ids: chunk.ids().to_vec(), weights: chunk.weights().to_vec(), embeddings: embeddings.collect() }
    }
}
