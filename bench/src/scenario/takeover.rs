//! The primary is gone under load: how long until the secondary answers a Solicit. Once the process
//! is killed, and the kernel tells the partner that the connection is gone; once nobody tells it
//! anything, as when the machine loses its power: the partners' link is cut before the process is
//! killed, and only silence says so.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::failover::Role;

use super::ground::{GENERATOR_CORE, Server, on_core};
use super::partners::{Ground, RELATIONSHIP};
use super::sarr::{SARR, check};
use crate::generator::drive::Clock;
use crate::generator::session::{Outcome, Session};
use crate::report::Findings;

/// Four-message exchanges of new clients a second; each Solicit is sent once, so that the grain of
/// the figures is their distance, half a millisecond.
const PER_S: f64 = 2_000.0;
/// Load before the primary is gone, and after the secondary has begun to answer.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER_NS: u64 = 500_000_000;
const KILLS: usize = 5;
const CUTS: usize = 3;
/// Without an answer for so long there is no takeover.
const LIMIT: Duration = Duration::from_secs(30);

/// How the primary goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Silent,
}

/// The scenario.
pub fn run() -> Result<Findings> {
    let ground = Ground::new()?;
    let _secondary = ground.start(Role::Secondary, Some(&RELATIONSHIP))?;
    let mut primary = ground.start(Role::Primary, Some(&RELATIONSHIP))?;
    let mut session = ground.clients()?;
    let mut findings = Findings::default();
    for (end, times, name) in [
        (End::Killed, KILLS, "first_answer_ms"),
        (End::Silent, CUTS, "silent_first_answer_ms"),
    ] {
        let mut all = Vec::new();
        for _ in 0..times {
            all.push(once(&ground, &mut primary, &mut session, end)?);
        }
        all.sort_by(f64::total_cmp);
        findings.spread(name, (all[times / 2], all[0], all[times - 1]));
    }
    check(&session)?;
    findings.notes.push(format!(
        "{PER_S} exchanges a second of new clients; keepalive {} s; the generator and the \
         secondary's worker share core 0",
        RELATIONSHIP.keepalive_secs
    ));
    Ok(findings)
}

/// Milliseconds from the end of the primary to the first answer of its partner.
fn once(ground: &Ground, primary: &mut Server, session: &mut Session, end: End) -> Result<f64> {
    ground.wait_for_normal(LIMIT)?;
    // The last round ended with the secondary.
    session.set_server_duid(&[]);
    let clock = Clock::start();
    let (outcome, gone_ns) = std::thread::scope(|scope| {
        let load = scope.spawn(|| on_core(GENERATOR_CORE, || Ok(load(session, clock))));
        std::thread::sleep(BEFORE);
        let gone = go(ground, primary, clock, end);
        (load.join(), gone)
    });
    let Ok(outcome) = outcome else {
        bail!("the generator panicked");
    };
    let (outcome, gone_ns) = (outcome?, gone_ns?);
    ensure!(!lab::interrupted(), "interrupted");
    let answered_ns = outcome.tally.other_server_ns;
    let answered_ns = answered_ns.with_context(|| format!("no answer within {LIMIT:?}"))?;
    let after_ns = answered_ns.checked_sub(gone_ns);
    let after_ns = after_ns.context("the secondary answered while the primary was there")?;
    ground.site.mend()?;
    primary.process.restart()?;
    Ok(after_ns as f64 / 1e6)
}

fn load(session: &mut Session, clock: Clock) -> Outcome {
    let limit_ns = (BEFORE + LIMIT).as_nanos() as u64;
    session.run_beside(&SARR, PER_S, clock, &mut |tally, now_ns| {
        let end_ns = tally.other_server_ns.map(|at_ns| at_ns + AFTER_NS);
        now_ns < end_ns.unwrap_or(limit_ns)
    })
}

/// The primary goes; when, by the clock.
fn go(ground: &Ground, primary: &mut Server, clock: Clock, end: End) -> Result<u64> {
    if end == End::Silent {
        ground.site.cut()?;
    }
    let gone_ns = clock.now_ns();
    primary.process.kill()?;
    Ok(gone_ns)
}
