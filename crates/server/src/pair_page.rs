//! The page that a device of the network sees before it is paired: a form, no script.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::http::{Body, Call, Reply};
use crate::secret::DIGITS;

const STYLE: &str = "\
:root{color-scheme:light dark;font:1.0625rem/1.5 system-ui,sans-serif}\
body{max-width:26rem;margin:0 auto;padding:2rem 1.25rem}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}\
label{display:block;font-weight:600;margin-top:1.5rem}\
input{font:600 1.75rem/1.2 ui-monospace,monospace;letter-spacing:.12em;width:100%;box-sizing:border-box;padding:.5rem .75rem;margin:.5rem 0 1rem}\
button{font:inherit;font-weight:600;width:100%;min-height:3rem}\
.said{border:2px solid;border-radius:.5rem;padding:.75rem 1rem;font-weight:600}\
.small{font-size:.9375rem;margin-top:2rem}";

/// The words of the page in one language.
struct Words {
    language: &'static str,
    title: &'static str,
    lead: &'static str,
    label: &'static str,
    button: &'static str,
    open: &'static str,
}

const ENGLISH: Words = Words {
    language: "en",
    title: "Pair this device with Fieldforge",
    lead: "On the computer where Fieldforge runs, a code of eight digits stands in the terminal and on the page, \
           under System, Other devices. Type it here.",
    label: "Code",
    button: "Pair",
    open: "The connection is not encrypted: whoever is on the same network can read along, pictures and this code \
           included. Pair only on a network whose users you trust.",
};

const GERMAN: Words = Words {
    language: "de",
    title: "Dieses Gerät mit Fieldforge koppeln",
    lead: "Auf dem Computer, auf dem Fieldforge läuft, steht ein Code aus acht Ziffern: im Terminal und auf der Seite \
           unter System, Andere Geräte. Gib ihn hier ein.",
    label: "Code",
    button: "Koppeln",
    open: "Die Verbindung ist nicht verschlüsselt: Wer im selben Netz ist, kann mitlesen, auch die Bilder und diesen \
           Code. Kopple nur in einem Netz, dessen Benutzern du vertraust.",
};

/// What is said above the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    Wrong,
    Wait { seconds: u64 },
    Full,
    Failed,
}

impl Said {
    fn text(self, german: bool) -> Option<String> {
        let say = |english: &str, in_german: &str| Some(if german { in_german } else { english }.to_owned());
        match self {
            Self::Nothing => None,
            Self::Wrong => say(
                "This is not the code, or it counts no more. Look at the computer again: it shows the one of the moment.",
                "Das ist nicht der Code, oder er gilt nicht mehr. Sieh am Computer nach: Dort steht der jetzt gültige.",
            ),
            Self::Wait { seconds } => say(
                &format!("Too many wrong codes came. Try again in {seconds} s."),
                &format!("Es kamen zu viele falsche Codes. Versuche es in {seconds} s noch einmal."),
            ),
            Self::Full => say(
                "No more devices can be paired. Forget one first, on the computer: System, Other devices.",
                "Mehr Geräte lassen sich nicht koppeln. Vergiss am Computer zuerst eines: System, Andere Geräte.",
            ),
            Self::Failed => say(
                "The computer gives no random numbers, and cannot pair. Start Fieldforge again.",
                "Der Computer liefert keine Zufallszahlen und kann nicht koppeln. Starte Fieldforge neu.",
            ),
        }
    }
}

/// The page, in the language that the browser prefers.
///
/// It replaces two headers of every reply: a form needs leave to be sent, and without a referrer its browser would call
/// its origin `null`.
pub(crate) fn pair_page(status: u16, said: Said, code: &str, call: &Call<'_>) -> Reply {
    let german = speaks_german(call.header("accept-language").unwrap_or_default());
    let Words { language, title, lead, label, button, open } = if german { GERMAN } else { ENGLISH };
    let code: String = code.chars().filter(char::is_ascii_digit).take(DIGITS).collect();
    let said =
        said.text(german).map_or_else(String::new, |text| format!("<p class=\"said\" role=\"alert\">{text}</p>"));
    let html = format!(
        "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><main><h1>{title}</h1>{said}<p>{lead}</p>\
         <form method=\"post\" action=\"/pair\"><label for=\"code\">{label}</label>\
         <input id=\"code\" name=\"code\" value=\"{code}\" inputmode=\"numeric\" autocomplete=\"off\" required \
         maxlength=\"12\" autofocus><button>{button}</button></form><p class=\"small\">{open}</p></main></body></html>"
    );
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    Reply::new(status, "text/html; charset=utf-8", Body::Bytes(html.into_bytes()))
        .header("Cache-Control", "no-store")
        .header("Referrer-Policy", "same-origin")
        .header(
            "Content-Security-Policy",
            format!(
                "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            ),
        )
}

/// Whether German comes before English among the languages that a browser names.
fn speaks_german(languages: &str) -> bool {
    let primary = |tag: &str| tag.trim().get(..2).map(str::to_ascii_lowercase);
    languages.split(',').filter_map(primary).find(|tag| tag == "de" || tag == "en").is_some_and(|tag| tag == "de")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_language_wins() {
        for (languages, german) in [
            ("de", true),
            ("de-AT,de;q=0.9,en;q=0.5", true),
            ("fr, DE;q=0.8, en;q=0.7", true),
            ("en-GB, de", false),
            ("fr", false),
            ("", false),
            ("é", false),
        ] {
            assert_eq!(speaks_german(languages), german, "{languages}");
        }
    }
}
