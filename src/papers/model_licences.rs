//! Texts of the licences that most models have and no list of standard licences holds. Each asks that its text goes with
//! the model; they are unchanged but for spaces at the ends of lines.
//!
//! From the public repositories `CompVis/stable-diffusion` (`LICENSE`, 2022-08-22), `Stability-AI/stablediffusion`
//! (`LICENSE-MODEL`, 2022-11-24) and `Stability-AI/generative-models` (`model_licenses/LICENSE-SDXL1.0`, 2023-07-26).

/// For Stable Diffusion 1 and what was made from it.
const RAIL_M: &str = include_str!("models/creativeml-open-rail-m.txt");
/// For Stable Diffusion 2.
const RAIL_PP_M_2022: &str = include_str!("models/creativeml-open-rail-pp-m-2022.txt");
/// For Stable Diffusion XL.
const RAIL_PP_M_2023: &str = include_str!("models/creativeml-open-rail-pp-m-2023.txt");

/// The text of a licence as the catalog and model pages name it, for a model of this family, and what there is to say
/// before it. Nothing when the name leaves open which text is meant.
pub(super) fn text(licence: &str, family: Option<&str>) -> Option<(&'static str, &'static str)> {
    let plain = licence.strip_prefix("CreativeML ").unwrap_or(licence);
    let text = match plain {
        "Open RAIL-M" => RAIL_M,
        "Open RAIL++-M" | "Open RAIL++" if family.is_some_and(|family| family.starts_with("sdxl")) => RAIL_PP_M_2023,
        "Open RAIL++-M" | "Open RAIL++" => RAIL_PP_M_2022,
        _ => return None,
    };
    let before = match plain == licence {
        true => "Its page says no more than this name. It is taken to mean the CreativeML licence of that name:\n",
        false => "",
    };
    Some((before, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest::LicenceTerms;

    #[test]
    fn every_name_has_the_text_that_it_means() {
        for (licence, family, begins) in [
            ("CreativeML Open RAIL-M", Some("sd1"), "CreativeML Open RAIL-M\ndated August 22, 2022"),
            ("CreativeML Open RAIL++-M", Some("sd2"), "CreativeML Open RAIL++-M License\ndated November 24, 2022"),
            ("CreativeML Open RAIL++-M", Some("sdxl-refiner"), "CreativeML Open RAIL++-M License dated July 26, 2023"),
        ] {
            let (before, text) = text(licence, family).unwrap();
            assert!(text.contains(begins) && text.contains("Attachment A") && before.is_empty(), "{licence}");
            assert!(text.contains("END OF TERMS AND CONDITIONS") || text.len() > 14_000);
        }
        for licence in ["Open RAIL-M", "Open RAIL++-M", "Open RAIL++"] {
            let (before, text) = text(licence, None).unwrap();
            assert!(before.contains("no more than this name") && text.contains("CreativeML Open RAIL"), "{licence}");
            assert!(matches!(LicenceTerms::of(licence), LicenceTerms::Conditions(_)));
        }
        for licence in ["CreativeML Open RAIL-M (not confirmed)", "MIT", "", "see its page"] {
            assert_eq!(text(licence, Some("sdxl")), None, "{licence}");
        }
    }
}
