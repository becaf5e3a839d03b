//! Binding updates between the two servers (RFC 8156 §7): for each shard, by whoever owns it.
//!
//! - [`offer`] takes what the partner has not acknowledged and writes it as BNDUPD;
//! - [`receive`] decides about a BNDUPD, applies it to the shard and writes the BNDREPLY, which may
//!   be sent when the deltas are durable;
//! - [`settle`] applies a BNDREPLY;
//! - [`owe_all`] is what UPDREQALL asks for.
//!
//! The client, or the subscriber whose lease it has, decides which shard a BNDUPD goes to. A lease that another client holds is
//! in another shard: [`receive`] then says so and does nothing, [`yield_lease`] asks each other
//! shard, and the update is received once more.

mod answer;
mod offer;
mod owe;
mod receive;
mod reply;
#[cfg(test)]
mod tests;

pub use offer::{KeyOf, Offer, offer};
pub use owe::{Everything, owe_all};
pub use receive::{Outcome, Places, Premises, Yielded, client_of, receive, shard_of, yield_lease};
pub use reply::{Settled, settle};

use crate::reconcile::{Rejection, Theirs, has_ended};
use lease::{AbsTime, BindingStatus, Lease};
use wire::failover::{BindingLease, LeaseOptions, Leased};
use wire::{IaKind, Iaid};

/// Octets that hold the BNDUPD of any one lease.
pub const BNDUPD_LEN_MAX: usize = 1_024;

/// What a partner says of one lease, every value looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseUpdate {
    /// Kind of the IA.
    pub kind: IaKind,
    /// The IA.
    pub iaid: Iaid,
    /// The address or delegated prefix.
    pub lease: Lease,
    /// As told to the client, seconds.
    pub preferred_secs: u32,
    /// As told to the client, seconds.
    pub valid_secs: u32,
    /// What counts for accepting it.
    pub theirs: Theirs,
    /// When its status ends by itself.
    pub ends: Option<AbsTime>,
    /// What becomes this server's expiration-time.
    pub partner_lifetime: Option<AbsTime>,
    /// When this server last heard the client, as it once told the partner.
    pub partner_raw_cltt: Option<AbsTime>,
    /// What this server once told the partner of the lease's end.
    pub expiration_time: Option<AbsTime>,
}

impl LeaseUpdate {
    /// From a lease of a BNDUPD whose container was filled at `base_time`.
    ///
    /// # Errors
    /// [`Rejection::Missing`] without binding-status, its beginning, or, of an ACTIVE lease, its
    /// end; and for a status or a prefix that cannot be.
    pub fn read(lease: &BindingLease<'_>, base_time: u32) -> Result<Self, Rejection> {
        let (preferred_secs, valid_secs) = match &lease.leased {
            Leased::Address(a) => (a.preferred, a.valid),
            Leased::Prefix(p) => (p.preferred, p.valid),
        };
        let options: &LeaseOptions<'_> = &lease.options;
        let status = options.binding_status.and_then(BindingStatus::from_wire);
        let status = status.ok_or(Rejection::Missing)?;
        let status_since = AbsTime(options.start_time_of_state.ok_or(Rejection::Missing)?);
        let ends = options.state_expiration_time.map(AbsTime);
        if status == BindingStatus::Active && ends.is_none() {
            return Err(Rejection::Missing);
        }
        Ok(Self {
            kind: lease.kind(),
            iaid: lease.iaid(),
            lease: place(lease),
            preferred_secs,
            valid_secs,
            theirs: Theirs {
                status,
                cltt: options.client_last_transaction_time(base_time).map(AbsTime),
                status_since,
            },
            ends,
            partner_lifetime: options.partner_lifetime.map(AbsTime),
            partner_raw_cltt: options.partner_raw_clt_time.map(AbsTime),
            expiration_time: options.expiration_time.map(AbsTime),
        })
    }

    /// Whether the lease is, or is about to be, available.
    fn has_ended(&self) -> bool {
        has_ended(self.theirs.status)
    }
}

/// The address or delegated prefix.
pub fn place(lease: &BindingLease<'_>) -> Lease {
    let (addr, len) = match &lease.leased {
        Leased::Address(a) => (a.address, 128),
        Leased::Prefix(p) => (p.prefix, p.prefix_len),
    };
    Lease { addr, len }
}
