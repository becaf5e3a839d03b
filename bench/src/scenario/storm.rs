//! Power comes back to a million subscribers at once: every one solicits within a second and sends
//! again by the timers of RFC 9915 until it is bound. The server's tables are empty, which is worse
//! for it than knowing them.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::ground::{GENERATOR_CORE, Ground, NA, ServerSpec, on_core};
use super::sarr::check;
use crate::generator::drive::{Clock, Idle, drive};
use crate::generator::flow::{Kind, Load, Order};
use crate::generator::storm::Storm;
use crate::report::{Curve, Findings};

const SUBSCRIBERS: u32 = 1_000_000;
const LIMIT: Duration = Duration::from_secs(120);

/// The scenario.
pub fn run() -> Result<Findings> {
    let ground = Ground::new()?;
    let _server = ground.start(&ServerSpec::default())?;
    let mut session = ground.direct(NA, 1)?;
    let plan = session.plan(Kind::Sarr, Order::From(0));
    let mut points = Vec::new();
    let (port, book) = session.parts();
    let tally = on_core(GENERATOR_CORE, || {
        let end_ns = LIMIT.as_nanos() as u64;
        let mut storm = Storm::new(plan, SUBSCRIBERS, end_ns, book);
        let mut observe = |storm: &mut Storm<'_>, now_ns: u64| {
            points.push((now_ns as f64 / 1e9, storm.bound() as f64));
            !lab::interrupted()
        };
        drive(port, &mut storm, Clock::start(), Idle::Sleep, &mut observe);
        Ok(storm.tally().clone())
    })?;
    ensure!(!lab::interrupted(), "interrupted");
    let mut findings = Findings::default();
    let bound = tally.completed as f64 / f64::from(SUBSCRIBERS);
    findings.figure("bound_ratio", bound);
    for (name, share) in [
        ("t50_s", 0.5),
        ("t95_s", 0.95),
        ("t99_s", 0.99),
        ("t100_s", 1.0),
    ] {
        if bound >= share {
            let ns = tally.latency.value_at_quantile(share / bound);
            findings.figure(name, ns as f64 / 1e9);
        } else {
            findings
                .notes
                .push(format!("{name}: not reached within {LIMIT:?}"));
        }
    }
    findings.figure(
        "sent_per_subscriber",
        tally.sent as f64 / f64::from(SUBSCRIBERS),
    );
    for (fault, count) in tally.all_faults() {
        findings.notes.push(format!(
            "replies that were no answer: {} {count}",
            fault.label()
        ));
    }
    let mut curve = Curve::new(
        "Subscribers bound after a power cut",
        "seconds",
        "subscribers",
    );
    curve.line("bound", points);
    findings.curves.push(curve);
    check(&session)?;
    Ok(findings)
}
