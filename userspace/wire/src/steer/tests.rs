extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::{MessageIndex, OptionCode, RelayChain, SubscriberKey};

type RawOptions = Vec<(u16, Vec<u8>)>;

fn put_options(message: &mut Vec<u8>, options: &[(u16, Vec<u8>)]) {
    for (code, data) in options {
        message.extend(code.to_be_bytes());
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    }
}

fn any_options(max: usize) -> impl Strategy<Value = RawOptions> {
    // Codes without a format that the parser would check.
    let code = 1_000_u16..2_000;
    prop::collection::vec((code, prop::collection::vec(any::<u8>(), 0..12)), 0..max)
}

/// A well-formed payload with this DUID, within up to nine relay layers.
fn payload(
    layers: &[(RawOptions, RawOptions)],
    duid: &[u8],
    around: &(RawOptions, RawOptions),
) -> Vec<u8> {
    let mut message = vec![1, 1, 2, 3];
    put_options(&mut message, &around.0);
    put_options(&mut message, &[(1, duid.to_vec())]);
    put_options(&mut message, &around.1);
    for (before, after) in layers {
        let mut relay = vec![0; 34];
        relay[0] = 12;
        put_options(&mut relay, before);
        put_options(&mut relay, &[(9, message)]);
        put_options(&mut relay, after);
        message = relay;
    }
    message
}

/// Among them options that subscribers are told apart by, some of which name nobody.
fn any_relay_options() -> impl Strategy<Value = RawOptions> {
    use prop::collection::vec;
    let code = prop::sample::select(vec![18_u16, 37, 38, 1_000]);
    let data = prop_oneof![vec(any::<u8>(), 0..=5), vec(any::<u8>(), IDENTITY_LEN_MAX)];
    vec((code, data), 0..3)
}

/// The payload behind headers that are served.
fn framed(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16 + 8).to_be_bytes();
    let mut frame = vec![0; 12];
    frame.extend(ETHERTYPE_IPV6.to_be_bytes());
    frame.extend([0x60, 0, 0, 0, len[0], len[1], NEXT_HEADER_UDP, 1]);
    frame.extend([0; 16]);
    frame.extend(ALL_SERVERS.to_be_bytes());
    frame.extend([2, 35, 2, 35, len[0], len[1], 0, 0]);
    frame.extend(payload);
    frame
}

fn whole(payload: &[u8]) -> Span {
    Span {
        at: 0,
        end: payload.len(),
    }
}

proptest! {
    #[test]
    fn the_walk_and_the_parser_find_the_same_duid(
        layers in prop::collection::vec((any_options(4), any_options(3)), 0..10),
        duid in prop::collection::vec(any::<u8>(), 3..=130),
        around in (any_options(6), any_options(6)),
    ) {
        let payload = payload(&layers, &duid, &around);
        let located = locate_duid(&payload.as_slice(), whole(&payload));
        if layers.len() > RELAY_LAYERS_MAX {
            prop_assert_eq!(located, Err(Pass::TooDeep));
            prop_assert!(RelayChain::parse(&payload).is_err());
            return Ok(());
        }
        let span = located.expect("a DUID");
        prop_assert_eq!(&payload[span.at..span.end], duid.as_slice());
        let chain = RelayChain::parse(&payload).expect("well formed");
        let index = MessageIndex::new(&chain.message).expect("well formed");
        let parsed = index.client_id.expect("a DUID");
        prop_assert_eq!(parsed.octets(), duid.as_slice());
        prop_assert_eq!(shard_of_span(&payload.as_slice(), span), Ok(shard_of(&duid)));
    }

    #[test]
    fn the_walk_and_the_parser_find_the_same_subscriber(
        layers in prop::collection::vec((any_relay_options(), any_relay_options()), 0..10),
        duid in prop::collection::vec(any::<u8>(), 3..=130),
        key in prop::sample::select(&ClientKey::ALL[1..]),
    ) {
        let payload = payload(&layers, &duid, &(Vec::new(), Vec::new()));
        let located = locate_identity(&payload.as_slice(), whole(&payload), key);
        if layers.len() > RELAY_LAYERS_MAX {
            prop_assert_eq!(located, Err(Pass::TooDeep));
            return Ok(());
        }
        let chain = RelayChain::parse(&payload).expect("well formed");
        let mut nearest_first = chain.relays.iter().rev();
        let code = OptionCode(key.code());
        let said = nearest_first.find_map(|relay| relay.options.find(code));
        let identity = said.map(|option| option.data);
        let subscriber = identity.and_then(|id| SubscriberKey::new(key, 7, id, |_| [0; 16]));
        let expected = match identity.filter(|_| subscriber.is_some()) {
            Some(identity) => identity,
            None => duid.as_slice(),
        };
        let span = located.expect("a client");
        prop_assert_eq!(&payload[span.at..span.end], expected);

        let shard = subscriber.map_or_else(|| shard_of(&duid), |key| key.duid().shard());
        let frame = framed(&payload);
        let found = shard_of_frame(&frame.as_slice(), key, |_| false);
        match frame.len() > STEERED_LEN_MAX {
            true => prop_assert_eq!(found, Err(Pass::FrameTooLong)),
            false => prop_assert_eq!(found, Ok(shard)),
        }
    }

    #[test]
    fn any_octets_are_walked_without_panic(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let packet = payload.as_slice();
        for key in ClientKey::ALL {
            let _: Result<ShardId, Pass> = shard_of_frame(&packet, key, |_| true);
            if let Ok(span) = locate_identity(&packet, whole(&payload), key) {
                prop_assert!(span.at <= span.end && span.end <= payload.len());
            }
        }
        if let Ok(span) = locate_duid(&packet, whole(&payload)) {
            prop_assert!(span.at <= span.end && span.end <= payload.len());
        }
    }

    #[test]
    fn a_duid_of_any_length_has_one_hash(duid in prop::collection::vec(any::<u8>(), 1..=130)) {
        let mut packet = vec![0xff; 8];
        packet.extend(&duid);
        let span = Span { at: 8, end: packet.len() };
        prop_assert_eq!(shard_of_span(&packet.as_slice(), span), Ok(shard_of(&duid)));
    }
}

/// The hash is in snapshots and in addresses: it must never come out differently.
#[test]
fn the_hash_is_what_it_was() {
    let ramp: Vec<u8> = (0..130).collect();
    let shards = [1, 3, 8, 10, 14, 18, 130].map(|len| shard_of(&ramp[..len]).0);
    assert_eq!(shards, [47, 31, 182, 87, 238, 164, 168]);
}

#[test]
fn clients_of_one_vendor_spread_over_all_shards() {
    let mut clients = [0_u32; SHARDS];
    for client in 0..65_536_u32 {
        let [_, high, middle, low] = client.to_be_bytes();
        let duid = [0, 3, 0, 1, 0x52, 0x54, 0, high, middle, low];
        clients[usize::from(shard_of(&duid).0)] += 1;
    }
    let (least, most) = (clients.iter().min(), clients.iter().max());
    assert!(
        least > Some(&160) && most < Some(&352),
        "{least:?} to {most:?} of 256"
    );
}

#[test]
fn reasons_are_indexed_in_order_and_have_labels_of_their_own() {
    for (index, reason) in Pass::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, index);
        assert!(
            Pass::ALL[..index]
                .iter()
                .all(|other| other.label() != reason.label())
        );
    }
}
