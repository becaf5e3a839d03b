//! What tells whose a reservation is.

use arrayvec::ArrayVec;
use core::fmt;
use wire::Duid;

/// Octets of the longest key; one octet says how many.
pub const KEY_LEN_MAX: usize = u8::MAX as usize;

/// What a message must show to be given a reserved lease.
///
/// Identities are compared octet by octet. Where they come from in a message is said at
/// [`Parsed`](crate::Parsed)'s functions of these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationKey<'a> {
    /// The client's DUID.
    Duid(&'a [u8]),
    /// The client's link-layer address, of whichever hardware type.
    LinkLayerAddress(&'a [u8]),
    /// The relay's Subscriber-Id (RFC 4580).
    SubscriberId(&'a [u8]),
    /// The relay's Remote-Id (RFC 4649).
    RemoteId {
        /// Whose numbering; `None`: anybody's.
        enterprise: Option<u32>,
        /// The Remote-Id behind the enterprise number.
        id: &'a [u8],
    },
    /// The relay's Interface-Id (RFC 9915 §21.18).
    InterfaceId(&'a [u8]),
}

/// The kinds of keys in the order in which they are looked up: the first that has something
/// reserved counts. A device's own identity is nearer than its subscriber's, a subscriber's than a
/// line's, a line's than a port's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// [`ReservationKey::Duid`].
    Duid,
    /// [`ReservationKey::LinkLayerAddress`].
    LinkLayerAddress,
    /// [`ReservationKey::SubscriberId`].
    SubscriberId,
    /// [`ReservationKey::RemoteId`] of one enterprise.
    RemoteIdOfEnterprise,
    /// [`ReservationKey::RemoteId`] of any enterprise.
    RemoteId,
    /// [`ReservationKey::InterfaceId`].
    InterfaceId,
}

impl KeyKind {
    /// All, in the order in which they are looked up.
    pub const ALL: [Self; 6] = [
        Self::Duid,
        Self::LinkLayerAddress,
        Self::SubscriberId,
        Self::RemoteIdOfEnterprise,
        Self::RemoteId,
        Self::InterfaceId,
    ];

    /// As the configuration calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duid => "duid",
            Self::LinkLayerAddress => "link-layer-address",
            Self::SubscriberId => "subscriber-id",
            Self::RemoteIdOfEnterprise | Self::RemoteId => "remote-id",
            Self::InterfaceId => "interface-id",
        }
    }
}

/// Which kinds there are on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyKinds(u8);

impl KeyKinds {
    pub(super) fn add(&mut self, kind: KeyKind) {
        self.0 |= 1 << kind as u8;
    }

    /// In the order in which they are looked up.
    pub(crate) fn iter(self) -> impl Iterator<Item = KeyKind> {
        let all = KeyKind::ALL.into_iter();
        all.filter(move |kind| self.0 & 1 << *kind as u8 != 0)
    }
}

/// The octets that a key is stored as: its kind is beside them.
pub(super) type KeyOctets = ArrayVec<u8, KEY_LEN_MAX>;

impl<'a> ReservationKey<'a> {
    /// Its kind.
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Duid(_) => KeyKind::Duid,
            Self::LinkLayerAddress(_) => KeyKind::LinkLayerAddress,
            Self::SubscriberId(_) => KeyKind::SubscriberId,
            Self::RemoteId {
                enterprise: Some(_),
                ..
            } => KeyKind::RemoteIdOfEnterprise,
            Self::RemoteId {
                enterprise: None, ..
            } => KeyKind::RemoteId,
            Self::InterfaceId(_) => KeyKind::InterfaceId,
        }
    }

    /// The octets of the identity, without an enterprise number.
    pub fn id(&self) -> &'a [u8] {
        match *self {
            Self::Duid(id)
            | Self::LinkLayerAddress(id)
            | Self::SubscriberId(id)
            | Self::RemoteId { id, .. }
            | Self::InterfaceId(id) => id,
        }
    }

    /// The enterprise number of a Remote-Id, if it says one.
    pub fn enterprise(&self) -> Option<u32> {
        match *self {
            Self::RemoteId { enterprise, .. } => enterprise,
            _ => None,
        }
    }

    /// Whether the identity has a length that it can have.
    pub fn is_possible(&self) -> bool {
        match self {
            Self::Duid(octets) => Duid::new(octets).is_some(),
            _ => !self.id().is_empty() && self.octets().is_some(),
        }
    }

    /// As stored; `None` if it is too long.
    pub(super) fn octets(&self) -> Option<KeyOctets> {
        let mut octets = KeyOctets::new();
        let enterprise = self.enterprise().map(u32::to_be_bytes);
        octets
            .try_extend_from_slice(enterprise.as_ref().map_or(&[], |octets| &octets[..]))
            .and_then(|()| octets.try_extend_from_slice(self.id()))
            .ok()?;
        Some(octets)
    }

    /// From what is stored.
    pub(super) fn stored(kind: KeyKind, octets: &'a [u8]) -> Self {
        match kind {
            KeyKind::Duid => Self::Duid(octets),
            KeyKind::LinkLayerAddress => Self::LinkLayerAddress(octets),
            KeyKind::SubscriberId => Self::SubscriberId(octets),
            KeyKind::RemoteId => Self::RemoteId {
                enterprise: None,
                id: octets,
            },
            KeyKind::RemoteIdOfEnterprise => {
                let (enterprise, id) = octets.split_first_chunk().unwrap_or((&[0; 4], &[]));
                Self::RemoteId {
                    enterprise: Some(u32::from_be_bytes(*enterprise)),
                    id,
                }
            }
            KeyKind::InterfaceId => Self::InterfaceId(octets),
        }
    }
}

impl fmt::Display for ReservationKey<'_> {
    /// As the configuration would write it: text that can be typed in quotes, other octets in
    /// hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().as_str())?;
        let id = self.id();
        let is_text = match self {
            Self::Duid(_) | Self::LinkLayerAddress(_) => false,
            _ => id.iter().all(|octet| matches!(octet, b' '..=b'~')) && !id.starts_with(b"0x"),
        };
        if is_text {
            write!(f, " {:?}", String::from_utf8_lossy(id))?;
        } else {
            let is_named = matches!(self, Self::Duid(_) | Self::LinkLayerAddress(_));
            f.write_str(if is_named { " " } else { " 0x" })?;
            for (index, octet) in id.iter().enumerate() {
                let colon = if is_named && index > 0 { ":" } else { "" };
                write!(f, "{colon}{octet:02x}")?;
            }
        }
        match self.enterprise() {
            Some(enterprise) => write!(f, " of enterprise {enterprise}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stored_and_shown_as_they_are_written() {
        for (key, shown) in [
            (
                ReservationKey::Duid(&[0, 3, 0, 1, 0xab]),
                "duid 00:03:00:01:ab",
            ),
            (
                ReservationKey::LinkLayerAddress(&[0x52, 0x54, 0, 1, 2, 3]),
                "link-layer-address 52:54:00:01:02:03",
            ),
            (
                ReservationKey::SubscriberId(b"customer 7"),
                "subscriber-id \"customer 7\"",
            ),
            (
                ReservationKey::RemoteId {
                    enterprise: None,
                    id: &[1, 0xff],
                },
                "remote-id 0x01ff",
            ),
            (
                ReservationKey::RemoteId {
                    enterprise: Some(3_561),
                    id: b"line",
                },
                "remote-id \"line\" of enterprise 3561",
            ),
            (ReservationKey::InterfaceId(b"0x"), "interface-id 0x3078"),
        ] {
            assert_eq!(key.to_string(), shown);
            assert!(key.is_possible(), "{shown}");
            let octets = key.octets().unwrap();
            assert_eq!(ReservationKey::stored(key.kind(), &octets), key);
        }
    }

    #[test]
    fn what_no_message_can_show_is_not_possible() {
        let long = [b'x'; KEY_LEN_MAX];
        let id = &long[..KEY_LEN_MAX - 3];
        let enterprise = Some(1);
        assert!(ReservationKey::InterfaceId(&long).is_possible());
        assert!(!ReservationKey::RemoteId { enterprise, id }.is_possible());
        assert!(!ReservationKey::InterfaceId(&[]).is_possible());
        assert!(!ReservationKey::Duid(&[0, 3]).is_possible());
        assert!(!ReservationKey::Duid(&long[..131]).is_possible());
    }
}
