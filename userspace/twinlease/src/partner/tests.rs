//! Sessions over loopback, both sides real.

mod fixture;
mod limits;
mod security;

use std::time::Duration;

use fixture::{contact, insecure, pair, serve};
use tokio::io::AsyncWriteExt;
use wire::MessageType;
use wire::failover::{Body, FailoverMessage};
use wire::options::status::Status;

use super::Lost;
use super::reader::{BatchReader, read_frame};

#[tokio::test]
async fn frames_go_both_ways_in_order_and_are_stamped_when_written() {
    let (primary, mut secondary) = pair(insecure(), insecure()).await.unwrap();
    let before = crate::worker::now().0;
    for id in 0..2000 {
        primary.sender.send(contact(id)).unwrap();
    }
    let mut expected = 0;
    let mut batches = 0;
    while expected < 2000 {
        let batch = secondary.received.recv().await.unwrap();
        batches += 1;
        for message in batch.messages() {
            let message = FailoverMessage::parse(&message).unwrap();
            assert_eq!(message.transaction_id.get(), expected);
            assert!((before..=batch.received_time.0).contains(&message.sent_time));
            expected += 1;
        }
    }
    assert!(batches < 200, "{batches} batches of 2000 messages");
    assert_eq!(primary.sender.queued(), 0);
}

#[tokio::test]
async fn what_is_queued_is_written_before_a_dropped_connection_closes() {
    let (primary, mut secondary) = pair(insecure(), insecure()).await.unwrap();
    let status = Status {
        code: wire::StatusCode::SERVER_SHUTTING_DOWN,
        message: b"planned restart",
    };
    let mut frame = vec![0; 64];
    let disconnect = Body::Disconnect(Some(status));
    let len = disconnect.write(&mut frame, Default::default()).unwrap();
    frame.truncate(len);
    primary.sender.send(frame).unwrap();
    drop(primary);
    let batch = secondary.received.recv().await.unwrap();
    let message = batch.messages().next().unwrap();
    let message = FailoverMessage::parse(&message).unwrap();
    assert_eq!(message.msg_type, MessageType::DISCONNECT);
    assert!(matches!(secondary.received.recv().await, Err(Lost::Closed)));
    assert!(
        matches!(secondary.received.recv().await, Err(Lost::Closed)),
        "and stays so"
    );
}

#[tokio::test]
async fn a_primary_connects_again_before_the_secondary_has_let_go() {
    let mut servers = serve(insecure(), insecure()).await;
    let first = servers.primary().await;
    let at_secondary = servers.secondary().await;
    drop(first);
    let again = servers.primary().await;
    drop(at_secondary);
    assert_eq!(
        servers.secondary().await.connection.peer.ip(),
        again.peer.ip()
    );
}

#[tokio::test]
async fn frames_come_out_whole_however_they_were_cut() {
    let frames: Vec<u8> = (0..300).flat_map(contact).collect();
    for cut in [1, 3, 9, 10, 64, 4096] {
        let (mut partner, stream) = tokio::io::duplex(cut);
        let octets = frames.clone();
        let writing = tokio::spawn(async move {
            partner.write_all(&octets).await.unwrap();
            partner.write_all(&[0, 8, 35]).await.unwrap();
        });
        let mut reader = BatchReader::new(stream);
        let mut read = Vec::new();
        let lost = loop {
            match reader.batch().await {
                Ok(batch) => read.extend(batch),
                Err(lost) => break lost,
            }
        };
        assert_eq!(read, frames, "{cut} octets at a time");
        assert!(matches!(lost, Lost::CutOff), "{lost}");
        writing.await.unwrap();
    }
}

#[tokio::test]
async fn whole_frames_before_a_broken_one_are_not_lost() {
    let mut octets = [contact(1), contact(2)].concat();
    octets.extend([0, 7, 35, 0]);
    let mut reader = BatchReader::new(&octets[..]);
    assert_eq!(reader.batch().await.unwrap(), octets[..20]);
    assert!(matches!(reader.batch().await, Err(Lost::Framing(_))));
}

#[tokio::test]
async fn setup_takes_its_message_and_not_an_octet_more() {
    let octets = [0, 4, 23, 0, 0, 1, 0x16, 0x03, 0x01];
    let mut stream = &octets[..];
    assert_eq!(read_frame(&mut stream, 100).await.unwrap(), octets[..6]);
    assert_eq!(stream, &octets[6..], "the ClientHello is still there");
}

#[tokio::test]
async fn a_listener_whose_address_is_in_use_tries_again() {
    let taken = std::net::TcpListener::bind("[::1]:0").unwrap();
    let local = taken.local_addr().unwrap();
    let (listener, mut out) = fixture::listener(local, insecure());
    let serving = tokio::spawn(listener.serve(out.give.take().unwrap()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(taken);
    let connector = fixture::connector(local, insecure());
    let primary = fixture::dial(&connector).await;
    primary.sender.send(fixture::connect("edge-a")).unwrap();
    assert!(out.take.recv().await.is_some());
    serving.abort();
}
