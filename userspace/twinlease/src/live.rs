//! The running server as `status` and the metrics see it.

use crate::config::Idle;
use crate::control::server::Routes;
use crate::control::status::{
    InterfaceReport, JournalReport, LengthsReport, PoolReport, StatusReport, StatusSource,
    WorkerReport,
};
use crate::control::view::{kind_word, range_of};
use crate::counters::WorkerCounters;
use crate::partner::relationship::task::Handle;
use crate::reload::ConfigState;
use arc_swap::ArcSwap;
use datapath::{Datapath, InterfaceId, InterfaceStatus, IoCounters};
use engine::{Model, ServedPool};
use journal::{Health, Journal, LATENCY_BUCKETS};
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;
use wire::SHARDS;

/// Handles on everything that counts.
pub struct Live {
    /// When serving began.
    pub started: Instant,
    /// The server's DUID in hexadecimal.
    pub server_duid: String,
    /// The interfaces.
    pub datapath: Arc<Mutex<Datapath>>,
    /// The workers, by index.
    pub workers: Vec<LiveWorker>,
    /// Links and pools.
    pub model: Arc<ArcSwap<Model>>,
    /// Where the config comes from and what became of its last reload.
    pub config: Arc<ConfigState>,
    /// The failover relationships.
    pub failover: Vec<Handle>,
    /// The journal; gone when the server stops.
    pub journal: Weak<Journal>,
}

/// One worker's part of [`Live`].
pub struct LiveWorker {
    /// The core it is pinned to.
    pub core: usize,
    /// What it does without work.
    pub idle: Idle,
    /// What it counts.
    pub counters: Arc<WorkerCounters>,
    /// What its ports count.
    pub io: Arc<IoCounters>,
}

impl StatusSource for Live {
    fn status(&self) -> StatusReport {
        let model = self.model.load();
        let interfaces = self
            .datapath
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .status();
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_secs: self.started.elapsed().as_secs(),
            server_duid: self.server_duid.clone(),
            xdp: verdicts(&interfaces),
            interfaces: interfaces.iter().map(interface).collect(),
            workers: self
                .workers
                .iter()
                .enumerate()
                .map(|w| self.worker(w))
                .collect(),
            config: self.config.report(),
            failover: self.failover.iter().map(Handle::report).collect(),
            pools: model
                .pools()
                .iter()
                .map(|served| pool(&model, served))
                .collect(),
            journal: self
                .journal
                .upgrade()
                .map_or_else(JournalReport::default, |live| journal(&live)),
        }
    }
}

impl Routes for Live {
    fn towards(&self, relay: Ipv6Addr) -> Option<InterfaceId> {
        let datapath = self.datapath.lock().unwrap_or_else(PoisonError::into_inner);
        datapath.interface_towards(relay)
    }
}

impl Live {
    fn worker(&self, (index, worker): (usize, &LiveWorker)) -> WorkerReport {
        let mut counters = worker.counters.snapshot();
        for (reason, count) in worker.io.drops() {
            *counters.drops.entry(reason.to_owned()).or_insert(0) += count;
        }
        let owner = crate::recovery::owners(self.workers.len());
        WorkerReport {
            core: worker.core,
            idle: worker.idle.as_str().to_owned(),
            shards: (0..SHARDS)
                .filter(|shard| usize::from(owner[*shard]) == index)
                .count(),
            counters,
        }
    }
}

fn pool(model: &Model, served: &ServedPool) -> PoolReport {
    let counts = served.pool().counts();
    let saturated = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
    let spec = served.pool().spec();
    PoolReport {
        link: model.links()[served.link().index()].name().to_owned(),
        kind: kind_word(spec.kind).to_owned(),
        range: range_of(spec),
        classes: model
            .class_names(served.classes())
            .map(Into::into)
            .collect(),
        lengths: spec.lengths.map(|lengths| LengthsReport {
            shortest: lengths.shortest,
            default: lengths.default,
            longest: spec.unit_len,
            shortest_free: served.pool().shortest_free(),
        }),
        size: saturated(counts.size),
        bound: saturated(counts.bound),
        reserved: saturated(counts.reserved),
        free: saturated(counts.free),
    }
}

/// What the XDP programs and the sockets behind them did, over all interfaces: packets steered,
/// packets left to the kernel by reason, and packets that the kernel dropped at a ring.
fn verdicts(interfaces: &[InterfaceStatus]) -> BTreeMap<String, u64> {
    let mut verdicts = BTreeMap::new();
    let mut add = |reason: String, count: u64| *verdicts.entry(reason).or_insert(0) += count;
    for interface in interfaces {
        if interface.queues > 0 {
            add("steered".to_owned(), interface.steered.iter().sum());
        }
        for (reason, count) in &interface.passed {
            add(format!("pass-{reason}"), *count);
        }
        for (reason, count) in &interface.kernel_drops {
            add(format!("drop-{reason}"), *count);
        }
    }
    verdicts
}

fn interface(status: &InterfaceStatus) -> InterfaceReport {
    let refused = status.refused.iter();
    InterfaceReport {
        name: status.name.clone(),
        rung: status.rung.to_string(),
        refused: refused
            .map(|refusal| format!("{}: {}", refusal.rung, refusal.reason))
            .collect(),
        queues: status.queues,
    }
}

fn journal(journal: &Journal) -> JournalReport {
    let stats = journal.stats();
    JournalReport {
        failing: match journal.health() {
            Health::Ok => None,
            Health::Failing { error, .. } => Some(error),
        },
        lsn: stats.committed.0,
        commit_p50_us: percentile(&stats.latency_us, 50),
        commit_p99_us: percentile(&stats.latency_us, 99),
        segments: stats.segments as u64,
        snapshot_running: stats.snapshot.running,
    }
}

/// The upper bound, in microseconds, of the bucket in which the percentile lies; 0 without commits.
fn percentile(buckets: &[u64; LATENCY_BUCKETS], percent: u64) -> u64 {
    let total: u64 = buckets.iter().sum();
    let rank = (total * percent).div_ceil(100);
    let mut below = 0;
    for (bucket, count) in buckets.iter().enumerate() {
        below += count;
        if below >= rank && below > 0 {
            return 1 << bucket;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_bound_of_its_bucket() {
        let mut buckets = [0; LATENCY_BUCKETS];
        assert_eq!(percentile(&buckets, 99), 0);
        buckets[7] = 98;
        buckets[10] = 2;
        assert_eq!(percentile(&buckets, 50), 128);
        assert_eq!(percentile(&buckets, 99), 1024);
    }
}
