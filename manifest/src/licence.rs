//! What a licence allows, as far as a table can know.

use serde::Serialize;
use std::fmt;

/// May pictures be made with it for money, may it be passed on?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "commercial_use", content = "conditions")]
pub enum LicenceTerms {
    /// Yes.
    Yes,
    /// Yes, under conditions.
    Conditions(&'static str),
    /// No.
    No,
    /// Nobody stated a licence that is known here: whoever uses or passes it on has to read its page.
    Unknown,
}

const USE: &str = "not for the harmful uses that it lists; pass the licence on with it";
const SOURCE: &str = "whoever passes it on passes on its source and this licence, too";
const NAMED: &str = "name its authors";
const ALIKE: &str = "name its authors, and pass on what is made from it under the same licence";
const STABILITY: &str =
    "only below the yearly revenue that it names, after registering with Stability AI; above it ask them";

/// Licences by SPDX identifier, or by the name that model pages give them.
const KNOWN: &[(&str, LicenceTerms)] = &[
    ("0BSD", LicenceTerms::Yes),
    ("AGPL-3.0-only", LicenceTerms::Conditions(SOURCE)),
    ("AGPL-3.0-or-later", LicenceTerms::Conditions(SOURCE)),
    ("Apache-2.0", LicenceTerms::Yes),
    ("BSD-2-Clause", LicenceTerms::Yes),
    ("BSD-3-Clause", LicenceTerms::Yes),
    ("BSL-1.0", LicenceTerms::Yes),
    ("CC-BY-4.0", LicenceTerms::Conditions(NAMED)),
    ("CC-BY-NC-4.0", LicenceTerms::No),
    ("CC-BY-NC-SA-4.0", LicenceTerms::No),
    ("CC-BY-SA-4.0", LicenceTerms::Conditions(ALIKE)),
    ("CC0-1.0", LicenceTerms::Yes),
    ("CDLA-Permissive-2.0", LicenceTerms::Yes),
    ("GPL-2.0-only", LicenceTerms::Conditions(SOURCE)),
    ("GPL-2.0-or-later", LicenceTerms::Conditions(SOURCE)),
    ("GPL-3.0-only", LicenceTerms::Conditions(SOURCE)),
    ("GPL-3.0-or-later", LicenceTerms::Conditions(SOURCE)),
    ("IJG", LicenceTerms::Conditions(NAMED)),
    ("ISC", LicenceTerms::Yes),
    ("LGPL-2.1-only", LicenceTerms::Conditions(SOURCE)),
    ("LGPL-2.1-or-later", LicenceTerms::Conditions(SOURCE)),
    ("LGPL-3.0-only", LicenceTerms::Conditions(SOURCE)),
    ("LGPL-3.0-or-later", LicenceTerms::Conditions(SOURCE)),
    ("MIT", LicenceTerms::Yes),
    ("MIT-0", LicenceTerms::Yes),
    ("MPL-2.0", LicenceTerms::Conditions(SOURCE)),
    ("Unicode-3.0", LicenceTerms::Yes),
    ("Unlicense", LicenceTerms::Yes),
    ("Zlib", LicenceTerms::Yes),
    ("CreativeML Open RAIL-M", LicenceTerms::Conditions(USE)),
    ("CreativeML Open RAIL++-M", LicenceTerms::Conditions(USE)),
    ("Open RAIL-M", LicenceTerms::Conditions(USE)),
    ("Open RAIL++-M", LicenceTerms::Conditions(USE)),
    ("Open RAIL++", LicenceTerms::Conditions(USE)),
    ("Stability AI Community License", LicenceTerms::Conditions(STABILITY)),
    ("SAI Non-Commercial", LicenceTerms::No),
];
/// How many of them, from the first on, are SPDX identifiers.
const SPDX: usize = 29;

impl LicenceTerms {
    /// What the licence of a component allows: an SPDX expression, or a name that model pages use.
    #[must_use]
    pub fn of(licence: &str) -> Self {
        let one = |name: &str| {
            let name = name.trim().trim_matches(['(', ')']);
            let plain = name.split_once(" WITH ").map_or(name, |(plain, _)| plain);
            KNOWN.iter().find(|(known, _)| *known == plain).map_or(Self::Unknown, |(_, terms)| *terms)
        };
        // Of alternatives the kindest counts, of what holds together the strictest.
        let all = licence.split(" AND ").map(|part| part.split(" OR ").map(one).min_by_key(Self::strictness));
        all.flatten().max_by_key(Self::strictness).unwrap_or(Self::Unknown)
    }

    const fn strictness(&self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::Conditions(_) => 1,
            Self::No => 2,
            Self::Unknown => 3,
        }
    }
}

impl fmt::Display for LicenceTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("commercial use: yes"),
            Self::Conditions(conditions) => write!(f, "commercial use: yes, {conditions}"),
            Self::No => f.write_str("commercial use: no"),
            Self::Unknown => {
                f.write_str("commercial use: not known here, read its page before you use it or pass it on")
            }
        }
    }
}

/// The SPDX identifiers in an expression; nothing when it is not one that is understood here.
#[must_use]
pub fn spdx_identifiers(licence: &str) -> Option<Vec<&str>> {
    let names = licence.split(['(', ')']).flat_map(|part| part.split(" AND ")).flat_map(|part| part.split(" OR "));
    let names = names.map(|name| name.split_once(" WITH ").map_or(name, |(plain, _)| plain).trim());
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let known = |name: &&str| KNOWN.iter().take(SPDX).any(|(known, _)| known == name);
    (!names.is_empty() && names.iter().all(known)).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_and_names_are_understood() {
        for (licence, terms) in [
            ("MIT", LicenceTerms::Yes),
            ("MIT AND Apache-2.0", LicenceTerms::Yes),
            ("GPL-3.0-only OR MIT", LicenceTerms::Yes),
            ("GPL-3.0-only AND MIT", LicenceTerms::Conditions(SOURCE)),
            ("Apache-2.0 WITH LLVM-exception OR GPL-3.0-only", LicenceTerms::Yes),
            ("CreativeML Open RAIL-M", LicenceTerms::Conditions(USE)),
            ("CreativeML Open RAIL-M (not confirmed)", LicenceTerms::Unknown),
            ("MIT AND whatever", LicenceTerms::Unknown),
            ("CC-BY-NC-4.0", LicenceTerms::No),
            ("not stated: read its page before you pass it on", LicenceTerms::Unknown),
            ("", LicenceTerms::Unknown),
        ] {
            assert_eq!(LicenceTerms::of(licence), terms, "{licence}");
        }
    }

    #[test]
    fn spdx_is_told_from_names() {
        assert_eq!(
            spdx_identifiers("(MIT OR Apache-2.0) AND Unicode-3.0").unwrap(),
            ["MIT", "Apache-2.0", "Unicode-3.0"]
        );
        assert_eq!(spdx_identifiers("CreativeML Open RAIL-M"), None);
        assert_eq!(spdx_identifiers(""), None);
        assert_eq!(KNOWN[SPDX].0, "CreativeML Open RAIL-M", "behind the SPDX identifiers");
        assert_eq!(KNOWN[SPDX - 1].0, "Zlib");
    }
}
