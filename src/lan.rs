//! At which addresses of this machine other devices may reach the page.

use crate::failure::{Failure, Outcome};
use std::net::IpAddr;

/// Beginnings of the names of interfaces that lead to containers, virtual machines and distant networks, not to the one
/// that a phone is in.
const ELSEWHERE: [&str; 15] = [
    "docker",
    "podman",
    "veth",
    "virbr",
    "vmnet",
    "vboxnet",
    "lxc",
    "lxd",
    "cni",
    "flannel",
    "tun",
    "tap",
    "wg",
    "ppp",
    "tailscale",
];

/// The addresses that were asked for, or every private one that this machine has.
///
/// # Errors
/// Wrong usage for an address that is no single one of this machine, or is 127.0.0.1; otherwise when there is none.
pub(crate) fn addresses(asked: &[IpAddr]) -> Outcome<Vec<IpAddr>> {
    if asked.is_empty() {
        let interfaces = if_addrs::get_if_addrs()
            .map_err(|error| Failure::new(format!("the addresses of this machine cannot be listed: {error}")))
            .map_err(|failure| failure.with_hint("name the one to use: --lan 192.168.1.5"))?;
        let private = interfaces.iter().filter(|one| leads_to_devices(&one.name)).map(if_addrs::Interface::ip);
        let mut found: Vec<IpAddr> = private.filter(is_private).collect();
        // An address that the machine gave itself is the last choice: it has one also where a cable leads nowhere.
        found.sort_unstable_by_key(|address| (is_self_given(address), *address));
        found.dedup();
        if found.is_empty() {
            return Err(Failure::new(
                "this machine has no private address on a network that other devices could be in",
            )
            .with_hint("connect it to a network, or name the address to use: --lan 192.168.1.5"));
        }
        return Ok(found);
    }
    let mut found = Vec::new();
    for address in asked.iter().map(IpAddr::to_canonical) {
        let refused = |why: &str| Failure::usage(format!("--lan cannot use {address}: {why}"));
        if address.is_unspecified() || address.is_multicast() {
            return Err(
                refused("it stands for many addresses").with_hint("leave the address out to use every private one")
            );
        }
        if address == IpAddr::from([127, 0, 0, 1]) || address == IpAddr::from(std::net::Ipv6Addr::LOCALHOST) {
            return Err(refused("other devices cannot reach it, and the page is there anyway")
                .with_hint("leave the address out to use every private one"));
        }
        if matches!(address, IpAddr::V6(six) if six.is_unicast_link_local()) {
            return Err(refused("browsers cannot open link-local IPv6 addresses")
                .with_hint("use an address that begins with fd, or one of IPv4"));
        }
        if !found.contains(&address) {
            found.push(address);
        }
    }
    Ok(found)
}

/// Whether only the machines of a local network can reach it.
pub(crate) fn is_private(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_private() || four.is_link_local(),
        IpAddr::V6(six) => six.is_unique_local(),
    }
}

fn is_self_given(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V4(four) if four.is_link_local())
}

fn leads_to_devices(interface: &str) -> bool {
    // Docker's own bridges are `br-` and a number; a router's is `br-lan`.
    let numbered = |rest: &str| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    interface != "lo"
        && !ELSEWHERE.iter().any(|start| interface.starts_with(start))
        && !interface.strip_prefix("br-").is_some_and(numbered)
}

#[cfg(test)]
mod tests {
    use super::{addresses, is_private, leads_to_devices};
    use std::net::IpAddr;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn private_addresses_are_told_from_those_of_the_internet() {
        for private in ["192.168.1.5", "10.1.2.3", "172.16.0.1", "169.254.7.8", "fd12::1"] {
            assert!(is_private(&address(private)), "{private}");
        }
        for public in ["127.0.0.1", "8.8.8.8", "172.32.0.1", "100.64.0.1", "2001:db8::1", "fe80::1", "::1"] {
            assert!(!is_private(&address(public)), "{public}");
        }
        for (name, devices) in [
            ("eth0", true),
            ("wlp3s0", true),
            ("br-lan", true),
            ("Ethernet 2", true),
            ("lo", false),
            ("docker0", false),
            ("br-0123456789ab", false),
            ("wg0", false),
        ] {
            assert_eq!(leads_to_devices(name), devices, "{name}");
        }
    }

    #[test]
    fn addresses_that_mean_nothing_are_refused() {
        for wrong in ["0.0.0.0", "::", "224.0.0.1", "127.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1"] {
            assert!(addresses(&[address(wrong)]).is_err(), "{wrong}");
        }
        let twice = [address("192.168.1.5"), address("::ffff:192.168.1.5")];
        assert_eq!(addresses(&twice).unwrap(), [address("192.168.1.5")]);
    }
}
