//! From one model to the next while clients are served.
//!
//! Pools and reservations that are the same in both models are shared. In the others everything
//! that is bound must be taken before the first worker decides by the new model, and workers go on
//! deciding by the old one until then. A [`Handover`] is one worker's part of that: it walks the
//! worker's bindings once, slice by slice, and follows what changes meanwhile.
//!
//! What holds when a walk is through and until the switch: the new model has taken what the worker's
//! shards hold and what waits for the record of its end to be committed, and no more. All workers
//! switch while none of them decides, so a lease is free in the new model only if it is free.

use crate::model::Model;
use crate::recovery::is_reserved_for;
use lease::{BindingDelta, Lease, Shard};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use wire::ShardId;

/// One worker's part in filling the new pools of a model that is to be served next.
#[derive(Debug)]
pub struct Handover {
    next: Arc<Model>,
    /// Leases that were taken where takers are counted, so that each is taken once. Bits of dense
    /// pools need no such memory: of a million bindings next to none are in here.
    counted: HashSet<Lease>,
    /// Leases that ended and whose ends are not committed: how many ends of each, and in which
    /// shard the last one was.
    ended: HashMap<Lease, (u32, ShardId)>,
}

impl Handover {
    /// A handover to this model, made by [`build_successor`](crate::ModelBuilder::build_successor)
    /// of the one in use.
    pub fn new(next: Arc<Model>) -> Self {
        Self {
            next,
            counted: HashSet::new(),
            ended: HashMap::new(),
        }
    }

    /// The model that is to be served next.
    pub fn next(&self) -> &Arc<Model> {
        &self.next
    }

    /// Takes what the bindings at `max` places from `from` on hold; where the next slice begins, or
    /// `None` at the end of the shard. See [`Shard::walk`].
    pub fn walk(&mut self, shard: &Shard, from: u32, max: usize) -> Option<u32> {
        let (next, records) = shard.walk(from, max);
        for record in records {
            let is_own = is_reserved_for(&self.next, &record);
            self.take(shard.id(), record.lease, is_own);
        }
        next
    }

    /// A change that the old model's decisions made, whether or not the walk has been there. What
    /// ended is to be given back by [`release_ended`](Self::release_ended).
    pub fn note(&mut self, delta: &BindingDelta<'_>) {
        match delta {
            BindingDelta::Put { shard, record } => {
                let is_own = is_reserved_for(&self.next, record);
                self.take(*shard, record.lease, is_own);
            }
            BindingDelta::Remove { shard, lease } => self.hold_ended(*shard, *lease),
            BindingDelta::Acked { .. } => {}
        }
    }

    /// A lease that nobody may have for another reason than a binding; it is given back by
    /// [`release`](Self::release).
    pub fn hold(&mut self, shard: ShardId, lease: Lease) {
        self.take(shard, lease, false);
    }

    /// A lease whose binding in `shard` has ended and that nobody may have before the record of
    /// that is committed: then [`release_ended`](Self::release_ended) is called, once for each end.
    pub fn hold_ended(&mut self, shard: ShardId, lease: Lease) {
        self.hold(shard, lease);
        let (ends, last) = self.ended.entry(lease).or_insert((0, shard));
        *ends += 1;
        *last = shard;
    }

    /// Whether the model may be switched to: nothing that waits for a commit is bound again, or
    /// waits twice. The commit would free in it what is taken in it once. If it may not, that will
    /// soon be committed.
    pub fn is_settled<'s>(&self, shard: impl Fn(ShardId) -> Option<&'s Shard>) -> bool {
        self.ended.iter().all(|(lease, (ends, id))| {
            *ends == 1 && !shard(*id).is_some_and(|shard| shard.holds(*lease))
        })
    }

    /// As [`release`](Self::release), for a lease whose end in `shard` is committed: unless a later
    /// end waits to be, or the lease is bound again by then, as a client may have back what is
    /// reserved for it, or what a sparse pool leads it to, before that.
    pub fn release_ended(&mut self, shard: &Shard, lease: Lease) {
        if let Some((ends, _)) = self.ended.get_mut(&lease) {
            *ends -= 1;
            if *ends > 0 {
                return;
            }
            self.ended.remove(&lease);
        }
        let again = shard.by_lease(lease);
        if again.is_none_or(|(_, record)| is_reserved_for(&self.next, &record)) {
            self.release(lease);
        }
    }

    /// As [`Model::release`], for what this handover took. Before the old model's release: whoever
    /// takes the lease there next must find it free here too.
    pub fn release(&mut self, lease: Lease) {
        if self.is_counted(lease) && !self.counted.remove(&lease) {
            return;
        }
        if !self.next.reservations_are_inherited() {
            self.next.reservations().release(lease);
        }
        for served in self.next.pools_touching(lease).filter(|s| !s.inherited) {
            served.pool.release(lease);
        }
    }

    /// Takes a lease unless it `is_own`: reserved for the client that holds it.
    fn take(&mut self, shard: ShardId, lease: Lease, is_own: bool) {
        if is_own || self.is_counted(lease) && !self.counted.insert(lease) {
            return;
        }
        if !self.next.reservations_are_inherited() {
            self.next.reservations().hold(lease);
        }
        for served in self.next.pools_touching(lease).filter(|s| !s.inherited) {
            if served.pool.fits(lease) {
                // Taken already if the walk and a change both saw it; reserved ones are not drawn.
                let _taken = served.pool.adopt(shard, lease);
            } else {
                served.pool.block(lease);
            }
        }
    }

    /// Whether taking the lease twice would count it twice.
    fn is_counted(&self, lease: Lease) -> bool {
        let reserved =
            !self.next.reservations_are_inherited() && self.next.reservations().overlap(lease);
        let mut fresh = self.next.pools_touching(lease).filter(|s| !s.inherited);
        reserved || fresh.any(|served| served.pool.counts_adoption(lease))
    }
}
