//! OpenAI CLIP's tokenizer, put together from its merges (`data/README.md` names their source and licence).

use std::io::Read;

use flate2::read::GzDecoder;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, Result, SplitDelimiterBehavior, Tokenizer};

/// Tokens: 256 bytes, 256 bytes at a word's end, 48,894 merges, start, end.
pub(super) const VOCABULARY: usize = 49_408;

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// What counts as one word.
const WORD: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The same ids as `CLIPTokenizer` of transformers.
pub(super) fn tokenizer() -> Result<Tokenizer> {
    let mut text = String::new();
    GzDecoder::new(&include_bytes!("../../data/clip_merges.txt.gz")[..]).read_to_string(&mut text)?;
    let merges: Vec<(String, String)> =
        text.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    let alphabet = byte_alphabet();
    let ends = alphabet.iter().map(|symbol| format!("{symbol}</w>"));
    let merged = merges.iter().map(|(a, b)| format!("{a}{b}"));
    let tokens =
        alphabet.iter().map(char::to_string).chain(ends).chain(merged).chain([START.to_owned(), END.to_owned()]);
    let vocabulary: Vocab = tokens.zip(0..).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .unk_token(END.to_owned())
        .end_of_word_suffix("</w>".to_owned())
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
    tokenizer.with_normalizer(Some(Normalizers::new(vec![NFC.into(), spaces.into(), Lowercase.into()])))?;
    let words = Split::new(SplitPattern::Regex(WORD.to_owned()), SplitDelimiterBehavior::Removed, true)?;
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    tokenizer.add_special_tokens([AddedToken::from(START, true), AddedToken::from(END, true)])?;
    Ok(tokenizer)
}

/// The 256 symbols that stand for bytes, in the order of their ids: printable bytes first, as themselves.
fn byte_alphabet() -> Vec<char> {
    let printable = |byte: &u32| (33..127).contains(byte) || (161..173).contains(byte) || (174..256).contains(byte);
    let own: Vec<u32> = (0..256).filter(printable).collect();
    let shifted = 256..512 - own.len() as u32;
    own.iter().copied().chain(shifted).filter_map(char::from_u32).collect()
}
