//! From checked batches to the appliers: one thread each, fed with windows of a file.

use super::Apply;
use crate::control::{self, ControlRecovered, is_control};
use crate::error::JournalError;
use crate::record::{Peeked, RecordError, decode, peek};
use crate::segment::ShardSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use wire::{SHARDS, ShardId};

/// Windows under way to an applier: enough to read while it applies.
const WINDOWS_AHEAD: usize = 3;
/// Deltas that are decoded before the first is applied.
const DELTAS_AT_ONCE: usize = 32;

/// A whole batch's place in its window.
#[derive(Clone)]
pub(super) struct Loaded {
    pub payload: Range<usize>,
    pub control: bool,
    pub shards: ShardSet,
}

#[derive(Clone)]
enum Work {
    /// See [`Apply::expect`].
    Expect(u64),
    Apply(Window),
}

/// A part of a file and the batches in it.
#[derive(Clone)]
struct Window {
    file: Arc<str>,
    octets: Arc<Vec<u8>>,
    at: u64,
    batches: Arc<[Loaded]>,
}

/// The reader's end.
pub(super) struct Feed {
    appliers: Vec<SyncSender<Work>>,
    pool: Vec<Arc<Vec<u8>>>,
}

impl Feed {
    /// Sends `batches` and forgets them.
    pub fn send(
        &mut self,
        file: &Arc<str>,
        window: &Arc<Vec<u8>>,
        window_at: u64,
        batches: &mut Vec<Loaded>,
    ) -> Result<(), JournalError> {
        if batches.is_empty() {
            return Ok(());
        }
        self.send_all(&Work::Apply(Window {
            file: Arc::clone(file),
            octets: Arc::clone(window),
            at: window_at,
            batches: batches.drain(..).collect(),
        }));
        Ok(())
    }

    /// Tells of a snapshot of so many records.
    pub fn expect(&mut self, records: u64) {
        if records > 0 {
            self.send_all(&Work::Expect(records));
        }
    }

    fn send_all(&self, work: &Work) {
        for applier in &self.appliers {
            // An applier that is gone has an error, which is found when it is joined.
            let _ = applier.send(work.clone());
        }
    }

    /// A window of `len` octets as `read` fills it, cut to what `read` says.
    pub fn window(
        &mut self,
        len: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, JournalError>,
    ) -> Result<Arc<Vec<u8>>, JournalError> {
        let free = self
            .pool
            .iter_mut()
            .position(|window| Arc::get_mut(window).is_some());
        let mut window = free.map_or_else(Arc::default, |index| self.pool.swap_remove(index));
        let octets = Arc::make_mut(&mut window);
        octets.resize(len, 0);
        let filled = read(octets)?;
        octets.truncate(filled);
        self.pool.push(Arc::clone(&window));
        Ok(window)
    }
}

/// Runs `reader`, with a thread for every applier that takes what the reader sends.
pub(super) fn apply_on_threads<A: Apply + Send>(
    appliers: Vec<A>,
    owner: &(dyn Fn(ShardId) -> usize + Sync),
    reader: impl FnOnce(&mut Feed) -> Result<(), JournalError>,
) -> Result<(Vec<A>, ControlRecovered), JournalError> {
    std::thread::scope(|scope| {
        let mut feed = Feed {
            appliers: Vec::new(),
            pool: Vec::new(),
        };
        let mut threads = Vec::new();
        for (index, applier) in appliers.into_iter().enumerate() {
            let mut mine = ShardSet::default();
            for shard in (0..SHARDS).map(|shard| ShardId(shard as u8)) {
                if owner(shard) == index {
                    mine.insert(shard);
                }
            }
            let (sender, receiver) = sync_channel(WINDOWS_AHEAD);
            feed.appliers.push(sender);
            threads.push(scope.spawn(move || apply_all(applier, mine, &receiver)));
        }
        let (sender, receiver) = sync_channel(WINDOWS_AHEAD);
        feed.appliers.push(sender);
        let control = scope.spawn(move || collect_control(&receiver));
        let read = reader(&mut feed);
        drop(feed);
        let mut done = Vec::new();
        for thread in threads {
            let applied = thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done.push(applied?);
        }
        let control = control
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        read.map(|()| (done, control))
    })
}

fn apply_all<A: Apply>(
    mut applier: A,
    mine: ShardSet,
    receiver: &Receiver<Work>,
) -> Result<A, JournalError> {
    while let Ok(work) = receiver.recv() {
        let window = match work {
            Work::Expect(records) => {
                applier.expect(records);
                continue;
            }
            Work::Apply(window) => window,
        };
        let wanted = |batch: &Loaded| batch.shards.intersects(&mine);
        let mut deltas = Vec::with_capacity(DELTAS_AT_ONCE);
        let applied = window.records(wanted, |octets, peeked| {
            if mine.contains(peeked.shard) && !is_control(peeked.kind) {
                deltas.push(decode(octets)?.0);
                if deltas.len() == DELTAS_AT_ONCE {
                    applier.apply_batch(&deltas);
                    deltas.clear();
                }
            }
            Ok(())
        });
        applier.apply_batch(&deltas);
        applied?;
    }
    Ok(applier)
}

fn collect_control(receiver: &Receiver<Work>) -> Result<ControlRecovered, JournalError> {
    let mut collected = ControlRecovered::default();
    while let Ok(work) = receiver.recv() {
        let Work::Apply(window) = work else { continue };
        window.records(
            |batch| batch.control,
            |octets, peeked| {
                if is_control(peeked.kind) {
                    collected.apply(&control::decode(octets)?.0);
                }
                Ok(())
            },
        )?;
    }
    Ok(collected)
}

impl Window {
    /// Gives each record of the batches that are `wanted` to `each`.
    fn records<'w>(
        &'w self,
        wanted: impl Fn(&Loaded) -> bool,
        mut each: impl FnMut(&'w [u8], &Peeked) -> Result<(), RecordError>,
    ) -> Result<(), JournalError> {
        for batch in self.batches.iter().filter(|batch| wanted(batch)) {
            let mut at = batch.payload.start;
            while at < batch.payload.end {
                let octets = &self.octets[at..batch.payload.end];
                let result = peek(octets).and_then(|peeked| {
                    each(octets, &peeked)?;
                    Ok(peeked.len)
                });
                at += result.map_err(|source| JournalError::Record {
                    file: self.file.to_string(),
                    offset: self.at + at as u64,
                    source,
                })?;
            }
        }
        Ok(())
    }
}
