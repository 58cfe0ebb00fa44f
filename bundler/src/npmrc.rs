//! `.npmrc`: npm's own settings, read as npm reads them.

/// The settings of one file, in order. Later ones win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Npmrc(Vec<(String, String)>);

impl Npmrc {
    /// Reads a file. Lines that say nothing are skipped, as npm does. `variable` looks up `${NAME}`.
    pub(crate) fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let lines = text.lines().map(str::trim);
        let settings = lines.filter(|line| !line.starts_with([';', '#', '['])).filter_map(|line| line.split_once('='));
        let clean = |text: &str| expand(text.trim().trim_matches(['"', '\'']), variable);
        Self(settings.map(|(name, value)| (clean(name), clean(value))).filter(|(name, _)| !name.is_empty()).collect())
    }

    /// The value of a setting.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All settings.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Replaces `${NAME}` and `${NAME?}`; an unknown name stays as it is, or becomes nothing with the question mark.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            expanded.push_str("${");
            rest = after;
            continue;
        };
        match (variable(name.trim_end_matches('?')), name.ends_with('?')) {
            (Some(value), _) => expanded.push_str(&value),
            (None, true) => {}
            (None, false) => expanded.push_str(&format!("${{{name}}}")),
        }
        rest = behind;
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_npm_reads() {
        let text = "; comment\n# comment\nregistry = https://npm.example/team/\n@own:registry=\"https://own.example\"\n\
            //npm.example/team/:_authToken=${TOKEN}\nfund=false\nfund=true\nbroken\n=x\na=${UNKNOWN}-${GONE?}-${";
        let npmrc = Npmrc::parse(text, &|name| (name == "TOKEN").then(|| "s3cret".to_owned()));
        assert_eq!(npmrc.get("registry"), Some("https://npm.example/team/"));
        assert_eq!(npmrc.get("@own:registry"), Some("https://own.example"));
        assert_eq!(npmrc.get("//npm.example/team/:_authToken"), Some("s3cret"));
        assert_eq!(npmrc.get("fund"), Some("true"));
        assert_eq!(npmrc.get("a"), Some("${UNKNOWN}--${"));
        assert_eq!(npmrc.get("broken"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\\n=$\\{\\}é]{0,200}") {
            let _ = Npmrc::parse(&text, &|name| (name.len() % 2 == 0).then(|| name.to_owned()));
        }
    }
}
