//! Certificates: an unknown one is refused, one that the user named is trusted.

use crate::harness::{Bench, only, weights};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Serves one file over TLS, whole, with a certificate for `localhost` that this test has signed itself. Ends with the
/// test program.
fn start(bytes: Vec<u8>) -> (SocketAddr, String) {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = signed.cert.pem();
    let chain = vec![CertificateDer::from(signed.cert.der().to_vec())];
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, stream.unwrap());
            // A client that does not trust us hangs up here.
            let Ok(Some(_)) = bundler::loopback::Request::read(&mut BufReader::new(&mut stream)) else { continue };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (address, pem)
}

#[test]
fn an_own_certificate_is_trusted_when_it_is_named() {
    let bytes = weights(300_000, 1);
    let (address, pem) = start(bytes.clone());
    let mut bench = Bench::new();
    bench.checkpoint(&bytes, &format!("https://localhost:{}/m", address.port()));
    let (said, advised) = bench.refusal();
    assert!(said.contains("the server's certificate is not trusted") && advised.contains("--ca-file"), "{said}");

    let file = bench.sandbox.root().join("own.pem");
    fs_err::write(&file, "no certificate").unwrap();
    bench.options.ca_file = Some(file.clone());
    let (said, advised) = bench.refusal();
    assert!(said.contains("own.pem") && said.contains("no certificate") && advised.contains("PEM"), "{said}");

    fs_err::write(&file, pem).unwrap();
    assert!(only(&bench.fetch().unwrap()) == bytes);
}
