//! The failover relationships as metrics.

use std::fmt;

use prometheus_client::registry::Unit;
use wire::failover::ServerState;

use super::Families;
use crate::partner::relationship::report::FailoverReport;

type Count = (&'static str, &'static str, fn(&FailoverReport) -> u64);

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

const COUNTERS: [Count; 7] = [
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

pub(super) fn encode(families: &mut Families<'_>, reports: &[FailoverReport]) -> fmt::Result {
    if reports.is_empty() {
        return Ok(());
    }
    let states = reports.iter().flat_map(|report| {
        ServerState::ALL.map(|state| {
            let labels = [
                ("relationship", report.name.as_str()),
                ("state", state.name()),
            ];
            (labels, u64::from(report.state == state.name()))
        })
    });
    families.gauge(
        "failover_state",
        "1 for the state that the endpoint is in, 0 for the others.",
        None,
        states,
    )?;
    let of = |report: &FailoverReport| report.name.clone();
    families.gauge(
        "failover_state_duration",
        "Time since the endpoint entered its state.",
        Some(Unit::Seconds),
        reports
            .iter()
            .map(|r| ([("relationship", of(r))], u64::from(r.state_secs))),
    )?;
    let free = reports.iter().flat_map(|report| {
        let sides = [
            ("primary", report.prefixes.primary),
            ("secondary", report.prefixes.secondary),
        ];
        sides.map(|(side, count)| {
            let labels = [("relationship", report.name.as_str()), ("side", side)];
            (labels, count)
        })
    });
    families.gauge(
        "failover_free_prefixes",
        "Free delegable prefixes by whose they are.",
        None,
        free,
    )?;
    for (name, help, count) in GAUGES {
        let series = reports.iter();
        let series = series.map(|r| ([("relationship", of(r))], count(r)));
        families.gauge(name, help, None, series)?;
    }
    for (name, help, count) in COUNTERS {
        let series = reports.iter();
        let series = series.map(|r| ([("relationship", of(r))], count(r)));
        families.counter(name, help, None, series)?;
    }
    Ok(())
}
