//! The journal on a real disk: records a second, commit latency under an open loop beside the same
//! writes without a journal, recovery.

mod latency;

use anyhow::{Context, ensure};
use journal::{Appender, Apply, Health, Journal, Options, Wake, recover};
use lease::BindingDelta;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Duid, ShardId, shard_of};

/// Where files go unless told otherwise: a disk, which `/tmp` may not be.
const DIR: &str = "target/bench-journal";
const APPENDERS: usize = 2;
const RUN: Duration = Duration::from_secs(2);
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
    let (journal, mut appenders) = start(dir.path())?;
    let began = Instant::now();
    on_threads(&mut appenders, flood)?;
    let records: u64 = appenders
        .iter()
        .map(|appender| appender.committed().0)
        .sum();
    let throughput = (records, began.elapsed());
    close(journal)?;
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
    let dir = tempfile::tempdir_in(parent)?;
    let (journal, mut appenders) = start(dir.path())?;
    let latency = latency::run(&mut appenders, parent)?;
    let commits = journal.stats().commits as f64 / latency::PACED.as_secs_f64();
    close(journal)?;
    let mut figures = vec![(
        "records_per_s",
        throughput.0 as f64 / throughput.1.as_secs_f64(),
    )];
    figures.extend(latency);
    figures.push(("commits_per_s", commits));
    figures.push(("recovered_per_s", recovery));
    Ok(figures)
}

fn start(dir: &Path) -> anyhow::Result<(Journal, Vec<Appender>)> {
    let counts = (0..APPENDERS).map(|_| Count(0)).collect();
    let (_, recovered) = recover(dir, false, counts, &|_| 0)?;
    let wakers = (0..APPENDERS)
        .map(|_| Arc::new(Polled) as Arc<dyn Wake>)
        .collect();
    Ok(Journal::start(recovered, Options::default(), wakers)?)
}

fn close(journal: Journal) -> anyhow::Result<()> {
    let health = journal.close();
    ensure!(health == Health::Ok, "the journal failed: {health:?}");
    Ok(())
}

/// Runs `work` with every appender on a thread of its own.
fn on_threads<T: Send>(
    appenders: &mut [Appender],
    work: impl Fn(&mut Appender) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = appenders
            .iter_mut()
            .map(|appender| scope.spawn(move || work(appender)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.map_err(|_| anyhow::anyhow!("an appender panicked"))?)
            .collect()
    })
}

fn append(appender: &mut Appender, index: u64) {
    let mut duid = [0; 14];
    duid[6..].copy_from_slice(&index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let shard = shard_of(&duid);
    let Some(duid) = Duid::new(&duid) else {
        return;
    };
    appender.append(&delta(duid, shard, index));
}

fn delta(duid: Duid<'_>, shard: ShardId, index: u64) -> BindingDelta<'_> {
    BindingDelta::Put {
        shard,
        record: network::record(duid, index),
    }
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
