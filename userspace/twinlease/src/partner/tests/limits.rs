//! What a partner, or somebody with its address, may not do.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::{Ca, Secondary, connect, insecure, listener_with, refused, timing};
use crate::partner::connection::{QUEUED_OCTETS_MAX, RECEIVED_OCTETS_MAX};
use crate::partner::listener::CONNECTIONS_PER_PARTNER_MAX;
use crate::partner::{Lost, NotSent, Timing};

/// Steps short enough to wait for.
fn hasty() -> Timing {
    Timing {
        step: Duration::from_millis(150),
        stall: Duration::from_millis(150),
        ..timing()
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let secondary = Secondary::with(insecure(), hasty()).await;
    let mut stream = TcpStream::connect(secondary.address).await.unwrap();
    secondary.refused("timeout").await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn octets_one_by_one_buy_no_time() {
    for security in [insecure(), Ca::new().tls("::1")] {
        let secondary = Secondary::with(security, hasty()).await;
        let mut stream = TcpStream::connect(secondary.address).await.unwrap();
        let drip = async {
            for octet in connect("edge-a") {
                if stream.write_all(&[octet]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        };
        tokio::join!(drip, secondary.refused("timeout"));
    }
}

#[tokio::test]
async fn messages_of_a_wrong_size_end_the_setup() {
    for (octets, reason) in [
        (&[0xff, 0xff, 31][..], "too-long"),
        (&[0, 3, 23, 0, 0], "lost"),
        (&[0, 4, 31, 0, 0, 1], "lost"),
        (&[0, 8, 99, 0, 0, 1, 0, 0, 0, 0], "unexpected-message"),
        (&[0, 9, 31, 0, 0, 1, 0, 0, 0, 0, 7], "malformed"),
    ] {
        let secondary = Secondary::new(insecure()).await;
        let mut stream = TcpStream::connect(secondary.address).await.unwrap();
        stream.write_all(octets).await.unwrap();
        secondary.refused(reason).await;
    }
}

#[tokio::test]
async fn a_partner_has_room_for_a_second_connection_but_not_for_many() {
    let mut secondary = Secondary::new(insecure()).await;
    let mut streams = Vec::new();
    let mut held = Vec::new();
    for number in 0..CONNECTIONS_PER_PARTNER_MAX {
        let mut stream = TcpStream::connect(secondary.address).await.unwrap();
        stream
            .write_all(&connect(&number.to_string()))
            .await
            .unwrap();
        streams.push(stream);
        held.push(secondary.incoming.recv().await.unwrap());
    }
    let mut more = TcpStream::connect(secondary.address).await.unwrap();
    secondary.refused("too-many-connections").await;
    assert_eq!(more.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed");
    held.pop();
    let mut stream = TcpStream::connect(secondary.address).await.unwrap();
    stream.write_all(&connect("again")).await.unwrap();
    let again = secondary.incoming.recv().await.unwrap();
    assert_eq!(again.relationship_name.as_deref(), Some(&b"again"[..]));
}

#[tokio::test]
async fn a_stranger_is_turned_away() {
    let socket = tokio::net::TcpListener::bind("[::]:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let counters = std::sync::Arc::default();
    let (listener, out) = listener_with(
        ([0; 8], port).into(),
        insecure(),
        timing(),
        std::sync::Arc::clone(&counters),
    );
    tokio::spawn(listener.serve_on(socket, out.give.unwrap()));
    // An IPv4 loopback address is not the `::1` of the partner.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    refused(&counters, "unknown-source").await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn the_reader_never_waits_and_a_flood_ends_the_connection() {
    let mut secondary = Secondary::new(insecure()).await;
    let mut stream = TcpStream::connect(secondary.address).await.unwrap();
    stream.write_all(&connect("edge-a")).await.unwrap();
    let mut incoming = secondary.incoming.recv().await.unwrap();
    // Nobody takes anything, and still all of it leaves the socket.
    let mut frame = vec![0; 2 + 65_535];
    frame[..3].copy_from_slice(&[0xff, 0xff, 24]);
    let mut sent = 0;
    while sent <= RECEIVED_OCTETS_MAX + (1 << 20) {
        if stream.write_all(&frame).await.is_err() {
            break;
        }
        sent += frame.len();
    }
    assert!(sent >= RECEIVED_OCTETS_MAX, "{sent}");
    let mut batches = Vec::new();
    let lost = loop {
        match incoming.connection.received.recv().await {
            Ok(batch) => batches.push(batch),
            Err(lost) => break lost,
        }
    };
    assert!(
        matches!(lost, Lost::Backlog { octets } if octets > RECEIVED_OCTETS_MAX),
        "{lost}"
    );
}

#[tokio::test]
async fn a_partner_that_does_not_read_is_given_up() {
    let mut secondary = Secondary::with(insecure(), hasty()).await;
    let mut stream = TcpStream::connect(secondary.address).await.unwrap();
    stream.write_all(&connect("edge-a")).await.unwrap();
    let mut connection = secondary.incoming.recv().await.unwrap().connection;
    connection.received.recv().await.unwrap();
    let frame = super::contact(1).repeat(100_000);
    let mut queued = 0;
    while connection.sender.send(frame.clone()).is_ok() {
        queued += frame.len();
    }
    assert!(queued <= QUEUED_OCTETS_MAX, "{queued}");
    let lost = connection.received.recv().await.unwrap_err();
    assert!(matches!(lost, Lost::Stalled(_)), "{lost}");
    assert_eq!(connection.sender.send(frame), Err(NotSent));
    drop(stream);
}
