//! The failover relationships as metrics.

use std::fmt;

use prometheus_client::registry::Unit;
use wire::failover::ServerState;

use super::Families;
use crate::partner::relationship::report::FailoverReport;

type Count = (&'static str, &'static str, fn(&FailoverReport) -> u64);
/// One family with a label beside the relationship's: name, help, that label, and its values.
type Labelled = (
    &'static str,
    &'static str,
    &'static str,
    fn(&FailoverReport) -> Vec<(&str, u64)>,
);

const GAUGES: [Count; 4] = [
    (
        "failover_communications_ok",
        "1 while communications with the partner are OK.",
        |r| u64::from(r.communications_ok),
    ),
    (
        "failover_unacked_updates",
        "BNDUPDs sent that the partner has not acknowledged.",
        |r| r.unacked.into(),
    ),
    (
        "failover_unanswered_updates",
        "BNDUPDs of the partner that this server has not answered.",
        |r| r.unanswered.into(),
    ),
    (
        "failover_update_window",
        "BNDUPDs that the partner takes at once; 0 without communications.",
        |r| r.window.into(),
    ),
];

const COUNTERS: [Count; 8] = [
    (
        "failover_connections",
        "Connections with the partner that this server made or took.",
        |r| r.traffic.connections,
    ),
    (
        "failover_updates_sent",
        "BNDUPDs made for the partner.",
        |r| r.counters.updates_sent,
    ),
    (
        "failover_updates_received",
        "BNDUPDs of the partner.",
        |r| r.counters.updates_received,
    ),
    (
        "failover_replies_sent",
        "BNDREPLYs sent to the partner.",
        |r| r.counters.replies_sent,
    ),
    (
        "failover_replies_received",
        "BNDREPLYs of the partner.",
        |r| r.counters.replies_received,
    ),
    (
        "failover_replies_unasked",
        "BNDREPLYs of the partner to nothing that was outstanding.",
        |r| r.counters.replies_unasked,
    ),
    (
        "failover_rejected_leases",
        "Leases of the partner that were not taken over.",
        |r| r.counters.updates_rejected,
    ),
    (
        "failover_state_changes",
        "Changes of the endpoint's state.",
        |r| r.counters.state_changes,
    ),
];

const BYTES: [Count; 2] = [
    (
        "failover_sent",
        "Failover messages sent to the partner, before TLS.",
        |r| r.traffic.sent.octets,
    ),
    (
        "failover_received",
        "Failover messages of the partner, without TLS.",
        |r| r.traffic.received.octets,
    ),
];

const LABELLED_GAUGES: [Labelled; 2] = [
    (
        "failover_state",
        "1 for the state that the endpoint is in, 0 for the others.",
        "state",
        |r| {
            let all = ServerState::ALL.map(ServerState::name);
            all.map(|name| (name, u64::from(r.state == name))).into()
        },
    ),
    (
        "failover_free_prefixes",
        "Free delegable prefixes by whose they are.",
        "side",
        |r| {
            vec![
                ("primary", r.prefixes.primary),
                ("secondary", r.prefixes.secondary),
            ]
        },
    ),
];

const LABELLED_COUNTERS: [Labelled; 2] = [
    (
        "failover_messages_sent",
        "Failover messages sent to the partner, by type.",
        "type",
        |r| r.traffic.sent.by_type().collect(),
    ),
    (
        "failover_messages_received",
        "Failover messages of the partner, by type.",
        "type",
        |r| r.traffic.received.by_type().collect(),
    ),
];

pub(super) fn encode(families: &mut Families<'_>, reports: &[FailoverReport]) -> fmt::Result {
    if reports.is_empty() {
        return Ok(());
    }
    for (name, help, label, values) in LABELLED_GAUGES {
        families.gauge(name, help, None, labelled(reports, label, values))?;
    }
    for (name, help, label, values) in LABELLED_COUNTERS {
        families.counter(name, help, None, labelled(reports, label, values))?;
    }
    families.gauge(
        "failover_state_duration",
        "Time since the endpoint entered its state.",
        Some(Unit::Seconds),
        counted(reports, |r| u64::from(r.state_secs)),
    )?;
    for (name, help, count) in GAUGES {
        families.gauge(name, help, None, counted(reports, count))?;
    }
    for (name, help, count) in COUNTERS {
        families.counter(name, help, None, counted(reports, count))?;
    }
    for (name, help, count) in BYTES {
        families.counter(name, help, Some(Unit::Bytes), counted(reports, count))?;
    }
    Ok(())
}

type Label<'r> = (&'static str, &'r str);

fn counted(
    reports: &[FailoverReport],
    count: fn(&FailoverReport) -> u64,
) -> impl Iterator<Item = ([Label<'_>; 1], u64)> {
    let one = move |r| ([relationship(r)], count(r));
    reports.iter().map(one)
}

fn labelled<'r>(
    reports: &'r [FailoverReport],
    label: &'static str,
    values: fn(&FailoverReport) -> Vec<(&str, u64)>,
) -> impl Iterator<Item = ([Label<'r>; 2], u64)> {
    reports.iter().flat_map(move |r| {
        let values = values(r).into_iter();
        values.map(move |(value, count)| ([relationship(r), (label, value)], count))
    })
}

fn relationship(report: &FailoverReport) -> Label<'_> {
    ("relationship", &report.name)
}
