extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn layer(hop_count: u8, link_address: u128, options: &[(OptionCode, &[u8])]) -> Vec<u8> {
    let mut octets = vec![12, hop_count];
    octets.extend(link_address.to_be_bytes());
    octets.extend((u128::from(hop_count) + 100).to_be_bytes());
    for (code, data) in options {
        octets.extend(code.0.to_be_bytes());
        octets.extend((data.len() as u16).to_be_bytes());
        octets.extend_from_slice(data);
    }
    octets
}

fn relayed(layers: u8) -> Vec<u8> {
    (0..layers).fold(vec![1, 7, 8, 9], |inner, hop_count| {
        let id = [hop_count; 3];
        let options = [
            (OptionCode::INTERFACE_ID, &id[..]),
            (OptionCode::RELAY_MSG, &inner),
        ];
        layer(hop_count, u128::from(hop_count), &options)
    })
}

#[test]
fn layers_come_outermost_first_up_to_the_limit() {
    for layers in 0..=8 {
        let octets = relayed(layers);
        let chain = RelayChain::parse(&octets).unwrap();
        assert_eq!(chain.relays.len(), usize::from(layers));
        assert_eq!(chain.message.transaction_id, [7, 8, 9]);
        for (relay, hop_count) in chain.relays.iter().zip((0..layers).rev()) {
            assert_eq!(relay.hop_count, hop_count);
            assert_eq!(relay.interface_id, Some(&[hop_count; 3][..]));
            assert_eq!(relay.peer_address, u128::from(hop_count) + 100);
        }
    }
    let error = RelayChain::parse(&relayed(9)).unwrap_err();
    assert_eq!(
        error,
        ChainError::TooDeep {
            offset: 8 * (34 + 7 + 4)
        }
    );
}

#[test]
fn zero_link_addresses_are_passed_over() {
    let octets = relayed(3);
    assert_eq!(RelayChain::parse(&octets).unwrap().link_address(), Some(1));
    let octets = relayed(1);
    assert_eq!(RelayChain::parse(&octets).unwrap().link_address(), None);
}

#[test]
fn each_fault_has_its_name_and_place() {
    let solicit = [1, 7, 8, 9];
    let two = [
        (OptionCode::RELAY_MSG, &solicit[..]),
        (OptionCode::RELAY_MSG, &solicit),
    ];
    let reply = [13; 40];
    let cases = [
        (layer(0, 0, &[]), "relay-without-message"),
        (layer(0, 0, &two), "relay-message-repeated"),
        (
            layer(0, 0, &[(OptionCode::RELAY_MSG, &reply)]),
            "relay-reply",
        ),
        (layer(0, 0, &[(OptionCode::RELAY_MSG, &[])]), "short-header"),
        (
            layer(0, 0, &[(OptionCode::RELAY_MSG, &[12, 0])]),
            "short-header",
        ),
        (
            [layer(0, 0, &two[..1]), vec![0, 1]].concat(),
            "stray-octets",
        ),
        (vec![], "short-header"),
    ];
    for (octets, reason) in cases {
        assert_eq!(RelayChain::parse(&octets).unwrap_err().reason(), reason);
    }
}

#[test]
fn truncation_at_every_octet_is_an_error() {
    let whole = relayed(3);
    for len in 0..whole.len() {
        assert!(RelayChain::parse(&whole[..len]).is_err(), "{len} octets");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn damage_gives_a_chain_or_an_error(at in 0_usize..200, octet: u8, layers in 0_u8..9) {
        let mut octets = relayed(layers);
        if let Some(place) = octets.get_mut(at) {
            *place = octet;
        }
        let _ = RelayChain::parse(&octets);
    }
}

#[test]
fn rfc8357_5_2_a_relay_is_answered_at_its_source_port_only_if_it_asks() {
    let with = layer(
        0,
        1,
        &[
            (OptionCode::RELAY_PORT, &[0, 0]),
            (OptionCode::RELAY_MSG, &[1]),
        ],
    );
    assert_eq!(answer_port(&with, 1_000), 1_000);
    assert_eq!(answer_port(&with, 547), 547);
    assert_eq!(answer_port(&relayed(2), 1_000), 547);
    // What stands in an inner layer is that relay's affair.
    let outer = layer(1, 0, &[(OptionCode::RELAY_MSG, &with)]);
    assert_eq!(answer_port(&outer, 1_000), 547);
    assert_eq!(answer_port(&[1, 2, 3, 4], 1_000), 546);
    assert_eq!(answer_port(&[12], 1_000), 547);
}

#[test]
fn a_layer_says_whether_its_relay_asks_for_more() {
    let plain = layer(0, 1, &[(OptionCode::RELAY_MSG, &[1, 7, 8, 9])]);
    let chain = RelayChain::parse(&plain).unwrap();
    assert!(!chain.relays[0].wants_echo && !chain.relays[0].supplies_options);
    for code in [OptionCode::ERO, OptionCode::RELAY_PORT] {
        let octets = layer(
            0,
            1,
            &[(code, &[0, 37]), (OptionCode::RELAY_MSG, &[1, 7, 8, 9])],
        );
        assert!(
            RelayChain::parse(&octets).unwrap().relays[0].wants_echo,
            "{code}"
        );
    }
    let octets = layer(
        0,
        1,
        &[
            (OptionCode::RELAY_MSG, &[1, 7, 8, 9]),
            (OptionCode::RSOO, &[]),
        ],
    );
    assert!(RelayChain::parse(&octets).unwrap().relays[0].supplies_options);
}
