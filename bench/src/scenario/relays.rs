//! Clients behind relays: what a relay costs, and whether one relay keeps all workers busy.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::ground::{GENERATOR_CORE, Ground, NA, SERVER_CORE, ServerSpec, on_core};
use super::sarr::{SARR, check, search};
use crate::report::Findings;

/// With two workers one shares its core with the generator: the rate is modest, the share is not
/// about speed.
const SPREAD_RATE: f64 = 10_000.0;
const SPREAD_TIME: Duration = Duration::from_secs(3);

/// The scenario.
pub fn run() -> Result<Findings> {
    let mut findings = Findings::default();
    let ground = Ground::new()?;
    let server = ground.start(&ServerSpec::default())?;
    for (name, salt, relays, layers) in [
        ("relays1_per_s", 1, 1, 1),
        ("relays4_per_s", 2, 4, 1),
        ("relays32_per_s", 3, 32, 1),
        ("layers4_per_s", 4, 4, 4),
    ] {
        let mut session = ground.relayed(NA, salt, relays, layers)?;
        findings.figure(name, search(&mut session, &SARR)?.per_second);
        check(&session)?;
    }
    drop(server);
    drop(ground);
    findings.figure("worker_spread_1_relay", spread()?);
    Ok(findings)
}

/// The busiest of two workers' share of one relay's packets on one queue; 0.5 is perfect.
fn spread() -> Result<f64> {
    let ground = Ground::new()?;
    let spec = ServerSpec {
        cores: vec![SERVER_CORE, GENERATOR_CORE],
        ..ServerSpec::default()
    };
    let server = ground.start(&spec)?;
    let mut session = ground.relayed(NA, 1, 1, 1)?;
    on_core(GENERATOR_CORE, || {
        Ok(session.run(&SARR, SPREAD_RATE, SPREAD_TIME))
    })?;
    let workers = server.process.status()?.workers()?;
    let received: Vec<u64> = workers.iter().map(|worker| worker.received()).collect();
    let (sum, most) = (received.iter().sum::<u64>(), received.iter().max().copied());
    ensure!(sum > 0, "no packet reached a worker");
    Ok(most.unwrap_or(sum) as f64 / sum as f64)
}
