//! What a device says of itself, in words.

/// Systems by a word of their `User-Agent`; the first that fits, because phones also claim to be something else.
const SYSTEMS: [(&str, &str); 8] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS", "Mac"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
];
const BROWSERS: [(&str, &str); 9] = [
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
/// Most characters of a name.
const LONGEST: usize = 40;

/// A name for a device, from its `User-Agent`: `Firefox on Android`, or the first word of an unknown one.
pub(crate) fn device_name(user_agent: Option<&str>) -> String {
    let text = user_agent.unwrap_or_default();
    let find =
        |words: &[(&str, &'static str)]| words.iter().find(|(word, _)| text.contains(word)).map(|(_, name)| *name);
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => {
            let first: String = text.chars().take_while(|one| one.is_ascii_graphic()).take(LONGEST).collect();
            if first.is_empty() { "a program".to_owned() } else { first }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::device_name;

    #[test]
    fn devices_are_named_as_people_name_them() {
        for (agent, name) in [
            ("Mozilla/5.0 (Android 15; Mobile; rv:142.0) Gecko/142.0 Firefox/142.0", "Firefox on Android"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1 Version/18.1 Mobile/15E Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Linux",
            ),
            ("curl/8.14.1", "curl/8.14.1"),
            ("<script>alert(1)</script> x", "<script>alert(1)</script>"),
            ("", "a program"),
            ("\u{202e}abc", "a program"),
        ] {
            assert_eq!(device_name(Some(agent)), name);
        }
        assert_eq!(device_name(Some(&"x".repeat(500))).len(), 40);
        assert_eq!(device_name(None), "a program");
    }
}
