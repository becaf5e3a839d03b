//! What a worker counts: written by its one thread, read by whoever reports.
//!
//! A counter has one writer, so an increment is a load and a store, both relaxed: no locked
//! instruction on the packet path. Readers see each counter at some recent moment; two counters of
//! one snapshot need not be of the same moment.

use crossbeam::utils::CachePadded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number with one writer; see the module for what that allows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning thread may call this: two writers would lose increments.
    pub fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }

    /// Sets the value: for levels, such as the number of held replies. Owning thread only.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value at some recent moment.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Message types by code (RFC 9915 §7.3) as they are named in labels; slot 0 takes every other.
const MESSAGE_TYPES: [&str; 14] = [
    "other",
    "solicit",
    "advertise",
    "request",
    "confirm",
    "renew",
    "rebind",
    "reply",
    "release",
    "decline",
    "reconfigure",
    "information-request",
    "relay-forw",
    "relay-repl",
];

/// One counter for each message type.
#[derive(Debug, Default)]
pub struct ByMessageType([Counter; MESSAGE_TYPES.len()]);

impl ByMessageType {
    /// The counter of the message type with this code; unknown codes share one.
    pub fn of(&self, code: u8) -> &Counter {
        self.0.get(usize::from(code)).unwrap_or(&self.0[0])
    }

    fn snapshot(&self) -> BTreeMap<String, u64> {
        let named = MESSAGE_TYPES.iter().zip(&self.0);
        named
            .map(|(name, counter)| ((*name).to_owned(), counter.get()))
            .collect()
    }
}

/// One counter for each reason to drop, labelled as the reason names itself.
#[derive(Debug)]
pub struct Drops {
    labels: Box<[&'static str]>,
    counters: Box<[Counter]>,
}

impl Drops {
    /// Counters for these labels, in this order. Equal labels are reported as one sum.
    pub fn new(labels: impl IntoIterator<Item = &'static str>) -> Self {
        let labels: Box<[_]> = labels.into_iter().collect();
        let counters = labels.iter().map(|_| Counter::default()).collect();
        Self { labels, counters }
    }

    /// The counter of the reason at `index` of the labels given to [`Drops::new`].
    ///
    /// # Panics
    /// If there is no such label: the caller's table of reasons is then not the one given.
    pub fn of(&self, index: usize) -> &Counter {
        &self.counters[index]
    }

    fn snapshot(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (label, counter) in self.labels.iter().zip(&self.counters) {
            *sums.entry((*label).to_owned()).or_insert(0) += counter.get();
        }
        sums
    }
}

/// Why a lease of a BNDUPD is not taken over, as [`failover::reconcile::Rejection`] counts them.
const REJECTIONS: [&str; 4] = [
    "outdated",
    "address-in-use",
    "not-of-relationship",
    "missing",
];

/// What a worker's shards and the failover partner tell each other (RFC 8156 §7).
#[derive(Debug)]
pub struct PartnerCounters {
    /// BNDUPDs given to the session.
    pub updates_sent: Counter,
    /// BNDUPDs that the partner has taken over.
    pub updates_acknowledged: Counter,
    /// BNDUPDs that the partner has rejected.
    pub updates_refused: Counter,
    /// BNDUPDs of the partner that were decided.
    pub updates_received: Counter,
    /// Leases in them that were taken over.
    pub leases_accepted: Counter,
    /// Leases in them that were not, by the number of the rejection.
    pub leases_rejected: Drops,
    /// Bindings that the partner has not acknowledged: a level.
    pub unacked: Counter,
}

impl Default for PartnerCounters {
    fn default() -> Self {
        Self {
            updates_sent: Counter::default(),
            updates_acknowledged: Counter::default(),
            updates_refused: Counter::default(),
            updates_received: Counter::default(),
            leases_accepted: Counter::default(),
            leases_rejected: Drops::new(REJECTIONS),
            unacked: Counter::default(),
        }
    }
}

impl PartnerCounters {
    fn snapshot(&self) -> PartnerSnapshot {
        PartnerSnapshot {
            updates_sent: self.updates_sent.get(),
            updates_acknowledged: self.updates_acknowledged.get(),
            updates_refused: self.updates_refused.get(),
            updates_received: self.updates_received.get(),
            leases_accepted: self.leases_accepted.get(),
            leases_rejected: self.leases_rejected.snapshot(),
            unacked: self.unacked.get(),
        }
    }
}

/// [`PartnerCounters`] as values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartnerSnapshot {
    /// BNDUPDs sent.
    pub updates_sent: u64,
    /// BNDUPDs acknowledged.
    pub updates_acknowledged: u64,
    /// BNDUPDs rejected by the partner.
    pub updates_refused: u64,
    /// BNDUPDs received.
    pub updates_received: u64,
    /// Leases taken over from the partner.
    pub leases_accepted: u64,
    /// Leases not taken over, by reason.
    pub leases_rejected: BTreeMap<String, u64>,
    /// Bindings that the partner has not acknowledged.
    pub unacked: u64,
}

/// A stage of a worker's loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Datagrams out of the rings, parsed, decided, their replies written and their records made.
    Receive,
    /// Mail of other threads: datagrams that reached the wrong worker, commands, snapshots.
    Mail,
    /// Replies whose records are on disk, put into the ring.
    Deliver,
    /// The failover partner, leases whose time is up, slices of walks.
    Chores,
    /// Records handed to the journal.
    Submit,
    /// The kernel's part of sending: over a veth also what the receiver's softirq does.
    Send,
}

impl Stage {
    /// How many stages there are.
    pub const COUNT: usize = 6;
    const LABELS: [&'static str; Self::COUNT] =
        ["receive", "mail", "deliver", "chores", "submit", "send"];
}

/// Nanoseconds in each stage of passes that found work, estimated from a sample of them.
#[derive(Debug, Default)]
pub struct Stages([Counter; Stage::COUNT]);

impl Stages {
    /// Adds nanoseconds, by stage. Owning thread only.
    pub fn add(&self, ns: [u64; Stage::COUNT]) {
        for (counter, ns) in self.0.iter().zip(ns) {
            counter.add(ns);
        }
    }

    /// The values, by stage.
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        let named = Stage::LABELS.iter().zip(&self.0);
        named
            .map(|(name, counter)| ((*name).to_owned(), counter.get()))
            .collect()
    }
}

/// Everything one worker counts. Padded, so that two workers never share a cache line.
#[derive(Debug)]
pub struct WorkerCounters(CachePadded<Fields>);

/// The counters of one worker.
#[derive(Debug)]
pub struct Fields {
    /// Datagrams that came over AF_XDP rings.
    pub received_xdp: Counter,
    /// Datagrams that came over the kernel's UDP sockets.
    pub received_socket: Counter,
    /// Client messages that were parsed, by type.
    pub received: ByMessageType,
    /// Replies that left, by type of the innermost message.
    pub replies: ByMessageType,
    /// What was not answered, by reason.
    pub drops: Drops,
    /// Datagrams given to the worker that owns their shard.
    pub handed_out: Counter,
    /// Datagrams taken from other workers.
    pub handed_in: Counter,
    /// Replies that wait for the journal: a level.
    pub held: Counter,
    /// Bindings in this worker's shards: a level.
    pub bindings: Counter,
    /// Those of them that are keyed by a subscriber: a level.
    pub subscriber_bindings: Counter,
    /// Leases that went from one client of their subscriber to another.
    pub client_changes: Counter,
    /// Bindings whose time ended and that were removed.
    pub expired: Counter,
    /// Clients that have done what a Reconfigure asked for.
    pub reconfigured: Counter,
    /// Binding updates from and to the failover partner.
    pub partner: PartnerCounters,
    /// Passes of the worker's loop.
    pub iterations: Counter,
    /// Nanoseconds spent in passes that found work.
    pub busy_ns: Counter,
    /// Nanoseconds spent spinning or sleeping without work.
    pub idle_ns: Counter,
    /// Where the time of passes that found work went.
    pub stages: Stages,
}

impl std::ops::Deref for WorkerCounters {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl WorkerCounters {
    /// All zero; `drop_labels` are the reasons in the order of the indices used with [`Drops::of`].
    pub fn new(drop_labels: impl IntoIterator<Item = &'static str>) -> Self {
        Self(CachePadded::new(Fields {
            received_xdp: Counter::default(),
            received_socket: Counter::default(),
            received: ByMessageType::default(),
            replies: ByMessageType::default(),
            drops: Drops::new(drop_labels),
            handed_out: Counter::default(),
            handed_in: Counter::default(),
            held: Counter::default(),
            bindings: Counter::default(),
            subscriber_bindings: Counter::default(),
            client_changes: Counter::default(),
            expired: Counter::default(),
            reconfigured: Counter::default(),
            partner: PartnerCounters::default(),
            iterations: Counter::default(),
            busy_ns: Counter::default(),
            idle_ns: Counter::default(),
            stages: Stages::default(),
        }))
    }

    /// The values at some recent moment, with their labels.
    pub fn snapshot(&self) -> WorkerSnapshot {
        WorkerSnapshot {
            received_xdp: self.received_xdp.get(),
            received_socket: self.received_socket.get(),
            received: self.received.snapshot(),
            replies: self.replies.snapshot(),
            drops: self.drops.snapshot(),
            handed_out: self.handed_out.get(),
            handed_in: self.handed_in.get(),
            held: self.held.get(),
            bindings: self.bindings.get(),
            subscriber_bindings: self.subscriber_bindings.get(),
            client_changes: self.client_changes.get(),
            expired: self.expired.get(),
            reconfigured: self.reconfigured.get(),
            partner: self.partner.snapshot(),
            iterations: self.iterations.get(),
            busy_ns: self.busy_ns.get(),
            idle_ns: self.idle_ns.get(),
            stage_ns: self.stages.snapshot(),
        }
    }
}

/// [`WorkerCounters`] as values; see [`Fields`] for what each one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WorkerSnapshot {
    /// Datagrams over AF_XDP.
    pub received_xdp: u64,
    /// Datagrams over kernel sockets.
    pub received_socket: u64,
    /// Messages by type.
    pub received: BTreeMap<String, u64>,
    /// Replies by type.
    pub replies: BTreeMap<String, u64>,
    /// Drops by reason.
    pub drops: BTreeMap<String, u64>,
    /// Handed to other workers.
    pub handed_out: u64,
    /// Taken from other workers.
    pub handed_in: u64,
    /// Replies waiting for the journal.
    pub held: u64,
    /// Bindings stored.
    pub bindings: u64,
    /// Bindings keyed by a subscriber.
    #[serde(default)]
    pub subscriber_bindings: u64,
    /// Leases that went from one client of their subscriber to another.
    #[serde(default)]
    pub client_changes: u64,
    /// Bindings expired.
    pub expired: u64,
    /// Clients that have done what a Reconfigure asked for.
    pub reconfigured: u64,
    /// Binding updates from and to the failover partner.
    pub partner: PartnerSnapshot,
    /// Passes of the loop.
    pub iterations: u64,
    /// Nanoseconds with work.
    pub busy_ns: u64,
    /// Nanoseconds without.
    pub idle_ns: u64,
    /// Nanoseconds by stage of the loop, estimated.
    #[serde(default)]
    pub stage_ns: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_names_what_was_counted() {
        let counters = WorkerCounters::new(["malformed", "no-link", "malformed"]);
        counters.received.of(1).add(2);
        counters.received.of(200).add(1);
        counters.drops.of(0).add(3);
        counters.drops.of(2).add(4);
        counters.held.set(9);
        let snapshot = counters.snapshot();
        assert_eq!(snapshot.received["solicit"], 2);
        assert_eq!(snapshot.received["other"], 1);
        assert_eq!(snapshot.drops["malformed"], 7, "equal labels are one sum");
        assert_eq!(
            snapshot.drops["no-link"], 0,
            "a series exists before its first event"
        );
        assert_eq!(snapshot.held, 9);
    }

    #[test]
    fn two_workers_never_share_a_cache_line() {
        assert_eq!(align_of::<WorkerCounters>() % 64, 0);
    }
}
