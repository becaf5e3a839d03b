//! What a message says of its sender besides the DUID that bindings are keyed by: what the client
//! tells of itself and what its relays add.

use crate::identity::LinkLayerAddress;
use crate::ingress::Parsed;
use arrayvec::ArrayVec;
use wire::{Duid, OptionCode};

/// Facts of one message that are looked at. What relays say comes first, so that a client which
/// says more than fits hides nothing but words of its own.
const FACTS_MAX: usize = 32;

/// Something that messages may say of their senders; what relays say is taken as by
/// [`Parsed::remote_id`] and its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// Remote-Id, with an enterprise number (RFC 4649).
    RemoteId,
    /// Interface-Id (RFC 9915 §21.18).
    InterfaceId,
    /// Subscriber-Id (RFC 4580).
    SubscriberId,
    /// The DUID of a relay (RFC 5460).
    RelayId,
    /// The client's DUID.
    Duid,
    /// The client's link-layer address; see [`Parsed::link_layer_address`].
    LinkLayerAddress,
    /// Client System Architecture Types, each two octets (RFC 5970 §3.3).
    Architecture,
    /// Each string of a User Class (RFC 9915 §21.15).
    UserClass,
    /// Each string of each Vendor Class, with its enterprise number (RFC 9915 §21.16).
    VendorClass,
    /// Vendor-specific Information, with its enterprise number (RFC 9915 §21.17).
    VendorOpts,
}

/// Several attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes(u16);

/// One thing that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact<'a> {
    of: Attribute,
    /// 0 where there is none.
    pub(crate) enterprise: u32,
    pub(crate) octets: &'a [u8],
}

/// What one message says.
pub(crate) struct Said<'a> {
    facts: ArrayVec<Fact<'a>, FACTS_MAX>,
    /// Beside the facts, because it may be worked out and stand in no message.
    link_layer: Option<LinkLayerAddress<'a>>,
}

impl Attributes {
    /// These and one more.
    pub(crate) fn with(self, attribute: Attribute) -> Self {
        Self(self.0 | 1 << attribute as u16)
    }

    fn has(self, attribute: Attribute) -> bool {
        self.0 & 1 << attribute as u16 != 0
    }
}

impl<'a> Said<'a> {
    /// What a message says of these attributes. Malformed data ends what it stands in and nothing
    /// else: no client is refused an answer for what only classes look at.
    pub(crate) fn by(parsed: &Parsed<'a>, wanted: Attributes) -> Self {
        let mut said = Self {
            facts: ArrayVec::new(),
            link_layer: None,
        };
        said.hear_identities(parsed, wanted);
        let of_client = [
            Attribute::Architecture,
            Attribute::UserClass,
            Attribute::VendorClass,
            Attribute::VendorOpts,
        ];
        if of_client.into_iter().any(|attribute| wanted.has(attribute)) {
            said.hear_client(parsed, wanted);
        }
        said
    }

    /// What is said of one attribute.
    pub(crate) fn of(&self, attribute: Attribute) -> impl Iterator<Item = Fact<'_>> {
        let link_layer = self.link_layer.as_ref().map(|address| Fact {
            of: Attribute::LinkLayerAddress,
            enterprise: 0,
            octets: address.octets(),
        });
        let all = self.facts.iter().copied().chain(link_layer);
        all.filter(move |fact| fact.of == attribute)
    }

    /// What relays say, or else stands in the DUID.
    fn hear_identities(&mut self, parsed: &Parsed<'a>, wanted: Attributes) {
        if wanted.has(Attribute::RemoteId)
            && let Some(remote) = parsed.remote_id()
        {
            self.add(Attribute::RemoteId, remote.enterprise, remote.id);
        }
        for of in [
            Attribute::InterfaceId,
            Attribute::SubscriberId,
            Attribute::RelayId,
            Attribute::Duid,
        ] {
            if !wanted.has(of) {
                continue;
            }
            let identity = match of {
                Attribute::InterfaceId => parsed.interface_id(),
                Attribute::SubscriberId => parsed.subscriber_id(),
                Attribute::RelayId => parsed.relay_id().map(Duid::octets),
                _ => parsed.client_id().map(Duid::octets),
            };
            if let Some(octets) = identity {
                self.add(of, 0, octets);
            }
        }
        if wanted.has(Attribute::LinkLayerAddress) {
            self.link_layer = parsed.link_layer_address();
        }
    }

    fn hear_client(&mut self, parsed: &Parsed<'a>, wanted: Attributes) {
        for option in parsed.chain.message.options.map_while(Result::ok) {
            match option.code {
                OptionCode::CLIENT_ARCH_TYPE if wanted.has(Attribute::Architecture) => {
                    let (types, _) = option.data.as_chunks::<2>();
                    for octets in types {
                        self.add(Attribute::Architecture, 0, octets);
                    }
                }
                OptionCode::USER_CLASS if wanted.has(Attribute::UserClass) => {
                    for octets in strings(option.data) {
                        self.add(Attribute::UserClass, 0, octets);
                    }
                }
                OptionCode::VENDOR_CLASS if wanted.has(Attribute::VendorClass) => {
                    let Some((enterprise, rest)) = enterprise(option.data) else {
                        continue;
                    };
                    // The enterprise counts by itself, too.
                    if rest.is_empty() {
                        self.add(Attribute::VendorClass, enterprise, rest);
                    }
                    for octets in strings(rest) {
                        self.add(Attribute::VendorClass, enterprise, octets);
                    }
                }
                OptionCode::VENDOR_OPTS if wanted.has(Attribute::VendorOpts) => {
                    if let Some((enterprise, octets)) = enterprise(option.data) {
                        self.add(Attribute::VendorOpts, enterprise, octets);
                    }
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, of: Attribute, enterprise: u32, octets: &'a [u8]) {
        let fact = Fact {
            of,
            enterprise,
            octets,
        };
        // Beyond the most that are looked at it counts as not said.
        let _full = self.facts.try_push(fact);
    }
}

/// An enterprise number and what stands behind it.
fn enterprise(data: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = data.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// Strings, each behind its length in two octets, up to the first that is cut short.
fn strings(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (len, rest) = octets.split_first_chunk()?;
        let (string, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        octets = rest;
        Some(string)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ingress, InterfaceId, parse};

    const ALL: [Attribute; 10] = [
        Attribute::RemoteId,
        Attribute::InterfaceId,
        Attribute::SubscriberId,
        Attribute::RelayId,
        Attribute::Duid,
        Attribute::LinkLayerAddress,
        Attribute::Architecture,
        Attribute::UserClass,
        Attribute::VendorClass,
        Attribute::VendorOpts,
    ];

    fn option(code: u16, data: &[u8]) -> Vec<u8> {
        let mut octets = code.to_be_bytes().to_vec();
        octets.extend((data.len() as u16).to_be_bytes());
        octets.extend_from_slice(data);
        octets
    }

    fn solicit(options: &[Vec<u8>]) -> Vec<u8> {
        [&[1, 7, 8, 9][..], &options.concat()].concat()
    }

    fn forward(inner: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
        [&[12; 34][..], &options.concat(), &option(9, inner)].concat()
    }

    /// What is said of each attribute: enterprise number and octets.
    fn said(payload: &[u8]) -> Vec<(Attribute, u32, Vec<u8>)> {
        let ingress = Ingress {
            payload,
            interface: InterfaceId(0),
            source: "fe80::7".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        };
        let wanted = ALL
            .into_iter()
            .fold(Attributes::default(), Attributes::with);
        let parsed = parse(&ingress).unwrap();
        let said = Said::by(&parsed, wanted);
        let facts = ALL.into_iter().flat_map(|attribute| said.of(attribute));
        facts
            .map(|fact| (fact.of, fact.enterprise, fact.octets.to_vec()))
            .collect()
    }

    #[test]
    fn what_relays_say_is_found_beside_the_client_s_own_words() {
        let client = solicit(&[option(1, b"\0\x04uuid")]);
        let near = forward(&client, &[option(18, b"near"), option(37, b"\0\0\0\x09r")]);
        let far = forward(
            &near,
            &[
                option(18, b"far"),
                option(38, b"line"),
                option(53, b"\0\x02relay"),
                option(79, b"\0\x01abcdef"),
            ],
        );
        assert_eq!(
            said(&far),
            [
                (Attribute::RemoteId, 9, b"r".to_vec()),
                (Attribute::InterfaceId, 0, b"near".to_vec()),
                (Attribute::SubscriberId, 0, b"line".to_vec()),
                (Attribute::RelayId, 0, b"\0\x02relay".to_vec()),
                (Attribute::Duid, 0, b"\0\x04uuid".to_vec()),
                (Attribute::LinkLayerAddress, 0, b"abcdef".to_vec()),
            ]
        );
    }

    #[test]
    fn what_clients_say_is_taken_apart_up_to_what_is_malformed() {
        let found = said(&solicit(&[
            option(61, &[0, 7, 0, 9, 1]),
            option(15, b"\0\x02ab\0\x01c\0\x09cut"),
            option(16, b"\0\0\x11\x8b\0\x04data"),
            option(16, b"\0\0\0\x09"),
            option(16, b"\0\0"),
            option(17, b"\0\0\0\x07\0\x01\0\0"),
        ]));
        assert_eq!(
            found,
            [
                (Attribute::Architecture, 0, vec![0, 7]),
                (Attribute::Architecture, 0, vec![0, 9]),
                (Attribute::UserClass, 0, b"ab".to_vec()),
                (Attribute::UserClass, 0, b"c".to_vec()),
                (Attribute::VendorClass, 4491, b"data".to_vec()),
                (Attribute::VendorClass, 9, vec![]),
                (Attribute::VendorOpts, 7, vec![0, 1, 0, 0]),
            ]
        );
    }

    #[test]
    fn a_client_that_says_too_much_hides_only_its_own_words() {
        let many = option(15, &b"\0\x01x".repeat(100));
        let relayed = forward(&solicit(&[many, option(61, &[0, 7])]), &[option(18, b"p")]);
        let found = said(&relayed);
        assert_eq!(found.len(), FACTS_MAX);
        assert_eq!(found[0], (Attribute::InterfaceId, 0, b"p".to_vec()));
        assert!(!found.iter().any(|fact| fact.0 == Attribute::Architecture));
    }
}
