//! What `GET /v1/status` reports; metrics are made from the same values.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::view::Moment;
use crate::counters::WorkerSnapshot;
use crate::partner::relationship::report::FailoverReport;

/// Gathers a report from live counters; called on the control thread only.
pub trait StatusSource: Send + Sync {
    /// The state at this moment.
    fn status(&self) -> StatusReport;
}

/// The whole server at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatusReport {
    /// Of the program.
    pub version: String,
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// In hexadecimal.
    pub server_duid: String,
    /// The config in force.
    #[serde(default)]
    pub config: ConfigReport,
    /// In the order of the config.
    pub interfaces: Vec<InterfaceReport>,
    /// Verdicts of the XDP program by reason.
    pub xdp: BTreeMap<String, u64>,
    /// In the order of their cores in the config.
    pub workers: Vec<WorkerReport>,
    /// The failover relationships, in the order of the config.
    #[serde(default)]
    pub failover: Vec<FailoverReport>,
    /// In the order of the config.
    pub pools: Vec<PoolReport>,
    /// The journal.
    pub journal: JournalReport,
}

/// The config in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigReport {
    /// The file it was read from.
    pub file: String,
    /// Since when what it says is served.
    pub applied: Moment,
    /// What became of the last attempt to change it while serving.
    pub last_reload: Option<ReloadReport>,
}

/// One attempt to change the config while serving.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReloadReport {
    /// When it ended.
    pub at: Moment,
    /// Whether the new config is in force; if not, nothing of it is.
    pub applied: bool,
    /// What changed, a line each.
    pub changes: Vec<String>,
    /// Why it was refused, a line each.
    pub faults: Vec<String>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InterfaceReport {
    /// The kernel's name.
    pub name: String,
    /// The rung it is on.
    pub rung: String,
    /// Why each rung above was refused, best rung first; `why` in JSON.
    #[serde(rename = "why", default)]
    pub refused: Vec<String>,
    /// Receive queues served over AF_XDP.
    pub queues: u32,
}

/// One worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WorkerReport {
    /// The core it is pinned to.
    pub core: usize,
    /// What it does without work.
    pub idle: String,
    /// How many shards it owns.
    pub shards: usize,
    /// What it counted; in JSON its fields stand beside those above.
    #[serde(flatten)]
    pub counters: WorkerSnapshot,
}

/// One pool; counts are of leases and saturate. Of a pool of several lengths they are of prefixes of
/// the longest, of which a shorter one counts for as many as fit into it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolReport {
    /// The link's name.
    pub link: String,
    /// `address` or `prefix`.
    pub kind: String,
    /// As in the config.
    pub range: String,
    /// The classes whose clients draw from it; none: all clients of the link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Of a pool of several lengths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<LengthsReport>,
    /// All leases.
    pub size: u64,
    /// Leases that are not free.
    pub bound: u64,
    /// Leases given to nobody, or to one client only.
    pub reserved: u64,
    /// What remains.
    pub free: u64,
}

/// The lengths of a pool's prefixes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LengthsReport {
    /// The shortest.
    pub shortest: u8,
    /// What who asks for none gets.
    pub default: u8,
    /// The longest.
    pub longest: u8,
    /// The shortest of which a prefix is free; `None`: nothing is.
    pub shortest_free: Option<u8>,
}

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JournalReport {
    /// Why nothing can be acknowledged; `None` while all is well.
    pub failing: Option<String>,
    /// The last number that is on disk.
    pub lsn: u64,
    /// Median time of a commit, microseconds.
    pub commit_p50_us: u64,
    /// 99th percentile of the time of a commit, microseconds.
    pub commit_p99_us: u64,
    /// Segment files.
    pub segments: u64,
    /// Whether a snapshot is being written.
    pub snapshot_running: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_counters_beside_their_worker_and_reasons_as_why() {
        let mut report = StatusReport::default();
        let mut worker = WorkerReport {
            core: 2,
            ..WorkerReport::default()
        };
        worker.counters.received_xdp = 7;
        worker.counters.drops.insert("malformed".into(), 3);
        report.workers.push(worker);
        report.interfaces.push(InterfaceReport {
            refused: vec!["no driver support".into()],
            ..InterfaceReport::default()
        });
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["workers"][0]["received-xdp"], 7);
        assert_eq!(json["workers"][0]["drops"]["malformed"], 3);
        assert_eq!(json["interfaces"][0]["why"][0], "no driver support");
        assert_eq!(
            serde_json::from_value::<StatusReport>(json).unwrap(),
            report
        );
    }
}
