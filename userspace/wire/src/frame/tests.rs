extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::code::MessageType;
use crate::eth::{TPID_CUSTOMER, TPID_SERVICE};
use crate::udp::CLIENT_PORT;

fn path(tags: usize) -> ReplyPath {
    let mut vlan = VlanTags::default();
    for (tpid, tci) in [(TPID_SERVICE, 100), (TPID_CUSTOMER, 0x2007)]
        .iter()
        .take(tags)
    {
        assert!(vlan.push(VlanTag {
            tpid: *tpid,
            tci: *tci
        }));
    }
    ReplyPath {
        src_mac: [2, 0, 0, 0, 0, 1],
        dst_mac: [2, 0, 0, 0, 0, 2],
        vlan,
        src: 0xfe80 << 112 | 1,
        dst: 0xfe80 << 112 | 2,
        src_port: 547,
        dst_port: 546,
        hop_limit: HOP_LIMIT_DEFAULT,
    }
}

fn frame(tags: usize, payload: &[u8]) -> Vec<u8> {
    let path = path(tags);
    let mut frame = vec![0xaa; path.header_len()];
    frame.extend_from_slice(payload);
    assert_eq!(path.write(&mut frame, payload.len()), Ok(frame.len()));
    frame
}

#[test]
fn what_is_written_is_read_with_any_number_of_tags() {
    for tags in 0..=VLAN_TAGS_MAX {
        let octets = frame(tags, b"\x07abcodd");
        let read = Frame::parse(&octets).unwrap();
        assert_eq!(read.verify_checksum(), Ok(()));
        assert_eq!(read.payload, b"\x07abcodd");
        assert_eq!(read.payload_offset, path(tags).header_len());
        assert_eq!(read.vlan, path(tags).vlan);
        assert_eq!((read.src_port, read.dst_port), (547, 546));
        let back = read.reply_path(read.dst_mac, read.dst);
        assert_eq!(
            (back.dst, back.dst_mac),
            (path(tags).src, path(tags).src_mac)
        );
        assert_eq!(back.dst_port, CLIENT_PORT);
    }
}

#[test]
fn a_relay_is_answered_at_the_server_port() {
    let octets = frame(0, &[MessageType::RELAY_FORW.0, 0]);
    let back = Frame::parse(&octets).unwrap().reply_path([0; 6], 1);
    assert_eq!(back.dst_port, SERVER_PORT);
}

#[test]
fn padding_is_cut_and_truncation_at_every_octet_is_an_error() {
    let whole = frame(1, b"\x01abc");
    for len in 0..whole.len() {
        assert!(Frame::parse(&whole[..len]).is_err(), "{len} octets");
    }
    let mut padded = whole.clone();
    padded.extend_from_slice(&[0; 20]);
    assert_eq!(Frame::parse(&padded).unwrap().payload, b"\x01abc");
}

#[test]
fn each_fault_has_its_name() {
    let good = frame(0, b"\x01abc");
    let faults = [
        (12, 0x08, "not-ipv6"),
        (14, 0x45, "ip-version"),
        (20, 44, "fragment"),
        (20, 0, "extension-header"),
        (20, 58, "not-udp"),
        (19, 200, "ipv6-length"),
        (19, 11, "udp-length"),
        (59, 3, "udp-length"),
    ];
    for (at, octet, reason) in faults {
        let mut bad = good.clone();
        bad[at] = octet;
        assert_eq!(Frame::parse(&bad).unwrap_err().reason(), reason);
    }
    let mut bad = good;
    bad[65] ^= 1;
    assert_eq!(
        Frame::parse(&bad).unwrap().verify_checksum(),
        Err(FrameError::Checksum)
    );
}

#[test]
fn checksum_zero_is_wrong_over_ipv6() {
    let mut octets = frame(0, b"\x01abc");
    octets[60..62].fill(0);
    assert_eq!(
        Frame::parse(&octets).unwrap().verify_checksum(),
        Err(FrameError::Checksum)
    );
}

#[test]
fn a_small_frame_and_a_long_payload_are_refused() {
    let path = path(0);
    assert_eq!(path.write(&mut [0; 65], 4), Err(FrameTooSmall));
    assert_eq!(path.write(&mut vec![0; 70_000], 65_528), Err(FrameTooSmall));
    assert_eq!(path.write(&mut [0; 65], usize::MAX), Err(FrameTooSmall));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_octets_give_a_frame_or_an_error(
        octets in proptest::collection::vec(any::<u8>(), 0..120),
        at in 0_usize..80,
        tags in 0_usize..3,
    ) {
        let _ = Frame::parse(&octets);
        let mut damaged = frame(tags, &octets);
        if let Some(octet) = damaged.get_mut(at) {
            *octet ^= 0x41;
        }
        if let Ok(frame) = Frame::parse(&damaged) {
            let _ = frame.verify_checksum();
        }
    }
}
