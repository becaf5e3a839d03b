//! Leases that belong to whoever shows a key, whether it is there or not.
//!
//! Where clients are told apart by their DUIDs, a lease reserved by DUID can only ever be its
//! client's, in one shard, so only others who hold it are counted. By any other key, and by DUID where
//! leases belong to lines, a lease may be asked for in different shards, one after the other or at
//! once: such a reservation is a pool of one, and its single position is taken with one atomic
//! operation by who is given it and counted until the end of that binding is on disk.

mod builder;
mod key;
mod table;
#[cfg(test)]
mod tests;

pub use self::builder::{Clash, ClashOver, ReservationError, ReservationTableBuilder, TERMS_MAX};
pub use self::key::{KEY_LEN_MAX, KeyKind, ReservationKey};
pub(crate) use self::table::OnLink;
pub use self::table::{
    RESERVED_MAX, ReservationChanges, ReservationTable, ReservationTerms, ReservedLease,
};
use super::options::EncodedOptions;
use crate::identity::RemoteId;
use crate::ingress::Parsed;
use crate::lifetime::Lifetimes;
use core::sync::atomic::{AtomicU32, Ordering};
use lease::{Lease, LinkKey};
use std::collections::HashSet;
use std::sync::Arc;
use wire::{Duid, IaKind, ShardId};

/// A lease kept for one key on one link, inside or outside the pools.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation<'m> {
    /// The address or delegated prefix.
    pub(crate) lease: Lease,
    /// The link it is configured in.
    pub(crate) link: LinkKey,
    /// What it says of lifetimes; `None`: what the link says.
    pub(crate) lifetimes: Option<Lifetimes>,
    /// The options that it says besides classes, pools and link.
    pub(crate) options: Option<&'m EncodedOptions>,
    key: ReservationKey<'m>,
    /// Where it stands in the table.
    at: u32,
    is_one_shards: bool,
    holders: &'m AtomicU32,
}

impl Reservation<'_> {
    /// Whether nobody holds any of it; of a lease that is one shard's, nobody but its own client.
    pub(crate) fn is_clear(&self) -> bool {
        self.holders.load(Ordering::Acquire) == 0
    }

    /// Whether nobody but the asking client holds any of it, which holds the lease.
    pub(crate) fn is_only_ours(&self) -> bool {
        self.holders.load(Ordering::Acquire) <= u32::from(!self.is_one_shards)
    }

    /// By which kind of identity it is reserved.
    pub(crate) fn key_kind(&self) -> KeyKind {
        self.key.kind()
    }

    /// Whether it is reserved by a DUID where that is in one shard, so that nobody takes it there.
    pub(crate) fn is_one_shards(&self) -> bool {
        self.is_one_shards
    }

    /// Whether it is one shard's, that one, by this DUID.
    pub(crate) fn is_of(&self, duid: Duid<'_>, shard: ShardId) -> bool {
        self.is_one_shards
            && duid.shard() == shard
            && self.key == ReservationKey::Duid(duid.octets())
    }

    /// The one shard that gives it, if it is one shard's.
    pub(crate) fn shard(&self) -> Option<ShardId> {
        match self.key {
            ReservationKey::Duid(duid) if self.is_one_shards => Some(Duid::new(duid)?.shard()),
            _ => None,
        }
    }

    /// Takes a lease that is not one shard's, if nobody holds any of it. To be given back with
    /// [`Reservations::release`], as every lease that was held.
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        self.holders
            .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// All reservations, and how many bindings hold each.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    table: Arc<ReservationTable>,
    /// For each entry of the table how many bindings overlap its lease, without that of the client
    /// and shard that it [is of](Reservation::is_of). Until they have ended, the lease is not given anew.
    holders: Box<[AtomicU32]>,
    /// The links whose reservations lines may ask for: there one DUID may be in several shards.
    of_lines: HashSet<LinkKey>,
}

impl Reservations {
    /// These reservations, held by nobody.
    pub(super) fn new(table: Arc<ReservationTable>, of_lines: HashSet<LinkKey>) -> Self {
        let holders = table.iter().map(|_| AtomicU32::new(0)).collect();
        Self {
            table,
            holders,
            of_lines,
        }
    }

    /// Whether these are the reservations of that table, counted in the same way.
    pub(super) fn are_of(&self, table: &ReservationTable, of_lines: &HashSet<LinkKey>) -> bool {
        *self.table == *table && self.of_lines == *of_lines
    }

    pub(crate) fn table(&self) -> &Arc<ReservationTable> {
        &self.table
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether any of them says something of options.
    pub(crate) fn have_options(&self) -> bool {
        self.table.has_options
    }

    /// The first that is reserved on a link for the client of a message: by the first of its identities that has
    /// something reserved, in the order of [`KeyKind::ALL`].
    pub(crate) fn find(
        &self,
        on: OnLink,
        parsed: &Parsed<'_>,
        ia: IaKind,
    ) -> Option<Reservation<'_>> {
        let found = on.kinds().iter().find_map(|kind| {
            let address;
            let key = match kind {
                KeyKind::Duid => ReservationKey::Duid(parsed.client_id()?.octets()),
                KeyKind::LinkLayerAddress => {
                    address = parsed.link_layer_address()?;
                    ReservationKey::LinkLayerAddress(address.octets())
                }
                KeyKind::SubscriberId => ReservationKey::SubscriberId(parsed.subscriber_id()?),
                KeyKind::RemoteIdOfEnterprise | KeyKind::RemoteId => {
                    let RemoteId { enterprise, id } = parsed.remote_id()?;
                    let is_named = kind == KeyKind::RemoteIdOfEnterprise;
                    let enterprise = is_named.then_some(enterprise);
                    ReservationKey::RemoteId { enterprise, id }
                }
                KeyKind::InterfaceId => ReservationKey::InterfaceId(parsed.interface_id()?),
            };
            self.table.find(on, key, ia)
        });
        found.map(|at| self.at(at))
    }

    /// What the same reservation keeps after that one.
    pub(crate) fn next(&self, reservation: &Reservation<'_>) -> Option<Reservation<'_>> {
        self.table.next(reservation.at).map(|at| self.at(at))
    }

    /// How many are not clear.
    pub(crate) fn held(&self) -> usize {
        let holders = self.holders.iter();
        let held = holders.filter(|holders| holders.load(Ordering::Acquire) > 0);
        held.count()
    }

    /// A lease that a binding holds, which is not that of the client that it is reserved for.
    pub(crate) fn hold(&self, lease: Lease) {
        for at in self.table.overlapping(lease) {
            self.holders[at as usize].fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whoever held `lease` does so no longer. What the client of a reservation that is one shard's
    /// gives back leaves the count at 0, because it is not given while anybody else is counted.
    pub(crate) fn release(&self, lease: Lease) {
        for at in self.table.overlapping(lease) {
            // Fails only at 0, where there is nothing to count down.
            let _was = self.holders[at as usize].fetch_update(
                Ordering::AcqRel,
                Ordering::Acquire,
                |holders| holders.checked_sub(1),
            );
        }
    }

    /// Whether those that share an address with `lease` are held by no other client.
    pub(crate) fn are_clear(&self, lease: Lease) -> bool {
        let mut overlapping = self.table.overlapping(lease);
        overlapping.all(|at| self.at(at).is_clear())
    }

    /// Whether any of them shares an address with `lease`.
    pub(crate) fn overlap(&self, lease: Lease) -> bool {
        self.table.overlapping(lease).next().is_some()
    }

    /// The reservation of exactly this lease.
    pub(crate) fn exact(&self, lease: Lease) -> Option<Reservation<'_>> {
        self.table.exact(lease).map(|at| self.at(at))
    }

    fn at(&self, at: u32) -> Reservation<'_> {
        let entry = &self.table.entries[at as usize];
        let link = self.table.link_key(entry);
        let is_by_duid = entry.place.kind() == KeyKind::Duid;
        let terms = self.table.terms(entry);
        Reservation {
            lease: entry.lease(),
            link,
            is_one_shards: is_by_duid && !self.of_lines.contains(&link),
            lifetimes: terms.and_then(|terms| terms.said.lifetimes),
            options: terms.and_then(|terms| terms.options.as_ref()),
            key: self.table.key(entry),
            at,
            holders: &self.holders[at as usize],
        }
    }
}

/// First and last address of a lease.
pub(crate) fn span(lease: Lease) -> (u128, u128) {
    let host_bits = u128::MAX.checked_shr(u32::from(lease.len)).unwrap_or(0);
    (lease.addr & !host_bits, lease.addr | host_bits)
}
