//! The words every other crate uses about bindings.

use core::fmt;
use core::net::Ipv6Addr;
use wire::{Duid, IaKey, IaKind, Iaid, ShardId, SubscriberIa};

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
    /// Whose binding it is if the link tells its clients apart by a relay's word and not by `duid`
    /// and `iaid`, which then say who has it at present.
    pub subscriber: Option<SubscriberIa<'a>>,
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
    /// What the failover partner was told of it and has told; [`PartnerTimes::NONE`] without one.
    pub partner: PartnerTimes,
    /// Whether the client takes Reconfigure messages (RFC 9915 §21.20) and has the key that it
    /// checks them by (§20.4.2).
    pub accepts_reconfigure: bool,
    /// How the client is reached: for a relayed one the body of OPTION_LQ_RELAY_DATA (RFC 5007
    /// §4.1.2.4), for a direct one that accepts Reconfigure its address of 16 octets, else nothing.
    /// At most [`VIA_LEN_MAX`] octets; a longer one is kept as nothing.
    pub via: &'a [u8],
}

/// The longest [`BindingRecord::via`] that is kept, octets: the relay data of eight relays, or of
/// two that add long identifiers.
pub const VIA_LEN_MAX: usize = 512;

/// The times of a lease between the two servers (RFC 8156 §7.3); [`AbsTime`](crate::AbsTime) 0
/// stands for "never".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartnerTimes {
    /// Partner-lifetime: the greatest expiry ever sent to the partner, or to be sent.
    pub partner_lifetime: crate::AbsTime,
    /// Acked-partner-lifetime: the greatest expiry that the partner has acknowledged to this
    /// server, and that this server may rely on (§4.4).
    pub acked_partner_lifetime: crate::AbsTime,
    /// Expiration-time: the greatest expiry that this server has acknowledged to the partner, and
    /// that the partner may rely on.
    pub expiration_time: crate::AbsTime,
    /// Partner-raw-clt-time: when the partner last talked to the client, as it said.
    pub partner_raw_cltt: crate::AbsTime,
    /// Whether the record holds a change that the partner has not acknowledged.
    pub unacked: bool,
}

impl PartnerTimes {
    /// A lease that no partner knows of.
    pub const NONE: Self = Self {
        partner_lifetime: crate::AbsTime(0),
        acked_partner_lifetime: crate::AbsTime(0),
        expiration_time: crate::AbsTime(0),
        partner_raw_cltt: crate::AbsTime(0),
        unacked: false,
    };
}

/// What of a record changes while client, IA and lease stay the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingState {
    /// See [`BindingRecord::status`].
    pub status: BindingStatus,
    /// See [`BindingRecord::preferred_secs`].
    pub preferred_secs: u32,
    /// See [`BindingRecord::valid_secs`].
    pub valid_secs: u32,
    /// See [`BindingRecord::cltt`].
    pub cltt: crate::AbsTime,
    /// See [`BindingRecord::status_since`].
    pub status_since: crate::AbsTime,
    /// See [`BindingRecord::expires`].
    pub expires: crate::AbsTime,
    /// See [`BindingRecord::partner`].
    pub partner: PartnerTimes,
}

impl<'a> BindingRecord<'a> {
    /// The part that changes.
    pub fn state(&self) -> BindingState {
        BindingState {
            status: self.status,
            preferred_secs: self.preferred_secs,
            valid_secs: self.valid_secs,
            cltt: self.cltt,
            status_since: self.status_since,
            expires: self.expires,
            partner: self.partner,
        }
    }

    /// The record with another state.
    pub fn with(self, state: &BindingState) -> Self {
        Self {
            status: state.status,
            preferred_secs: state.preferred_secs,
            valid_secs: state.valid_secs,
            cltt: state.cltt,
            status_since: state.status_since,
            expires: state.expires,
            partner: state.partner,
            ..self
        }
    }

    /// The key of the IA this lease belongs to: the subscriber's, or else the client's.
    pub fn ia(&self) -> IaKey<'a> {
        let (duid, iaid) = match self.subscriber {
            Some(subscriber) => (subscriber.key, subscriber.number),
            None => (self.duid, self.iaid),
        };
        IaKey {
            duid,
            kind: self.kind,
            iaid,
        }
    }

    /// The shard that the binding is in.
    pub fn shard(&self) -> ShardId {
        self.ia().duid.shard()
    }

    /// Whether this client has the lease now, by this IA.
    pub fn is_of_client(&self, duid: Duid<'_>, iaid: Iaid) -> bool {
        self.iaid == iaid && self.duid == duid
    }
}
