//! The frames in `vectors/failover-frames.json`, made by another encoder: each is read and
//! written back to the bit.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use wire::failover::{
    Body, ConnectFlags, Container, FailoverMessage, Frames, Leased, ServerFlags, ServerState,
    TlsMessage, stamp,
};
use wire::{MessageType, StatusCode};

const T: u32 = 0x2faf_0800;
const HOUR: u32 = 3600;

fn frames() -> BTreeMap<String, Vec<u8>> {
    let text = include_str!("vectors/failover-frames.json");
    let frames: BTreeMap<String, String> = serde_json::from_str(text).unwrap();
    frames
        .into_iter()
        .map(|(name, hex)| (name, octets(&hex)))
        .collect()
}

fn octets(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// The message of the one frame whose name starts so.
fn message(name: &str) -> Vec<u8> {
    let mut found = frames()
        .into_iter()
        .filter(|(key, _)| key.starts_with(name));
    let (_, frame) = found.next().unwrap();
    assert!(found.next().is_none(), "{name} is ambiguous");
    Frames::new(&frame).next().unwrap().unwrap().to_vec()
}

fn rewrite(octets: &[u8], buffer: &mut [u8]) -> usize {
    if let Ok(setup) = TlsMessage::parse(octets) {
        return setup.write(buffer).unwrap();
    }
    let message = FailoverMessage::parse(octets).unwrap();
    let body = message.body().unwrap();
    let len = body.write(buffer, message.transaction_id).unwrap();
    stamp(&mut buffer[..len], message.sent_time);
    len
}

#[test]
fn every_frame_is_read_and_written_back_to_the_bit() {
    let frames = frames();
    let mut types: Vec<u8> = frames.values().map(|frame| frame[2]).collect();
    types.sort_unstable();
    types.dedup();
    let expected: Vec<u8> = [7].into_iter().chain(23..=35).collect();
    assert_eq!(types, expected, "every message type has a frame");
    for (name, frame) in frames {
        let mut split = Frames::new(&frame);
        let octets = split.next().unwrap().unwrap();
        assert!(split.next().is_none() && split.rest().is_empty(), "{name}");
        let mut buffer = [0xaa; 300];
        let len = rewrite(octets, &mut buffer);
        assert_eq!(buffer[..len], frame, "{name}");
        for room in 0..len {
            let mut small = vec![0; room];
            let written = FailoverMessage::parse(octets).ok().and_then(|message| {
                message
                    .body()
                    .unwrap()
                    .write(&mut small, message.transaction_id)
                    .ok()
            });
            assert_eq!(written, None, "{name} in {room} octets");
        }
    }
}

#[test]
fn a_bndupd_says_what_was_granted() {
    let octets = message("BNDUPD (24) new ACTIVE");
    let message = FailoverMessage::parse(&octets).unwrap();
    assert_eq!((message.transaction_id.get(), message.sent_time), (6, T));
    let Body::Bndupd(Container::Client(data)) = message.body().unwrap() else {
        panic!("no client's bindings");
    };
    assert_eq!(data.client.base_time, Some(T));
    assert_eq!(data.client.client_id.unwrap().octets().len(), 14);
    let leases: Vec<_> = data.leases().collect();
    let [lease] = leases[..] else {
        panic!("one lease, not {leases:?}")
    };
    assert_eq!(
        (lease.iaid().0, lease.ia.t1, lease.ia.t2),
        (1, HOUR / 2, 2880)
    );
    let Leased::Address(address) = lease.leased else {
        panic!("no address")
    };
    assert_eq!(address.address, 0x2001_0db8_0001_0000_0000_0000_0000_1001);
    assert_eq!((address.preferred, address.valid), (HOUR, HOUR));
    assert_eq!(lease.options.binding_status, Some(1));
    assert_eq!(lease.options.start_time_of_state, Some(T));
    assert_eq!(lease.options.state_expiration_time, Some(T + HOUR));
    assert_eq!(
        lease.options.partner_lifetime,
        Some(T + HOUR / 2 + 72 * HOUR)
    );
    assert_eq!(lease.options.client_last_transaction_time(T), Some(T));
    assert_eq!(lease.rejection(), None);
}

#[test]
fn a_bndreply_says_what_was_rejected_and_why() {
    let octets = message("BNDREPLY (25) rejecting");
    let Ok(Body::Bndreply(Container::Client(data))) =
        FailoverMessage::parse(&octets).unwrap().body()
    else {
        panic!("no client's bindings");
    };
    let lease = data.leases().next().unwrap();
    let status = lease.rejection().unwrap();
    assert_eq!(status.code, StatusCode::OUTDATED_BINDING_INFORMATION);
    assert_eq!(status.message, b"newer binding held");
    assert_eq!(
        lease.options.partner_lifetime_sent,
        Some(T + HOUR / 2 + 72 * HOUR)
    );
    assert_eq!(
        data.rejection(),
        None,
        "the container itself is not rejected"
    );
}

#[test]
fn a_prefix_without_a_client_stands_at_top_level() {
    let octets = message("BNDUPD (24) delegable");
    let Ok(Body::Bndupd(Container::Prefix(data))) = FailoverMessage::parse(&octets).unwrap().body()
    else {
        panic!("no prefix");
    };
    assert_eq!(
        (data.prefix.prefix, data.prefix.prefix_len),
        (0x2001_0db8_0f00 << 80, 48)
    );
    assert_eq!(data.options.binding_status, Some(6));
    assert_eq!(
        (data.options.base_time, data.options.start_time_of_state),
        (Some(T), Some(T))
    );
}

#[test]
fn connect_and_state_say_what_a_server_is() {
    let octets = message("CONNECT (31)");
    let Ok(Body::Connect(connect)) = FailoverMessage::parse(&octets).unwrap().body() else {
        panic!("no CONNECT");
    };
    assert_eq!(connect.protocol_version.unwrap().to_string(), "1.0");
    assert_eq!(
        (connect.mclt_secs, connect.keepalive_secs),
        (Some(HOUR), Some(60))
    );
    assert_eq!(connect.max_unacked_bndupd, Some(256));
    assert_eq!(connect.relationship_name, Some(&b"pair-a"[..]));
    assert_eq!(connect.flags, Some(ConnectFlags::FIXED_PD_LENGTH));

    let octets = message("STATE (34) PARTNER-DOWN");
    let Ok(Body::State(state)) = FailoverMessage::parse(&octets).unwrap().body() else {
        panic!("no STATE");
    };
    assert_eq!(state.server_state, Some(ServerState::PartnerDown));
    assert_eq!(state.flags, Some(ServerFlags::COMMUNICATED));
    assert_eq!(state.partner_down_time, Some(T - 50));
}

#[test]
fn tls_set_up_is_told_from_failover() {
    let octets = message("REPLY (7) refusing");
    let reply = TlsMessage::parse(&octets).unwrap();
    assert_eq!(
        reply.refusal().unwrap().code,
        StatusCode::TLS_CONNECTION_REFUSED
    );
    assert!(
        TlsMessage::parse(&message("REPLY (7) accepting"))
            .unwrap()
            .refusal()
            .is_none()
    );
    let error = FailoverMessage::parse(&octets).unwrap_err();
    assert_eq!(
        error.to_string(),
        "message of type REPLY has no place on a failover connection"
    );
    assert!(TlsMessage::parse(&message("CONTACT")).is_err());
    assert_eq!(octets[0], MessageType::REPLY.0);
}
