//! Commit latency under an open loop, in turn with the same load written to the bare disk: whole
//! groups of equally long records, the same rate, flags and alignment, one write at a time; and
//! in turn with the open loop alone, which says how late its own threads are on this machine.
//!
//! The median of the slices' percentiles is the figure; the worst slice stands beside it.

use super::{APPENDERS, append, delta, on_threads};
use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use journal::Appender;
use rustix::fs::OFlags;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};
use wire::{Duid, ShardId};

/// Slices of each kind, and the length of one.
const SLICES: usize = 10;
const SLICE: Duration = Duration::from_secs(1);
/// How long the journal is under this load.
pub(super) const PACED: Duration = Duration::from_secs(SLICE.as_secs() * SLICES as u64);
/// Records a second that all appenders together offer.
const OFFERED: u64 = 100_000;
/// Pause of a loop that has nothing to do.
const PAUSE: Duration = Duration::from_micros(20);
/// What O_DIRECT asks for, and a batch is padded to.
const BLOCK: usize = 4096;
/// Octets that the bare writes go over again and again: those of a segment.
const BARE_FILE: usize = 64 << 20;
/// Octets of one bare write at most, as of a batch.
const BARE_WRITE: usize = 1 << 20;
/// Octets in front of a batch's records.
const BATCH_HEADER: usize = 72;

/// The figures, from a journal that runs already; the bare file is made in `parent`.
pub(super) fn run(
    appenders: &mut [Appender],
    parent: &Path,
) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let bare = Bare::open(parent)?;
    let (mut commits, mut bares, mut loops) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SLICES {
        bares.push(bare.paced()?);
        loops.push(sum(on_threads(appenders, |_| unserved())?)?);
        commits.push(sum(on_threads(appenders, paced)?)?);
    }
    let (commit_p99, commit_worst) = over_slices(&commits, 0.99);
    let (bare_p99, bare_worst) = over_slices(&bares, 0.99);
    let (loop_p99, loop_worst) = over_slices(&loops, 0.99);
    Ok(vec![
        ("commit_p50_us", over_slices(&commits, 0.5).0),
        ("commit_p99_us", commit_p99),
        ("commit_p99_worst_us", commit_worst),
        ("bare_p50_us", over_slices(&bares, 0.5).0),
        ("bare_p99_us", bare_p99),
        ("bare_p99_worst_us", bare_worst),
        ("loop_p99_us", loop_p99),
        ("loop_p99_worst_us", loop_worst),
        ("commit_p99_ratio", commit_p99 / bare_p99),
    ])
}

fn sum(parts: Vec<Histogram<u64>>) -> anyhow::Result<Histogram<u64>> {
    let mut sum = Histogram::new(3)?;
    for part in parts {
        sum.add(part)?;
    }
    Ok(sum)
}

/// Median and greatest of the slices' quantile, in microseconds.
fn over_slices(slices: &[Histogram<u64>], quantile: f64) -> (f64, f64) {
    let mut values: Vec<f64> = slices
        .iter()
        .map(|slice| slice.value_at_quantile(quantile) as f64 / 1000.0)
        .collect();
    values.sort_by(f64::total_cmp);
    let upper = values[values.len() / 2];
    let lower = values[(values.len() - 1) / 2];
    (f64::midpoint(lower, upper), values[values.len() - 1])
}

/// Pauses end when they should and not 50 µs later.
fn exact_pauses() -> io::Result<()> {
    Ok(rustix::thread::set_current_timer_slack(Some(
        NonZeroU64::MIN,
    ))?)
}

/// Appends at the set rate whatever the disk does; nanoseconds from the intended time of a record
/// until it was seen committed.
fn paced(appender: &mut Appender) -> anyhow::Result<Histogram<u64>> {
    exact_pauses()?;
    let mut latency = Histogram::new(3)?;
    let mut waiting = VecDeque::new();
    let gap = Duration::from_nanos(1_000_000_000 * APPENDERS as u64 / OFFERED);
    let total = (SLICE.as_nanos() / gap.as_nanos()) as u64;
    let began = Instant::now();
    let mut index = 0;
    while index < total || !waiting.is_empty() {
        let now = began.elapsed();
        while index < total && gap * index as u32 <= now && appender.has_room() {
            append(appender, index);
            waiting.push_back((appender.ticket(), gap * index as u32));
            index += 1;
        }
        appender.submit();
        let committed = appender.committed();
        while let Some((_, intended)) = waiting.pop_front_if(|(ticket, _)| *ticket <= committed) {
            latency.record((began.elapsed() - intended).as_nanos() as u64)?;
        }
        ensure!(!appender.is_failing(), "the journal cannot write");
        std::thread::sleep(PAUSE);
    }
    Ok(latency)
}

/// What an appender does at the set rate, with nothing to append to: nanoseconds from the intended
/// time of a record until the loop came by. On a machine that takes its processors away now and
/// then no latency can be less.
fn unserved() -> anyhow::Result<Histogram<u64>> {
    exact_pauses()?;
    let mut latency = Histogram::new(3)?;
    let gap = Duration::from_nanos(1_000_000_000 * APPENDERS as u64 / OFFERED);
    let total = (SLICE.as_nanos() / gap.as_nanos()) as u64;
    let began = Instant::now();
    let mut index = 0;
    while index < total {
        while index < total && gap * index as u32 <= began.elapsed() {
            latency.record((began.elapsed() - gap * index as u32).as_nanos() as u64)?;
            index += 1;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(latency)
}

/// The disk alone.
struct Bare {
    file: File,
    record_len: usize,
}

impl Bare {
    /// A file whose blocks are all written, open as a segment is.
    fn open(parent: &Path) -> anyhow::Result<Self> {
        let path = tempfile::NamedTempFile::new_in(parent)?.into_temp_path();
        let filled = File::create(&path)?;
        filled.write_all_at(&vec![0; BARE_FILE], 0)?;
        filled.sync_all()?;
        let open = |flags: OFlags| {
            let mut options = OpenOptions::new();
            let flags = options.write(true).custom_flags(flags.bits().cast_signed());
            flags.open(&path)
        };
        // A file system without O_DIRECT refuses it, as the journal knows too.
        let file = open(OFlags::DIRECT | OFlags::DSYNC).or_else(|_| open(OFlags::DSYNC))?;
        let mut record = Vec::new();
        let duid = Duid::new(&[0; 14]).context("a DUID of 14 octets")?;
        journal::encode(&delta(duid, ShardId(0), 0), &mut record);
        Ok(Self {
            file,
            record_len: record.len(),
        })
    }

    /// Writes what has fallen due since the last write; nanoseconds from the intended time of a
    /// record until its write was durable.
    fn paced(&self) -> anyhow::Result<Histogram<u64>> {
        exact_pauses()?;
        let mut latency = Histogram::new(3)?;
        let memory = vec![1; BARE_WRITE + BLOCK];
        let skew = memory.as_ptr().align_offset(BLOCK);
        let octets = &memory[skew..skew + BARE_WRITE];
        let gap = Duration::from_nanos(1_000_000_000 / OFFERED);
        let total = (SLICE.as_nanos() / gap.as_nanos()) as u64;
        let (mut done, mut at) = (0, 0);
        let began = Instant::now();
        while done < total {
            let due = (began.elapsed().as_nanos() / gap.as_nanos()) as u64;
            let records = due.min(total) - done;
            if records == 0 {
                std::thread::sleep(PAUSE);
                continue;
            }
            let batch = (BATCH_HEADER + records as usize * self.record_len)
                .next_multiple_of(BLOCK)
                .min(BARE_WRITE - BLOCK);
            if at + batch + BLOCK > BARE_FILE {
                at = 0;
            }
            // A block behind the batch, as the journal leaves a blank one there.
            self.file
                .write_all_at(&octets[..batch + BLOCK], at as u64)?;
            at += batch;
            let durable = began.elapsed();
            for index in done..done + records {
                latency.record((durable - gap * index as u32).as_nanos() as u64)?;
            }
            done += records;
        }
        Ok(latency)
    }
}
