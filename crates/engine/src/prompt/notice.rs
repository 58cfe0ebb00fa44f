use std::fmt;

/// Something in a prompt that is perhaps not what the person meant. The picture is drawn all the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PromptNotice {
    /// `<word:…>` with a word that stands for no kind of network.
    UnknownTag {
        /// The whole tag.
        tag: String,
    },
    /// A network's weight is not a number.
    TagWeight {
        /// The whole tag.
        tag: String,
        /// What stands where the number should.
        weight: String,
    },
    /// A tag for a hypernetwork.
    Hypernetwork {
        /// Its name.
        name: String,
    },
    /// A tag in the negative prompt, where AUTOMATIC1111 does not look for them.
    NegativeTag {
        /// The whole tag.
        tag: String,
    },
    /// A prompt without `AND` that ends in a colon and a number.
    WholeWeight {
        /// The number.
        weight: f64,
    },
    /// `BREAK` inside brackets.
    BreakInBrackets,
    /// Square brackets in a text with a stray `|` or a backslash at its end.
    UnreadSchedule,
    /// `embedding:name` with a name that no embedding has.
    UnknownEmbedding {
        /// The name.
        name: String,
    },
    /// An embedding for another family of models.
    UnfitEmbedding {
        /// Its name.
        name: String,
        /// Widths of its vectors.
        found: String,
        /// Widths that the model's text encoders have.
        expected: String,
    },
}

impl fmt::Display for PromptNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTag { tag } => write!(f, "`{tag}` stands for nothing that is known here: it was left out"),
            Self::TagWeight { tag, weight } => {
                write!(f, "`{tag}` was left out: its weight `{weight}` is not a number")
            }
            Self::Hypernetwork { name } => write!(f, "hypernetworks are not run: `{name}` was left out"),
            Self::NegativeTag { tag } => {
                write!(f, "`{tag}` is read as words: networks are taken from the prompt, not from the negative prompt")
            }
            Self::WholeWeight { weight } => {
                write!(f, "the `:{weight}` at the end is read as the weight of the whole prompt")
            }
            Self::BreakInBrackets => {
                write!(f, "`BREAK` inside weighted brackets is read as a word, as AUTOMATIC1111 does")
            }
            Self::UnreadSchedule => write!(
                f,
                "a `|` outside of square brackets or a `\\` at the end keeps `[a:b:n]` and `[a|b]` from being read"
            ),
            Self::UnknownEmbedding { name } => write!(f, "no embedding is called `{name}`: it was left out"),
            Self::UnfitEmbedding { name, found, expected } => write!(
                f,
                "the embedding `{name}` has vectors of {found} numbers, this model needs {expected}: it was not used"
            ),
        }
    }
}
