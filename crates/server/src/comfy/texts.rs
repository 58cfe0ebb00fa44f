//! ComfyUI's prompts in the grammar that the engine reads.

use super::shelf::Shelf;
use crate::AssetKind;
use crate::check::shown;

/// Says a ComfyUI text in AUTOMATIC1111's grammar, which knows more: square brackets are words in ComfyUI, and so are
/// `AND` and `BREAK` (text encoders read small letters only). `embedding:name` becomes the name.
///
/// # Errors
/// A sentence, for an embedding that is not installed.
pub(crate) fn translate(text: &str, shelf: &Shelf) -> Result<String, String> {
    let mut said = String::with_capacity(text.len());
    let mut escaped = false;
    for letter in text.chars() {
        if matches!(letter, '[' | ']') && !escaped {
            said.push('\\');
        }
        escaped = letter == '\\' && !escaped;
        said.push(letter);
    }
    for word in ["AND", "BREAK"] {
        said = small(&said, word);
    }
    while let Some(at) = said.find("embedding:") {
        let (before, rest) = said.split_at(at);
        let rest = rest.get("embedding:".len()..).unwrap_or_default();
        let end = rest.find(|letter: char| letter.is_whitespace() || ",:)(".contains(letter)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let asset = shelf
            .asset(AssetKind::Embedding, name)
            .ok_or_else(|| format!("the embedding `{}` is not installed here", shown(name)))?;
        said = format!("{before}{}{after}", asset.name);
    }
    Ok(said)
}

/// The texts of combined conditionings as one prompt: ComfyUI takes the mean of what they ask for.
pub(crate) fn combine(texts: &[String]) -> String {
    match texts {
        // A number behind a colon at its end would be read as a weight.
        [text] if ends_like_a_weight(text) => format!("{text} :1"),
        [text] => text.clone(),
        texts => {
            let weight = 1.0 / texts.len() as f64;
            let parts: Vec<String> = texts.iter().map(|text| format!("{text} :{weight:.4}")).collect();
            parts.join(" AND ")
        }
    }
}

fn ends_like_a_weight(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(_, end)| {
        let end = end.trim();
        !end.is_empty() && end.chars().all(|letter| letter.is_ascii_digit() || "+-.".contains(letter))
    })
}

/// Writes a word that stands alone in small letters.
fn small(text: &str, word: &str) -> String {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, found) = rest.split_at(at);
        let (found, after) = found.split_at(word.len());
        said.push_str(before);
        let inside = said.chars().next_back().is_some_and(is_word) || after.chars().next().is_some_and(is_word);
        said.push_str(&if inside { found.to_owned() } else { found.to_lowercase() });
        rest = after;
    }
    said + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_other_grammar_stay_words() {
        let shelf = Shelf::default();
        for (theirs, ours) in [
            ("a (red:1.2) cat", "a (red:1.2) cat"),
            ("a [red|blue] cat", r"a \[red|blue\] cat"),
            (r"a \[red\] cat \(x\)", r"a \[red\] cat \(x\)"),
            ("salt AND pepper BREAK BRAND ANDROID", "salt and pepper break BRAND ANDROID"),
            ("ANDAND AND", "ANDAND and"),
            ("16:9", "16:9"),
        ] {
            assert_eq!(translate(theirs, &shelf).as_deref(), Ok(ours));
        }
        assert!(translate("a embedding:bad-hands, b", &shelf).is_err_and(|why| why.contains("`bad-hands`")));
        assert_eq!(combine(&["16:9".into()]), "16:9 :1");
        assert_eq!(combine(&["a".into(), "b".into()]), "a :0.5000 AND b :0.5000");
    }
}
