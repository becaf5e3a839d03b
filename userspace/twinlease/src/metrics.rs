//! What Prometheus scrapes: OpenMetrics text made from a [`StatusReport`].
//!
//! Nothing is counted here and nothing is kept between scrapes. A name says what is counted and in
//! which unit; names and labels do not change between versions.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::control::status::{PoolReport, StatusReport, WorkerReport};

mod failover;
#[cfg(test)]
mod tests;

/// The content type of what [`encode`] returns, for the HTTP answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Most pools that have series of their own: with more, a scrape would be megabytes and its reader
/// would have tens of thousands of series.
const POOL_SERIES_MAX: usize = 1_000;

const NS_PER_SEC: f64 = 1e9;
const US_PER_SEC: f64 = 1e6;

/// The report as OpenMetrics text, closed by `# EOF`.
pub fn encode(report: &StatusReport) -> String {
    let mut registry = Registry::with_prefix("twinlease");
    registry.register_collector(Box::new(Scrape(report.clone())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .expect("writing to a string cannot fail, and no value written here has an illegal form");
    text
}

/// One report on its way into text; the registry takes only what it can own.
#[derive(Debug)]
struct Scrape(StatusReport);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        server(&mut families, &self.0)?;
        interfaces(&mut families, &self.0)?;
        let numbers = (0..self.0.workers.len()).map(|number| number.to_string());
        let workers: Vec<(String, &WorkerReport)> = numbers.zip(&self.0.workers).collect();
        datagrams(&mut families, &workers)?;
        bindings(&mut families, &workers)?;
        partner(&mut families, &workers)?;
        loops(&mut families, &workers)?;
        failover::encode(&mut families, &self.0.failover)?;
        pools(&mut families, &self.0.pools)?;
        journal(&mut families, &self.0)
    }
}

type Workers<'r> = [(String, &'r WorkerReport)];

fn server(families: &mut Families<'_>, report: &StatusReport) -> fmt::Result {
    families.info(
        "build",
        "The program and its version.",
        [[("version", report.version.as_str())]],
    )?;
    families.only_gauge(
        "uptime",
        "Time since the start.",
        Some(Unit::Seconds),
        report.uptime_secs,
    )?;
    families.only_gauge(
        "healthy",
        "1 while leases can be acknowledged; 0 while the journal fails, and nothing is.",
        None,
        u64::from(report.journal.failing.is_none()),
    )
}

fn interfaces(families: &mut Families<'_>, report: &StatusReport) -> fmt::Result {
    let interfaces = &report.interfaces;
    families.info(
        "interface",
        "The rung that each interface is on: zero-copy, copy, generic or socket.",
        interfaces
            .iter()
            .map(|i| [("interface", i.name.as_str()), ("rung", i.rung.as_str())]),
    )?;
    families.gauge(
        "interface_queues",
        "Receive queues of the interface that are served over AF_XDP.",
        None,
        interfaces
            .iter()
            .map(|i| ([("interface", i.name.as_str())], u64::from(i.queues))),
    )?;
    families.counter(
        "xdp_packets",
        "Packets that the XDP program judged, by verdict and reason.",
        None,
        report
            .xdp
            .iter()
            .map(|(reason, count)| ([("reason", reason.as_str())], *count)),
    )
}

fn datagrams(families: &mut Families<'_>, workers: &Workers<'_>) -> fmt::Result {
    families.counter(
        "received_datagrams",
        "Datagrams that the worker took from the network, by the way they came: xdp or socket.",
        None,
        workers.iter().flat_map(|(number, worker)| {
            let ways = [
                ("xdp", worker.counters.received_xdp),
                ("socket", worker.counters.received_socket),
            ];
            ways.map(|(path, count)| ([("worker", number.as_str()), ("path", path)], count))
        }),
    )?;
    families.counter(
        "received_messages",
        "Messages that the worker parsed, by the type of the innermost one.",
        None,
        by(workers, "message_type", |w| &w.counters.received),
    )?;
    families.counter(
        "replies",
        "Messages that the worker sent, by the type of the innermost one.",
        None,
        by(workers, "message_type", |w| &w.counters.replies),
    )?;
    families.counter(
        "dropped_datagrams",
        "Datagrams that were not answered, by reason.",
        None,
        by(workers, "reason", |w| &w.counters.drops),
    )?;
    families.counter(
        "handed_out_datagrams",
        "Datagrams that the worker gave to the one that owns their shard.",
        None,
        each(workers, |w| w.counters.handed_out),
    )?;
    families.counter(
        "handed_in_datagrams",
        "Datagrams that the worker took from others because it owns their shard.",
        None,
        each(workers, |w| w.counters.handed_in),
    )
}

fn bindings(families: &mut Families<'_>, workers: &Workers<'_>) -> fmt::Result {
    families.gauge(
        "held_replies",
        "Replies that wait until the journal has their bindings on disk.",
        None,
        each(workers, |w| w.counters.held),
    )?;
    families.gauge(
        "bindings",
        "Bindings in the worker's shards.",
        None,
        each(workers, |w| w.counters.bindings),
    )?;
    families.gauge(
        "subscriber_bindings",
        "Bindings that are keyed by a subscriber and not by their client.",
        None,
        each(workers, |w| w.counters.subscriber_bindings),
    )?;
    families.counter(
        "client_changes",
        "Leases that went from one client of their subscriber to another.",
        None,
        each(workers, |w| w.counters.client_changes),
    )?;
    families.counter(
        "expired_bindings",
        "Bindings that were removed because their time had ended.",
        None,
        each(workers, |w| w.counters.expired),
    )?;
    families.counter(
        "reconfigured_clients",
        "Clients that have sent what a Reconfigure asked for.",
        None,
        each(workers, |w| w.counters.reconfigured),
    )?;
    families.gauge(
        "worker_shards",
        "Shards that the worker owns.",
        None,
        each(workers, |w| w.shards as u64),
    )
}

fn partner(families: &mut Families<'_>, workers: &Workers<'_>) -> fmt::Result {
    families.counter(
        "failover_updates_sent",
        "BNDUPDs for the failover partner.",
        None,
        each(workers, |w| w.counters.partner.updates_sent),
    )?;
    families.counter(
        "failover_updates_acknowledged",
        "BNDUPDs that the failover partner has taken over.",
        None,
        each(workers, |w| w.counters.partner.updates_acknowledged),
    )?;
    families.counter(
        "failover_updates_refused",
        "BNDUPDs that the failover partner has rejected.",
        None,
        each(workers, |w| w.counters.partner.updates_refused),
    )?;
    families.counter(
        "failover_updates_received",
        "BNDUPDs of the failover partner that were decided.",
        None,
        each(workers, |w| w.counters.partner.updates_received),
    )?;
    families.counter(
        "failover_leases_accepted",
        "Leases that were taken over from the failover partner.",
        None,
        each(workers, |w| w.counters.partner.leases_accepted),
    )?;
    families.counter(
        "failover_leases_rejected",
        "Leases of the failover partner that were not taken over, by reason.",
        None,
        by(workers, "reason", |w| &w.counters.partner.leases_rejected),
    )?;
    families.gauge(
        "failover_unacked_bindings",
        "Bindings whose last change the failover partner has not acknowledged.",
        None,
        each(workers, |w| w.counters.partner.unacked),
    )
}

fn loops(families: &mut Families<'_>, workers: &Workers<'_>) -> fmt::Result {
    let cores: Vec<String> = workers.iter().map(|(_, w)| w.core.to_string()).collect();
    families.info(
        "worker",
        "The core that the worker is pinned to, and what it does without work.",
        workers.iter().zip(&cores).map(|((number, worker), core)| {
            [
                ("worker", number.as_str()),
                ("core", core),
                ("idle", &worker.idle),
            ]
        }),
    )?;
    families.counter(
        "worker_iterations",
        "Passes of the worker's loop.",
        None,
        each(workers, |w| w.counters.iterations),
    )?;
    families.counter(
        "worker_busy",
        "Time in passes that found work.",
        Some(Unit::Seconds),
        each(workers, |w| w.counters.busy_ns as f64 / NS_PER_SEC),
    )?;
    families.counter(
        "worker_idle",
        "Time spent spinning or sleeping without work.",
        Some(Unit::Seconds),
        each(workers, |w| w.counters.idle_ns as f64 / NS_PER_SEC),
    )?;
    families.counter(
        "worker_stage",
        "Time in passes that found work, by stage of the loop; estimated from one pass in some.",
        Some(Unit::Seconds),
        by(workers, "stage", |w| &w.counters.stage_ns)
            .map(|(labels, ns)| (labels, ns as f64 / NS_PER_SEC)),
    )
}

/// What is told of a pool: the name's end, the help and the number.
type PoolGauge = (&'static str, &'static str, fn(&PoolReport) -> u64);

const POOL_GAUGES: [PoolGauge; 4] = [
    ("size", "All leases of the pool", |pool| pool.size),
    ("bound", "Leases that are not free", |pool| pool.bound),
    (
        "reserved",
        "Leases given to nobody, or to one client only",
        |pool| pool.reserved,
    ),
    ("free", "Leases that remain", |pool| pool.free),
];

fn pools(families: &mut Families<'_>, pools: &[PoolReport]) -> fmt::Result {
    for (state, what, count) in POOL_GAUGES {
        let name = format!("pool_{state}_leases");
        let help = format!(
            "{what}; one series a pool up to {POOL_SERIES_MAX} pools, with more of them one sum for \
             each kind. Numbers end at 2^64 - 1."
        );
        if pools.len() <= POOL_SERIES_MAX {
            let series = pools.iter().map(|pool| {
                let labels = [
                    ("link", pool.link.as_str()),
                    ("pool", &pool.range),
                    ("kind", &pool.kind),
                ];
                (labels, count(pool))
            });
            families.gauge(&name, &help, None, series)?;
        } else {
            let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
            for pool in pools {
                let sum = sums.entry(&pool.kind).or_default();
                *sum = sum.saturating_add(count(pool));
            }
            let series = sums.into_iter().map(|(kind, sum)| ([("kind", kind)], sum));
            families.gauge(&name, &help, None, series)?;
        }
    }
    let several = pools.iter().filter(|_| pools.len() <= POOL_SERIES_MAX);
    let several = several.filter_map(|pool| {
        let free = u32::from(pool.lengths?.shortest_free.unwrap_or(128));
        let labels = [("link", pool.link.as_str()), ("pool", &pool.range)];
        Some((labels, free))
    });
    families.gauge(
        "pool_shortest_free_length",
        "Length of the largest prefix that is free, of pools of several lengths; 128: none. Their \
         other numbers are of prefixes of the longest length.",
        None,
        several,
    )
}

fn journal(families: &mut Families<'_>, report: &StatusReport) -> fmt::Result {
    let journal = &report.journal;
    let latencies = [
        ("0.5", journal.commit_p50_us),
        ("0.99", journal.commit_p99_us),
    ];
    families.gauge(
        "journal_commit_latency",
        "Time from handing records to the disk until they are on it, by quantile.",
        Some(Unit::Seconds),
        latencies.map(|(quantile, us)| ([("quantile", quantile)], us as f64 / US_PER_SEC)),
    )?;
    families.only_gauge(
        "journal_lsn",
        "The last log sequence number that is on disk.",
        None,
        journal.lsn,
    )?;
    families.only_gauge(
        "journal_segments",
        "Segment files of the journal.",
        None,
        journal.segments,
    )?;
    families.only_gauge(
        "journal_snapshot_running",
        "1 while a snapshot is being written.",
        None,
        u64::from(journal.snapshot_running),
    )
}

/// Writes families one after the other; each name exists once.
struct Families<'e>(DescriptorEncoder<'e>);

impl Families<'_> {
    fn counter<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let unit = unit.as_ref();
        let mut family = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Counter)?;
        series.into_iter().try_for_each(|(labels, value)| {
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, V, u64>(&value, None)
        })
    }

    fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let unit = unit.as_ref();
        let mut family = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Gauge)?;
        series
            .into_iter()
            .try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// A gauge that exists once and so needs no labels.
    fn only_gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        value: u64,
    ) -> fmt::Result {
        let unit = unit.as_ref();
        self.0
            .encode_descriptor(name, help, unit, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    /// What is told in words: series of the value 1.
    fn info<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = L>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        series
            .into_iter()
            .try_for_each(|labels| family.encode_info(&labels))
    }
}

type Label<'r> = (&'static str, &'r str);

/// One number of each worker.
fn each<'w, V: 'w>(
    workers: &'w Workers<'_>,
    value: fn(&WorkerReport) -> V,
) -> impl Iterator<Item = ([Label<'w>; 1], V)> {
    workers
        .iter()
        .map(move |(number, worker)| ([("worker", number.as_str())], value(worker)))
}

/// A table of numbers of each worker.
fn by<'w>(
    workers: &'w Workers<'_>,
    label: &'static str,
    table: fn(&WorkerReport) -> &BTreeMap<String, u64>,
) -> impl Iterator<Item = ([Label<'w>; 2], u64)> {
    workers.iter().flat_map(move |(number, worker)| {
        table(worker).iter().map(move |(name, count)| {
            let labels = [("worker", number.as_str()), (label, name.as_str())];
            (labels, *count)
        })
    })
}
