//! The shards one worker owns, and the slow walks over them that are done slice by slice.

use super::desk::Desk;
use engine::Context;
use journal::SnapshotFeed;
use lease::{AbsTime, BindingDelta, Shard};
use wire::{SHARDS, ShardId};

/// Places looked at for a snapshot in one turn: some microseconds, and no more than the room that
/// a feed promises.
const SNAPSHOT_SLICE: usize = 64;

/// The shards of one worker.
pub struct ShardSet {
    shards: Vec<Option<Shard>>,
    owned: Vec<ShardId>,
    /// The second in which all shards were last looked at for ends, and the next one to look at.
    expired_at: AbsTime,
    expire_next: usize,
}

impl ShardSet {
    /// Takes over `shards`, in any order.
    pub fn new(mut shards: Vec<Shard>) -> Self {
        // What recovery replayed is nothing new.
        for shard in &mut shards {
            shard.take_client_changes();
        }
        let mut slots: Vec<Option<Shard>> = (0..SHARDS).map(|_| None).collect();
        let mut owned = Vec::with_capacity(shards.len());
        for shard in shards {
            owned.push(shard.id());
            let slot = usize::from(shard.id().0);
            slots[slot] = Some(shard);
        }
        owned.sort_unstable();
        Self {
            shards: slots,
            owned,
            expired_at: AbsTime(0),
            expire_next: 0,
        }
    }

    /// The shard, which must be owned.
    pub fn get_mut(&mut self, id: ShardId) -> &mut Shard {
        self.shards[usize::from(id.0)]
            .as_mut()
            .expect("a packet is answered only by the worker that owns its shard")
    }

    /// The shard, if it is owned.
    pub fn get(&self, id: ShardId) -> Option<&Shard> {
        self.shards[usize::from(id.0)].as_ref()
    }

    /// The shards owned, ascending.
    pub fn owned(&self) -> &[ShardId] {
        &self.owned
    }

    /// All shards owned.
    pub fn all(&self) -> impl Iterator<Item = &Shard> {
        self.owned.iter().filter_map(|id| self.get(*id))
    }

    /// Bindings over all shards.
    pub fn bindings(&self) -> usize {
        self.all().map(Shard::len).sum()
    }

    /// How often a subscriber's lease went to another of its clients since the last call.
    pub fn take_client_changes(&mut self) -> u64 {
        let shards = self.shards.iter_mut().flatten();
        shards.map(Shard::take_client_changes).sum()
    }

    /// Ends what is due now, looking at no more than `budget` bindings a call; how many were
    /// ended. Every shard is looked at once in each second.
    pub fn expire_due(
        &mut self,
        context: &Context<'_>,
        budget: usize,
        emit: &mut dyn FnMut(&BindingDelta<'_>),
    ) -> usize {
        let now = context.now;
        if self.expired_at == now {
            return 0;
        }
        let Some(id) = self.owned.get(self.expire_next).copied() else {
            self.expire_next = 0;
            self.expired_at = now;
            return 0;
        };
        let shard = self.get_mut(id);
        let ended = engine::expire(context, shard, budget, emit);
        if shard
            .next_expiry()
            .is_none_or(|next| next > context.expires_until())
        {
            self.expire_next += 1;
        }
        ended
    }
}

/// How far a snapshot has come.
pub struct SnapshotWalk {
    feed: SnapshotFeed,
    shard: usize,
    cursor: u32,
}

impl SnapshotWalk {
    /// Begins at the first binding of the first shard.
    pub fn new(feed: SnapshotFeed) -> Self {
        Self {
            feed,
            shard: 0,
            cursor: 0,
        }
    }
}

impl Desk {
    /// Puts the next slice of bindings into the snapshot under way; how many.
    ///
    /// The walk is fuzzy: what changes meanwhile is in the journal behind the snapshot's LSN, and
    /// records are whole states, so replaying them over the snapshot is right either way.
    pub fn feed(&mut self, snapshot: &mut Option<SnapshotWalk>) -> usize {
        let Some(walk) = snapshot else { return 0 };
        if !walk.feed.has_room() {
            return 0;
        }
        let Some(id) = self.shards.owned().get(walk.shard).copied() else {
            if walk.feed.finish(self.appender.ticket()) {
                *snapshot = None;
            }
            return 1;
        };
        let shard = self.shards.get(id).expect("an owned shard is here");
        let (next, records) = shard.walk(walk.cursor, SNAPSHOT_SLICE);
        let mut fed = 1;
        for record in records {
            walk.feed.push(&BindingDelta::Put { shard: id, record });
            fed += 1;
        }
        match next {
            Some(cursor) => walk.cursor = cursor,
            None => {
                walk.shard += 1;
                walk.cursor = 0;
            }
        }
        fed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ModelBuilder;
    use lease::{AllocationKey, BindingRecord, BindingStatus, Lease, LinkKey, PartnerTimes};
    use wire::{Duid, IaKind, Iaid, shard_of};

    /// A shard with so many bindings that end one second after the other, from 100 on.
    fn shard(id: u8, bindings: u32) -> Shard {
        let mut shard = Shard::new(ShardId(id), 7);
        let duids = (0_u32..).map(|n| n.to_be_bytes());
        let mine = duids.filter(|duid| shard_of(duid) == ShardId(id));
        for (duid, n) in mine.zip(0..bindings) {
            shard.put(&BindingRecord {
                duid: Duid::new(&duid).unwrap(),
                kind: IaKind::Na,
                iaid: Iaid(1),
                subscriber: None,
                lease: Lease {
                    addr: u128::from(id) << 32 | u128::from(n),
                    len: 128,
                },
                link: LinkKey(1),
                status: BindingStatus::Active,
                preferred_secs: 50,
                valid_secs: 100,
                cltt: AbsTime(n),
                status_since: AbsTime(n),
                expires: AbsTime(100 + n),
                partner: PartnerTimes::NONE,
                accepts_reconfigure: false,
                via: &[],
            });
        }
        shard
    }

    fn expire_all(set: &mut ShardSet, now: u32) -> Vec<Lease> {
        let mut ended = Vec::new();
        let model = ModelBuilder::new(&[0, 4, 1], AllocationKey::new([1; 16]));
        let model = model.build().unwrap();
        for _ in 0..1000 {
            let context = Context::alone(&model, AbsTime(now));
            set.expire_due(&context, 2, &mut |delta| match delta {
                BindingDelta::Remove { lease, .. } => ended.push(*lease),
                _ => panic!("ending only removes"),
            });
        }
        ended
    }

    #[test]
    fn every_shard_is_expired_in_small_steps_and_not_before_its_time() {
        let mut set = ShardSet::new(vec![shard(9, 10), shard(3, 10)]);
        assert_eq!(set.owned(), [ShardId(3), ShardId(9)]);
        assert_eq!(set.bindings(), 20);
        assert!(expire_all(&mut set, 99).is_empty());
        assert_eq!(expire_all(&mut set, 104).len(), 10, "five of each");
        assert!(expire_all(&mut set, 104).is_empty());
        assert_eq!(expire_all(&mut set, 5000).len(), 10);
        assert_eq!(set.bindings(), 0);
    }

    #[test]
    fn a_shard_of_another_worker_is_not_here() {
        let set = ShardSet::new(vec![shard(9, 1)]);
        assert!(set.get(ShardId(9)).is_some());
        assert!(set.get(ShardId(8)).is_none());
        assert_eq!(set.all().count(), 1);
    }
}
