use super::whole_words;

/// One of the pictures that `AND` adds up.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptPart {
    /// Its prompt, without the weight and the space at its end.
    pub text: String,
    /// How much of it is added.
    pub weight: f64,
    /// Whether the weight was written down (`a dog:0.5`).
    pub weighted: bool,
}

/// Splits a prompt at `AND` (composable diffusion, Liu et al. 2022). A colon and a number at the end of a part are its
/// weight, also where there is no `AND` at all.
pub fn parts(prompt: &str) -> Vec<PromptPart> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in whole_words(prompt, "AND") {
        parts.push(part(&prompt[start..at]));
        start = at + "AND".len();
    }
    parts.push(part(&prompt[start..]));
    parts
}

fn part(text: &str) -> PromptPart {
    let text = text.trim_end();
    let weighted = text.rsplit_once(':').and_then(|(text, number)| Some((text.trim_end(), weight(number.trim())?)));
    let (text, weight, weighted) = weighted.map_or((text, 1.0, false), |(text, weight)| (text, weight, true));
    PromptPart { text: text.to_owned(), weight, weighted }
}

/// A number without exponent.
fn weight(number: &str) -> Option<f64> {
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_stand_at_the_end() {
        let read = |prompt| -> Vec<(String, f64)> { parts(prompt).into_iter().map(|p| (p.text, p.weight)).collect() };
        let part = |text: &str, weight| (text.to_owned(), weight);
        assert_eq!(read("a cat"), [part("a cat", 1.0)]);
        assert_eq!(read("a cat : 2. \n"), [part("a cat", 2.0)]);
        assert_eq!(read("a AND b :0.5 AND c:-1"), [part("a", 1.0), part(" b", 0.5), part(" c", -1.0)]);
        assert_eq!(read("SAND BAND ANDY a_AND"), [part("SAND BAND ANDY a_AND", 1.0)]);
        assert_eq!(read("ANDAND AND"), [part("ANDAND", 1.0), part("", 1.0)]);
        assert_eq!(read("a:1e3"), [part("a:1e3", 1.0)]);
        assert_eq!(read("a:."), [part("a:.", 1.0)]);
        assert_eq!(read(":3"), [part("", 3.0)]);
    }
}
