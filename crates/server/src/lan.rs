//! Other devices: only where the server was told to listen at an address of the network, and only paired ones.
//!
//! [`guard`] stands before every address. What comes in at a network socket has to show the token that `POST /pair` gave
//! its device for the code of the moment; anything else is answered with 401. A paired device draws and looks after
//! pictures. What concerns the computer itself ([`only_here`]) is done at the computer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::json;

use crate::api::{Api, content_type, json_body, parse, shown};
use crate::api_error::ApiError;
use crate::device_name::device_name;
use crate::http::{Call, Reply};
use crate::pair_page::{Said, pair_page};
use crate::pairing::{CODE_TIME, Device, NotPaired, Pairing};
use crate::qr::{self, QrPath};
use crate::remarks::Tell;
use crate::route::Ask;
use crate::seats::Seats;
use crate::target::Target;

/// What switches this on.
const COMMAND: &str = "fieldforge serve --lan";
/// How long a browser keeps its token, in seconds: 30 days. The server forgets it when it ends.
const COOKIE_TIME: u32 = 30 * 24 * 3600;
/// Most bytes of a form with a code.
const MAX_FORM: u64 = 4096;

/// The way in for other devices.
pub(crate) struct Lan {
    /// Where the server listens for them; empty when it does not.
    addresses: Vec<SocketAddr>,
    pairing: Pairing,
    seats: Arc<Seats>,
    /// Who hears what happens at the door.
    tell: Option<Box<Tell>>,
}

impl Lan {
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, pairing: Pairing::default(), seats: Arc::default(), tell: None }
    }

    pub(crate) fn told_to(&mut self, tell: impl Fn(&str) + Send + Sync + 'static) {
        self.tell = Some(Box::new(tell));
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.addresses.is_empty()
    }

    pub(crate) fn seats(&self) -> &Arc<Seats> {
        &self.seats
    }

    /// The code of the moment as people read it, and for each address what its QR code says; `None` when this is off.
    pub(crate) fn invitation(&self) -> Option<(String, Vec<String>)> {
        let (code, _) = self.pairing.code(Instant::now()).ok().filter(|_| self.is_on())?;
        let links = self.addresses.iter().map(|address| link(address, &code.digits)).collect();
        Some((code.spoken(), links))
    }

    fn say(&self, text: &str) {
        if let Some(tell) = &self.tell {
            tell(text);
        }
    }

    /// Somebody stands at the door: there has to be a code, and the person at the computer has to see it.
    fn knock(&self, call: &Call<'_>) {
        if let Ok((code, true)) = self.pairing.code(Instant::now()) {
            let minutes = CODE_TIME.as_secs() / 60;
            self.say(&format!(
                "A device at {} asks to be paired. If it is yours, type {} there within {minutes} minutes.",
                call.door.peer,
                code.spoken()
            ));
        }
    }
}

impl fmt::Debug for Lan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lan").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

fn link(address: &SocketAddr, code: &str) -> String {
    format!("http://{address}/pair?code={code}")
}

/// Lets a request in (`None`) or answers it at the door.
///
/// # Errors
/// 401 for a device that is not paired, 404 for `/pair` where no device can be paired.
pub(crate) fn guard(lan: &Lan, target: &Target, call: &mut Call<'_>) -> Result<Option<Reply>, ApiError> {
    let pairs = matches!(target.parts.as_slice(), [part] if part == "pair");
    if !call.door.network {
        return match (pairs, lan.is_on()) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(to_the_page())),
            (true, false) => Err(ApiError::new(
                404,
                "lan_off",
                "no device can be paired: this server listens to its own computer only",
            )
            .hint(format!("start it with `{COMMAND}`"))),
        };
    }
    let device = tokens(call).iter().find_map(|token| lan.pairing.device_of(token, call.door.peer));
    if let Some(device) = device {
        call.door.is_used_by(&device);
        return Ok(pairs.then(to_the_page));
    }
    match (pairs, call.method.as_str()) {
        (true, "POST") => pair(lan, call).map(Some),
        (true, "GET" | "HEAD") => {
            lan.knock(call);
            Ok(Some(pair_page(200, Said::Nothing, target.query("code").unwrap_or_default(), call)))
        }
        (true, method) => Err(ApiError::wrong_method(&shown(method), "/pair", "GET, HEAD, POST")),
        (false, _) => {
            let shows_pages = call.header("accept").is_some_and(|kinds| kinds.contains("text/html"));
            let reply = if shows_pages {
                lan.knock(call);
                pair_page(401, Said::Nothing, "", call)
            } else {
                Reply::from(
                    ApiError::new(401, "not_paired", "this device is not paired with the computer that it asks")
                        .hint(format!("open {}pair on it, and type the code that the computer shows", call.door.url())),
                )
            };
            Ok(Some(reply.header("WWW-Authenticate", "Bearer realm=\"fieldforge\"")))
        }
    }
}

/// Refuses what a paired device may not do.
///
/// # Errors
/// 403 for a request from the network.
pub(crate) fn only_here(call: &Call<'_>, what: &str) -> Result<(), ApiError> {
    if !call.door.network {
        return Ok(());
    }
    Err(ApiError::new(403, "only_here", format!("{what} is done only at the computer itself"))
        .hint("do it there, on the page or in the terminal"))
}

fn to_the_page() -> Reply {
    Reply::empty(303).header("Location", "/").header("Cache-Control", "no-store")
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    code: String,
    /// What the device calls itself.
    #[serde(default)]
    name: Option<String>,
}

/// Pairs a device: a form gets a page, JSON gets JSON.
fn pair(lan: &Lan, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let form = content_type(call).eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let typed = if form {
        let body = String::from_utf8(call.read_body(MAX_FORM)?).unwrap_or_default();
        Typed { code: Target::parse(&format!("/?{body}"))?.query("code").unwrap_or_default().to_owned(), name: None }
    } else {
        parse(&json_body(call, MAX_FORM)?)?
    };
    let peer = call.door.peer;
    let given = typed.name.map(|name| name.chars().filter(|one| speaks(*one)).take(40).collect::<String>());
    let name = given.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| device_name(call.header("user-agent")));
    let refusal = match lan.pairing.pair(&typed.code, &name, peer, Instant::now()) {
        Ok((token, device)) => {
            lan.say(&format!("Paired: {name} at {peer}. The page forgets it again: System, Other devices."));
            call.door.is_used_by(&device.id);
            let cookie = format!(
                "{}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_TIME}",
                cookie_name(call.door.port())
            );
            let reply =
                if form { to_the_page() } else { Reply::json(200, &json!({ "device": device, "token": token })) };
            return Ok(reply.header("Set-Cookie", cookie));
        }
        Err(refusal) => refusal,
    };
    if let NotPaired::Wrong { void: true } = refusal {
        lan.say(&format!("Five wrong codes came, the last one from {peer}: that code counts no more."));
    }
    if form {
        lan.knock(call);
        let (status, said) = match refusal {
            NotPaired::Wrong { .. } => (403, Said::Wrong),
            NotPaired::Wait(wait) => (429, Said::Wait { seconds: wait.as_secs() + 1 }),
            NotPaired::Full => (409, Said::Full),
            NotPaired::Failed(_) => (500, Said::Failed),
        };
        return Ok(pair_page(status, said, "", call));
    }
    Err(match refusal {
        NotPaired::Wrong { .. } => ApiError::new(403, "wrong_code", "this is not the code, or it counts no more")
            .hint("the computer shows the one of the moment: in the terminal, and on the page under System"),
        NotPaired::Wait(wait) => ApiError::new(429, "too_many_tries", "too many wrong codes came")
            .hint(format!("try again in {} s", wait.as_secs() + 1)),
        NotPaired::Full => ApiError::new(409, "too_many_devices", "no more devices can be paired")
            .hint("forget one first, on the computer: System, Other devices"),
        NotPaired::Failed(error) => error,
    })
}

/// Whether a character of a name can be shown anywhere: nothing that steers a terminal or turns the direction of writing.
fn speaks(one: char) -> bool {
    one.is_alphanumeric() || one.is_ascii_graphic() || one == ' '
}

/// Browsers share cookies between the ports of one address.
fn cookie_name(port: u16) -> String {
    format!("fieldforge-{port}")
}

/// What could be a token: the cookie, a bearer's key, or the password of a login.
fn tokens(call: &Call<'_>) -> Vec<String> {
    let name = cookie_name(call.door.port());
    let cookies = call.header_values("cookie").flat_map(|value| value.split(';'));
    let cookies = cookies.filter_map(|pair| pair.trim().split_once('=')).filter(|(known, _)| *known == name);
    let mut tokens: Vec<String> = cookies.map(|(_, token)| token.to_owned()).collect();
    for value in call.header_values("authorization") {
        let (scheme, rest) = value.split_once(' ').unwrap_or_default();
        if scheme.eq_ignore_ascii_case("bearer") {
            tokens.push(rest.trim().to_owned());
        } else if scheme.eq_ignore_ascii_case("basic") {
            let login = BASE64_STANDARD.decode(rest.trim()).ok().and_then(|login| String::from_utf8(login).ok());
            tokens.extend(login.and_then(|login| Some(login.split_once(':')?.1.to_owned())));
        }
    }
    tokens
}

#[derive(Serialize)]
struct State<'a> {
    /// Whether the server listens at an address of the network.
    on: bool,
    /// Whether this was asked from the computer itself; only there codes and devices are shown.
    here: bool,
    /// What switches it on.
    command: &'a str,
    addresses: Vec<Address>,
    /// The code of the moment, `1234 5678`.
    code: Option<String>,
    /// How long it is good, in seconds.
    expires_in: Option<u64>,
    devices: Vec<Device>,
}

#[derive(Serialize)]
struct Address {
    url: String,
    /// The address to open on the device, with the code in it.
    qr: Option<QrPath>,
}

/// `GET /api/v1/lan`.
pub(crate) fn state(api: &Api, _: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let lan = &api.studio.lan;
    let (on, here) = (lan.is_on(), !call.door.network);
    let now = Instant::now();
    let code = if on && here { Some(lan.pairing.code(now)?.0) } else { None };
    let addresses = lan.addresses.iter().map(|address| Address {
        url: format!("http://{address}/"),
        qr: code.as_ref().and_then(|code| qr::path(&link(address, &code.digits))),
    });
    Ok(Reply::json(
        200,
        &State {
            on,
            here,
            command: COMMAND,
            addresses: addresses.collect(),
            expires_in: code.as_ref().map(|code| code.until.saturating_duration_since(now).as_secs()),
            code: code.map(|code| code.spoken()),
            devices: if here { lan.pairing.devices() } else { Vec::new() },
        },
    ))
}

/// `POST /api/v1/lan/code`: the code of the moment counts no more, another one does.
pub(crate) fn new_code(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    only_here(call, "making a pairing code")?;
    if !api.studio.lan.is_on() {
        return Err(ApiError::new(
            409,
            "lan_off",
            "no device can be paired: this server listens to its own computer only",
        )
        .hint(format!("start it with `{COMMAND}`")));
    }
    api.studio.lan.pairing.drop_code();
    state(api, ask, call)
}

/// `DELETE /api/v1/lan/devices/{id}`: the device has to be paired again; what it has open is closed.
pub(crate) fn forget(api: &Api, ask: &Ask<'_>, call: &mut Call<'_>) -> Result<Reply, ApiError> {
    only_here(call, "forgetting a device")?;
    let lan = &api.studio.lan;
    let device = lan.pairing.forget(ask.name()).ok_or_else(|| {
        ApiError::new(404, "unknown_device", format!("no paired device is called `{}`", shown(ask.name())))
    })?;
    lan.seats.close_of(&device.id);
    lan.say(&format!("Forgotten: {} at {}.", device.name, device.address));
    Ok(Reply::empty(204))
}
