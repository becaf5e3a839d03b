//! Who a message is from, in the words of its relays and not in the client's own.
//!
//! Each identity is that of the relay nearest to the client whose layer has the option: that one
//! faces the client, and what relays behind it add names the port of a relay and not of a client. It
//! decides alone: if what it says cannot be read, there is no such identity, and the next relay's is
//! not taken for it. As with the link-address, this is worth as much as the access network that keeps
//! clients from sending Relay-forwards of their own (RFC 6221 §5.1).

use crate::ingress::Parsed;
use core::net::Ipv6Addr;
use wire::{Duid, OptionCode, RelayForward};

/// A Remote-Id: what a relay calls the far end of the line (RFC 4649 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteId<'a> {
    /// Whose numbering it is: an IANA enterprise number.
    pub enterprise: u32,
    /// At least one octet.
    pub id: &'a [u8],
}

/// A client's link-layer address, without its hardware type; at least one octet, six for Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLayerAddress<'a> {
    octets: &'a [u8],
    /// Of one worked out from an interface identifier.
    derived: [u8; 6],
    source: LinkLayerSource,
}

/// Where a link-layer address is from; in this order the first that there is counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayerSource {
    /// A relay's Client Link-Layer Address option (RFC 6939).
    Relay,
    /// The client's DUID of type DUID-LLT or DUID-LL (RFC 9915 §11.2, §11.4): of one of its
    /// interfaces, usually this one.
    Duid,
    /// The modified EUI-64 in the link-local address that the client sends from (RFC 4291
    /// Appendix A).
    LinkLocal,
}

impl LinkLayerAddress<'_> {
    /// The octets.
    pub fn octets(&self) -> &[u8] {
        match self.source {
            LinkLayerSource::LinkLocal => &self.derived,
            _ => self.octets,
        }
    }

    /// Where it is from.
    pub fn source(&self) -> LinkLayerSource {
        self.source
    }
}

impl<'a> Parsed<'a> {
    /// The Remote-Id (RFC 4649).
    pub fn remote_id(&self) -> Option<RemoteId<'a>> {
        let (enterprise, id) =
            nearest(self.relays(), OptionCode::REMOTE_ID)?.split_first_chunk()?;
        (!id.is_empty()).then_some(RemoteId {
            enterprise: u32::from_be_bytes(*enterprise),
            id,
        })
    }

    /// The Interface-Id (RFC 9915 §21.18), unique only together with the relay; not empty.
    pub fn interface_id(&self) -> Option<&'a [u8]> {
        let ids = self.relays().iter().rev().map(|relay| relay.interface_id);
        ids.flatten().next().filter(|id| !id.is_empty())
    }

    /// The Subscriber-Id (RFC 4580); not empty.
    pub fn subscriber_id(&self) -> Option<&'a [u8]> {
        nearest(self.relays(), OptionCode::SUBSCRIBER_ID).filter(|id| !id.is_empty())
    }

    /// The Relay-Id (RFC 5460 §5.4.1): the DUID of the relay itself.
    pub fn relay_id(&self) -> Option<Duid<'a>> {
        nearest(self.relays(), OptionCode::RELAY_ID).and_then(Duid::new)
    }

    /// The client's link-layer address, which is the same whichever way the packet came in: the
    /// source address of a direct client's frame does not count, because the kernel's socket does
    /// not tell it.
    pub fn link_layer_address(&self) -> Option<LinkLayerAddress<'a>> {
        let relayed = nearest(self.relays(), OptionCode::CLIENT_LINKLAYER_ADDR);
        if let Some(option) = relayed {
            let octets = option.get(2..).filter(|octets| !octets.is_empty())?;
            return Some(LinkLayerAddress {
                octets,
                derived: [0; 6],
                source: LinkLayerSource::Relay,
            });
        }
        let own = self.client_id().and_then(of_duid);
        if let Some(octets) = own {
            return Some(LinkLayerAddress {
                octets,
                derived: [0; 6],
                source: LinkLayerSource::Duid,
            });
        }
        let address = match self.relays().last() {
            Some(relay) => Ipv6Addr::from_bits(relay.peer_address),
            None => self.ingress.source,
        };
        Some(LinkLayerAddress {
            octets: &[],
            derived: of_link_local(address)?,
            source: LinkLayerSource::LinkLocal,
        })
    }
}

/// The data of the option in the layer nearest to the client that has it.
pub(crate) fn nearest<'a>(relays: &[RelayForward<'a>], code: OptionCode) -> Option<&'a [u8]> {
    let mut layers = relays.iter().rev();
    layers.find_map(|relay| relay.options.find(code).map(|option| option.data))
}

/// Hardware types whose addresses are those of Ethernet: Ethernet itself and IEEE 802 (IANA ARP
/// parameters).
const ETHERNET: [[u8; 2]; 2] = [[0, 1], [0, 6]];

/// The Ethernet address that a DUID is made of: type, hardware type, for DUID-LLT the time.
fn of_duid(duid: Duid<'_>) -> Option<&[u8]> {
    let (head, rest) = duid.octets().split_first_chunk::<4>()?;
    let octets = match head[..2] {
        [0, 1] => rest.get(4..)?,
        [0, 3] => rest,
        _ => return None,
    };
    let is_ethernet = ETHERNET.iter().any(|hardware| *hardware == head[2..]);
    (is_ethernet && octets.len() == 6).then_some(octets)
}

fn of_link_local(address: Ipv6Addr) -> Option<[u8; 6]> {
    match address.octets() {
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a, b, c, 0xff, 0xfe, d, e, f] => {
            Some([a ^ 2, b, c, d, e, f])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ingress, InterfaceId, parse};

    const CLIENT: [u8; 4] = [1, 7, 8, 9];

    fn option(code: u16, data: &[u8]) -> Vec<u8> {
        let mut octets = code.to_be_bytes().to_vec();
        octets.extend((data.len() as u16).to_be_bytes());
        octets.extend_from_slice(data);
        octets
    }

    /// A layer around `inner`, from a relay that heard the client or relay at `peer`.
    fn layer(peer: &str, options: &[(u16, &[u8])], inner: &[u8]) -> Vec<u8> {
        let mut octets = vec![12, 0];
        octets.extend([0; 16]);
        octets.extend(peer.parse::<Ipv6Addr>().unwrap().octets());
        for (code, data) in options {
            octets.extend(option(*code, data));
        }
        octets.extend(option(9, inner));
        octets
    }

    fn with<T>(payload: &[u8], source: &str, look: impl FnOnce(&Parsed<'_>) -> T) -> T {
        let ingress = Ingress {
            payload,
            interface: InterfaceId(0),
            source: source.parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        };
        look(&parse(&ingress).unwrap())
    }

    fn mac(payload: &[u8], source: &str) -> Option<(Vec<u8>, LinkLayerSource)> {
        with(payload, source, |parsed| {
            let address = parsed.link_layer_address()?;
            Some((address.octets().to_vec(), address.source()))
        })
    }

    #[test]
    fn the_relay_nearest_to_the_client_that_has_an_option_names_it() {
        let inner = layer(
            "fe80::1",
            &[(18, b"port 1"), (37, b"\0\0\x0d\xe9line")],
            &CLIENT,
        );
        let outer = layer(
            "fe80::2",
            &[
                (18, b"uplink"),
                (37, b"\0\0\0\x01bng"),
                (38, b"sub"),
                (53, b"\0\x03\0\x01r"),
            ],
            &inner,
        );
        with(&outer, "2001:db8::1", |parsed| {
            assert_eq!(parsed.interface_id(), Some(&b"port 1"[..]));
            let remote = RemoteId {
                enterprise: 3561,
                id: b"line",
            };
            assert_eq!(parsed.remote_id(), Some(remote));
            assert_eq!(parsed.subscriber_id(), Some(&b"sub"[..]));
            let relay = parsed.relay_id().map(Duid::octets);
            assert_eq!(relay, Some(&b"\0\x03\0\x01r"[..]));
        });
    }

    #[test]
    fn what_the_nearest_says_in_a_way_that_cannot_be_read_is_not_taken_from_the_next() {
        for short in [&b"\0\0\0"[..], b"\0\0\0\x01"] {
            let options: [(u16, &[u8]); 5] = [
                (18, b""),
                (37, short),
                (38, b""),
                (53, b"\0"),
                (79, b"\0\x01"),
            ];
            let inner = layer("fe80::1", &options, &CLIENT);
            let options: [(u16, &[u8]); 5] = [
                (18, b"if"),
                (37, b"\0\0\0\x01id"),
                (38, b"sub"),
                (53, b"\0\x03\0\x01r"),
                (79, b"\0\x01abcdef"),
            ];
            let outer = layer("fe80::2", &options, &inner);
            with(&outer, "2001:db8::1", |parsed| {
                assert_eq!(parsed.interface_id(), None);
                assert_eq!(parsed.remote_id(), None);
                assert_eq!(parsed.subscriber_id(), None);
                assert_eq!(parsed.relay_id(), None);
                assert_eq!(parsed.link_layer_address(), None);
            });
        }
    }

    #[test]
    fn rfc6939_a_relay_tells_the_link_layer_address_before_duid_and_source_address() {
        let mut client = CLIENT.to_vec();
        client.extend(option(1, b"\0\x01\0\x01timeABCDEF"));
        let eui64 = "fe80::5054:ff:fe12:3456";
        let told = layer(eui64, &[(79, b"\0\x01abcdef")], &client);
        let silent = layer(eui64, &[], &client);
        let relay = "2001:db8::1";
        let of = |octets: &[u8], source| Some((octets.to_vec(), source));
        assert_eq!(mac(&told, relay), of(b"abcdef", LinkLayerSource::Relay));
        assert_eq!(mac(&silent, relay), of(b"ABCDEF", LinkLayerSource::Duid));
        let local = of(
            &[0x52, 0x54, 0, 0x12, 0x34, 0x56],
            LinkLayerSource::LinkLocal,
        );
        assert_eq!(mac(&layer(eui64, &[], &CLIENT), relay), local);
        assert_eq!(mac(&CLIENT, eui64), local);
    }

    #[test]
    fn a_duid_or_source_address_that_holds_no_ethernet_address_tells_none() {
        let of = |duid: &[u8]| {
            let mut client = CLIENT.to_vec();
            client.extend(option(1, duid));
            mac(&client, "fe80::1:2:3:4")
        };
        assert!(of(b"\0\x03\0\x06abcdef").is_some());
        for duid in [
            &b"\0\x03\0\x01abcde"[..],
            b"\0\x03\0\x20abcdef",
            b"\0\x01\0\x01abcdef",
            b"\0\x02\0\x01abcdef",
            b"\0\x03\0",
        ] {
            assert_eq!(of(duid), None, "{duid:?}");
        }
        // Not link-local, or not EUI-64.
        assert_eq!(mac(&CLIENT, "2001:db8::5054:ff:fe12:3456"), None);
        assert_eq!(mac(&CLIENT, "fe80::5054:ff:ff12:3456"), None);
    }
}
