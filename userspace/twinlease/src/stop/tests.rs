//! Stops on a disk that stalls, goes on, or refuses.

use super::*;
use crate::control_lane::{ControlLane, Records};
use arc_swap::ArcSwap;
use engine::ModelBuilder;
use failover::balance::Transfer;
use journal::{Disk, File, OpenFor, Options, Storage, Wake, recover_from};
use lease::{AllocationKey, BindingDelta, Lease, Role};
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex};
use wire::ShardId;

const SHORT: Duration = Duration::from_millis(300);

/// What the disk does with a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writes {
    Go,
    Stall,
    Fail,
}

/// A directory that writes as it is told.
#[derive(Clone)]
struct Valve {
    disk: Arc<Disk>,
    writes: Arc<(Mutex<Writes>, Condvar)>,
}

struct ValveFile {
    file: Box<dyn File>,
    valve: Valve,
}

impl Valve {
    fn set(&self, writes: Writes) {
        *self.writes.0.lock().unwrap() = writes;
        self.writes.1.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let writes = self.writes.0.lock().unwrap();
        let stalls = |writes: &mut Writes| *writes == Writes::Stall;
        match *self.writes.1.wait_while(writes, stalls).unwrap() {
            Writes::Fail => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }
}

impl File for ValveFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.valve.pass()?;
        self.file.write_at(buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.valve.pass()?;
        self.file.sync()
    }
}

impl Storage for Valve {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str, what_for: OpenFor) -> io::Result<Box<dyn File>> {
        let file = self.disk.open(name, what_for)?;
        let valve = self.clone();
        Ok(Box::new(ValveFile { file, valve }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn path(&self) -> &Path {
        self.disk.path()
    }
}

struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

struct NoBindings;

impl journal::Apply for NoBindings {
    fn apply(&mut self, _: &BindingDelta<'_>) {}
}

/// One worker with three records and a control thread with one, on a disk that stalls.
fn stalled(dir: &Path) -> (Remains, Valve) {
    let valve = Valve {
        disk: Arc::new(Disk::open(dir).unwrap()),
        writes: Arc::new((Mutex::new(Writes::Go), Condvar::new())),
    };
    let storage = Arc::new(valve.clone());
    let (_, recovered) = recover_from(storage, false, vec![NoBindings], &|_| 0).unwrap();
    let options = Options {
        segment_len: 4 << 20,
        ..Options::default()
    };
    let wakers: Vec<Arc<dyn Wake>> = vec![Arc::new(Nobody), Arc::new(Nobody)];
    let (journal, mut appenders) = Journal::start(recovered, options, wakers).unwrap();
    valve.set(Writes::Stall);
    let model = ModelBuilder::new(&[0, 4, 1], AllocationKey::new([1; 16]));
    let model = Arc::new(ArcSwap::from_pointee(model.build().unwrap()));
    let control = appenders.pop().unwrap();
    let lane = ControlLane::new(control, journal::ControlRecovered::default(), model);
    let mut control = SharedLane::new(lane);
    let block = Lease {
        addr: 0x2001_0db9 << 96,
        len: 48,
    };
    control.ownership(Transfer {
        block,
        to: Role::Secondary,
    });
    let mut worker = appenders.pop().unwrap();
    for addr in 0..3 {
        let lease = Lease { addr, len: 128 };
        let shard = ShardId(0);
        worker.append_lazily(&BindingDelta::Remove { shard, lease });
    }
    let remains = Remains {
        workers: vec![Some(worker)],
        control,
        journal: Arc::new(journal),
    };
    (remains, valve)
}

fn left() -> Left {
    Left {
        workers: vec![3],
        control: 1,
    }
}

#[test]
fn a_stop_waits_for_a_slow_disk_and_all_is_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let (remains, valve) = stalled(dir.path());
    let goes_on = std::thread::spawn(move || {
        std::thread::sleep(SHORT / 3);
        valve.set(Writes::Go);
    });
    remains.settle_within(20 * SHORT).unwrap();
    goes_on.join().unwrap();
    let (_, found) = journal::recover(dir.path(), false, vec![NoBindings], &|_| 0).unwrap();
    assert_eq!(found.records, 4);
}

#[test]
fn a_stop_on_a_disk_that_does_not_answer_says_what_is_not_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let (remains, valve) = stalled(dir.path());
    let error = remains.settle_within(SHORT).unwrap_err();
    assert!(matches!(&error, StopError::Stalled { left: found } if *found == left()));
    assert_eq!(
        error.to_string(),
        "stopped without 3 records of worker 0 and 1 record of failover states and the ownership \
         of prefixes on disk: it has not ended a write in 5 s; check it and the kernel's log; \
         nobody was told of them"
    );
    valve.set(Writes::Go);
}

#[test]
fn a_stop_on_a_disk_that_refuses_does_not_wait_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let (remains, valve) = stalled(dir.path());
    valve.set(Writes::Fail);
    let begin = Instant::now();
    let error = remains.settle_within(200 * SHORT).unwrap_err();
    assert!(begin.elapsed() < 100 * SHORT);
    let StopError::Failing { left: found, error } = error else {
        panic!("{error}");
    };
    assert_eq!(found, left());
    assert!(error.contains("cannot write the journal"), "{error}");
}

#[test]
fn a_journal_that_somebody_else_has_is_no_orderly_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (remains, valve) = stalled(dir.path());
    valve.set(Writes::Go);
    let other = Arc::clone(&remains.journal);
    let error = remains.settle_within(20 * SHORT).unwrap_err();
    assert!(matches!(error, StopError::InUse(_)), "{error}");
    drop(other);
}

#[test]
fn a_worker_that_failed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut remains, valve) = stalled(dir.path());
    valve.set(Writes::Go);
    remains.workers.push(None);
    let error = remains.settle_within(20 * SHORT).unwrap_err();
    assert!(matches!(error, StopError::Worker(1)), "{error}");
}
