use std::collections::BTreeSet;

/// How many calls of the model a schedule is for: one for each step, two for samplers of second order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptSteps {
    steps: usize,
    /// Calls of the pass before, for the second pass of a picture that is enlarged in between.
    before: Option<usize>,
}

impl PromptSteps {
    /// The only pass, or the first: `[a:b:0.25]` changes after a quarter of it, `[a:b:7]` after call 7.
    pub fn first_pass(steps: usize) -> Self {
        Self { steps, before: None }
    }

    /// The second pass, for which fractions count from 1 to 2 and calls go on counting: after 20 calls in the first
    /// pass, `[a:b:1.25]` changes after a quarter of the second, `[a:b:27]` after call 7 of it.
    pub fn second_pass(first: usize, steps: usize) -> Self {
        Self { steps, before: Some(first) }
    }

    /// The last call before a change at `number`, counted from 1; 0 or less for a change before the first.
    fn last_before(self, number: &str) -> i64 {
        let value: f64 = number.parse().unwrap_or(0.0);
        let steps = self.steps as f64;
        let call = match self.before {
            None if number.contains('.') => value * steps,
            None => value,
            Some(_) if number.contains('.') => (value - 1.0) * steps,
            Some(before) => value - before as f64,
        };
        (call as i64).min(self.steps as i64)
    }
}

/// What a prompt says while the picture is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptSchedule {
    entries: Vec<ScheduledText>,
    unread: bool,
}

/// A text and how long it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledText {
    /// The last call of the model that it is for, in AUTOMATIC1111's count.
    pub until: usize,
    /// The text.
    pub text: String,
}

impl PromptSchedule {
    /// Reads `[before:after:when]`, `[after:when]`, `[before::when]` and `[one|other|…]`, nested or not.
    ///
    /// A `|` that belongs to no bracket and a `\` before a line's end or the text's keep AUTOMATIC1111 from reading any
    /// of it: the text stays as it is. Where a schedule stands directly before a stray bracket or colon (`[a:b:3]:c`),
    /// AUTOMATIC1111 reads or ignores it by chance (the result changes with Python's hash seed); here it is read.
    pub fn read(text: &str, steps: PromptSteps) -> Self {
        match Tree::read(text) {
            Some(tree) => Self { entries: tree.entries(steps), unread: false },
            None => {
                let entries = vec![ScheduledText { until: steps.steps, text: text.to_owned() }];
                Self { entries, unread: text.contains('[') }
            }
        }
    }

    /// The texts in their order, the last one until the last call.
    pub fn entries(&self) -> &[ScheduledText] {
        &self.entries
    }

    /// Whether there are brackets that could not be read.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread
    }

    /// Which entry holds for a call of the model, counted from 0. AUTOMATIC1111 compares this count with one that
    /// starts at 1, so the first text of `[a:b:3]` is used for calls 0, 1, 2 and 3; beyond the last call the first
    /// text is back.
    pub fn index_at(&self, call: usize) -> usize {
        self.entries.iter().position(|entry| call <= entry.until).unwrap_or(0)
    }

    /// The text for a call of the model, counted from 0.
    pub fn at(&self, call: usize) -> &str {
        self.entries.get(self.index_at(call)).map_or("", |entry| &entry.text)
    }
}

/// A prompt with its brackets found. Brackets that cannot be read are text.
struct Tree<'a> {
    items: Vec<Item<'a>>,
    groups: Vec<Group<'a>>,
}

#[derive(Clone, Copy)]
enum Item<'a> {
    Text(&'a str),
    /// Index into the groups.
    Group(usize),
}

enum Group<'a> {
    /// Brackets that mean something later: `(a)`, `(a:1.2)`, `[a]`, with the brackets.
    Kept(Vec<Item<'a>>),
    Alternate(Vec<Vec<Item<'a>>>),
    Scheduled {
        before: Vec<Item<'a>>,
        after: Vec<Item<'a>>,
        when: &'a str,
    },
}

/// A bracket that was opened and not closed so far.
struct Open<'a> {
    bracket: &'a str,
    parts: Vec<Vec<Item<'a>>>,
    separators: Vec<&'a str>,
}

impl<'a> Tree<'a> {
    /// `None` where AUTOMATIC1111's parser refuses the text.
    fn read(text: &'a str) -> Option<Self> {
        let mut tree = Self { items: Vec::new(), groups: Vec::new() };
        let mut open: Vec<Open<'a>> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let length = words(rest)?;
            let (token, after) = rest.split_at(if length == 0 { 1 } else { length });
            rest = after;
            match token {
                "[" | "(" => open.push(Open { bracket: token, parts: vec![Vec::new()], separators: Vec::new() }),
                "|" | ":" => match open.last_mut() {
                    Some(bracket) => {
                        bracket.separators.push(token);
                        bracket.parts.push(Vec::new());
                    }
                    None if token == "|" => return None,
                    None => tree.items.push(Item::Text(token)),
                },
                "]" | ")" => match open.pop().map(|bracket| group(bracket, token)) {
                    Some(Ok(group)) => {
                        tree.push(&mut open, Item::Group(tree.groups.len()));
                        tree.groups.push(group);
                    }
                    Some(Err(bracket)) => {
                        open.push(bracket);
                        tree.give_up(&mut open)?;
                        tree.items.push(Item::Text(token));
                    }
                    None => tree.items.push(Item::Text(token)),
                },
                _ => tree.push(&mut open, Item::Text(token)),
            }
        }
        tree.give_up(&mut open)?;
        Some(tree)
    }

    fn push(&mut self, open: &mut [Open<'a>], item: Item<'a>) {
        open.last_mut().and_then(|bracket| bracket.parts.last_mut()).unwrap_or(&mut self.items).push(item);
    }

    /// All open brackets are text after all.
    fn give_up(&mut self, open: &mut Vec<Open<'a>>) -> Option<()> {
        for bracket in open.drain(..) {
            if bracket.separators.contains(&"|") {
                return None;
            }
            self.items.push(Item::Text(bracket.bracket));
            self.items.extend(joined(bracket.parts, &bracket.separators));
        }
        Some(())
    }

    fn entries(&self, steps: PromptSteps) -> Vec<ScheduledText> {
        let mut ends = BTreeSet::from([steps.steps]);
        for group in &self.groups {
            match group {
                Group::Kept(_) => {}
                Group::Alternate(_) => ends.extend(1..=steps.steps),
                Group::Scheduled { when, .. } => {
                    ends.extend(usize::try_from(steps.last_before(when)).ok().filter(|end| *end > 0))
                }
            }
        }
        ends.into_iter().map(|until| ScheduledText { until, text: self.text(until, steps) }).collect()
    }

    /// What the prompt says at a call, counted from 1.
    fn text(&self, call: usize, steps: PromptSteps) -> String {
        let mut text = String::new();
        let mut open = vec![self.items.iter()];
        while let Some(items) = open.last_mut() {
            match items.next() {
                None => drop(open.pop()),
                Some(Item::Text(words)) => text.push_str(words),
                Some(Item::Group(index)) => {
                    let chosen = match self.groups.get(*index) {
                        None => None,
                        Some(Group::Kept(items)) => Some(items),
                        Some(Group::Alternate(parts)) => parts.get(call.saturating_sub(1) % parts.len().max(1)),
                        Some(Group::Scheduled { before, after, when }) => {
                            Some(if call as i64 <= steps.last_before(when) { before } else { after })
                        }
                    };
                    open.extend(chosen.map(|items| items.iter()));
                }
            }
        }
        text
    }
}

/// Length of the text that `rest` begins with, 0 where it begins with a bracket or separator, `None` where it begins
/// with a backslash that escapes nothing.
fn words(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '[' | ']' | '(' | ')' | ':' | '|' => return Some(at),
            '\\' => drop(characters.next().filter(|(_, escaped)| *escaped != '\n')?),
            _ => {}
        }
    }
    Some(rest.len())
}

/// What a bracket means that is closed by `closing`; the bracket itself if nothing.
fn group<'a>(mut open: Open<'a>, closing: &'a str) -> Result<Group<'a>, Open<'a>> {
    match (open.bracket, closing, open.separators.as_slice()) {
        ("(", ")", [] | [":"]) | ("[", "]", []) => {
            let mut items = vec![Item::Text(open.bracket)];
            items.extend(joined(open.parts, &open.separators));
            items.push(Item::Text(closing));
            Ok(Group::Kept(items))
        }
        ("[", "]", separators) if separators.iter().all(|separator| *separator == "|") => {
            Ok(Group::Alternate(open.parts))
        }
        ("[", "]", [":"] | [":", ":"]) => match open.parts.pop().as_deref() {
            Some([Item::Text(when)]) if is_number(when.trim()) => {
                let after = open.parts.pop().unwrap_or_default();
                let before = open.parts.pop().unwrap_or_default();
                Ok(Group::Scheduled { before, after, when: when.trim() })
            }
            last => {
                let last = last.map(<[Item<'a>]>::to_vec);
                open.parts.extend(last);
                Err(open)
            }
        },
        _ => Err(open),
    }
}

fn joined<'a>(parts: Vec<Vec<Item<'a>>>, separators: &[&'a str]) -> Vec<Item<'a>> {
    let mut separators = separators.iter();
    let mut items = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            items.extend(separators.next().map(|separator| Item::Text(separator)));
        }
        items.extend(part);
    }
    items
}

/// A decimal number, with sign and exponent if need be.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
}
