//! The pure engine with a million bindings: nanoseconds from a datagram's octets to the reply's.
//!
//! Timed are [`engine::parse`], the choice of the shard and [`engine::answer`], for batches of as
//! many datagrams as a worker takes at once; building datagrams, releases and bookkeeping are not.
//! No client comes twice in a row, so what is known of it is cold, as it is in a server.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use criterion::Criterion;

use network::{Kind, Network, Random, Size};

use crate::alloc;
use crate::report::Findings;

/// While anything is measured; `bench/network` says why these.
const SIZE: Size = Size {
    bindings: 1_000_000,
    spare: 100_000,
    waiting: 50_000,
};
const SAMPLES: usize = 40;
const WARM_UP: Duration = Duration::from_millis(500);
const MEASUREMENT: Duration = Duration::from_secs(2);
/// Much more than the caches hold, so that nearly every load of the calibration misses them.
const CALIBRATION_BYTES: usize = 128 << 20;

/// The figures; beside the times, allocations per message, the cost of a load that misses all
/// caches here, and how much of the process lies in huge pages.
///
/// # Errors
///
/// If a message goes unanswered or the measurements cannot be read back.
pub fn run() -> anyhow::Result<Findings> {
    let mut network = Network::new(SIZE)?;
    let huge_page_mb = huge_page_mb();
    let dir = tempfile::tempdir()?;
    let mut criterion = Criterion::default()
        .output_directory(dir.path())
        .without_plots()
        .sample_size(SAMPLES)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT);
    let mut findings = Findings::default();
    let mut allocations = 0;
    for (name, kind) in Kind::all() {
        let name = format!("{}_ns", name.replace('-', "_"));
        criterion.bench_function(&name, |bencher| {
            bencher.iter_custom(|messages| {
                let mut took = Duration::ZERO;
                network.answer(kind.path, kind.sort, messages, &mut |work| {
                    let (calls, began) = (alloc::calls(), Instant::now());
                    work();
                    took += began.elapsed();
                    allocations += alloc::calls() - calls;
                });
                took
            });
        });
        let median = median_ns(dir.path(), &name)?;
        findings.figure(name, median);
    }
    let tally = network.tally();
    ensure!(
        tally.answered == tally.messages,
        "{} of {} messages were answered",
        tally.answered,
        tally.messages
    );
    ensure!(
        network.bindings() == SIZE.bindings,
        "{} bindings are left",
        network.bindings()
    );
    findings.figure(
        "allocations_per_message",
        allocations as f64 / tally.messages as f64,
    );
    findings.figure("random_load_ns", random_load_ns());
    findings.figure("huge_page_mb", huge_page_mb);
    Ok(findings)
}

/// The median that criterion left behind.
fn median_ns(dir: &Path, name: &str) -> anyhow::Result<f64> {
    let path = dir.join(name).join("new/estimates.json");
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let estimates: serde_json::Value = serde_json::from_slice(&text)?;
    estimates["median"]["point_estimate"]
        .as_f64()
        .with_context(|| format!("no median in {}", path.display()))
}

/// What one load costs whose address the load before it gave: how fast this machine's memory is
/// right now, to judge the other figures by.
fn random_load_ns() -> f64 {
    const LOADS: u32 = 2_000_000;
    let mut random = Random(1);
    // One cycle through all entries (Sattolo), so that no short one stays in the cache.
    let mut next: Vec<u32> = (0..(CALIBRATION_BYTES / size_of::<u32>()) as u32).collect();
    for last in (1..next.len()).rev() {
        next.swap(last, random.below(last));
    }
    let mut at = 0;
    let began = Instant::now();
    for _ in 0..LOADS {
        at = next[at as usize];
    }
    black_box(at);
    began.elapsed().as_nanos() as f64 / f64::from(LOADS)
}

/// Megabytes of this process in huge pages: tables of this size live from them.
fn huge_page_mb() -> f64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let kilobytes = rollup
        .lines()
        .find_map(|line| line.strip_prefix("AnonHugePages:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}
