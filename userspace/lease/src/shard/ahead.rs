//! Looking ahead: asking the memory for what decisions about many IAs will look at.
//!
//! In a table of millions each place that a decision comes to is a cache miss, and which place is
//! next often stands in the one before. So the places are asked for in three stages, each for a
//! whole batch of IAs before the next stage begins: the misses of one stage overlap, and a batch
//! waits three times and not a dozen times for each message.
//!
//! Nothing is decided here: what other messages change meanwhile is seen when the IA's turn comes.

use super::Shard;
use super::slab::NIL;
use super::{hash_of_ia, lease_hash};
use crate::{BindingRecord, Lease, prefetch};
use wire::IaKey;

/// What is known of an IA between the stages.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    pub(super) ia: u64,
    pub(super) lease: Option<u64>,
    /// Bindings that the tables lead to: by IA, and by lease if that is another one.
    found: [u32; 2],
}

impl Shard {
    /// First stage: the tables' entries for this IA and for a lease it names, and the place of a
    /// new binding.
    #[inline]
    pub fn look_ahead(&self, ia: &IaKey<'_>, lease: Option<Lease>) -> Ahead {
        let ahead = self.hashes(ia, lease);
        self.by_ia.prefetch(ahead.ia);
        if let Some(hash) = ahead.lease {
            self.by_lease.prefetch(hash);
        }
        if let Some(free) = self.bindings.next_free() {
            prefetch::value(free);
        }
        ahead
    }

    /// Where the tables' entries are, without asking for them.
    pub(super) fn hashes(&self, ia: &IaKey<'_>, lease: Option<Lease>) -> Ahead {
        Ahead {
            ia: hash_of_ia(self.tables, ia),
            lease: lease.map(|lease| lease_hash(self.tables, lease)),
            found: [NIL; 2],
        }
    }

    /// Whether that is what looking ahead for this record gives.
    pub(super) fn is_ahead_of(&self, record: &BindingRecord<'_>, ahead: &Ahead) -> bool {
        let own = self.hashes(&record.ia(), Some(record.lease));
        own.ia == ahead.ia && ahead.lease.is_none_or(|lease| own.lease == Some(lease))
    }

    /// Second stage: the bindings that the entries lead to.
    #[inline]
    pub fn look_at_bindings(&self, ahead: &mut Ahead) {
        let by_ia = self.by_ia.find(ahead.ia, |_| true).unwrap_or(NIL);
        let by_lease = ahead
            .lease
            .and_then(|hash| self.by_lease.find(hash, |_| true));
        let by_lease = by_lease.filter(|&id| id != by_ia).unwrap_or(NIL);
        ahead.found = [by_ia, by_lease];
        for id in ahead.found {
            if let Some(stored) = self.bindings.get(id) {
                prefetch::value(stored);
            }
        }
    }

    /// Third stage: the bindings next to them in the timing wheel's lists.
    #[inline]
    pub fn look_at_neighbours(&self, ahead: &Ahead) {
        let found = ahead.found.iter().filter_map(|&id| self.bindings.get(id));
        for stored in found {
            for neighbour in [stored.next, stored.prev] {
                if let Some(neighbour) = self.bindings.get(neighbour) {
                    prefetch::value(&neighbour.next);
                }
            }
        }
    }
}
