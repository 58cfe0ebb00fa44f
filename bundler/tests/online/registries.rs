//! The real registries, through the settings of this machine's own clients.

use crate::harness::{Bench, only};
use bundler::{Endpoints, FetchError, Timeouts, Trouble};
use manifest::Confirmation;
use std::net::ToSocketAddrs as _;
use std::time::Duration;

/// A small package each; their digests are known from elsewhere, so that the registry's word is checked too.
const NPM: (&str, &str) = ("{ kind = 'npm', package = 'left-pad', version = '1.3.0' }", "left-pad-1.3.0.tgz");
const PYPI: (&str, &str) =
    ("{ kind = 'pypi', package = 'six', version = '1.17.0' }", "six-1.17.0-py2.py3-none-any.whl");

fn reachable(address: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else { return false };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    let addresses = (host, port).to_socket_addrs().into_iter().flatten();
    addresses.take(3).any(|address| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(3)).is_ok())
}

fn fetches(kind: &str, address: &str, (source, file): (&str, &str), endpoints: &Endpoints) {
    let behind_proxy =
        ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].iter().any(|name| std::env::var(name).is_ok());
    let direct = reachable(address);
    let skip = || eprintln!("skipped: no {kind} registry is reachable from here ({address})");
    if !direct && !behind_proxy {
        return skip();
    }
    let mut bench = Bench::new();
    bench.options.timeouts = Timeouts { tries: 4, ..Timeouts::default() };
    bench.options.endpoints = endpoints.clone();
    bench.component("thing", "part", file, "", source);
    let fetched = match bench.fetch() {
        Ok(fetched) => fetched,
        // A proxy that is configured and leads nowhere.
        Err(FetchError::Failed(failures))
            if behind_proxy
                && failures[0].tried.iter().all(|tried| matches!(tried.trouble, Trouble::Connection(_))) =>
        {
            return skip();
        }
        Err(error) => panic!("{kind}: {error}"),
    };
    assert_eq!(fetched.files[0].file.confirmed, Confirmation::Registry);
    let magic: &[u8] = if kind == "npm" { b"\x1f\x8b" } else { b"PK\x03\x04" };
    assert!(only(&fetched).starts_with(magic));
    eprintln!("{kind}: {} bytes, sha256 {}", fetched.files[0].file.size, fetched.files[0].file.sha256);
}

#[test]
fn npm_works_as_this_machine_is_configured() {
    let endpoints = Endpoints::from_environment(std::path::Path::new("."));
    fetches("npm", &endpoints.npm, NPM, &endpoints);
}

#[test]
fn pypi_works_as_this_machine_is_configured() {
    let endpoints = Endpoints::from_environment(std::path::Path::new("."));
    fetches("pypi", endpoints.pypi.first().unwrap(), PYPI, &endpoints);
}
