//! What a failover partner's updates ask of links, pools and reservations (RFC 8156 §7.5).

use super::{Link, Model, Relationship};
use crate::recovery::is_reserved_for;
use lease::{BindingRecord, Lease, LinkKey, Role, Shard};
use wire::{Duid, IaKind, ShardId};

impl Model {
    /// The relationship that links belong to; a server has one at most.
    pub fn relationship(&self) -> Option<Relationship> {
        self.relationship
    }

    /// Whether the link with this key belongs to a relationship.
    pub fn is_partnered(&self, link: LinkKey) -> bool {
        let link = self.link_by_key(link);
        link.is_some_and(|link| link.relationship.is_some())
    }

    /// The link of a relationship that a lease is on: its pool's, the one it is reserved in, or for
    /// an address of neither the one that it lies on; `None`: it is none of the relationship's.
    pub fn partnered_link_of(&self, lease: Lease, kind: IaKind) -> Option<LinkKey> {
        let link = match self.pool_of(lease) {
            Some(served) => (served.pool.spec().kind == kind).then(|| self.link(served.link)),
            None => {
                let reserved = self.reservations.exact(lease);
                let reserved = reserved.and_then(|reserved| self.link_by_key(reserved.link));
                reserved.or_else(|| self.link_around(lease, kind))
            }
        };
        link.filter(|link| link.relationship.is_some())
            .map(Link::key)
    }

    fn link_around(&self, lease: Lease, kind: IaKind) -> Option<&Link> {
        let is_address = kind == IaKind::Na && lease.len == 128;
        let id = is_address.then(|| self.link_of_address(lease.addr))??;
        Some(self.link(id))
    }

    /// Whether another client may hold a lease, as seen from `shard`, which does not hold it. Of a
    /// sparse pool only what lies in the part of a shard that is not its client's is seen; the
    /// others cannot be held by two clients if both servers have the same allocation key.
    pub fn is_taken_from(&self, shard: ShardId, duid: Duid<'_>, lease: Lease) -> bool {
        if !self.reservations.is_empty() {
            let reserved = self.reservations.exact(lease);
            if let Some(reserved) = reserved.filter(|r| !r.is_one_shards() || r.is_of(duid, shard))
            {
                return !reserved.is_clear();
            }
            if self.reservations.overlap(lease) {
                return true;
            }
        }
        self.pool_of(lease)
            .is_some_and(|served| served.pool.is_taken(lease))
    }

    /// Takes a lease for a binding that the partner made with this client; `false`: another client
    /// has it. A lease outside of all pools keeps what it overlaps from being drawn. It is given
    /// back by [`release`](Self::release).
    #[must_use]
    pub fn take_for(&self, shard: ShardId, duid: Duid<'_>, lease: Lease) -> bool {
        match self.reservations.exact(lease) {
            Some(reserved) if reserved.is_of(duid, shard) => return reserved.is_clear(),
            Some(reserved) if !reserved.is_one_shards() => return reserved.claim(),
            _ => {}
        }
        match self.pool_of(lease) {
            Some(served) if !served.pool.is_reserved(lease) => {
                if !served.pool.adopt(shard, lease) {
                    return false;
                }
            }
            _ => {
                for other in self.pools_touching(lease) {
                    other.pool.block(lease);
                }
            }
        }
        self.reservations.hold(lease);
        true
    }

    /// Whether nobody counts that a lease is held, because it is reserved for its holder.
    pub fn is_uncounted(&self, record: &BindingRecord<'_>) -> bool {
        is_reserved_for(self, record)
    }

    /// Keeps a lease from the client that it is reserved for by DUID, if nobody holds it and that client is
    /// of a shard that `is_asked`; whether it did. For another client that has had it since before it
    /// was reserved, as the partner says: counted before the update is received, so that the
    /// client's own shard gives it no more. It is given back by [`release`](Self::release).
    pub fn keep_from_its_client(&self, lease: Lease, is_asked: impl Fn(ShardId) -> bool) -> bool {
        let reserved = self.reservations.exact(lease);
        let reserved = reserved.filter(|reserved| {
            let shard = reserved.shard();
            reserved.is_clear() && shard.is_some_and(is_asked)
        });
        if reserved.is_some() {
            self.reservations.hold(lease);
        }
        reserved.is_some()
    }

    /// Counts a lease that was [uncounted](Self::is_uncounted) and that its client gives up for another
    /// one. It is given back by [`release`](Self::release).
    pub fn count(&self, lease: Lease) {
        self.reservations.hold(lease);
    }

    /// Of the leases of an update those where something is reserved and that its client's shard holds,
    /// or another one has yielded for it: whether that is counted. For [`recount`](Self::recount).
    pub fn counted(
        &self,
        shard: &Shard,
        leases: impl Iterator<Item = Lease>,
        yielded: &[Lease],
    ) -> Vec<(Lease, bool)> {
        let mut counted: Vec<(Lease, bool)> = Vec::new();
        for lease in leases {
            let is_known = counted.iter().any(|(other, _)| *other == lease);
            if is_known || !self.reservations.overlap(lease) {
                continue;
            }
            match shard.by_lease(lease) {
                Some((_, record)) => counted.push((lease, !self.is_uncounted(&record))),
                // Since it was given up.
                None if yielded.contains(&lease) => counted.push((lease, true)),
                None => {}
            }
        }
        counted
    }

    /// After the update: counts those leases as their holders now ask for. One that was taken from one
    /// client and given to another was held all the time, and so neither taken nor released.
    pub fn recount(&self, shard: &Shard, counted: &[(Lease, bool)]) {
        for (lease, was_counted) in counted {
            let holder = shard.by_lease(*lease);
            let is_counted = holder.map(|(_, record)| !self.is_uncounted(&record));
            match (was_counted, is_counted) {
                (true, Some(false)) => self.reservations.release(*lease),
                (false, Some(true)) => self.reservations.hold(*lease),
                // As it was; or ended, and released when that is on disk.
                _ => {}
            }
        }
    }

    /// Whether a prefix is of a pool that is split between two servers, so that its end makes it
    /// the primary's.
    pub fn is_split(&self, lease: Lease) -> bool {
        self.relationship.is_some()
            && lease.len < 128
            && self
                .pool_of(lease)
                .is_some_and(|served| served.pool.side().is_some())
    }

    /// Whether a prefix is drawn from such a pool, and not reserved in it.
    pub fn comes_back_to_the_primary(&self, lease: Lease) -> bool {
        let served = self.pool_of(lease);
        self.is_split(lease) && served.is_some_and(|served| !served.pool.is_reserved(lease))
    }

    /// Makes the free prefixes of every pool that is new in this model the secondary's where they
    /// are in the model before: right before it follows that one.
    pub fn inherit_sides(&self, before: &Self) {
        let split = |served: &&super::ServedPool| served.pool.side().is_some();
        for new in self.pools.iter().filter(|s| !s.inherited).filter(split) {
            let stale: Vec<Lease> = new.pool.blocks_of(Role::Secondary).collect();
            for block in stale {
                new.pool.restore_block(block, Role::Primary);
            }
            for old in before.pools.iter().filter(split) {
                for block in old.pool.blocks_of(Role::Secondary) {
                    restore(&new.pool, block);
                }
            }
        }
    }
}

/// Makes what a pool has of a block the secondary's; a block that is not wholly in it by halves.
fn restore(pool: &lease::Pool, block: Lease) {
    let (first, last) = super::span(block);
    let range = super::builder::range(pool.spec());
    if block.len > pool.spec().unit_len || last < range.0 || first > range.1 {
        return;
    }
    if !pool.restore_block(block, Role::Secondary) {
        let len = block.len + 1;
        let half = 1_u128 << (128 - u32::from(len));
        restore(pool, Lease { len, ..block });
        restore(
            pool,
            Lease {
                addr: block.addr | half,
                len,
            },
        );
    }
}
