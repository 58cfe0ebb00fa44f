//! Wrong pairing codes: who sent how many, and how long the next try has to wait.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The first wrong code costs this much time, each further one twice as much.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// No try waits longer.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After so long without a wrong code an address begins anew.
const FORGIVEN: Duration = Duration::from_secs(30 * 60);
/// Wrong codes of all devices together within [`WINDOW`]; after them nobody is let in for a while. With one code in a
/// hundred million this gives a guesser a chance of 1 in 35,000 a day.
const MOST: usize = 20;
const WINDOW: Duration = Duration::from_secs(600);
/// Addresses that are remembered.
const ADDRESSES: usize = 256;

/// The wrong tries of late.
#[derive(Default)]
pub(crate) struct Tries {
    by_address: HashMap<IpAddr, Wrong>,
    recent: VecDeque<Instant>,
}

struct Wrong {
    count: u32,
    last: Instant,
}

impl Wrong {
    fn wait(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.count.saturating_sub(1).min(16));
        FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT)
    }
}

impl Tries {
    /// How long a try from this address has to wait; `None` if it may come now.
    pub(crate) fn wait(&mut self, address: IpAddr, now: Instant) -> Option<Duration> {
        while self.recent.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            self.recent.pop_front();
        }
        let all = match self.recent.front() {
            Some(first) if self.recent.len() >= MOST => WINDOW.saturating_sub(now.duration_since(*first)),
            _ => Duration::ZERO,
        };
        self.by_address.retain(|_, wrong| now.duration_since(wrong.last) < FORGIVEN);
        let own = self.by_address.get(&network_of(address));
        let own = own.map_or(Duration::ZERO, |wrong| wrong.wait().saturating_sub(now.duration_since(wrong.last)));
        Some(all.max(own)).filter(|wait| !wait.is_zero())
    }

    /// A wrong code came from here.
    pub(crate) fn wrong(&mut self, address: IpAddr, now: Instant) {
        self.recent.push_back(now);
        let address = network_of(address);
        if self.by_address.len() >= ADDRESSES && !self.by_address.contains_key(&address) {
            let oldest = self.by_address.iter().min_by_key(|(_, wrong)| wrong.last).map(|(address, _)| *address);
            oldest.and_then(|oldest| self.by_address.remove(&oldest));
        }
        let wrong = self.by_address.entry(address).or_insert(Wrong { count: 0, last: now });
        wrong.count = wrong.count.saturating_add(1);
        wrong.last = now;
    }

    /// The right code came from here.
    pub(crate) fn right(&mut self, address: IpAddr) {
        self.by_address.remove(&network_of(address));
    }
}

/// A device with IPv6 may choose the last 64 bits as it likes.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => {
            let [first, second, third, fourth, ..] = six.segments();
            std::net::Ipv6Addr::new(first, second, third, fourth, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_wrong_code_doubles_the_wait_of_its_sender_alone() {
        let (mut tries, mut now) = (Tries::default(), Instant::now());
        let (guesser, friend) = (address("192.168.1.66"), address("192.168.1.23"));
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(tries.wait(guesser, now), None);
            tries.wrong(guesser, now);
            assert_eq!(tries.wait(guesser, now), Some(SECOND * seconds));
            assert_eq!(tries.wait(friend, now), None);
            now += SECOND * seconds;
        }
        tries.right(guesser);
        assert_eq!(tries.wait(guesser, now), None);
        tries.wrong(guesser, now);
        assert_eq!(tries.wait(guesser, now), Some(SECOND));
        assert_eq!(tries.wait(guesser, now + FORGIVEN), None);
    }

    #[test]
    fn a_crowd_of_addresses_closes_the_door_for_a_while() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        for last in 0..20 {
            let guesser = address(&format!("192.168.1.{last}"));
            assert_eq!(tries.wait(guesser, now + SECOND * last), None, "{last}");
            tries.wrong(guesser, now + SECOND * last);
        }
        let friend = address("192.168.1.200");
        assert_eq!(tries.wait(friend, now + SECOND * 20), Some(SECOND * 580));
        assert_eq!(tries.wait(friend, now + SECOND * 600), None);
    }

    #[test]
    fn one_network_of_ipv6_counts_as_one_and_memory_is_bounded() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        tries.wrong(address("fd00:1:2:3::1"), now);
        assert_eq!(tries.wait(address("fd00:1:2:3:ffff::9"), now), Some(SECOND));
        assert_eq!(tries.wait(address("fd00:1:2:4::1"), now), None);
        for second in 0..4 {
            for last in 0..=255 {
                tries.wrong(address(&format!("10.0.{second}.{last}")), now);
            }
        }
        assert_eq!(tries.by_address.len(), ADDRESSES);
    }
}
