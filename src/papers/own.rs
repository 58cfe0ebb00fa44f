//! What the program itself is made of: data that `scripts/licences` collects from Cargo.lock.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// JSON, compressed with zstd.
static DATA: &[u8] = include_bytes!("licences.json.zst");

/// Every crate in the program, and the texts of licences.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct OwnPapers {
    pub(crate) crates: Vec<Crate>,
    standard: BTreeMap<String, String>,
    texts: BTreeMap<String, String>,
}

/// A library that is compiled into the program on one system or another.
#[derive(Debug, Deserialize)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) licence: String,
    texts: Vec<String>,
    /// `NAME@VERSION` of the crates that it needs.
    pub(crate) needs: Vec<String>,
}

impl Crate {
    /// `NAME@VERSION`.
    pub(crate) fn key(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

impl OwnPapers {
    /// Unpacks the data, once.
    pub(crate) fn read() -> &'static Self {
        static READ: OnceLock<OwnPapers> = OnceLock::new();
        READ.get_or_init(|| {
            let text = zstd::stream::decode_all(DATA).unwrap_or_default();
            serde_json::from_slice(&text).unwrap_or_default()
        })
    }

    /// The standard text of a licence, by its SPDX identifier.
    pub(crate) fn standard(&self, licence: &str) -> Option<&str> {
        let plain = licence.strip_suffix("-or-later").map(|plain| format!("{plain}-only"));
        let name = self.standard.get(licence).or_else(|| self.standard.get(plain.as_deref()?))?;
        self.texts.get(name).map(String::as_str)
    }

    /// A list of all crates, then every text, each once.
    pub(crate) fn text(&self) -> String {
        let mut text = "The program `fieldforge` is made of these libraries.\n\n".to_owned();
        for one in &self.crates {
            let _ = writeln!(text, "{} {}: {}", one.name, one.version, one.licence);
        }
        for (name, licence) in &self.texts {
            let users = self.crates.iter().filter(|one| one.texts.contains(name)).map(Crate::key);
            let users: Vec<String> = users.collect();
            if !users.is_empty() {
                let _ = write!(text, "\n----------------------------------------\n{}\n\n{licence}", users.join(", "));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_are_whole() {
        let own = OwnPapers::read();
        assert!(own.crates.len() > 200 && own.crates.iter().any(|one| one.name == "fieldforge"));
        for one in &own.crates {
            assert!(manifest::spdx_identifiers(&one.licence).is_some(), "{}: {}", one.name, one.licence);
            assert!(one.needs.iter().all(|need| own.crates.iter().any(|other| other.key() == *need)), "{}", one.name);
            assert!(one.texts.iter().all(|text| own.texts.contains_key(text)), "{}", one.name);
        }
        assert!(own.standard("MIT").unwrap().contains("Permission is hereby granted"));
        assert_eq!(own.standard("GPL-3.0-or-later"), own.standard("GPL-3.0-only"));
        assert!(own.standard("GPL-3.0-only").is_some() && own.standard("Whatever").is_none());
        assert!(own.text().contains("candle-core"));
    }
}
