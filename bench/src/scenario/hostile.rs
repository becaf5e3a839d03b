//! Junk, and one client that never stops asking, beside honest load at half of the maximum: what do
//! honest clients notice?

use std::time::Duration;

use anyhow::{Result, ensure};

use super::ground::{GENERATOR_CORE, Ground, NA, ServerSpec, on_core};
use super::sarr::{SARR, check, search};
use crate::generator::drive::{Clock, Idle, drive};
use crate::generator::flow::{Flow, Kind, Load, Order};
use crate::generator::hostile::Hostile;
use crate::report::Findings;

const TIME: Duration = Duration::from_secs(5);
/// Share of the maximum that honest clients offer.
const HONEST: f64 = 0.4;
/// Junk datagrams for each honest exchange.
const JUNK: f64 = 1.0;
/// Solicits a second of the one client.
const LOOPING_PER_S: f64 = 10_000.0;

/// The scenario.
pub fn run() -> Result<Findings> {
    let ground = Ground::new()?;
    let server = ground.start(&ServerSpec::default())?;
    let mut session = ground.direct(NA, 1)?;
    let maximum = search(&mut session, &SARR)?.per_second;
    let rate = maximum * HONEST;
    let quiet = on_core(GENERATOR_CORE, || Ok(session.run(&SARR, rate, TIME)))?;

    let first = session.clients().end;
    let plan = session.plan(Kind::Sarr, Order::From(first));
    let total = (rate * TIME.as_secs_f64()) as u64;
    let drops_before = server.process.status()?.drops()?;
    let (port, book) = session.parts();
    let (tally, hostile) = on_core(GENERATOR_CORE, || {
        let honest = Flow::new(plan.clone(), 0, rate, total, book, &[]);
        let seconds = TIME.as_secs_f64();
        let mut load = Hostile::new(honest, plan, rate * JUNK, LOOPING_PER_S, seconds);
        let mut observe = |_: &mut Hostile<'_>, _| !lab::interrupted();
        drive(port, &mut load, Clock::start(), Idle::Sleep, &mut observe);
        Ok((load.tally().clone(), load.hostile_sent))
    })?;
    let drops = server.process.status()?.drops()? - drops_before;
    ensure!(
        drops > 0,
        "the server dropped nothing of {hostile} hostile datagrams"
    );
    let mut findings = Findings::default();
    findings.figure("honest_per_s", rate);
    findings.figure("hostile_per_s", hostile as f64 / TIME.as_secs_f64());
    findings.figure("quiet_unanswered_ratio", quiet.tally.unanswered_ratio());
    findings.figure("honest_unanswered_ratio", tally.unanswered_ratio());
    findings.figure("quiet_p99_us", quiet.tally.latency_us(0.99));
    findings.figure("honest_p99_us", tally.latency_us(0.99));
    findings.figure("dropped_by_server", drops as f64);
    check(&session)?;
    Ok(findings)
}
