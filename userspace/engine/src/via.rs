//! How a client is reached, as its bindings keep it: see [`BindingRecord::via`](lease::BindingRecord).

use crate::ingress::Parsed;
use arrayvec::{ArrayVec, CapacityError};
use lease::VIA_LEN_MAX;
use wire::relay::RelayForward;
use wire::{MessageType, OptionCode, RawOption};

/// The octets of a binding's `via`.
pub(crate) type Via = ArrayVec<u8, VIA_LEN_MAX>;

/// For a relayed message the body of OPTION_LQ_RELAY_DATA (RFC 5007 §4.1.2.4): the relay next to
/// us, and its message without the client's. For a direct client that takes Reconfigure messages
/// its address, else nothing; nothing as well where all of it would be too long.
pub(crate) fn of(parsed: &Parsed<'_>) -> Via {
    let mut via = Via::new();
    let relays = &parsed.chain.relays;
    if relays.is_empty() && !parsed.index.reconf_accept {
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

    fn via(payload: &[u8]) -> Vec<u8> {
        let ingress = Ingress {
            payload,
            interface: InterfaceId(0),
            source: "2001:db8::7".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        };
        of(&parse(&ingress).unwrap()).to_vec()
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
        assert_eq!(via(&inner), [&source[..], &inner_kept].concat());
        assert_eq!(via(&outer), [&source[..], &outer_kept].concat());
    }

    #[test]
    fn a_direct_client_is_kept_only_if_it_takes_reconfigure_and_what_is_too_long_is_not() {
        assert!(via(&[1, 7, 8, 9]).is_empty());
        assert_eq!(via(&[1, 7, 8, 9, 0, 20, 0, 0]).len(), 16);
        let long = layer(0, &[(18, &[1; VIA_LEN_MAX]), (9, &[1, 7, 8, 9])]);
        assert!(via(&long).is_empty());
    }
}
