//! Which devices of the network may come in: the code that pairs one, and those that are paired.
//!
//! Everything lives in memory: when the server ends, every device is forgotten.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::api_error::ApiError;
use crate::clock;
use crate::lock::lock;
use crate::secret::{self, Hashed};
use crate::tries::Tries;

/// A code is good for so long.
pub(crate) const CODE_TIME: Duration = Duration::from_secs(600);
/// So many wrong tries make a new code necessary.
const WRONG_PER_CODE: u32 = 5;
/// Most paired devices.
const MAX_DEVICES: usize = 32;

/// The code of the moment and the devices that had one.
#[derive(Default)]
pub(crate) struct Pairing(Mutex<State>);

#[derive(Default)]
struct State {
    code: Option<Code>,
    devices: Vec<Known>,
    tries: Tries,
}

/// A pairing code; it pairs one device.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) digits: String,
    pub(crate) until: Instant,
    wrong: u32,
}

impl Code {
    /// In two halves, as people read it aloud: `1234 5678`.
    pub(crate) fn spoken(&self) -> String {
        let (first, second) = self.digits.split_at_checked(secret::DIGITS / 2).unwrap_or_default();
        format!("{first} {second}")
    }
}

struct Known {
    device: Device,
    token: Hashed,
}

/// A paired device, as the System screen shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Device {
    pub(crate) id: String,
    /// What it said of itself, such as `Firefox on Android`.
    pub(crate) name: String,
    /// Where it asked from last.
    pub(crate) address: IpAddr,
    /// When it was paired, in ISO 8601.
    pub(crate) paired: String,
    /// When it asked last, in ISO 8601.
    pub(crate) seen: String,
}

/// Why a device was not paired.
#[derive(Debug)]
pub(crate) enum NotPaired {
    /// The code is not the one of the moment; `void` if there were too many and it counts no more.
    Wrong { void: bool },
    /// Too many wrong codes came: the next try waits.
    Wait(Duration),
    /// There are as many devices as can be.
    Full,
    /// Something else failed.
    Failed(ApiError),
}

impl Pairing {
    /// The code of the moment, and whether it had to be made.
    ///
    /// # Errors
    /// 500 when the system gives no random numbers.
    pub(crate) fn code(&self, now: Instant) -> Result<(Code, bool), ApiError> {
        let mut state = lock(&self.0);
        match state.code.as_ref().filter(|code| now < code.until) {
            Some(code) => Ok((code.clone(), false)),
            None => {
                let code = Code { digits: secret::code()?, until: now + CODE_TIME, wrong: 0 };
                state.code = Some(code.clone());
                Ok((code, true))
            }
        }
    }

    /// The code of the moment counts no more.
    pub(crate) fn drop_code(&self) {
        lock(&self.0).code = None;
    }

    /// Pairs a device that knows the code of the moment, which then counts no more, and gives the device's token.
    ///
    /// # Errors
    /// [`NotPaired`], which says why.
    pub(crate) fn pair(
        &self,
        typed: &str,
        name: &str,
        peer: IpAddr,
        now: Instant,
    ) -> Result<(String, Device), NotPaired> {
        let mut state = lock(&self.0);
        if let Some(wait) = state.tries.wait(peer, now) {
            return Err(NotPaired::Wait(wait));
        }
        // Spaces and hyphens are how people write long numbers.
        let typed: String = typed.chars().filter(char::is_ascii_digit).collect();
        let right = match state.code.as_mut().filter(|code| now < code.until) {
            Some(code) if Hashed::of(&typed).is(&Hashed::of(&code.digits)) => true,
            Some(code) => {
                code.wrong += 1;
                false
            }
            None => false,
        };
        if !right {
            state.tries.wrong(peer, now);
            let void = state.code.as_ref().is_some_and(|code| code.wrong >= WRONG_PER_CODE);
            if void {
                state.code = None;
            }
            return Err(NotPaired::Wrong { void });
        }
        if state.devices.len() >= MAX_DEVICES {
            return Err(NotPaired::Full);
        }
        let token = secret::token().map_err(NotPaired::Failed)?;
        let id = secret::name().map_err(NotPaired::Failed)?;
        let time = clock::iso(clock::now());
        let device = Device { id, name: name.to_owned(), address: peer, paired: time.clone(), seen: time };
        state.devices.push(Known { device: device.clone(), token: Hashed::of(&token) });
        state.code = None;
        state.tries.right(peer);
        Ok((token, device))
    }

    /// The id of the paired device that has this token, which is seen with it.
    pub(crate) fn device_of(&self, token: &str, peer: IpAddr) -> Option<String> {
        let token = Hashed::of(token);
        let mut state = lock(&self.0);
        // Every token is compared, so that the time does not tell which one fits.
        let fits =
            |found: Option<usize>, (at, known): (usize, &Known)| if known.token.is(&token) { Some(at) } else { found };
        let at = state.devices.iter().enumerate().fold(None, fits)?;
        let device = &mut state.devices.get_mut(at)?.device;
        device.seen = clock::iso(clock::now());
        device.address = peer;
        Some(device.id.clone())
    }

    /// The paired devices, the newest first.
    pub(crate) fn devices(&self) -> Vec<Device> {
        lock(&self.0).devices.iter().rev().map(|known| known.device.clone()).collect()
    }

    /// Forgets a device; `None` if there is none with this id.
    pub(crate) fn forget(&self, id: &str) -> Option<Device> {
        let mut state = lock(&self.0);
        let at = state.devices.iter().position(|known| known.device.id == id)?;
        Some(state.devices.remove(at).device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        [192, 168, 1, last].into()
    }

    fn other(code: &Code) -> String {
        // Another last digit.
        let last = if code.digits.ends_with('0') { '1' } else { '0' };
        format!("{}{last}", code.digits.get(..secret::DIGITS - 1).expect("digits"))
    }

    #[test]
    fn a_code_pairs_one_device_and_its_token_is_recognized_until_it_is_forgotten() {
        let (pairing, now) = (Pairing::default(), Instant::now());
        let (code, made) = pairing.code(now).expect("a code");
        assert!(made && !pairing.code(now).expect("the same").1);
        let (token, device) = pairing.pair(&code.spoken(), "Phone", peer(2), now).expect("paired");
        assert_eq!((device.name.as_str(), token.len()), ("Phone", 64));
        assert!(
            matches!(pairing.pair(&code.digits, "Second", peer(3), now), Err(NotPaired::Wrong { .. })),
            "single use"
        );
        assert_eq!(pairing.device_of(&token, peer(9)), Some(device.id.clone()));
        assert_eq!(pairing.devices()[0].address, peer(9));
        assert_eq!(pairing.device_of(&token[..63], peer(2)), None);
        assert_eq!(pairing.device_of("", peer(2)), None);
        assert!(pairing.forget(&device.id).is_some() && pairing.forget(&device.id).is_none());
        assert_eq!(pairing.device_of(&token, peer(2)), None);
    }

    #[test]
    fn codes_end_by_age_and_by_wrong_tries() {
        let (pairing, now) = (Pairing::default(), Instant::now());
        let (old, _) = pairing.code(now).expect("a code");
        let later = now + CODE_TIME;
        assert!(matches!(pairing.pair(&old.digits, "Late", peer(2), later), Err(NotPaired::Wrong { void: false })));
        let (code, made) = pairing.code(later).expect("a code");
        assert!(made);
        for guesser in 10..15 {
            let tried = pairing.pair(&other(&code), "Guesser", peer(guesser), later);
            assert!(matches!(tried, Err(NotPaired::Wrong { void }) if void == (guesser == 14)), "{guesser}");
        }
        assert!(matches!(pairing.pair(&code.digits, "Phone", peer(3), later), Err(NotPaired::Wrong { .. })));
        assert!(matches!(pairing.pair("", "Phone", peer(3), later), Err(NotPaired::Wait(wait)) if wait.as_secs() == 1));
    }

    #[test]
    fn there_is_an_end_to_devices() {
        let (pairing, now) = (Pairing::default(), Instant::now());
        for _ in 0..MAX_DEVICES {
            let (code, _) = pairing.code(now).expect("a code");
            assert!(pairing.pair(&code.digits, "Phone", peer(2), now).is_ok());
        }
        let (code, _) = pairing.code(now).expect("a code");
        assert!(matches!(pairing.pair(&code.digits, "Phone", peer(2), now), Err(NotPaired::Full)));
    }
}
