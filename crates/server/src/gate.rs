//! Who may ask: pages and programs on this machine, and paired devices where that was asked for (`lan`).
//!
//! A web page elsewhere can make a browser send requests to 127.0.0.1, and by DNS rebinding can
//! even make its own name point there. Both are told apart by `Host`, `Origin` and
//! `Sec-Fetch-Site`, which a page cannot forge.

use crate::api_error::ApiError;
use crate::http::{Call, Reply};

/// Headers of every reply.
pub(crate) const SECURITY_HEADERS: [(&str, &str); 6] = [
    (
        "Content-Security-Policy",
        "default-src 'self'; img-src 'self' data: blob:; connect-src 'self'; style-src 'self'; script-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Server", "fieldforge"),
];

/// Refuses requests that were meant for another host than the [`Door`](crate::door::Door) that they came in at.
///
/// # Errors
/// 400 without exactly one `Host`, 421 for a foreign one.
pub(crate) fn check_host(call: &Call<'_>) -> Result<(), ApiError> {
    let mut hosts = call.header_values("host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(ApiError::new(400, "bad_host", "a request needs exactly one Host header"));
    };
    if call.door.is_called(host) {
        return Ok(());
    }
    Err(ApiError::new(421, "wrong_host", format!("this server answers only to {}", call.door))
        .hint(format!("open {}", call.door.url())))
}

/// Refuses requests that a page of another site has sent.
///
/// # Errors
/// 403 for a foreign `Origin` or `Sec-Fetch-Site`; programs that send neither pass.
pub(crate) fn check_origin(call: &Call<'_>) -> Result<(), ApiError> {
    let refused = || {
        Err(ApiError::new(403, "cross_site", "a page of another site asked for this, and may not")
            .hint(format!("open {} and do it there", call.door.url())))
    };
    for origin in call.header_values("origin") {
        if !origin.strip_prefix("http://").is_some_and(|host| call.door.is_called(host)) {
            return refused();
        }
    }
    for site in call.header_values("sec-fetch-site") {
        if site != "same-origin" && site != "none" {
            return refused();
        }
    }
    Ok(())
}

/// Adds the headers that keep a browser from mixing this page with others; one that the reply has already stays.
pub(crate) fn harden(mut reply: Reply) -> Reply {
    for (name, value) in SECURITY_HEADERS {
        if reply.headers.iter().all(|(known, _)| *known != name) {
            reply.headers.push((name, value.to_owned()));
        }
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Door;

    fn with<T>(headers: &[(&str, &str)], check: impl Fn(&Call<'_>) -> T) -> T {
        with_port(headers, 7860, check)
    }

    fn with_port<T>(headers: &[(&str, &str)], port: u16, check: impl Fn(&Call<'_>) -> T) -> T {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        check(&Call {
            method: "GET".into(),
            target: "/".into(),
            headers,
            length: 0,
            body: &mut std::io::empty(),
            gone: &|| false,
            door: &Door::new(([127, 0, 0, 1], port).into(), [127, 0, 0, 1].into(), false),
        })
    }

    #[test]
    fn only_this_machines_names_pass() {
        for host in ["127.0.0.1:7860", "localhost:7860", "LOCALHOST:7860", "[::1]:7860"] {
            assert!(with(&[("host", host)], check_host).is_ok(), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "127.0.0.1:786",
            "127.0.0.1:07860",
            "127.0.0.1:7860.evil.example",
            "evil.example:7860",
            "localhost.evil.example:7860",
            "127.0.0.2:7860",
            "é",
        ] {
            assert_eq!(with(&[("Host", host)], check_host).map_err(|error| error.status), Err(421), "{host}");
        }
        assert!(with_port(&[("Host", "localhost")], 80, check_host).is_ok());
        let none = with(&[], check_host);
        let two = with(&[("Host", "localhost:7860"), ("Host", "localhost:7860")], check_host);
        assert_eq!((none.map_err(|error| error.status), two.map_err(|error| error.status)), (Err(400), Err(400)));
    }

    #[test]
    fn only_our_own_page_and_plain_programs_pass() {
        for headers in [
            &[][..],
            &[("Origin", "http://127.0.0.1:7860")],
            &[("Origin", "http://localhost:7860"), ("Sec-Fetch-Site", "same-origin")],
            &[("Sec-Fetch-Site", "none")],
        ] {
            assert!(with(headers, check_origin).is_ok(), "{headers:?}");
        }
        for headers in [
            ("Origin", "null"),
            ("Origin", "https://127.0.0.1:7860"),
            ("Origin", "http://127.0.0.1:7861"),
            ("Origin", "http://evil.example"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            let refused = with(&[headers], check_origin).map_err(|error| error.status);
            assert_eq!(refused, Err(403), "{headers:?}");
        }
    }
}
