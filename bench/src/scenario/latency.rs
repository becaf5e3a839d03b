//! How long clients wait at half of what the server bears, with every grant on disk first; beside
//! it round trips of an echo that decides and writes nothing, as many a second as there were messages.

use std::time::Duration;

use anyhow::Result;

use super::ceiling;
use super::ground::{GENERATOR_CORE, Ground, NA, ServerSpec, on_core};
use super::sarr::{SARR, check, search};
use crate::generator::session::{Maximum, Outcome};
use crate::report::{Curve, Findings};

const RUNS: usize = 5;
const ECHO_RUNS: usize = 3;
const TIME: Duration = Duration::from_secs(3);
/// Loads of the curve, as shares of the maximum.
const LOADS: [f64; 6] = [0.1, 0.25, 0.5, 0.75, 0.9, 1.0];

/// The scenario.
pub fn run() -> Result<Findings> {
    let ground = Ground::new()?;
    let server = ground.start(&ServerSpec::default())?;
    let mut session = ground.direct(NA, 1)?;
    let maximum = search(&mut session, &SARR)?.per_second;
    let mut at = |load: f64, time| {
        on_core(GENERATOR_CORE, || {
            Ok(session.run(&SARR, maximum * load, time))
        })
    };
    let runs: Result<Vec<Outcome>> = (0..RUNS).map(|_| at(0.5, TIME)).collect();
    let half = Maximum {
        per_second: maximum / 2.0,
        runs: runs?,
        tried: Vec::new(),
    };
    let mut findings = Findings::default();
    findings.figure("sarr_per_s", maximum);
    findings.figure("half_per_s", half.per_second);
    for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
        findings.spread(name, half.spread(|run| run.tally.latency_us(quantile)));
    }
    findings.spread(
        "half_unanswered_ratio",
        half.spread(|run| run.tally.unanswered_ratio()),
    );
    let mut curve = Curve::new(
        "Latency of an exchange",
        "exchanges a second",
        "microseconds",
    );
    let mut lines = [("p50", 0.5), ("p99", 0.99)].map(|(name, q)| (name, q, Vec::new()));
    for load in LOADS {
        let outcome = at(load, TIME)?;
        for (_, quantile, points) in &mut lines {
            points.push((outcome.offered_per_s, outcome.tally.latency_us(*quantile)));
        }
    }
    for (name, _, points) in lines {
        curve.line(name, points);
    }
    findings.curves.push(curve);
    check(&session)?;
    drop(session);
    drop(server);
    // An exchange has two messages of the client.
    let echo = ceiling::at_rate(&ground, maximum, TIME, ECHO_RUNS)?;
    for (name, quantile) in [("echo_p50_us", 0.5), ("echo_p99_us", 0.99)] {
        findings.spread(name, echo.spread(|run| run.tally.latency_us(quantile)));
    }
    Ok(findings)
}
