//! DUID, IAID and the kind of an IA: what identifies a client's binding (RFC 9915 §4.2, §11, §12).

use crate::steer::{ShardId, shard_of};
use crate::subscriber;

/// Shortest DUID: the two-octet type and one octet of identifier (RFC 9915 §11.1).
pub const DUID_LEN_MIN: usize = 3;
/// Longest DUID: the two-octet type and 128 octets of identifier (RFC 9915 §11.1).
pub const DUID_LEN_MAX: usize = 130;

/// A DHCP Unique Identifier, borrowed from a packet, a binding or a config.
///
/// Opaque: compared for equality only, whatever its type (RFC 9915 §11). Its length is within
/// [`DUID_LEN_MIN`]`..=`[`DUID_LEN_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duid<'a>(&'a [u8]);

impl<'a> Duid<'a> {
    /// Takes `octets` as a DUID, or `None` if their number is not one a DUID may have.
    pub fn new(octets: &'a [u8]) -> Option<Self> {
        (DUID_LEN_MIN..=DUID_LEN_MAX)
            .contains(&octets.len())
            .then_some(Self(octets))
    }

    /// A subscriber's key, which has a length that a DUID may have.
    pub(crate) fn of_subscriber(octets: &'a [u8]) -> Self {
        debug_assert!(Self::new(octets).is_some(), "{} octets", octets.len());
        Self(octets)
    }

    /// The octets as they stand on the wire, type included.
    pub fn octets(self) -> &'a [u8] {
        self.0
    }

    /// Whether it stands for a subscriber and is no client's own: see [`subscriber`].
    pub fn is_subscriber(self) -> bool {
        subscriber::identity(self.0).is_some()
    }

    /// The shard of the bindings that are keyed by it.
    pub fn shard(self) -> ShardId {
        shard_of(subscriber::identity(self.0).unwrap_or(self.0))
    }
}

impl core::fmt::Display for Duid<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl core::fmt::Debug for Duid<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Duid({self})")
    }
}

/// Identity Association Identifier: unique per client and kind of IA (RFC 9915 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iaid(pub u32);

/// The kind of an Identity Association; the discriminant is its option code.
///
/// IA_TA is obsolete (RFC 9915 Appendix A): received ones are ignored, none is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum IaKind {
    /// IA_NA, non-temporary addresses (RFC 9915 §21.4).
    Na = 3,
    /// IA_PD, delegated prefixes (RFC 9915 §21.21).
    Pd = 25,
}

/// What a binding is keyed by: DUID, kind of IA and IAID (RFC 9915 §4.2, "binding").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IaKey<'a> {
    /// The client.
    pub duid: Duid<'a>,
    /// Address or prefix delegation.
    pub kind: IaKind,
    /// Which of the client's IAs of this kind.
    pub iaid: Iaid,
}
