//! The control thread's lane of the journal: relationships and the ownership of prefixes, which
//! belong to no worker's shard.

use journal::{Appender, ControlDelta, ControlRecovered, SnapshotFeed};

/// What the control thread journals, and its part of a snapshot under way.
pub struct ControlLane {
    appender: Appender,
    state: ControlRecovered,
    walk: Option<Walk>,
}

/// The records are counted: relationships first, then ownership.
struct Walk {
    feed: SnapshotFeed,
    next: usize,
}

impl ControlLane {
    /// Goes on with what recovery found.
    pub fn new(appender: Appender, recovered: ControlRecovered) -> Self {
        Self {
            appender,
            state: recovered,
            walk: None,
        }
    }

    /// Begins its part of a snapshot.
    pub fn begin_snapshot(&mut self, feed: SnapshotFeed) {
        self.walk = Some(Walk { feed, next: 0 });
        self.step();
    }

    /// Hands over what was appended and goes on with the snapshot as far as there is room. Call it
    /// in every turn of the control thread.
    pub fn step(&mut self) {
        self.appender.submit();
        let Some(walk) = &mut self.walk else { return };
        let relationships = self.state.relationships.iter();
        let relationships =
            relationships.map(|(&key, state)| ControlDelta::Relationship { key, state });
        let ownership = self.state.ownership.iter();
        let ownership = ownership.map(|&(block, backup)| ControlDelta::Ownership { block, backup });
        for delta in relationships.chain(ownership).skip(walk.next) {
            if !walk.feed.has_room() {
                return;
            }
            walk.feed.push_control(&delta);
            walk.next += 1;
        }
        if walk.feed.finish(self.appender.ticket()) {
            self.walk = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::{Journal, Options, Recovered, Wake, recover};
    use lease::{BindingDelta, Lease};
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

    /// More than a feed takes at once, so that it is stepped; what follows the snapshot counts too.
    #[test]
    fn relationships_and_ownership_come_back_from_log_and_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let block = |n: u32| Lease {
            addr: u128::from(n) << 72,
            len: 56,
        };
        let mut expected = ControlRecovered::default();
        expected.relationships.insert(7, vec![9; 512]);
        expected.ownership = (0..200_000).map(|n| (block(n), n % 3 == 0)).collect();

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
        appender.submit();
        assert_eq!(journal.close(), journal::Health::Ok);

        let (journal, appender, found) = started(dir.path());
        assert_eq!(found, expected);
        let mut lane = ControlLane::new(appender, found);
        let feed = journal.begin_snapshot().unwrap().remove(0);
        lane.begin_snapshot(feed);
        let end = Instant::now() + Duration::from_secs(20);
        while journal.stats().snapshot.completed.is_none() {
            assert!(Instant::now() < end, "{:?}", journal.stats().snapshot);
            lane.step();
            std::thread::sleep(Duration::from_millis(1));
        }
        let later = ControlDelta::Ownership {
            block: block(5),
            backup: true,
        };
        lane.appender.append_control(&later);
        lane.step();
        assert_eq!(journal.close(), journal::Health::Ok);

        expected.ownership.push((block(5), true));
        let snapshot = recovered(dir.path());
        assert_eq!(snapshot.control, expected);
    }
}
