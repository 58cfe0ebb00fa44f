//! `pip.conf`: pip's own settings, read as pip reads them.

/// The settings of one file. Later ones win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PipConf(Vec<(String, String, String)>);

impl PipConf {
    /// Reads a file. Indented lines continue the value above them.
    pub(crate) fn parse(text: &str) -> Self {
        let mut settings: Vec<(String, String, String)> = Vec::new();
        let mut section = String::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = trimmed.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
                section = name.trim().to_owned();
            } else if let (true, Some((_, _, value))) = (line.starts_with([' ', '\t']), settings.last_mut()) {
                value.push('\n');
                value.push_str(trimmed);
            } else if let Some((name, value)) = trimmed.split_once(['=', ':']) {
                let name = name.trim().to_ascii_lowercase().replace('_', "-");
                settings.push((section.clone(), name, value.trim().to_owned()));
            }
        }
        Self(settings)
    }

    /// A setting for `pip download`: its own section beats `[global]`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        ["download", "install", "global"].iter().find_map(|section| {
            let found = self.0.iter().rev().find(|(within, key, _)| within == section && key == name);
            found.map(|(_, _, value)| value.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_pip_reads() {
        let conf = PipConf::parse(
            "# c\n[global]\nindex-url = https://a.example/simple\nextra_index_url =\n    https://b.example/simple\n    https://c.example/simple\n[install]\nindex-url: https://d.example/simple\n",
        );
        assert_eq!(conf.get("index-url"), Some("https://d.example/simple"));
        let extra: Vec<_> = conf.get("extra-index-url").unwrap().split_whitespace().collect();
        assert_eq!(extra, ["https://b.example/simple", "https://c.example/simple"]);
        assert_eq!(conf.get("cert"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\\n\\t=:\\[\\]é]{0,200}") {
            let _ = PipConf::parse(&text).get("index-url");
        }
    }
}
