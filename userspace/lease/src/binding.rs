//! The words every other crate uses about bindings.

use core::fmt;
use core::net::Ipv6Addr;
use wire::{Duid, IaKey, IaKind, Iaid};

/// An address (`len` 128) or a delegated prefix: the thing that at most one client may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The address, or the prefix with zero bits behind `len`; network order read as an integer.
    pub addr: u128,
    /// Prefix length in bits; 128 for an address.
    pub len: u8,
}

impl Lease {
    /// A single address.
    pub fn address(addr: Ipv6Addr) -> Self {
        Self {
            addr: addr.to_bits(),
            len: 128,
        }
    }

    /// The address, or the first address of the prefix.
    pub fn ip(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.addr)
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len {
            128 => write!(f, "{}", self.ip()),
            len => write!(f, "{}/{len}", self.ip()),
        }
    }
}

/// Binding-status; the values are those of RFC 8156 §5.5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BindingStatus {
    /// Leased to a client.
    Active = 1,
    /// The valid lifetime ended.
    Expired = 2,
    /// The client gave it back.
    Released = 3,
    /// On its way to FREE.
    PendingFree = 4,
    /// Available to the primary.
    Free = 5,
    /// Available to the secondary.
    FreeBackup = 6,
    /// Unusable for a while: declined by a client, or found in use.
    Abandoned = 7,
    /// Made available by the operator.
    Reset = 8,
}

impl BindingStatus {
    /// From the value of RFC 8156 §5.5.1.
    pub fn from_wire(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Active,
            2 => Self::Expired,
            3 => Self::Released,
            4 => Self::PendingFree,
            5 => Self::Free,
            6 => Self::FreeBackup,
            7 => Self::Abandoned,
            8 => Self::Reset,
            _ => return None,
        })
    }
}

/// A link's identity in stored bindings: a hash of its name that outlives the order of the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkKey(pub u64);

/// All that is known of one lease: what the shard stores, the journal writes and an operator reads.
///
/// An IA with several leases has one record for each; they share the [`IaKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingRecord<'a> {
    /// The client that holds it, or held it last.
    pub duid: Duid<'a>,
    /// Address or prefix delegation.
    pub kind: IaKind,
    /// Which of the client's IAs.
    pub iaid: Iaid,
    /// The address or delegated prefix.
    pub lease: Lease,
    /// The link it was given on.
    pub link: LinkKey,
    /// Where it is in its life cycle (RFC 8156 §7.2).
    pub status: BindingStatus,
    /// Preferred lifetime as last told to the client, seconds.
    pub preferred_secs: u32,
    /// Valid lifetime as last told to the client, seconds.
    pub valid_secs: u32,
    /// Client-last-transaction-time.
    pub cltt: crate::AbsTime,
    /// Since when `status` holds.
    pub status_since: crate::AbsTime,
    /// When `status` ends by itself: the end of the valid lifetime, or of a quarantine.
    pub expires: crate::AbsTime,
}

impl<'a> BindingRecord<'a> {
    /// The key of the IA this lease belongs to.
    pub fn ia(&self) -> IaKey<'a> {
        IaKey {
            duid: self.duid,
            kind: self.kind,
            iaid: self.iaid,
        }
    }
}
