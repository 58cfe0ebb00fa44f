//! A token reaches its own server and nobody else.

use crate::harness::{Bench, MIB, only, stated, weights};
use bundler::Tokens;
use std::net::{IpAddr, Ipv4Addr};
use testkit::server::{Behaviour, Server};

const HUB: &str = "/owner/model/resolve/main/model.safetensors";
const SOURCE: &str = "{ kind = 'huggingface', repo = 'owner/model', file = 'model.safetensors' }";

/// A bench with `HF_TOKEN=s3cret` for the hub on `server`, from a file that only its owner may read.
fn bench(server: &Server, bytes: &[u8]) -> Bench {
    let mut bench = Bench::new();
    bench.all_on(server);
    let file = bench.sandbox.root().join("tokens");
    fs_err::write(&file, "HF_TOKEN=s3cret\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    bench.options.tokens = Tokens::from_environment(&bench.options.endpoints, Some(&file)).unwrap();
    bench.component("model", "checkpoint", "model.safetensors", &stated(bytes), SOURCE);
    bench
}

fn secrets(server: &Server) -> Vec<Option<String>> {
    server.log().iter().map(|logged| logged.request.header("authorization").map(str::to_owned)).collect()
}

#[test]
fn the_token_opens_its_own_door() {
    let bytes = weights(2 * MIB, 1);
    let hub = Server::start();
    hub.file(HUB, bytes.clone(), Behaviour::Unauthorized { token: "s3cret".to_owned() });
    let bench = bench(&hub, &bytes);
    assert!(only(&bench.fetch().unwrap()) == bytes);
    assert!(secrets(&hub).iter().all(|secret| secret.as_deref() == Some("Bearer s3cret")));
}

#[test]
fn a_redirect_does_not_carry_it_elsewhere() {
    let bytes = weights(3 * MIB, 2);
    let addresses: [IpAddr; 3] =
        [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), "::1".parse().unwrap()];
    for address in addresses {
        // Not every machine has 127.0.0.2 (macOS) or ::1; the first one is everywhere and differs by its port.
        if std::net::TcpListener::bind((address, 0)).is_err() {
            eprintln!("skipped: this machine has no address {address}");
            continue;
        }
        let (hub, elsewhere) = (Server::start(), Server::start_on(address));
        let url = elsewhere.file("/signed", bytes.clone(), Behaviour::Honest);
        hub.file(HUB, Vec::new(), Behaviour::RedirectTo(url));
        let bench = bench(&hub, &bytes);
        assert!(only(&bench.fetch().unwrap()) == bytes);
        assert!(secrets(&hub).iter().all(|secret| secret.as_deref() == Some("Bearer s3cret")));
        assert!(!elsewhere.log().is_empty() && secrets(&elsewhere).iter().all(Option::is_none), "{address}");
        assert_eq!(hub.log().len(), 1, "the parts are asked for where the first redirect led");
    }
}

#[test]
fn another_name_of_this_machine_is_another_host() {
    let bytes = weights(MIB, 3);
    let hub = Server::start();
    let by_name = format!("http://localhost:{}/signed", hub.address().port());
    hub.file("/signed", bytes.clone(), Behaviour::Honest);
    hub.file(HUB, Vec::new(), Behaviour::RedirectTo(by_name));
    let bench = bench(&hub, &bytes);
    assert!(only(&bench.fetch().unwrap()) == bytes);
    let signed: Vec<_> = hub.log().into_iter().filter(|logged| logged.request.target == "/signed").collect();
    assert!(!signed.is_empty() && signed.iter().all(|logged| logged.request.header("authorization").is_none()));
}

#[test]
fn an_address_that_has_expired_is_asked_for_again() {
    let bytes = weights(4 * MIB, 4);
    let (hub, elsewhere) = (Server::start(), Server::start());
    // The first address knows the door's token only; whoever comes without is refused.
    let url = elsewhere.file("/signed", bytes.clone(), Behaviour::Honest);
    hub.file(HUB, Vec::new(), Behaviour::RedirectTo(url));
    let bench = bench(&hub, &bytes);
    let watcher = std::thread::spawn(move || {
        while elsewhere.log().is_empty() {
            std::thread::yield_now();
        }
        elsewhere.file("/signed", Vec::new(), Behaviour::Unauthorized { token: "expired".to_owned() });
        let renewed = elsewhere.file("/renewed", bytes.clone(), Behaviour::Honest);
        hub.file(HUB, Vec::new(), Behaviour::RedirectTo(renewed));
        (bytes, hub, elsewhere)
    });
    let fetched = bench.fetch().unwrap();
    let (bytes, _hub, _elsewhere) = watcher.join().unwrap();
    assert!(only(&fetched) == bytes);
}

#[test]
fn who_lacks_a_token_is_told_which() {
    let bytes = weights(100, 5);
    for (id, source, path, hint) in [
        ("hub", SOURCE, HUB, "accept the licence at https://huggingface.co/owner/model"),
        ("civit", "{ kind = 'civitai', version = 7 }", "/api/download/models/7", "set `CIVITAI_TOKEN`"),
        (
            "hubgit",
            "{ kind = 'github', repo = 'owner/model', tag = 'v1', asset = 'model.safetensors' }",
            "/owner/model/releases/download/v1/model.safetensors",
            "set `GITHUB_TOKEN`",
        ),
    ] {
        let server = Server::start();
        server.file(path, bytes.clone(), Behaviour::Unauthorized { token: "other".to_owned() });
        let mut bench = Bench::new();
        bench.all_on(&server);
        bench.component(id, "checkpoint", "model.safetensors", &stated(&bytes), source);
        let (said, advised) = bench.refusal();
        assert!(said.contains("who asks (HTTP 401)") && advised.contains(hint), "{said}\n{advised}");
    }
}
