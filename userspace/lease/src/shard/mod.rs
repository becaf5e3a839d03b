//! The bindings of one slice of the DUID hash space, and the three ways to find one: by IA, by
//! lease, by when it ends.
//!
//! A shard has one writer, the thread that owns it. It knows no pool: who removes a binding gives
//! its position back, after the removal is on disk.
//!
//! Invariants: a lease is in at most one binding; every binding is in both tables; every binding
//! that ends is in the timing wheel; every one that its record calls `unacked` is among those to be
//! sent to the partner, in flight, or rejected by it (module `unacked`). Apart from growth of its tables nothing here allocates.

mod ahead;
mod cells;
mod clients;
mod index;
mod slab;
mod slot_set;
mod stored;
#[cfg(test)]
mod tests;
mod unacked;
#[cfg(test)]
mod unacked_tests;
mod via;
mod wheel;

pub use self::ahead::Ahead;
use self::cells::Cells;
use self::clients::StoredClient;
use self::index::Index;
use self::slab::Slab;
use self::stored::Stored;
use self::unacked::Unacked;
pub use self::unacked::{Answer, Answered, UnackedCounts};
use self::via::StoredVia;
use self::wheel::Wheel;
use crate::sip::SipKey;
use crate::{AbsTime, BindingRecord, BindingState, Lease};
use core::fmt;
use wire::{IaKey, ShardId};

/// A binding's place in its shard: good until the binding is removed, then given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub u32);

/// See the module.
pub struct Shard {
    id: ShardId,
    tables: SipKey,
    bindings: Slab<Stored>,
    cells: Cells,
    by_ia: Index,
    by_lease: Index,
    wheel: Wheel,
    unacked: Unacked,
    /// Bindings that are keyed by a subscriber.
    of_subscribers: usize,
    client_changes: u64,
}

impl Shard {
    /// A shard without bindings. `seed` is the secret of its tables, against clients that choose
    /// their DUIDs so that they collide; it may differ from run to run.
    pub fn new(id: ShardId, seed: u64) -> Self {
        Self {
            id,
            tables: SipKey::from_seed(seed),
            bindings: Slab::new(),
            cells: Cells::new(),
            by_ia: Index::new(),
            by_lease: Index::new(),
            wheel: Wheel::new(),
            unacked: Unacked::default(),
            of_subscribers: 0,
            client_changes: 0,
        }
    }

    /// Makes room in the tables for `additional` bindings, so that filling it does not rehash.
    pub fn reserve(&mut self, additional: usize) {
        let Self {
            tables,
            bindings,
            cells,
            by_ia,
            by_lease,
            ..
        } = self;
        by_ia.reserve(additional, |&id| ia_hash(*tables, &bindings[id], cells));
        by_lease.reserve(additional, |&id| lease_hash(*tables, bindings[id].lease()));
    }

    /// Which shard it is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Number of bindings.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Number of bindings that are keyed by a subscriber and not by their client.
    pub fn of_subscribers(&self) -> usize {
        self.of_subscribers
    }

    /// How often a subscriber's lease went from one of its clients to another since the last call.
    pub fn take_client_changes(&mut self) -> u64 {
        core::mem::take(&mut self.client_changes)
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bindings of an IA, in no particular order.
    pub fn leases_of<'s, 'k>(
        &'s self,
        ia: &'k IaKey<'k>,
    ) -> impl Iterator<Item = (BindingId, BindingRecord<'s>)> + use<'s, 'k> {
        self.by_ia
            .all(hash_of_ia(self.tables, ia))
            .filter(|&id| self.bindings[id].is_of(ia, &self.cells))
            .filter_map(|id| Some((BindingId(id), self.get(BindingId(id))?)))
    }

    /// The binding of a lease.
    pub fn by_lease(&self, lease: Lease) -> Option<(BindingId, BindingRecord<'_>)> {
        let id = BindingId(self.find(lease_hash(self.tables, lease), lease)?);
        Some((id, self.get(id)?))
    }

    /// Whether there is a binding of this lease, whatever its status.
    pub fn holds(&self, lease: Lease) -> bool {
        self.find(lease_hash(self.tables, lease), lease).is_some()
    }

    /// The binding at this place, if there is one.
    pub fn get(&self, id: BindingId) -> Option<BindingRecord<'_>> {
        self.bindings.get(id.0)?.record(&self.cells)
    }

    /// Inserts a binding, or replaces the one of the same lease at the same place, whoever held
    /// it; arms the wheel for its new end.
    pub fn put(&mut self, record: &BindingRecord<'_>) -> BindingId {
        self.put_ahead(record, &self.hashes(&record.ia(), Some(record.lease)))
    }

    /// [`put`](Self::put), with what [`look_ahead`](Self::look_ahead) gave for the record's IA and
    /// its lease.
    #[inline]
    pub fn put_ahead(&mut self, record: &BindingRecord<'_>, ahead: &Ahead) -> BindingId {
        debug_assert!(self.is_ahead_of(record, ahead), "looked ahead for another");
        let hash = ahead
            .lease
            .unwrap_or_else(|| lease_hash(self.tables, record.lease));
        let Some(id) = self.find(hash, record.lease) else {
            return BindingId(self.insert(record, hash, ahead.ia));
        };
        self.wheel.disarm(&mut self.bindings, id);
        let old = self.bindings[id];
        let via = old.via.replaced(record.via, &mut self.cells);
        let same_ia = old.is_of(&record.ia(), &self.cells);
        if same_ia && old.client.is_of(record, &self.cells) {
            self.bindings[id] = Stored::new(record, old.client, via);
        } else {
            self.client_changes += u64::from(same_ia);
            self.forget_ia(id);
            let client = self.replace_client(old.client, record);
            self.bindings[id] = Stored::new(record, client, via);
            self.index_ia(id, ahead.ia);
        }
        self.wheel.arm(&mut self.bindings, id);
        self.note_put(id, record.partner.unacked);
        BindingId(id)
    }

    /// Gives the binding at this place another state and arms the wheel for its new end; whether
    /// there is one.
    pub fn amend(&mut self, id: BindingId, state: &BindingState) -> bool {
        let BindingId(id) = id;
        let Some(old) = self.bindings.get(id).filter(|stored| stored.is_live()) else {
            return false;
        };
        if old.expires() == state.expires {
            self.bindings[id].set_state(state);
        } else {
            self.wheel.disarm(&mut self.bindings, id);
            self.bindings[id].set_state(state);
            self.wheel.arm(&mut self.bindings, id);
        }
        self.note_put(id, state.partner.unacked);
        true
    }

    /// Removes a binding; whether there was one.
    pub fn remove(&mut self, id: BindingId) -> bool {
        let BindingId(id) = id;
        let Some(stored) = self.bindings.get(id).filter(|stored| stored.is_live()) else {
            return false;
        };
        let (lease, client, via) = (stored.lease(), stored.client, stored.via);
        self.wheel.disarm(&mut self.bindings, id);
        self.forget_ia(id);
        self.by_lease.remove(lease_hash(self.tables, lease), id);
        self.of_subscribers -= usize::from(client.is_subscriber());
        client.remove(&mut self.cells);
        via.remove(&mut self.cells);
        self.unacked.forget(id);
        self.bindings.remove(id);
        true
    }

    /// Ends bindings whose end is at or before `now`; returns how many. `f` sees each and says
    /// what becomes of it: it is removed (`None`) or goes on in a state that ends later.
    ///
    /// Looks at no more than `budget` bindings, some of which only move within the wheel, and at
    /// no binding that neither ends nor moves: call it again while
    /// [`next_expiry`](Self::next_expiry) is not after `now`. `now` may jump in both directions;
    /// a binding never goes before its end.
    pub fn expire(
        &mut self,
        now: AbsTime,
        budget: usize,
        f: &mut dyn FnMut(&BindingRecord<'_>) -> Option<BindingState>,
    ) -> usize {
        let mut budget = budget;
        let mut ended = 0;
        while let Some(id) = self.wheel.next_due(&mut self.bindings, now, &mut budget) {
            let id = BindingId(id);
            match self.get(id).and_then(|record| f(&record)) {
                Some(state) => self.amend(id, &state),
                None => self.remove(id),
            };
            ended += 1;
        }
        ended
    }

    /// When [`expire`](Self::expire) has something to do next: not after the first end of a
    /// binding, but possibly before it. `None` if no binding ends.
    pub fn next_expiry(&self) -> Option<AbsTime> {
        self.wheel.next_wake()
    }

    /// A slice of all bindings: those at the `max` places from `from` on, and where the next slice
    /// begins (`None`: this was the last). Begin with 0.
    ///
    /// A binding that lives through the whole walk is seen exactly once, whatever else changes
    /// between the slices; one that comes or goes meanwhile may or may not be seen.
    pub fn walk(
        &self,
        from: u32,
        max: usize,
    ) -> (Option<u32>, impl Iterator<Item = BindingRecord<'_>>) {
        let (next, records) = self.walk_places(from, max);
        (next, records.map(|(_, record)| record))
    }

    /// [`walk`](Self::walk), with the places.
    pub fn walk_places(
        &self,
        from: u32,
        max: usize,
    ) -> (
        Option<u32>,
        impl Iterator<Item = (BindingId, BindingRecord<'_>)>,
    ) {
        let reached = self.bindings.reached();
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        let to = from.saturating_add(max).min(reached);
        let places = (from..to).map(BindingId);
        let records = places.filter_map(|id| Some((id, self.get(id)?)));
        ((to < reached).then_some(to), records)
    }

    /// Memory in use by bindings, tables and wheel, octets.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.bindings.memory_bytes()
            + self.cells.memory_bytes()
            + self.by_ia.memory_bytes()
            + self.by_lease.memory_bytes()
            + self.wheel.memory_bytes()
            + self.unacked.memory_bytes()
    }

    /// The binding of a lease with this hash.
    fn find(&self, hash: u64, lease: Lease) -> Option<u32> {
        self.by_lease
            .find(hash, |id| self.bindings[id].lease() == lease)
    }

    fn insert(&mut self, record: &BindingRecord<'_>, lease: u64, ia: u64) -> u32 {
        let client = self.replace_client(StoredClient::NONE, record);
        let via = StoredVia::NONE.replaced(record.via, &mut self.cells);
        let id = self.bindings.insert(Stored::new(record, client, via));
        self.index_ia(id, ia);
        let Self {
            tables,
            bindings,
            by_lease,
            ..
        } = self;
        by_lease.insert(lease, id, |&id| lease_hash(*tables, bindings[id].lease()));
        self.wheel.arm(&mut self.bindings, id);
        self.note_put(id, record.partner.unacked);
        id
    }

    fn replace_client(&mut self, old: StoredClient, record: &BindingRecord<'_>) -> StoredClient {
        old.remove(&mut self.cells);
        let client = StoredClient::insert(record, &mut self.cells);
        self.of_subscribers += usize::from(client.is_subscriber());
        self.of_subscribers -= usize::from(old.is_subscriber());
        client
    }

    fn index_ia(&mut self, id: u32, hash: u64) {
        let Self {
            tables,
            bindings,
            cells,
            by_ia,
            ..
        } = self;
        by_ia.insert(hash, id, |&id| ia_hash(*tables, &bindings[id], cells));
    }

    fn forget_ia(&mut self, id: u32) {
        let hash = ia_hash(self.tables, &self.bindings[id], &self.cells);
        self.by_ia.remove(hash, id);
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("id", &self.id)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn hash_of_ia(tables: SipKey, ia: &IaKey<'_>) -> u64 {
    tables.hash(
        &[u64::from(ia.iaid.0) << 32 | ia.kind as u64],
        ia.duid.octets(),
    )
}

fn ia_hash(tables: SipKey, stored: &Stored, cells: &Cells) -> u64 {
    stored.ia(cells).map_or(0, |ia| hash_of_ia(tables, &ia))
}

fn lease_hash(tables: SipKey, lease: Lease) -> u64 {
    let words = [lease.addr as u64, (lease.addr >> 64) as u64];
    tables.hash(&words, &[lease.len])
}
