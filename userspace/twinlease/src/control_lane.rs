//! The control thread's lane of the journal: relationships and the ownership of prefixes, which
//! belong to no worker's shard.

use arc_swap::ArcSwap;
use engine::Model;
use failover::balance::Transfer;
use journal::{Appender, ControlDelta, ControlRecovered, SnapshotFeed, Ticket, Wake};
use lease::{Lease, Role};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a relationship needs of stable storage.
pub trait Records: Send {
    /// Whether a few more records can be taken now.
    fn has_room(&self) -> bool;
    /// The state of a relationship is now this; what stands behind waits for the ticket.
    fn relationship(&mut self, key: u64, state: &[u8]) -> Ticket;
    /// A block is one side's from now on.
    fn ownership(&mut self, transfer: Transfer) -> Ticket;
    /// Hands over what was appended; everything up to this ticket is on disk.
    fn committed(&mut self) -> Ticket;
}

/// What the control thread journals, and its part of a snapshot under way.
pub struct ControlLane {
    appender: Appender,
    relationships: BTreeMap<u64, Vec<u8>>,
    /// FREE-BACKUP blocks of no pool that is configured now: kept for when it is again.
    unplaced: Vec<Lease>,
    model: Arc<ArcSwap<Model>>,
    walk: Option<Walk>,
}

/// What is still to be handed to a snapshot, as it was when that began: what changes meanwhile is
/// behind it in the log.
struct Walk {
    feed: SnapshotFeed,
    relationships: Vec<(u64, Vec<u8>)>,
    backups: Box<dyn Iterator<Item = Lease> + Send>,
}

impl ControlLane {
    /// Goes on with what recovery found: gives the blocks of `model`'s pools to whom they belong.
    /// All bindings must be in their pools already.
    pub fn new(
        appender: Appender,
        recovered: ControlRecovered,
        model: Arc<ArcSwap<Model>>,
    ) -> Self {
        let mut unplaced = Vec::new();
        for (block, backup) in recovered.ownership {
            let side = if backup {
                Role::Secondary
            } else {
                Role::Primary
            };
            let pools = model.load();
            let mut pools = pools.pools().iter();
            if !pools.any(|served| served.pool().restore_block(block, side)) {
                unplaced.retain(|other| *other != block);
                unplaced.extend(backup.then_some(block));
            }
        }
        Self {
            appender,
            relationships: recovered.relationships,
            unplaced,
            model,
            walk: None,
        }
    }

    /// The state of a relationship as last recorded.
    pub fn state_of(&self, key: u64) -> Option<&[u8]> {
        self.relationships.get(&key).map(Vec::as_slice)
    }

    /// Begins its part of a snapshot.
    pub fn begin_snapshot(&mut self, feed: SnapshotFeed) {
        let relationships = self.relationships.iter();
        self.walk = Some(Walk {
            feed,
            relationships: relationships
                .map(|(key, state)| (*key, state.clone()))
                .collect(),
            backups: Box::new(self.backups().into_iter()),
        });
        self.step();
    }

    /// Hands over what was appended and goes on with the snapshot as far as there is room. Call it
    /// in every turn of the control thread.
    pub fn step(&mut self) {
        self.appender.submit();
        let Some(walk) = &mut self.walk else { return };
        while walk.feed.has_room() {
            if let Some((key, state)) = walk.relationships.pop() {
                let state = &state;
                walk.feed
                    .push_control(&ControlDelta::Relationship { key, state });
            } else if let Some(block) = walk.backups.next() {
                let backup = true;
                walk.feed
                    .push_control(&ControlDelta::Ownership { block, backup });
            } else {
                if walk.feed.finish(self.appender.ticket()) {
                    self.walk = None;
                }
                return;
            }
        }
    }

    /// Hands over all that was appended; how many records are not on disk.
    pub fn uncommitted(&mut self) -> u64 {
        crate::stop::uncommitted(&mut self.appender)
    }

    /// Every block that is the secondary's.
    fn backups(&self) -> Vec<Lease> {
        let model = self.model.load();
        let pools = model.pools().iter().map(engine::ServedPool::pool);
        let placed = pools.flat_map(|pool| pool.blocks_of(Role::Secondary));
        self.unplaced.iter().copied().chain(placed).collect()
    }
}

impl Records for ControlLane {
    fn has_room(&self) -> bool {
        self.appender.has_room()
    }

    fn relationship(&mut self, key: u64, state: &[u8]) -> Ticket {
        self.relationships.insert(key, state.to_vec());
        self.appender
            .append_control(&ControlDelta::Relationship { key, state });
        self.appender.ticket()
    }

    fn ownership(&mut self, Transfer { block, to }: Transfer) -> Ticket {
        let backup = to == Role::Secondary;
        self.appender
            .append_control(&ControlDelta::Ownership { block, backup });
        self.appender.ticket()
    }

    fn committed(&mut self) -> Ticket {
        self.appender.submit();
        self.appender.committed()
    }
}

/// The lane as all relationships share it; on the control thread only.
#[derive(Clone)]
pub struct SharedLane(Arc<Mutex<ControlLane>>);

impl SharedLane {
    /// To be shared.
    pub fn new(lane: ControlLane) -> Self {
        Self(Arc::new(Mutex::new(lane)))
    }

    /// The lane, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, ControlLane> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records for SharedLane {
    fn has_room(&self) -> bool {
        self.lock().has_room()
    }

    fn relationship(&mut self, key: u64, state: &[u8]) -> Ticket {
        self.lock().relationship(key, state)
    }

    fn ownership(&mut self, transfer: Transfer) -> Ticket {
        self.lock().ownership(transfer)
    }

    fn committed(&mut self) -> Ticket {
        self.lock().committed()
    }
}

/// Tells whoever waits for the lane that something was committed.
#[derive(Clone, Default)]
pub struct LaneWaker(pub Arc<Notify>);

impl Wake for LaneWaker {
    fn wake(&self) {
        self.0.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{LinkSpec, ModelBuilder, PoolConfig, Relationship};
    use journal::{Journal, Options, Recovered, Wake, recover};
    use lease::{AllocationKey, BindingDelta, PoolSpec};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    struct Nobody;

    impl Wake for Nobody {
        fn wake(&self) {}
    }

    struct NoBindings;

    impl journal::Apply for NoBindings {
        fn apply(&mut self, delta: &BindingDelta<'_>) {
            panic!("a shard was given {delta:?}");
        }
    }

    fn recovered(dir: &Path) -> Recovered {
        let (_, recovered) = recover(dir, false, vec![NoBindings], &|_| 0).unwrap();
        assert!(recovered.report.is_empty(), "{:?}", recovered.report);
        recovered
    }

    fn started(dir: &Path) -> (Journal, Appender, ControlRecovered) {
        let mut recovered = recovered(dir);
        let control = std::mem::take(&mut recovered.control);
        let options = Options {
            segment_len: 4 << 20,
            ..Options::default()
        };
        let (journal, mut appenders) =
            Journal::start(recovered, options, vec![Arc::new(Nobody)]).unwrap();
        (journal, appenders.remove(0), control)
    }

    /// One prefix pool of 2^18 prefixes under 2001:db8::/38, of a secondary.
    fn model() -> Arc<ArcSwap<Model>> {
        let spec = PoolSpec::prefixes(block(0, 38), 56).unwrap();
        let link = LinkSpec {
            name: "lan".into(),
            pools: vec![PoolConfig::new(spec)],
            relationship: Some(Relationship {
                index: 0,
                role: Role::Secondary,
                mclt_secs: 600,
            }),
            ..LinkSpec::default()
        };
        let model = ModelBuilder::new(&[0, 4, 1], AllocationKey::new([1; 16])).link(link);
        Arc::new(ArcSwap::from_pointee(model.build().unwrap()))
    }

    fn block(n: u32, len: u8) -> Lease {
        Lease {
            addr: (0x2001_0db8 << 96) + (u128::from(n) << 72),
            len,
        }
    }

    /// More than a feed takes at once, so that it is stepped; what follows the snapshot counts too.
    #[test]
    fn relationships_and_ownership_come_back_from_log_and_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = ControlRecovered::default();
        expected.relationships.insert(7, vec![9; 512]);
        let elsewhere = Lease {
            addr: 0x3fff << 112,
            len: 56,
        };
        expected.ownership = vec![(elsewhere, true)];
        // Every other prefix, so that no two make one block.
        let backups = (0..1 << 18).step_by(2).map(|n| (block(n, 56), true));
        expected.ownership.extend(backups);

        let (journal, mut appender, before) = started(dir.path());
        assert_eq!(before, ControlRecovered::default());
        for state in [vec![1], vec![9; 512]] {
            appender.append_control(&ControlDelta::Relationship {
                key: 7,
                state: &state,
            });
        }
        for &(block, backup) in &expected.ownership {
            while !appender.has_room() {
                appender.submit();
            }
            appender.append_control(&ControlDelta::Ownership { block, backup });
        }
        // A busy journal takes the last of them later.
        while appender.committed() < appender.ticket() {
            appender.submit();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(journal.close(), journal::Health::Ok);

        let (journal, appender, found) = started(dir.path());
        assert_eq!(found, expected);
        let model = model();
        let mut lane = ControlLane::new(appender, found, Arc::clone(&model));
        let secondary = |model: &Model| model.pools()[0].pool().sides().unwrap().secondary;
        assert_eq!(secondary(&model.load()), 1 << 17);
        assert_eq!(lane.state_of(7), Some(&[9; 512][..]));
        let feed = journal.begin_snapshot().unwrap().remove(0);
        lane.begin_snapshot(feed);
        let end = Instant::now() + Duration::from_secs(20);
        while journal.stats().snapshot.completed.is_none() {
            assert!(Instant::now() < end, "{:?}", journal.stats().snapshot);
            lane.step();
            std::thread::sleep(Duration::from_millis(1));
        }
        let later = Transfer {
            block: block(1, 56),
            to: Role::Secondary,
        };
        lane.ownership(later);
        lane.step();
        assert_eq!(journal.close(), journal::Health::Ok);

        expected.ownership.push((later.block, true));
        let snapshot = recovered(dir.path());
        assert_eq!(snapshot.control, expected);
    }
}
