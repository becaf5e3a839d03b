//! How a client is reached, as its bindings keep it: see [`BindingRecord::via`](lease::BindingRecord).

use crate::identity::nearest;
use crate::ingress::Parsed;
use arrayvec::{ArrayVec, CapacityError};
use core::net::Ipv6Addr;
use lease::VIA_LEN_MAX;
use wire::relay::{RELAY_HEADER_LEN, RelayForward};
use wire::{HOP_COUNT_LIMIT, MessageType, OptionCode, Options, RawOption};

/// The octets of a binding's `via`.
pub(crate) type Via = ArrayVec<u8, VIA_LEN_MAX>;

/// For a relayed message the body of OPTION_LQ_RELAY_DATA (RFC 5007 §4.1.2.4): the relay next to
/// us, and its message without the client's. For a direct client its address if that `is_wanted`,
/// else nothing; nothing as well where all of it would be too long.
pub(crate) fn of(parsed: &Parsed<'_>, is_wanted: bool) -> Via {
    let mut via = Via::new();
    let relays = &parsed.chain.relays;
    if relays.is_empty() && !is_wanted {
        return via;
    }
    let source = parsed.ingress.source.octets();
    let written = via
        .try_extend_from_slice(&source)
        .and_then(|()| match one_layer(parsed) {
            Some(octets) => via.try_extend_from_slice(octets),
            None => forward(relays, &mut via),
        });
    if written.is_err() {
        via.clear();
    }
    via
}

/// What a single relay sent in front of the client's message, if nothing is behind it.
fn one_layer<'a>(parsed: &Parsed<'a>) -> Option<&'a [u8]> {
    let [relay] = &parsed.chain.relays[..] else {
        return None;
    };
    parsed.ingress.payload.get(..relay.message_at_end? as usize)
}

/// The layers, outermost first, as the relays sent them but for the innermost Relay Message.
fn forward(relays: &[RelayForward<'_>], out: &mut Via) -> Result<(), CapacityError> {
    let Some((relay, inner)) = relays.split_first() else {
        return Ok(());
    };
    out.try_extend_from_slice(&[MessageType::RELAY_FORW.0, relay.hop_count])?;
    out.try_extend_from_slice(&relay.link_address.to_be_bytes())?;
    out.try_extend_from_slice(&relay.peer_address.to_be_bytes())?;
    for option in relay.options.map_while(Result::ok) {
        if option.code != OptionCode::RELAY_MSG {
            head(&option, option.data.len(), out)?;
            out.try_extend_from_slice(option.data)?;
        } else if !inner.is_empty() {
            head(&option, 0, out)?;
            let begins = out.len();
            forward(inner, out)?;
            // At most VIA_LEN_MAX, which two octets can say.
            let len = (out.len() - begins) as u16;
            out[begins - 2..begins].copy_from_slice(&len.to_be_bytes());
        }
    }
    Ok(())
}

/// What [`of`] wrote: the address that a message for the client goes to, and the layers around it,
/// outermost first; `None` if it is not on record. It may be a partner's, so nothing in it is sure.
pub(crate) fn read(via: &[u8]) -> Option<(Ipv6Addr, ArrayVec<RelayForward<'_>, HOP_COUNT_LIMIT>)> {
    let (address, forward) = via.split_first_chunk()?;
    let mut relays = ArrayVec::new();
    let mut rest = Some(forward).filter(|octets| !octets.is_empty());
    while let Some(octets) = rest {
        let (layer, inner) = layer(octets)?;
        relays.try_push(layer).ok()?;
        rest = inner;
    }
    Some((Ipv6Addr::from_octets(*address), relays))
}

/// What the relay nearest to the client said in an option, by a binding's
/// [`via`](lease::BindingRecord::via); `None` if none of them did, or it is not on record.
pub fn relayed_option(via: &[u8], code: OptionCode) -> Option<&[u8]> {
    let (_, relays) = read(via)?;
    nearest(&relays, code)
}

/// One layer, and the one in its Relay Message option, if it has one.
fn layer(octets: &[u8]) -> Option<(RelayForward<'_>, Option<&[u8]>)> {
    let (head, rest) = octets.split_first_chunk::<RELAY_HEADER_LEN>()?;
    let ([msg_type, hop_count], addresses) = head.split_first_chunk()?;
    let (link, peer) = addresses.split_first_chunk()?;
    let options = Options::new(rest, 0);
    if *msg_type != MessageType::RELAY_FORW.0 || options.into_iter().any(|o| o.is_err()) {
        return None;
    }
    let has = |code| options.find(code).is_some();
    let layer = RelayForward {
        link_address: u128::from_be_bytes(*link),
        peer_address: u128::from_be_bytes(peer.try_into().ok()?),
        hop_count: *hop_count,
        interface_id: options.find(OptionCode::INTERFACE_ID).map(|o| o.data),
        wants_echo: has(OptionCode::ERO) || has(OptionCode::RELAY_PORT),
        supplies_options: has(OptionCode::RSOO),
        options,
        message_at_end: None,
    };
    Some((layer, options.find(OptionCode::RELAY_MSG).map(|o| o.data)))
}

fn head(option: &RawOption<'_>, len: usize, out: &mut Via) -> Result<(), CapacityError> {
    let ([a, b], [c, d]) = (option.code.0.to_be_bytes(), (len as u16).to_be_bytes());
    out.try_extend_from_slice(&[a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ingress, InterfaceId, parse};

    fn layer(hops: u8, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut octets = vec![12, hops];
        octets.extend([hops; 32]);
        for (code, data) in options {
            octets.extend(code.to_be_bytes());
            octets.extend((data.len() as u16).to_be_bytes());
            octets.extend_from_slice(data);
        }
        octets
    }

    fn via(payload: &[u8], is_wanted: bool) -> Vec<u8> {
        let ingress = Ingress {
            payload,
            interface: InterfaceId(0),
            source: "2001:db8::7".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        };
        of(&parse(&ingress).unwrap(), is_wanted).to_vec()
    }

    #[test]
    fn rfc5007_4_1_2_4_the_client_s_message_is_cut_out_and_all_else_kept() {
        let source = "2001:db8::7"
            .parse::<core::net::Ipv6Addr>()
            .unwrap()
            .octets();
        let client = [1, 7, 8, 9];
        // An option behind the Relay Message, too.
        let inner = layer(0, &[(18, b"port"), (9, &client), (37, b"\0\0\0\x09r")]);
        let outer = layer(1, &[(9, &inner), (38, b"sub")]);
        let inner_kept = layer(0, &[(18, b"port"), (37, b"\0\0\0\x09r")]);
        let outer_kept = layer(1, &[(9, &inner_kept), (38, b"sub")]);
        assert_eq!(via(&inner, false), [&source[..], &inner_kept].concat());
        assert_eq!(via(&outer, false), [&source[..], &outer_kept].concat());
    }

    #[test]
    fn a_direct_client_is_kept_only_if_wanted_and_what_is_too_long_is_not() {
        assert!(via(&[1, 7, 8, 9], false).is_empty());
        assert_eq!(via(&[1, 7, 8, 9], true).len(), 16);
        let long = layer(0, &[(18, &[1; VIA_LEN_MAX]), (9, &[1, 7, 8, 9])]);
        assert!(via(&long, true).is_empty());
    }

    #[test]
    fn what_is_kept_is_read_back_layer_by_layer() {
        let inner = layer(0, &[(18, b"port"), (9, &[1, 7, 8, 9])]);
        let outer = layer(1, &[(43, &[0, 37]), (9, &inner), (37, b"\0\0\0\x09r")]);
        let kept = via(&outer, false);
        let (address, relays) = read(&kept).unwrap();
        assert_eq!(address, "2001:db8::7".parse::<Ipv6Addr>().unwrap());
        let [first, second] = &relays[..] else {
            panic!("two layers: {relays:?}");
        };
        assert_eq!((first.hop_count, second.hop_count), (1, 0));
        assert_eq!(first.peer_address, u128::from_be_bytes([1; 16]));
        assert_eq!(first.interface_id, None);
        assert_eq!(second.interface_id, Some(&b"port"[..]));
        assert!(first.wants_echo && !second.wants_echo);
        assert_eq!(relayed_option(&kept, OptionCode(18)), Some(&b"port"[..]));
        let outer_word = relayed_option(&kept, OptionCode(37));
        assert_eq!(outer_word, Some(&b"\0\0\0\x09r"[..]));
        assert_eq!(relayed_option(&kept, OptionCode(38)), None);
        let direct = via(&[1, 7, 8, 9], true);
        assert!(read(&direct).is_some_and(|(_, relays)| relays.is_empty()));
    }

    #[test]
    fn what_no_server_has_written_is_no_way_to_a_client() {
        let kept = via(&layer(0, &[(18, b"port"), (9, &[1, 7, 8, 9])]), false);
        for len in (0..kept.len()).filter(|len| *len != 16 && *len != 16 + RELAY_HEADER_LEN) {
            assert_eq!(read(&kept[..len]), None, "cut at {len}");
        }
        let mut reply = kept.clone();
        reply[16] = 13;
        assert_eq!(read(&reply), None);
        let mut deep = layer(0, &[]);
        for hops in 1..=8 {
            deep = layer(hops, &[(9, &deep)]);
        }
        assert_eq!(read(&[&[0; 16][..], &deep].concat()), None, "nine layers");
    }
}
