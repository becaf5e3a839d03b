//! The journal on a real disk: records a second, commit latency under an open loop, recovery.

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use journal::{Appender, Apply, Health, Journal, Options, Wake, recover};
use lease::{AbsTime, BindingDelta, BindingRecord, BindingStatus, Lease, LinkKey, PartnerTimes};
use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Duid, IaKind, Iaid, shard_of};

/// Where files go unless told otherwise: a disk, which `/tmp` may not be.
const DIR: &str = "target/bench-journal";
const APPENDERS: usize = 2;
const RUN: Duration = Duration::from_secs(2);
/// Records a second that all appenders together offer in the open loop.
const OFFERED: u64 = 100_000;

/// Octets of one write when the disk is measured alone: those of a usual commit.
const BARE_WRITE: usize = 8 << 10;
/// Octets written over then.
const BARE_FILE: usize = 16 << 20;

struct Count(u64);

impl Apply for Count {
    fn apply(&mut self, _: &BindingDelta<'_>) {
        self.0 += 1;
    }
}

struct Polled;

impl Wake for Polled {
    fn wake(&self) {}
}

/// The figures, with files in the default directory.
///
/// # Errors
///
/// If the journal cannot be written there or does not recover what it acknowledged.
pub fn run() -> anyhow::Result<Vec<(&'static str, f64)>> {
    run_in(Path::new(DIR))
}

/// The figures, with files in a new directory inside `parent`.
///
/// # Errors
///
/// As [`run`].
pub fn run_in(parent: &Path) -> anyhow::Result<Vec<(&'static str, f64)>> {
    std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let dir = tempfile::tempdir_in(parent)?;
    let (throughput, _) = serve(dir.path(), |appender| flood(appender).map(|()| None))?;
    let began = Instant::now();
    let counts = (0..APPENDERS).map(|_| Count(0)).collect();
    let (_, recovered) = recover(dir.path(), false, counts, &|shard| {
        usize::from(shard.0) % APPENDERS
    })?;
    let recovery = recovered.records as f64 / began.elapsed().as_secs_f64();
    ensure!(
        recovered.records == throughput.0,
        "recovered {} of {} records",
        recovered.records,
        throughput.0
    );
    drop(recovered);
    let bare = bare_writes(parent)?;
    let dir = tempfile::tempdir_in(parent)?;
    let (_, latencies) = serve(dir.path(), |appender| paced(appender).map(Some))?;
    let mut all = Histogram::<u64>::new(3)?;
    for latency in latencies.into_iter().flatten() {
        all.add(latency)?;
    }
    Ok(vec![
        (
            "records_per_s",
            throughput.0 as f64 / throughput.1.as_secs_f64(),
        ),
        ("commit_p50_us", micros_at(&all, 0.5)),
        ("commit_p99_us", micros_at(&all, 0.99)),
        ("bare_write_p50_us", micros_at(&bare, 0.5)),
        ("bare_write_p99_us", micros_at(&bare, 0.99)),
        ("recovered_per_s", recovery),
    ])
}

fn micros_at(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1000.0
}

/// What the disk itself takes, in the same minute: nanoseconds of one synchronous write over
/// blocks that were written before. A commit takes the rest of the write before it, and its own.
fn bare_writes(parent: &Path) -> anyhow::Result<Histogram<u64>> {
    let file = tempfile::tempfile_in(parent)?;
    file.write_all_at(&vec![1; BARE_FILE], 0)?;
    file.sync_all()?;
    let mut latency = Histogram::new(3)?;
    let block = [2; BARE_WRITE];
    for at in (0..BARE_FILE).step_by(BARE_WRITE) {
        let began = Instant::now();
        file.write_all_at(&block, at as u64)?;
        file.sync_data()?;
        latency.record(began.elapsed().as_nanos() as u64)?;
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(latency)
}

type Served = ((u64, Duration), Vec<Option<Histogram<u64>>>);

/// Runs `work` with every appender of a new journal: what was committed in what time.
fn serve(
    dir: &Path,
    work: impl Fn(&mut Appender) -> anyhow::Result<Option<Histogram<u64>>> + Sync,
) -> anyhow::Result<Served> {
    let counts = (0..APPENDERS).map(|_| Count(0)).collect();
    let (_, recovered) = recover(dir, false, counts, &|_| 0)?;
    let wakers = (0..APPENDERS)
        .map(|_| Arc::new(Polled) as Arc<dyn Wake>)
        .collect();
    let (journal, mut appenders) = Journal::start(recovered, Options::default(), wakers)?;
    let began = Instant::now();
    let results = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = appenders
            .iter_mut()
            .map(|appender| scope.spawn(move || work(appender)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.map_err(|_| anyhow::anyhow!("an appender panicked"))?)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let took = began.elapsed();
    let records = appenders
        .iter()
        .map(|appender| appender.committed().0)
        .sum();
    let health = journal.close();
    ensure!(health == Health::Ok, "the journal failed: {health:?}");
    Ok(((records, took), results))
}

fn append(appender: &mut Appender, index: u64) {
    let mut duid = [0; 14];
    duid[6..].copy_from_slice(&index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let shard = shard_of(&duid);
    let Some(duid) = Duid::new(&duid) else {
        return;
    };
    appender.append(&BindingDelta::Put {
        shard,
        record: BindingRecord {
            duid,
            kind: IaKind::Na,
            iaid: Iaid(1),
            lease: Lease {
                addr: u128::from(index),
                len: 128,
            },
            link: LinkKey(1),
            status: BindingStatus::Active,
            preferred_secs: 3600,
            valid_secs: 7200,
            cltt: AbsTime(1),
            status_since: AbsTime(1),
            expires: AbsTime(7201),
            partner: PartnerTimes::NONE,
            accepts_reconfigure: false,
            via: &[],
        },
    });
}

/// Appends as fast as there is room, then waits for all of it.
fn flood(appender: &mut Appender) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut index = 0;
    while began.elapsed() < RUN {
        for _ in 0..64 {
            if !appender.has_room() {
                std::thread::sleep(Duration::from_micros(50));
                break;
            }
            append(appender, index);
            index += 1;
        }
        appender.submit();
    }
    while appender.committed() < appender.ticket() {
        ensure!(!appender.is_failing(), "the journal cannot write");
        appender.submit();
        std::thread::sleep(Duration::from_micros(50));
    }
    Ok(())
}

/// Appends at the set rate whatever the disk does; nanoseconds from the intended time of a record
/// until it was seen committed.
fn paced(appender: &mut Appender) -> anyhow::Result<Histogram<u64>> {
    let mut latency = Histogram::new(3)?;
    let mut waiting = VecDeque::new();
    let gap = Duration::from_nanos(1_000_000_000 * APPENDERS as u64 / OFFERED);
    let total = (RUN.as_nanos() / gap.as_nanos()) as u64;
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
        std::thread::sleep(Duration::from_micros(20));
    }
    Ok(latency)
}
