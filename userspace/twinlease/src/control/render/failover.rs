//! The failover relationships for people.

use std::fmt::{self, Display};

use super::span;
use crate::partner::relationship::report::FailoverReport;

/// Most rejected leases shown, the latest first.
const REJECTED_MAX: usize = 10;

/// Shows all relationships: `format!("{}", Failover(&reports))`.
#[derive(Clone, Copy, Debug)]
pub struct Failover<'a>(pub &'a [FailoverReport]);

impl Display for Failover<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "no failover relationship is configured");
        }
        self.0.iter().try_for_each(|report| relationship(f, report))
    }
}

/// As part of the whole server's status; nothing without relationships.
pub(super) fn section(f: &mut fmt::Formatter<'_>, reports: &[FailoverReport]) -> fmt::Result {
    if reports.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nfailover")?;
    Failover(reports).fmt(f)
}

fn relationship(f: &mut fmt::Formatter<'_>, report: &FailoverReport) -> fmt::Result {
    writeln!(f, "  {}, this server is the {}", report.name, report.role)?;
    write!(
        f,
        "    this server    {} since {}",
        report.state, report.since.utc
    )?;
    write!(f, " ({})", span(report.state_secs.into()))?;
    match &report.previous {
        Some(previous) => writeln!(f, ", before {previous}")?,
        None => writeln!(f)?,
    }
    match &report.partner {
        Some(partner) => {
            let starting = if partner.starting { ", starting" } else { "" };
            let (state, since) = (&partner.state, &partner.since.utc);
            writeln!(f, "    partner        {state} since {since}{starting}")?;
        }
        None => writeln!(f, "    partner        never heard")?,
    }
    let heard = report.last_heard.as_ref().map_or("never", |at| &at.utc);
    match (&report.peer, report.communications_ok) {
        (Some(peer), true) => {
            let tls = if report.tls { "TLS" } else { "insecure" };
            writeln!(
                f,
                "    communications OK with {peer} ({tls}), last heard {heard}"
            )?;
        }
        _ => writeln!(f, "    communications INTERRUPTED, last heard {heard}")?,
    }
    write!(f, "    waiting for    {}", report.waiting)?;
    match &report.until {
        Some(until) => writeln!(f, ", until {}", until.utc)?,
        None => writeln!(f)?,
    }
    writeln!(
        f,
        "    updates        {} sent, {} of up to {} without an answer; {} received, {} without an answer",
        report.counters.updates_sent,
        report.unacked,
        report.window,
        report.counters.updates_received,
        report.unanswered
    )?;
    let prefixes = report.prefixes;
    writeln!(
        f,
        "    free prefixes  primary {}, secondary {}",
        prefixes.primary, prefixes.secondary
    )?;
    writeln!(f, "    MCLT           {} s", report.mclt_secs)?;
    if !report.rejected.is_empty() {
        let count = report.counters.updates_rejected;
        writeln!(
            f,
            "    bindings of the partner not taken over: {count}, the last ones"
        )?;
    }
    for rejected in report.rejected.iter().take(REJECTED_MAX) {
        let (lease, reason, at) = (&rejected.lease, &rejected.reason, &rejected.at.utc);
        writeln!(f, "      {lease}: {reason}, {at}")?;
    }
    Ok(())
}
