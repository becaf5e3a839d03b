//! Recovery: the newest whole snapshot, then the segments in order, up to the last whole batch.
//!
//! One thread reads and checks, one thread per applier decodes and applies what its shards own.
//! A bad batch with nothing whole behind it is a torn tail, which no client ever heard of: it is
//! cut. One with whole batches behind it is damage: it is reported with its LSNs, and what is
//! behind it is applied, because every record is the whole new state of its lease.

mod apply;
mod files;
mod scan;

use crate::control::ControlRecovered;
use crate::error::JournalError;
use crate::file::{Disk, Storage};
use crate::group::Lsn;
use crate::segment::FileKind;
use crate::shared::SegmentInfo;
use apply::{Feed, apply_on_threads};
use files::{Beginning, Files, Segment, pass_over_prepared, read_beginning, segment_headers};
use lease::BindingDelta;
use scan::{Ending, Scan};
use std::path::Path;
use std::sync::Arc;
use wire::ShardId;

/// What takes the recovered changes: a worker's shards.
pub trait Apply {
    /// Makes the change; called in the journal's order for every shard.
    fn apply(&mut self, delta: &BindingDelta<'_>);

    /// Makes these changes, which follow each other in the journal.
    fn apply_batch(&mut self, deltas: &[BindingDelta<'_>]) {
        deltas.iter().for_each(|delta| self.apply(delta));
    }

    /// A snapshot of about so many bindings in all shards follows: room can be made for them.
    fn expect(&mut self, bindings: u64) {
        let _ = bindings;
    }
}

/// What recovery found, to be given to [`crate::Journal::start`]. It holds the directory's lock.
pub struct Recovered {
    /// LSN of the next record.
    pub next_lsn: Lsn,
    /// Records applied, those of the snapshot included.
    pub records: u64,
    /// Octets of torn or damaged batches that were left out.
    pub cut_bytes: u64,
    /// Whether something that had been acknowledged may be missing.
    pub damaged: bool,
    /// What was left out and where, one line each, for the operator.
    pub report: Vec<String>,
    /// What belongs to no shard.
    pub control: ControlRecovered,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) segments: Vec<SegmentInfo>,
    pub(crate) snapshots: Vec<(u64, String)>,
    pub(crate) snapshot_len: u64,
    pub(crate) log_bytes: u64,
    pub(crate) next_segment: u64,
    pub(crate) spares: Vec<String>,
    pub(crate) next_spare: u64,
    /// Segments that were not begun.
    prepared: Vec<String>,
}

/// Locks `dir` and brings back what its journal holds. Every applier gets the changes of the
/// shards for which `owner` gives its index. A missing or empty directory is a fresh start.
///
/// `accept_damage` goes on with what can be read where otherwise [`JournalError::Damaged`] says
/// that too much is missing.
///
/// # Errors
///
/// As [`JournalError`] describes; nothing was changed then.
pub fn recover<A: Apply + Send>(
    dir: &Path,
    accept_damage: bool,
    appliers: Vec<A>,
    owner: &(dyn Fn(ShardId) -> usize + Sync),
) -> Result<(Vec<A>, Recovered), JournalError> {
    recover_from(Arc::new(Disk::open(dir)?), accept_damage, appliers, owner)
}

/// [`recover`] from any storage.
///
/// # Errors
///
/// As [`recover`].
pub fn recover_from<A: Apply + Send>(
    storage: Arc<dyn Storage>,
    accept_damage: bool,
    appliers: Vec<A>,
    owner: &(dyn Fn(ShardId) -> usize + Sync),
) -> Result<(Vec<A>, Recovered), JournalError> {
    let files = Files::find(&*storage)?;
    let mut recovered = Recovered {
        next_lsn: Lsn(1),
        records: 0,
        cut_bytes: 0,
        damaged: false,
        report: Vec::new(),
        control: ControlRecovered::default(),
        segments: Vec::new(),
        snapshots: Vec::new(),
        snapshot_len: 0,
        log_bytes: 0,
        next_segment: files.segments.last().map_or(1, |(number, _)| number + 1),
        spares: files.spares.clone(),
        next_spare: files.next_spare,
        prepared: Vec::new(),
        storage: Arc::clone(&storage),
    };
    let (appliers, control) = apply_on_threads(appliers, owner, |feed| {
        let segments = segment_headers(&*storage, &files, &mut recovered)?;
        let from = load_snapshot(feed, &files, &segments, accept_damage, &mut recovered)?;
        replay(feed, &segments, from, &mut recovered)?;
        // Of what cannot be read the numbers are still known, and must not be given again.
        let snapshots = files.snapshots.iter().map(|(lsn, _)| *lsn);
        let begun = segments.iter().map(|(info, _)| info.first_lsn);
        let known = snapshots.chain(begun).max().unwrap_or(0);
        recovered.next_lsn = Lsn(recovered.next_lsn.0.max(known));
        pass_over_prepared(&*storage, &mut recovered)?;
        recovered.segments = segments.into_iter().map(|(info, _)| info).collect();
        let nothing = recovered.records == 0 && recovered.damaged;
        if nothing && !accept_damage {
            return Err(JournalError::Damaged(recovered.report.clone()));
        }
        Ok(())
    })?;
    recovered.control = control;
    if recovered.damaged {
        // A snapshot makes the damage history.
        recovered.log_bytes = u64::MAX / 2;
    }
    for name in &files.temporary {
        let removed = storage.remove(name);
        removed.map_err(io_error(&*storage, "remove", name))?;
    }
    Ok((appliers, recovered))
}

fn io_error(
    storage: &dyn Storage,
    what: &'static str,
    name: &str,
) -> impl FnOnce(std::io::Error) -> JournalError + use<> {
    let path = storage.path().join(name);
    move |source| JournalError::Io { what, path, source }
}

/// Applies the newest whole snapshot from which the log goes on; the LSN to replay from.
///
/// A snapshot that turns out to be damaged has been applied in part. That is harmless: replaying
/// from an earlier one brings every lease that has changed since to its last state.
fn load_snapshot(
    feed: &mut Feed,
    files: &Files,
    segments: &[Segment],
    accept_damage: bool,
    recovered: &mut Recovered,
) -> Result<u64, JournalError> {
    let storage = Arc::clone(&recovered.storage);
    let log_from = segments.first().map(|(info, _)| info.first_lsn);
    let log_has = |lsn: u64| log_from.is_some_and(|first| first <= lsn);
    let mut found_damage = false;
    for (lsn, name) in files.snapshots.iter().rev() {
        let before = (recovered.records, recovered.damaged);
        let beginning = read_beginning(&*storage, FileKind::Snapshot, name)?;
        if let Beginning::Header(header) = beginning
            && header.lsn == *lsn
        {
            let mut scan = Scan::open(&*storage, name, header, 0, None)?;
            feed.expect(scan.footer_records()?);
            scan.run(feed, recovered)?;
            if recovered.damaged == before.1 && scan.footer_matches(*lsn) {
                if !log_has(*lsn) {
                    let line =
                        format!("{name}: the segment with LSN {lsn}, where it ends, is missing");
                    recovered.damage(line);
                }
                recovered.snapshot_len = scan.len();
                recovered.snapshots.extend(
                    files
                        .snapshots
                        .iter()
                        .filter(|(other, _)| other <= lsn)
                        .cloned(),
                );
                return Ok(*lsn);
            }
        }
        recovered.records = before.0;
        recovered.damaged = before.1;
        recovered.report.push(format!(
            "{name}: damaged or incomplete; looking for an earlier one"
        ));
        found_damage = true;
    }
    if found_damage && !log_has(1) || !found_damage && log_from.is_some_and(|first| first > 1) {
        recovered
            .damage("no whole snapshot, and the log does not reach back to its beginning".into());
        if !accept_damage {
            return Err(JournalError::Damaged(recovered.report.clone()));
        }
        return Ok(log_from.unwrap_or(1));
    }
    Ok(1)
}

fn replay(
    feed: &mut Feed,
    segments: &[Segment],
    from: u64,
    recovered: &mut Recovered,
) -> Result<(), JournalError> {
    let storage = Arc::clone(&recovered.storage);
    let begin = segments
        .iter()
        .rposition(|(info, _)| info.first_lsn <= from);
    let mut expected = from;
    let segments = &segments[begin.unwrap_or(0)..];
    for (index, (info, header)) in segments.iter().enumerate() {
        let limit = segments.get(index + 1).map(|(next, _)| next.first_lsn);
        if info.first_lsn > expected {
            let missing = info.first_lsn - expected;
            recovered.damage(format!(
                "LSN {expected} to {}: {missing} records are missing before {}",
                info.first_lsn - 1,
                info.name
            ));
        }
        let mut scan = Scan::open(&*storage, &info.name, *header, info.first_lsn, limit)?;
        scan.skip_below(from);
        match scan.run(feed, recovered)? {
            Ending::Clean => {}
            Ending::Torn { offset, len } => {
                recovered.cut_bytes += len;
                recovered.report.push(format!(
                    "{}: cut an incomplete batch of {len} octets at offset {offset}, from LSN {} on: the last one, as a crash leaves it that came before the batch was acknowledged",
                    info.name,
                    scan.expected(),
                ));
            }
        }
        expected = scan.expected().max(expected);
        recovered.log_bytes += scan.bytes();
    }
    recovered.next_lsn = Lsn(expected);
    Ok(())
}

impl Recovered {
    fn damage(&mut self, line: String) {
        self.damaged = true;
        self.report.push(line);
    }
}
