//! The key of a subscriber's bindings, where a link tells its clients apart by what a relay says of
//! their line and not by their DUIDs.
//!
//! Everything that goes by client (tables, shards, pools, journal, partner) goes by a DUID; so the
//! subscriber has one too, of a type that nobody assigned and that no client may use:
//!
//! ```text
//! 0 type 0xffff │ 2 option code u8, 0x80 added: digest │ Interface-Id: 3 link-address (16) │ identity
//! ```
//!
//! The identity is the data of the option, which is what the XDP program can hash; of more octets
//! than fit, their digest. An Interface-Id is unique behind its relay only, hence the link-address.

use crate::duid::{DUID_LEN_MAX, Duid, Iaid};
use crate::steer::ClientKey;
pub use crate::steer::IDENTITY_LEN_MAX;
use arrayvec::ArrayVec;

const TYPE: [u8; 2] = [0xff; 2];
const DIGEST: u8 = 0x80;
const LINK_ADDRESS_LEN: usize = 16;

// As many octets as fit, whatever is keyed by.
const _: () = assert!(IDENTITY_LEN_MAX == DUID_LEN_MAX - TYPE.len() - 1 - LINK_ADDRESS_LEN);

/// Such a key, made for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberKey(ArrayVec<u8, DUID_LEN_MAX>);

impl SubscriberKey {
    /// Of the subscriber that a relay names by the data of an option. `link_address` is the one
    /// by which the client's link is found, 0 if there is none; `digest` is asked for an identity that
    /// is too long.
    ///
    /// `None` if clients are keyed by their DUIDs or nothing is in the option.
    pub fn new(
        by: ClientKey,
        link_address: u128,
        identity: &[u8],
        digest: impl FnOnce(&[u8]) -> [u8; 16],
    ) -> Option<Self> {
        if by == ClientKey::Duid || !by.names_somebody(identity.len()) {
            return None;
        }
        let is_digest = identity.len() > IDENTITY_LEN_MAX;
        let digest = if is_digest { digest(identity) } else { [0; 16] };
        SubscriberView {
            by,
            link_address,
            identity: if is_digest { &digest } else { identity },
            is_digest,
        }
        .key()
    }

    /// The DUID that stands for the subscriber.
    pub fn duid(&self) -> Duid<'_> {
        // Three octets and one of identity at least, and never more than the array holds.
        Duid::of_subscriber(&self.0)
    }
}

/// An IA of a subscriber, which outlives the client that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriberIa<'a> {
    /// The subscriber; see the module.
    pub key: Duid<'a>,
    /// Which of the subscriber's IAs of this kind, from 0.
    pub number: Iaid,
}

/// What of a subscriber's key its shard is found by; `None` if the octets are no such key.
pub(crate) fn identity(duid: &[u8]) -> Option<&[u8]> {
    let (code, rest) = duid.strip_prefix(&TYPE)?.split_first()?;
    match ClientKey::from_code(u16::from(code & !DIGEST))? {
        ClientKey::Duid => None,
        ClientKey::InterfaceId => rest.get(LINK_ADDRESS_LEN..),
        ClientKey::RemoteId | ClientKey::SubscriberId => Some(rest),
    }
    .filter(|identity| !identity.is_empty())
}

/// Such a key as an operator reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberView<'a> {
    /// What the link keyed its clients by.
    pub by: ClientKey,
    /// The link-address behind which the identity is unique; 0 but for an Interface-Id.
    pub link_address: u128,
    /// The data of the option, or its digest.
    pub identity: &'a [u8],
    /// Whether the identity was too long and this is its digest.
    pub is_digest: bool,
}

impl<'a> SubscriberView<'a> {
    /// The key that says this; `None` if there is no such one.
    pub fn key(&self) -> Option<SubscriberKey> {
        if self.by == ClientKey::Duid || !(1..=IDENTITY_LEN_MAX).contains(&self.identity.len()) {
            return None;
        }
        let mut key = ArrayVec::new();
        key.extend(TYPE);
        key.push(self.by.code() as u8 | if self.is_digest { DIGEST } else { 0 });
        if self.by == ClientKey::InterfaceId {
            key.extend(self.link_address.to_be_bytes());
        }
        key.extend(self.identity.iter().copied());
        Some(SubscriberKey(key))
    }

    /// What the key says; `None` of a client's own DUID.
    pub fn new(key: Duid<'a>) -> Option<Self> {
        let octets = key.octets();
        let identity = identity(octets)?;
        let by = ClientKey::from_code(u16::from(octets.get(2)? & !DIGEST))?;
        let link_address = match by {
            ClientKey::InterfaceId => octets.get(3..)?.first_chunk().copied()?,
            _ => [0; LINK_ADDRESS_LEN],
        };
        Some(Self {
            by,
            link_address: u128::from_be_bytes(link_address),
            identity,
            is_digest: octets.get(2)? & DIGEST != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard_of;

    fn key(by: ClientKey, link_address: u128, identity: &[u8]) -> SubscriberKey {
        SubscriberKey::new(by, link_address, identity, |_| [7; 16]).unwrap()
    }

    #[test]
    fn the_shard_is_that_of_the_identity_alone() {
        let keyed_by = ClientKey::ALL
            .into_iter()
            .filter(|by| *by != ClientKey::Duid);
        for by in keyed_by {
            for len in 5..=IDENTITY_LEN_MAX {
                let identity: ArrayVec<u8, DUID_LEN_MAX> = (0..len as u8).collect();
                let key = key(by, 9, &identity);
                assert!(key.duid().is_subscriber());
                assert_eq!(key.duid().shard(), shard_of(&identity), "{by:?} {len}");
                let view = SubscriberView::new(key.duid()).unwrap();
                assert_eq!((view.by, view.identity), (by, &identity[..]));
                assert_eq!(view.key(), Some(key.clone()));
            }
        }
        let client = Duid::new(&[0, 3, 0, 1, 2]).unwrap();
        assert_eq!(client.shard(), shard_of(client.octets()));
    }

    #[test]
    fn an_interface_id_is_told_apart_by_its_relay_and_the_others_are_not() {
        let port = b"eth 0/1";
        let [one, other] = [1, 2].map(|link| key(ClientKey::InterfaceId, link, port));
        assert_ne!(one, other);
        assert_eq!(SubscriberView::new(other.duid()).unwrap().link_address, 2);
        for by in [ClientKey::RemoteId, ClientKey::SubscriberId] {
            assert_eq!(key(by, 1, port), key(by, 2, port));
        }
        let remote = key(ClientKey::RemoteId, 1, port);
        assert_ne!(remote, key(ClientKey::SubscriberId, 1, port));
    }

    #[test]
    fn what_is_too_long_is_digested_and_what_is_empty_names_nobody() {
        let long = [1; IDENTITY_LEN_MAX + 1];
        for by in [ClientKey::InterfaceId, ClientKey::RemoteId] {
            let digested = key(by, 1, &long);
            let view = SubscriberView::new(digested.duid()).unwrap();
            assert!(view.is_digest);
            assert_eq!(view.identity, [7; 16]);
            // The digest of one is never taken for the identity of another.
            assert_ne!(digested, key(by, 1, &[7; 16]));
        }
        let none = |by, identity: &[u8]| SubscriberKey::new(by, 1, identity, |_| [0; 16]);
        assert_eq!(none(ClientKey::InterfaceId, b""), None);
        assert_eq!(none(ClientKey::RemoteId, b"\0\0\x09\x0a"), None);
        assert_eq!(none(ClientKey::Duid, b"duid"), None);
    }

    #[test]
    fn a_client_s_own_duid_is_none_whatever_it_is() {
        for duid in [
            &[0xff, 0xff, 1, 2, 3][..],
            &[0xff, 0xff, 99, 2, 3],
            &[0xff, 0xff, 18, 1, 2, 3],
            &[0, 37, 37, 1],
            &[0xff, 0xff, 37],
        ] {
            assert!(!Duid::new(duid).unwrap().is_subscriber(), "{duid:?}");
        }
        assert!(Duid::new(&[0xff, 0xff, 37, 1]).unwrap().is_subscriber());
    }
}
