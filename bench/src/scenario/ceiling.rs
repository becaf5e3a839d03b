//! What the wire and AF_XDP can carry with nothing behind them.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::echo;
use super::ground::{GENERATOR_CORE, Ground, NA, on_core};
use crate::generator::flow::Kind;
use crate::generator::session::{Maximum, Who, Work};
use crate::report::Findings;

/// Where the search begins, in round trips a second.
const FROM: f64 = 100_000.0;

const ECHO: Work = Work {
    kind: Kind::Echo,
    who: Who::Fresh,
};

/// The highest rate of round trips between the generator and an echo.
pub fn run() -> Result<Findings> {
    let ground = Ground::new()?;
    let maximum = measure(&ground)?;
    let mut findings = Findings::default();
    findings.maximum("echo", &maximum);
    Ok(findings)
}

/// The same on a ground that goes on to be used.
///
/// # Errors
/// The ports cannot be opened, or nothing comes back.
pub fn measure(ground: &Ground) -> Result<Maximum> {
    let mut session = ground.direct(NA, 0)?;
    let maximum = echo::beside(ground, || {
        on_core(GENERATOR_CORE, || Ok(session.maximum(&ECHO, FROM)))
    })?;
    ensure!(maximum.per_second > 0.0, "the echo answers nothing");
    Ok(maximum)
}

/// Runs of the echo at a rate, on a ground whose server has ended: what their latencies are is
/// the machine's, whatever a server does.
///
/// # Errors
/// The ports cannot be opened.
pub fn at_rate(ground: &Ground, per_second: f64, time: Duration, runs: usize) -> Result<Maximum> {
    let mut session = ground.direct(NA, 0)?;
    let runs = echo::beside(ground, || {
        on_core(GENERATOR_CORE, || {
            let run = |_| session.run(&ECHO, per_second, time);
            Ok((0..runs).map(run).collect())
        })
    })?;
    Ok(Maximum {
        per_second,
        runs,
        tried: Vec::new(),
    })
}
