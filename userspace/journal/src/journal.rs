//! The running journal as the program holds it: start, health, snapshots, stop.

use crate::chunk::{Appender, FeedOut, SnapshotFeed, lane};
use crate::error::JournalError;
use crate::file::Storage;
use crate::recover::Recovered;
use crate::shared::{Health, Shared, Slow, SnapshotState, Stats, Wake};
use crate::snapshot;
use crate::spare::Spares;
use crate::writer::Writer;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime};

/// Segments that make a snapshot due whatever they hold: short runs leave them nearly empty.
const SEGMENTS_MAX: usize = 32;
/// Pause after a snapshot that failed.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(60);

/// What may be chosen; the default suits every disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Length of a segment in octets, a multiple of 4 KiB, at least 2 MiB.
    pub segment_len: u64,
    /// Octets of records behind the last snapshot below which none is due. Replaying 64 MiB takes
    /// a tenth of a second.
    pub snapshot_floor: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_len: 64 << 20,
            snapshot_floor: 64 << 20,
        }
    }
}

/// The running journal. Dropping it is [`Self::close`] without the answer.
pub struct Journal {
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    spares: Arc<Spares>,
    options: Options,
    threads: Vec<JoinHandle<()>>,
    snapshot: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Starts the journal where recovery ended, with one appender for each of `wakers`.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`] if the first segment cannot be made or a thread cannot be started.
    ///
    /// # Panics
    ///
    /// If `options.segment_len` is not as its documentation says.
    pub fn start(
        recovered: Recovered,
        options: Options,
        wakers: Vec<Arc<dyn Wake>>,
    ) -> Result<(Self, Vec<Appender>), JournalError> {
        assert!(
            options.segment_len.is_multiple_of(4096) && options.segment_len >= 2 << 20,
            "a segment has room for a batch"
        );
        let storage = recovered.storage;
        let failed = |what| {
            let path = storage.path().to_owned();
            move |source| JournalError::Io { what, path, source }
        };
        let slow = Slow {
            health: Health::Ok,
            segments: recovered.segments,
            snapshots: recovered.snapshots,
            snapshot: SnapshotState {
                len: recovered.snapshot_len,
                ..SnapshotState::default()
            },
            snapshot_failed_at: None,
        };
        let workers = wakers.len();
        let shared = Shared::new(workers, recovered.next_lsn.0, recovered.log_bytes, slow);
        let shared = Arc::new(shared);
        let spares = Spares::new(
            Arc::clone(&storage),
            options.segment_len,
            recovered.spares,
            recovered.next_spare,
            recovered.next_segment,
        );
        let spares = Arc::new(spares);
        let (lanes_in, lanes_out): (Vec<_>, Vec<_>) = (0..workers).map(|_| lane()).unzip();
        let mut writer = Writer::new(
            Arc::clone(&shared),
            Arc::clone(&storage),
            Arc::clone(&spares),
            lanes_out,
            wakers,
            recovered.next_lsn,
        );
        writer
            .open_first()
            .map_err(failed("make the first segment in"))?;
        let mut journal = Self {
            shared: Arc::clone(&shared),
            storage: Arc::clone(&storage),
            spares: Arc::clone(&spares),
            options,
            threads: Vec::new(),
            snapshot: Mutex::new(None),
        };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = Builder::new().name(name.to_owned()).spawn(work);
            thread.map_err(failed("start a thread for"))
        };
        journal
            .threads
            .push(spawn("journal", Box::new(move || writer.run()))?);
        let keeper = Arc::clone(&shared);
        let keep = move || {
            spares.bell.set_thread(std::thread::current());
            spares.keep_ready(&keeper.stop);
        };
        journal
            .threads
            .push(spawn("journal-spare", Box::new(keep))?);
        let appenders = lanes_in.into_iter().enumerate();
        let appenders = appenders
            .map(|(worker, lane)| Appender::new(lane, worker, Arc::clone(&shared)))
            .collect();
        Ok((journal, appenders))
    }

    /// Whether it can write.
    pub fn health(&self) -> Health {
        self.shared.slow().health.clone()
    }

    /// Counters and the state of the disk.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Whether the log has grown enough that a new snapshot is worth its writing.
    pub fn snapshot_due(&self) -> bool {
        let slow = self.shared.slow();
        let rested = slow
            .snapshot_failed_at
            .is_none_or(|at| at.elapsed().is_ok_and(|past| past >= SNAPSHOT_RETRY));
        let grown = self.shared.bytes_since_snapshot.load(Ordering::Relaxed);
        let due = grown > self.options.snapshot_floor.max(slow.snapshot.len)
            || slow.segments.len() > SEGMENTS_MAX && grown > 0;
        due && rested && !slow.snapshot.running && slow.health == Health::Ok
    }

    /// Begins a snapshot: one feed for each worker, in their order. `None` while one is running
    /// or if its thread cannot be started.
    pub fn begin_snapshot(&self) -> Option<Vec<SnapshotFeed>> {
        let mut thread = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut slow = self.shared.slow();
            if slow.snapshot.running {
                return None;
            }
            slow.snapshot.running = true;
        }
        let grown = self.shared.bytes_since_snapshot.load(Ordering::Relaxed);
        let lsn = self.shared.next_lsn.load(Ordering::Acquire);
        let workers = self.shared.committed.len();
        let (feeds, outs): (Vec<_>, Vec<_>) = (0..workers).map(|_| SnapshotFeed::new()).unzip();
        let shared = Arc::clone(&self.shared);
        let (storage, spares) = (Arc::clone(&self.storage), Arc::clone(&self.spares));
        let work = move || run_snapshot(&shared, &*storage, &spares, outs, (lsn, grown));
        match Builder::new()
            .name("journal-snapshot".to_owned())
            .spawn(work)
        {
            Ok(started) => {
                *thread = Some(started);
                Some(feeds)
            }
            Err(error) => {
                let mut slow = self.shared.slow();
                slow.snapshot.running = false;
                slow.snapshot.error = Some(error.to_string());
                None
            }
        }
    }

    /// Commits everything that was submitted and stops; the answer says whether it could.
    pub fn close(mut self) -> Health {
        self.stop();
        self.health()
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for thread in &self.threads {
            thread.thread().unpark();
        }
        let snapshot = self
            .snapshot
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        for thread in self.threads.drain(..).chain(snapshot) {
            if thread.join().is_err() {
                tracing::error!("a thread of the journal panicked");
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run_snapshot(
    shared: &Shared,
    storage: &dyn Storage,
    spares: &Spares,
    mut feeds: Vec<FeedOut>,
    (lsn, grown): (u64, u64),
) {
    let written = snapshot::write(shared, storage, spares, &mut feeds, lsn);
    let mut slow = shared.slow();
    slow.snapshot.running = false;
    match written {
        Ok(len) => {
            slow.snapshot.len = len;
            slow.snapshot.completed = Some(SystemTime::now());
            slow.snapshot.error = None;
            slow.snapshot_failed_at = None;
            shared
                .bytes_since_snapshot
                .fetch_sub(grown, Ordering::Relaxed);
        }
        Err(error) => {
            tracing::warn!(%error, "the snapshot was not completed; the one before it stands");
            slow.snapshot.error = Some(error.to_string());
            slow.snapshot_failed_at = Some(SystemTime::now());
        }
    }
}
