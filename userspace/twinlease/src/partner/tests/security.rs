//! Who is let in.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use wire::failover::{Body, FailoverMessage, TlsMessage, TransactionId};
use wire::{MessageType, StatusCode};

use super::fixture::{Ca, Secondary, connect, contact, insecure, pair, refused, serve, tls};
use crate::partner::Lost;
use crate::partner::reader::read_frame;
use crate::partner::tls::{Identity, TlsFiles};

const IP: &str = "::1";

fn starttls() -> Vec<u8> {
    let mut frame = vec![0; 64];
    let message = TlsMessage::Starttls(TransactionId::new(7));
    let len = message.write(&mut frame).unwrap();
    frame.truncate(len);
    frame
}

#[tokio::test]
async fn partners_of_one_ca_speak_tls() {
    let ca = Ca::new();
    let (primary, mut secondary) = pair(ca.tls(IP), ca.tls(IP)).await.unwrap();
    assert!(primary.is_tls && secondary.is_tls);
    primary.sender.send(contact(5)).unwrap();
    let batch = secondary.received.recv().await.unwrap();
    let message = batch.messages().next().unwrap();
    let message = FailoverMessage::parse(&message).unwrap();
    assert_eq!(message.transaction_id.get(), 5);
    drop(secondary);
    let mut primary = primary;
    assert!(
        matches!(primary.received.recv().await, Err(Lost::Closed)),
        "close_notify came"
    );
}

#[tokio::test]
async fn a_dns_name_may_stand_for_the_address() {
    let ca = Ca::new();
    let named = |own: &str, partner: &str| {
        let partner_name = Some(partner.to_owned());
        tls(&TlsFiles {
            partner_name,
            ..ca.files(own)
        })
    };
    let (a, b) = (
        named("a.example.net", "b.example.net"),
        named("b.example.net", "a.example.net"),
    );
    assert!(pair(a, b).await.unwrap().0.is_tls);
}

#[tokio::test]
async fn a_primary_of_another_ca_or_name_is_refused() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let another_ca = tls(&TlsFiles {
        ca: ours.files(IP).ca,
        ..theirs.files(IP)
    });
    for primary in [another_ca, ours.tls("::2"), ours.tls("c.example.net")] {
        let mut servers = serve(primary, ours.tls(IP)).await;
        // With TLS 1.3 it learns so only after its own part of the handshake.
        let lost = servers.primary().await.received.recv().await.unwrap_err();
        servers.secondary.refused("tls-failed").await;
        assert!(matches!(lost, Lost::Io(_)), "{lost}");
        assert!(servers.secondary.incoming.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_secondary_of_another_ca_or_name_is_refused() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let another_ca = tls(&TlsFiles {
        ca: ours.files(IP).ca,
        ..theirs.files(IP)
    });
    for secondary in [another_ca, ours.tls("::2")] {
        let servers = serve(ours.tls(IP), secondary).await;
        assert!(servers.connector.dial().await.is_none());
        refused(&servers.connector.counters, "tls-failed").await;
        servers.secondary.refused("tls-failed").await;
    }
}

#[tokio::test]
async fn a_primary_without_a_certificate_is_refused() {
    let ca = Ca::new();
    let mut secondary = Secondary::new(ca.tls(IP)).await;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca.files(IP).ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut stream = TcpStream::connect(secondary.address).await.unwrap();
    stream.write_all(&starttls()).await.unwrap();
    let reply = read_frame(&mut stream, 100).await.unwrap();
    assert_eq!(
        TlsMessage::parse(&reply[2..]),
        Ok(TlsMessage::Reply(TransactionId::new(7), None))
    );
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(IP).unwrap();
    if let Ok(mut stream) = connector.connect(name, stream).await {
        let _ = stream.write_all(&connect("edge-a")).await;
    }
    secondary.refused("tls-failed").await;
    assert!(secondary.incoming.try_recv().is_err());
}

#[tokio::test]
async fn a_connect_in_clear_is_answered_and_refused_where_tls_is_wanted() {
    let ca = Ca::new();
    let mut servers = serve(insecure(), ca.tls(IP)).await;
    let mut primary = servers.primary().await;
    let batch = primary.received.recv().await.unwrap();
    let message = batch.messages().next().unwrap();
    let message = FailoverMessage::parse(&message).unwrap();
    let Body::Connectreply(reply) = message.body().unwrap() else {
        panic!("no CONNECTREPLY")
    };
    assert_eq!(reply.status.unwrap().code, StatusCode::NOT_ALLOWED);
    assert_eq!(message.transaction_id.get(), 1);
    assert_eq!(message.sent_time.abs_diff(crate::worker::now().0) / 60, 0);
    assert!(primary.received.recv().await.is_err());
    servers.secondary.refused("plaintext").await;
    assert!(servers.secondary.incoming.try_recv().is_err());
}

#[tokio::test]
async fn tls_is_refused_where_insecure_is_configured() {
    let ca = Ca::new();
    let servers = serve(ca.tls(IP), insecure()).await;
    assert!(servers.connector.dial().await.is_none());
    refused(&servers.connector.counters, "tls-refused").await;
    servers.secondary.refused("tls-wanted").await;
}

#[tokio::test]
async fn rfc7653_9_1_a_primary_may_go_on_without_tls_when_it_is_refused() {
    let mut secondary = Secondary::new(insecure()).await;
    let mut stream = TcpStream::connect(secondary.address).await.unwrap();
    stream
        .write_all(&[starttls(), connect("x")].concat())
        .await
        .unwrap();
    let reply = read_frame(&mut stream, 100).await.unwrap();
    let refusal = TlsMessage::parse(&reply[2..]).unwrap().refusal().unwrap();
    assert_eq!(refusal.code, StatusCode::TLS_CONNECTION_REFUSED);
    let incoming = secondary.incoming.recv().await.unwrap();
    assert_eq!(incoming.relationship_name.as_deref(), Some(&b"x"[..]));
    assert!(!incoming.connection.is_tls);
}

#[tokio::test]
async fn anything_but_connect_is_refused() {
    let secondary = Secondary::new(insecure()).await;
    let mut stream = TcpStream::connect(secondary.address).await.unwrap();
    stream.write_all(&contact(1)).await.unwrap();
    secondary.refused("unexpected-message").await;
    assert_eq!(contact(1)[2], MessageType::CONTACT.0);
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let ca = Ca::new();
    let good = ca.files(IP);
    let key = good.key.clone();
    let load = |files: TlsFiles| {
        let error = Identity::load(&files, IP.parse().unwrap()).unwrap_err();
        (error.key(), error.to_string())
    };
    let missing: std::path::PathBuf = "/nonexistent/x.pem".into();
    let (name, said) = load(TlsFiles {
        key: missing.clone(),
        ..good.clone()
    });
    assert!(
        name == "key" && said.contains("/nonexistent/x.pem"),
        "{said}"
    );
    assert_eq!(
        load(TlsFiles {
            ca: missing,
            ..good.clone()
        })
        .0,
        "ca"
    );
    assert_eq!(
        load(TlsFiles {
            certificate: key.clone(),
            ..good.clone()
        })
        .0,
        "certificate"
    );
    let other = ca.files("b.example.net").key;
    assert_eq!(
        load(TlsFiles {
            key: other,
            ..good.clone()
        })
        .0,
        "certificate",
        "not its key"
    );
    let partner_name = Some("not a name".to_owned());
    assert_eq!(
        load(TlsFiles {
            partner_name,
            ..good
        })
        .0,
        "partner-name"
    );
}

#[tokio::test]
async fn renewed_certificates_are_used_without_a_restart_and_broken_ones_are_not() {
    let ca = Ca::new();
    let files = ca.files(IP);
    let mut servers = serve(tls(&files), ca.tls(IP)).await;
    drop(servers.primary().await);
    drop(servers.secondary().await);
    std::fs::write(&files.certificate, "half a cert").unwrap();
    drop(servers.primary().await);
    assert!(
        servers.secondary().await.connection.is_tls,
        "with what was read before"
    );
    // From now on the certificate is one the secondary does not take.
    let another_ca = Ca::new();
    let stranger = another_ca.files(IP);
    std::fs::copy(stranger.certificate, &files.certificate).unwrap();
    std::fs::copy(stranger.key, &files.key).unwrap();
    // When the files are read again is the identity's to say.
    let dialing = async {
        for _ in 0..1_000 {
            drop(servers.primary().await);
            tokio::time::sleep(servers.connector.timing.retry).await;
        }
    };
    tokio::select! {
        () = servers.secondary.refused("tls-failed") => {}
        () = dialing => panic!("the new certificate is not used"),
    }
}
