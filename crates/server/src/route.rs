//! Which address does what: one table, which is also what `docs/openapi.json` describes.

use crate::api::Api;
use crate::api_error::ApiError;
use crate::http::{Call, Reply};
use crate::target::Target;

/// One method at one address.
pub(crate) struct Route {
    /// `GET` also answers HEAD, but for events.
    pub(crate) method: &'static str,
    /// The address; a part in braces stands for any one part.
    pub(crate) path: &'static str,
    pub(crate) answer: Answer,
}

type Answer = fn(&Api, &Ask<'_>, &mut Call<'_>) -> Result<Reply, ApiError>;

/// What an address says.
pub(crate) struct Ask<'a> {
    pub(crate) target: &'a Target,
    /// What stands for the parts in braces.
    names: Vec<&'a str>,
}

impl Ask<'_> {
    /// What stands for the first part in braces; routes without one do not ask.
    pub(crate) fn name(&self) -> &str {
        self.names.first().copied().unwrap_or_default()
    }

    /// What stands for the second part in braces.
    pub(crate) fn second(&self) -> &str {
        self.names.get(1).copied().unwrap_or_default()
    }

    /// A query parameter that is a number.
    ///
    /// # Errors
    /// 400 when it is no number, or out of bounds.
    pub(crate) fn number(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.target.query(name) else { return Ok(None) };
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| plain && (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            ApiError::new(400, "out_of_range", format!("`{name}` must be a number from {least} to {most}"))
        })
    }

    /// A query parameter that is a switch: `1` or `true`, `0` or `false`, absent for off.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(crate) fn switch(&self, name: &str) -> Result<bool, ApiError> {
        match self.target.query(name) {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(ApiError::new(400, "out_of_range", format!("`{name}` must be 1 or 0"))),
        }
    }
}

/// What an address and a method lead to.
pub(crate) enum Found<'a> {
    Route(&'static Route, Ask<'a>),
    /// The address answers these methods only.
    Methods(String),
    Nothing,
}

/// Looks a target up in a table.
pub(crate) fn find<'a>(routes: &'static [Route], method: &str, target: &'a Target) -> Found<'a> {
    let mut methods: Vec<&str> = Vec::new();
    // An address that stands in the table as it is means no other.
    let literal = |route: &Route| !route.path.contains('{');
    let exact = routes.iter().any(|route| literal(route) && fits(route.path, target).is_some());
    for route in routes.iter().filter(|route| literal(route) || !exact) {
        let Some(names) = fits(route.path, target) else { continue };
        let headed = method == "HEAD" && route.method == "GET" && !route.path.ends_with("/events");
        if route.method == method || headed {
            return Found::Route(route, Ask { target, names });
        }
        for method in [route.method].into_iter().chain((route.method == "GET").then_some("HEAD")) {
            let endless = method == "HEAD" && route.path.ends_with("/events");
            if !methods.contains(&method) && !endless {
                methods.push(method);
            }
        }
    }
    if methods.is_empty() { Found::Nothing } else { Found::Methods(methods.join(", ")) }
}

/// What stands for the parts in braces, if the target is of this form. Braces may have an end: `{id}.png`.
fn fits<'a>(path: &str, target: &'a Target) -> Option<Vec<&'a str>> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if parts.len() != target.parts.len() {
        return None;
    }
    let mut names = Vec::new();
    for (part, given) in parts.into_iter().zip(&target.parts) {
        match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
            Some((_, end)) => names.push(given.strip_suffix(end).filter(|name| !name.is_empty())?),
            None if part == given => {}
            None => return None,
        }
    }
    Some(names)
}
