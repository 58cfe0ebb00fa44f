use std::path::Path;

use candle_core::Tensor;

use crate::EngineError;
use crate::checkpoint::Weights;
use crate::prompt::PromptNotice;
use crate::tokenizer::WORDS;

/// A textual inversion (Gal et al. 2022): vectors that take the places of a prompt's word.
#[derive(Debug)]
pub(crate) struct Embedding {
    name: String,
    vectors: usize,
    /// One table for each text encoder: `[vectors, width]`.
    tables: Vec<Tensor>,
}

impl Embedding {
    /// Names of the two tensors of an embedding for Stable Diffusion XL, as A1111 and kohya's scripts write them, and
    /// as diffusers' scripts do.
    const PAIRS: [[&'static str; 2]; 2] = [["clip_l", "clip_g"], ["text_encoders_0", "text_encoders_1"]];

    /// Reads a `.safetensors` file with one tensor of any name (`emb_params` in A1111's files, the word itself in
    /// diffusers'), or with `clip_l` and `clip_g` for Stable Diffusion XL.
    ///
    /// # Errors
    /// [`EngineError::Pickle`] and the other errors of unusable files; [`EngineError::NotAnEmbedding`].
    pub(crate) fn open(name: &str, path: &Path) -> Result<Self, EngineError> {
        let weights = Weights::open(path)?;
        let unfit = |reason: String| EngineError::NotAnEmbedding { file: weights.file().to_owned(), reason };
        let names: Vec<&str> = weights.header().tensors().map(|(name, _)| name).collect();
        let used = match Self::PAIRS.iter().find(|pair| pair.iter().all(|name| names.contains(name))) {
            Some(pair) => &pair[..],
            None if names.len() == 1 => &names[..],
            None => {
                return Err(unfit(format!("it has {} tensors, expected one, or `clip_l` and `clip_g`", names.len())));
            }
        };
        let all = weights.scope("");
        let mut tables: Vec<Tensor> = Vec::new();
        for tensor in used {
            let table = match *all.shape(tensor)? {
                [width] if width > 0 => all.vector(tensor, None)?.get()?.reshape((1, width))?,
                [rows, width] if (1..=WORDS).contains(&rows) && width > 0 => all.table(tensor)?.get()?,
                ref shape => return Err(unfit(format!("`{tensor}` is {shape:?}, expected 1 to {WORDS} vectors"))),
            };
            tables.push(table);
        }
        let rows: Vec<usize> = tables.iter().filter_map(|table| table.dims().first().copied()).collect();
        match *rows.as_slice() {
            [first, second] if first != second => Err(unfit(format!("it has {first} and {second} vectors"))),
            _ => Ok(Self { name: name.to_owned(), vectors: rows.first().copied().unwrap_or(0), tables }),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many places of a prompt it takes.
    pub(crate) fn vectors(&self) -> usize {
        self.vectors
    }

    /// The vectors for one of a model's text encoders.
    ///
    /// # Shapes
    /// - result: `[vectors, widths[encoder]]`
    pub(crate) fn table(&self, encoder: usize) -> Option<&Tensor> {
        self.tables.get(encoder)
    }

    /// Whether it was made for text encoders of these widths; says so if not.
    pub(crate) fn fit(&self, widths: &[usize]) -> Result<(), PromptNotice> {
        let own: Vec<usize> = self.tables.iter().filter_map(|table| table.dims().last().copied()).collect();
        if own == widths {
            return Ok(());
        }
        let text = |widths: &[usize]| widths.iter().map(usize::to_string).collect::<Vec<_>>().join(" and ");
        Err(PromptNotice::UnfitEmbedding { name: self.name.clone(), found: text(&own), expected: text(widths) })
    }
}
