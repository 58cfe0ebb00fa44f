use super::{PromptNotice, is_word};

/// What kind of file a tag names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    /// `<lora:…>` and `<lyco:…>`: LoRA and its relatives.
    Lora,
    /// `<hypernet:…>`: known to the grammar, not run.
    Hypernetwork,
}

/// `<lora:name:text encoder weight:unet weight>`, as AUTOMATIC1111's built-in extension reads it: the first number is
/// for both unless there is a second; `te=` and `unet=` name them.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkTag {
    /// What the tag names.
    pub kind: NetworkKind,
    /// The file's name without its ending, or an alias.
    pub name: String,
    /// How much of it goes into the text encoders.
    pub text_weight: f32,
    /// How much of it goes into the UNet.
    pub unet_weight: f32,
}

/// A prompt and what was taken out of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakenNetworks {
    /// The prompt without its tags; the spaces around them stay.
    pub text: String,
    /// The networks in their order, each mention counted.
    pub networks: Vec<NetworkTag>,
    /// Tags that were taken out but name nothing that can be used.
    pub notices: Vec<PromptNotice>,
}

/// Takes every `<word:…>` out of a prompt.
pub fn take_networks(prompt: &str) -> TakenNetworks {
    let mut taken = TakenNetworks::default();
    let mut rest = prompt;
    while let Some((before, tag, after)) = next_tag(rest) {
        taken.text.push_str(before);
        match read_tag(tag) {
            Ok(network) if network.kind == NetworkKind::Hypernetwork => {
                taken.notices.push(PromptNotice::Hypernetwork { name: network.name });
            }
            Ok(network) => taken.networks.push(network),
            Err(notice) => taken.notices.push(notice),
        }
        rest = after;
    }
    taken.text.push_str(rest);
    taken
}

/// The tags of a prompt that nobody takes out, as notices.
pub(crate) fn tags_left(prompt: &str) -> Vec<PromptNotice> {
    let mut notices = Vec::new();
    let mut rest = prompt;
    while let Some((_, tag, after)) = next_tag(rest) {
        notices.push(PromptNotice::NegativeTag { tag: tag.to_owned() });
        rest = after;
    }
    notices
}

/// What is before the first tag, the tag with its brackets, what is after it. A tag is `<`, word characters, `:`, at
/// least one character, and the first `>` after that.
fn next_tag(text: &str) -> Option<(&str, &str, &str)> {
    let last = text.rfind('>')?;
    for (start, _) in text[..last].match_indices('<') {
        let word = text[start + 1..].find(|character| !is_word(character)).unwrap_or(0);
        let colon = start + 1 + word;
        if word == 0 || !text[colon..].starts_with(':') {
            continue;
        }
        match text[colon + 1..].find('>') {
            Some(0) | None => continue,
            Some(length) => {
                let end = colon + 1 + length + 1;
                return Some((&text[..start], &text[start..end], &text[end..]));
            }
        }
    }
    None
}

fn read_tag(tag: &str) -> Result<NetworkTag, PromptNotice> {
    let mut items = tag.trim_start_matches('<').trim_end_matches('>').split(':');
    let kind = match items.next() {
        Some("lora" | "lyco") => NetworkKind::Lora,
        Some("hypernet") => NetworkKind::Hypernetwork,
        _ => return Err(PromptNotice::UnknownTag { tag: tag.to_owned() }),
    };
    let (mut positional, mut text, mut unet) = (Vec::new(), None, None);
    for item in items {
        match item.split_once('=') {
            Some(("te", number)) => text = Some(number),
            Some(("unet", number)) => unet = Some(number),
            // `dyn=` chooses a rank of a DyLoRA; other names mean nothing
            Some((_, value)) if !value.contains('=') => {}
            _ => positional.push(item),
        }
    }
    let weight = |number: &str| match number.trim().parse::<f32>() {
        Ok(weight) if weight.is_finite() => Ok(weight),
        _ => Err(PromptNotice::TagWeight { tag: tag.to_owned(), weight: number.to_owned() }),
    };
    let text_weight = text.or(positional.get(1).copied()).map_or(Ok(1.0), weight)?;
    let unet_weight = unet.or(positional.get(2).copied()).map_or(Ok(text_weight), weight)?;
    match positional.first() {
        Some(name) => Ok(NetworkTag { kind, name: (*name).to_owned(), text_weight, unet_weight }),
        None => Err(PromptNotice::UnknownTag { tag: tag.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lora(name: &str, text_weight: f32, unet_weight: f32) -> NetworkTag {
        NetworkTag { kind: NetworkKind::Lora, name: name.to_owned(), text_weight, unet_weight }
    }

    #[test]
    fn weights_are_for_both_or_for_each() {
        let read = |prompt| take_networks(prompt).networks;
        assert_eq!(read("<lora:a>"), [lora("a", 1.0, 1.0)]);
        assert_eq!(read("<lora:a b:0.5>"), [lora("a b", 0.5, 0.5)]);
        assert_eq!(read("<lyco:a:0.5:-1>"), [lora("a", 0.5, -1.0)]);
        assert_eq!(read("<lora:a:unet=0.25:te=2>"), [lora("a", 2.0, 0.25)]);
        assert_eq!(read("<lora:a:0.5:dyn=4><lora:a:1>"), [lora("a", 0.5, 0.5), lora("a", 1.0, 1.0)]);
    }

    #[test]
    fn what_is_no_tag_stays_and_what_is_unknown_is_told() {
        let taken = take_networks("a <b> c < d:e> <:f> <g:> <h:i> <lora:j:k> <hypernet:l:1> <lora:te=1> m");
        assert_eq!(taken.text, "a <b> c < d:e> <:f> <g:>     m");
        assert_eq!(taken.networks, []);
        let told: Vec<String> = taken.notices.iter().map(PromptNotice::to_string).collect();
        assert_eq!(
            told,
            [
                "`<h:i>` stands for nothing that is known here: it was left out",
                "`<lora:j:k>` was left out: its weight `k` is not a number",
                "hypernetworks are not run: `l` was left out",
                "`<lora:te=1>` stands for nothing that is known here: it was left out",
            ]
        );
    }

    #[test]
    fn a_prompt_of_angle_brackets_takes_no_time() {
        let many = "<a".repeat(100_000) + ">";
        assert_eq!(take_networks(&many).text, many);
    }
}
