//! A client's end: keys out of Replies, and Reconfigure messages checked by them.

use super::*;
use crate::{
    Context, Ingress, InterfaceId, LinkSpec, Model, ModelBuilder, Outcome, PoolConfig, answer,
    parse,
};
use core::net::Ipv6Addr;
use hmac::{Hmac, KeyInit, Mac};
use lease::{AbsTime, AllocationKey, BindingRecord, BindingStatus, Lease, PoolSpec, Shard};
use md5::Md5;
use std::sync::Arc;
use wire::{MessageType, OptionCode, Options, shard_of};

const SERVER: [u8; 4] = [0, 3, 0, 1];
const CLIENT: [u8; 4] = [0, 3, 0, 9];
const NOW: AbsTime = AbsTime(800_000_000);

struct Server {
    model: Model,
    shard: Shard,
    now: AbsTime,
}

impl Server {
    fn new(rkap: Option<Arc<Rkap>>) -> Self {
        let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let addresses = PoolSpec::addresses(ip("2001:db8:1::10"), ip("2001:db8:1::1f"));
        let link = LinkSpec {
            name: "access".to_owned(),
            interface: Some(InterfaceId(0)),
            link_addresses: vec![Lease {
                addr: ip("2001:db8:1::").to_bits(),
                len: 64,
            }],
            pools: vec![PoolConfig::new(addresses.unwrap())],
            ..LinkSpec::default()
        };
        let builder = ModelBuilder::new(&SERVER, AllocationKey::new([1; 16])).link(link);
        Self {
            model: builder.build().unwrap().with_rkap(rkap),
            shard: Shard::new(shard_of(&CLIENT), 5),
            now: NOW,
        }
    }

    fn send(&mut self, payload: &[u8]) -> Vec<u8> {
        let ingress = Ingress {
            payload,
            interface: InterfaceId(0),
            source: "fe80::9".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        };
        let mut out = vec![0; 1_200];
        let parsed = parse(&ingress).unwrap();
        let context = Context::alone(&self.model, self.now);
        match answer(&context, &mut self.shard, &parsed, &mut out, &mut |_| {}) {
            Outcome::Reply { len, .. } => out.truncate(len),
            Outcome::Drop(reason) => panic!("{reason:?}"),
        }
        out
    }

    fn binding(&self) -> BindingRecord<'_> {
        self.shard.walk(0, 100).1.next().unwrap()
    }

    /// A Reconfigure to whoever has the binding: the payload and where it goes.
    fn reconfigure(&self) -> Result<(Vec<u8>, Letter), Unreachable> {
        let mut out = vec![0xaa; 1_200];
        let context = Context::alone(&self.model, self.now);
        let renew = RequestedMessage::Renew;
        let letter = write(&mut out, &context, &self.binding(), renew)?;
        out.truncate(letter.len);
        Ok((out, letter))
    }
}

fn rkap(secret: u8) -> Arc<Rkap> {
    let replay = Replay::new(0);
    replay.set_limit(replay.wants_limit(NOW).unwrap());
    Arc::new(Rkap::new(&[secret; SECRET_LEN_MIN], replay).unwrap())
}

fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let head = [code.to_be_bytes(), (data.len() as u16).to_be_bytes()];
    [&head.concat(), data].concat()
}

/// A message of the client with one IA_NA; `accepts` Reconfigure messages.
fn message(msg_type: u8, accepts: bool) -> Vec<u8> {
    let mut message = vec![msg_type, 1, 2, 3];
    message.extend(option(1, &CLIENT));
    if msg_type == 3 || msg_type == 5 {
        message.extend(option(2, &SERVER));
    }
    if msg_type != 11 {
        message.extend(option(3, &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
    }
    if accepts {
        message.extend(option(20, &[]));
    }
    message
}

fn relayed(hops: u8, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut octets = vec![12, hops];
    octets.extend("2001:db8:1::1".parse::<Ipv6Addr>().unwrap().octets());
    octets.extend([hops; 16]);
    for (code, data) in options {
        octets.extend(option(*code, data));
    }
    octets
}

fn find(message: &[u8], code: u16) -> Option<&[u8]> {
    let options = Options::new(&message[4..], 0);
    options.find(OptionCode(code)).map(|option| option.data)
}

/// What an Authentication option of RKAP says: replay detection, type, value.
fn authentication(message: &[u8]) -> Option<(u64, u8, [u8; 16])> {
    let data = find(message, 11)?;
    assert_eq!((data.len(), &data[..3]), (28, &[3, 1, 0][..]));
    let replay = u64::from_be_bytes(data[3..11].try_into().unwrap());
    Some((replay, data[11], data[12..].try_into().unwrap()))
}

/// As RFC 9915 §20.4.3 has a client do it, with what the RFC calls the digest zeroed.
fn is_authentic(message: &[u8], key: &[u8; 16]) -> bool {
    let (_, value_type, hmac) = authentication(message).unwrap();
    let mut zeroed = message.to_vec();
    let place = zeroed.windows(16).rposition(|octets| octets == hmac);
    zeroed[place.unwrap()..][..16].fill(0);
    let computed = Hmac::<Md5>::new_from_slice(key)
        .unwrap()
        .chain_update(&zeroed)
        .finalize();
    value_type == 2 && computed.into_bytes()[..] == hmac
}

#[test]
fn rfc9915_20_4_2_whoever_accepts_gets_the_same_key_in_each_reply_and_a_new_replay_value() {
    let mut server = Server::new(Some(rkap(7)));
    let advertise = server.send(&message(1, true));
    assert_eq!((advertise[0], find(&advertise, 20)), (2, Some(&[][..])));
    assert_eq!(find(&advertise, 11), None, "keys stand in Replies");
    let replies = [3, 3, 5, 11].map(|msg_type| server.send(&message(msg_type, true)));
    let given = replies.each_ref().map(|reply| {
        assert_eq!((reply[0], find(reply, 20)), (7, Some(&[][..])));
        authentication(reply).unwrap()
    });
    assert!(given.is_sorted_by(|a, b| a.0 < b.0), "{given:?}");
    assert!(
        given.iter().all(|(_, value_type, key)| {
            (*value_type, *key) == (1, given[0].2) && *key != [0; 16]
        })
    );
    // Another secret, another key; the same secret, as in a partner or after a restart, the same.
    let mut other = Server::new(Some(rkap(8)));
    assert_ne!(
        authentication(&other.send(&message(3, true))).unwrap().2,
        given[0].2
    );
    let mut partner = Server::new(Some(rkap(7)));
    assert_eq!(
        authentication(&partner.send(&message(3, true))).unwrap().2,
        given[0].2
    );
}

#[test]
fn nobody_else_gets_a_key_or_is_sent_anything() {
    let mut server = Server::new(Some(rkap(7)));
    let reply = server.send(&message(3, false));
    assert_eq!((find(&reply, 20), find(&reply, 11)), (None, None));
    assert_eq!(server.reconfigure(), Err(Unreachable::NotAccepted));
    let mut server = Server::new(None);
    let reply = server.send(&message(3, true));
    assert_eq!((find(&reply, 20), find(&reply, 11)), (None, None));
    assert!(!server.binding().accepts_reconfigure, "it has no key");
    assert_eq!(server.reconfigure(), Err(Unreachable::Disabled));
}

#[test]
fn no_key_is_given_with_a_replay_value_that_is_not_retained() {
    let stuck = Rkap::new(&[7; 16], Replay::new(0)).unwrap();
    let mut server = Server::new(Some(Arc::new(stuck)));
    let reply = server.send(&message(3, true));
    assert_eq!((find(&reply, 20), find(&reply, 11)), (None, None));
    assert!(!server.binding().accepts_reconfigure);
}

#[test]
fn rfc9915_18_3_11_a_direct_client_is_sent_what_it_can_check() {
    let mut server = Server::new(Some(rkap(7)));
    let (given, _, key) = authentication(&server.send(&message(3, true))).unwrap();
    let (sent, letter) = server.reconfigure().unwrap();
    assert_eq!(
        (letter.peer, letter.port),
        ("fe80::9".parse().unwrap(), 546)
    );
    assert_eq!(sent[..4], [MessageType::RECONFIGURE.0, 0, 0, 0]);
    assert_eq!(find(&sent, 1), Some(&CLIENT[..]));
    assert_eq!(find(&sent, 2), Some(&SERVER[..]));
    assert_eq!(find(&sent, 19), Some(&[5][..]));
    assert_eq!(
        Options::new(&sent[4..], 0).into_iter().count(),
        4,
        "and nothing else"
    );
    assert!(is_authentic(&sent, &key));
    let mut forged = sent.clone();
    forged[9] ^= 1;
    assert!(!is_authentic(&forged, &key));
    let (again, _) = server.reconfigure().unwrap();
    let values = [&sent, &again].map(|sent| authentication(sent).unwrap().0);
    assert!(
        given < values[0] && values[0] < values[1],
        "{given} {values:?}"
    );
}

/// A relay's fixed fields, its options but for the message, and the message.
fn layer(octets: &[u8]) -> (Vec<u8>, Vec<RelayOption>, Vec<u8>) {
    let (head, options) = octets.split_at(34);
    let (mut kept, mut inside) = (Vec::new(), Vec::new());
    for option in Options::new(options, 0).map(Result::unwrap) {
        match option.code {
            OptionCode::RELAY_MSG => inside = option.data.to_vec(),
            code => kept.push((code.0, option.data.to_vec())),
        }
    }
    (head.to_vec(), kept, inside)
}

type RelayOption = (u16, Vec<u8>);

#[test]
fn a_relayed_client_is_sent_it_through_its_relays() {
    let mut server = Server::new(Some(rkap(7)));
    let inner = relayed(0, &[(18, b"port"), (9, &message(3, true))]);
    // Relay Message first, and an option to be echoed.
    let outer = relayed(1, &[(9, &inner), (43, &[0, 37]), (37, b"\0\0\0\x09r")]);
    let reply = server.send(&outer);
    let (sent, letter) = server.reconfigure().unwrap();
    assert_eq!(
        (letter.peer, letter.port),
        ("fe80::9".parse().unwrap(), 547)
    );
    // Layer by layer as in the Reply, but for the innermost message.
    let (outer_sent, outer_replied) = (layer(&sent), layer(&reply));
    assert_eq!(
        (&outer_sent.0, &outer_sent.1),
        (&outer_replied.0, &outer_replied.1)
    );
    assert_eq!(outer_sent.1, [(37, b"\0\0\0\x09r".to_vec())]);
    let (inner_sent, inner_replied) = (layer(&outer_sent.2), layer(&outer_replied.2));
    assert_eq!(
        (&inner_sent.0, &inner_sent.1),
        (&inner_replied.0, &inner_replied.1)
    );
    assert_eq!(inner_sent.1, [(18, b"port".to_vec())]);
    let (_, _, key) = authentication(&inner_replied.2).unwrap();
    assert!(is_authentic(&inner_sent.2, &key));
}

#[test]
fn a_relay_with_a_port_of_its_own_is_not_written_to_blindly() {
    let mut server = Server::new(Some(rkap(7)));
    server.send(&relayed(0, &[(135, &[0, 0]), (9, &message(3, true))]));
    assert_eq!(server.reconfigure(), Err(Unreachable::RelayPort));
}

#[test]
fn a_renew_that_says_nothing_of_it_keeps_the_key_and_a_request_does_not() {
    let mut server = Server::new(Some(rkap(7)));
    server.send(&message(3, true));
    let renewed = server.send(&message(5, false));
    assert_eq!(find(&renewed, 11), None);
    assert!(server.reconfigure().is_ok());
    server.send(&message(6, false));
    assert!(server.reconfigure().is_ok());
    server.send(&message(3, false));
    assert_eq!(server.reconfigure(), Err(Unreachable::NotAccepted));
    assert!(server.binding().via.is_empty(), "its address is of no use");
}

#[test]
fn only_who_has_a_lease_is_sent_anything() {
    let mut server = Server::new(Some(rkap(7)));
    server.send(&message(3, true));
    let refused = |server: &Server, change: fn(&mut BindingRecord<'_>)| {
        let mut record = server.binding();
        change(&mut record);
        let context = Context::alone(&server.model, server.now);
        write(&mut [0; 600], &context, &record, RequestedMessage::Rebind)
    };
    assert!(refused(&server, |_| {}).is_ok());
    let ended = |record: &mut BindingRecord<'_>| record.status = BindingStatus::Released;
    assert_eq!(refused(&server, ended), Err(Unreachable::NoLease));
    let over = |record: &mut BindingRecord<'_>| record.expires = NOW;
    assert_eq!(refused(&server, over), Err(Unreachable::NoLease));
    let lost = |record: &mut BindingRecord<'_>| record.via = &[];
    assert_eq!(refused(&server, lost), Err(Unreachable::NoAddress));
    let context = Context::alone(&server.model, server.now);
    let short = write(
        &mut [0; 50],
        &context,
        &server.binding(),
        RequestedMessage::Renew,
    );
    assert_eq!(short, Err(Unreachable::TooLong));
}
