//! A partner comes back with an empty disk: how long until it has a million bindings again, and
//! whether clients notice. The time counts from the moment at which the partners have agreed and
//! the empty one asks for everything (UPDREQALL) until it was told that this was everything
//! (UPDDONE), with each binding on its disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::failover::{Relationship, Role};
use lab::wait_until;

use super::fill::fill;
use super::ground::{GENERATOR_CORE, Server, ServerSpec, on_core};
use super::partners::{Ground, NUMBERING, RELATIONSHIP, bindings};
use super::sarr::{SARR, check};
use crate::generator::drive::Clock;
use crate::generator::session::{Outcome, Session};
use crate::report::Findings;

const CLIENTS: u32 = 1_000_000;
/// Four-message exchanges of new clients a second, all the while.
const PER_S: f64 = 2_000.0;
/// How long the same is looked at before, with no partner there.
const BEFORE: Duration = Duration::from_secs(3);
const RUNS: usize = 3;
const LIMIT: Duration = Duration::from_secs(120);
const COUNT_LIMIT: Duration = Duration::from_secs(5);
/// A silence as long as this is a gap; a client sends again after a second at the earliest.
const GAP_NS: u64 = 100_000_000;

/// The primary has never met its partner, and serves.
const ALONE: Relationship = Relationship {
    serves_alone: true,
    ..RELATIONSHIP
};

/// One time of it.
struct Run {
    /// From the start of the partner until it asks.
    asked_s: f64,
    resync_s: f64,
    outcome: Outcome,
    cpu_s: [f64; 2],
}

/// The scenario.
pub fn run() -> Result<Findings> {
    let ground = Ground::new()?;
    let mut session = ground.clients()?;
    session.begin_at(CLIENTS);
    let valid_secs = ServerSpec::default().valid_secs;
    let state = ground.state(Role::Primary);
    fill(&state, CLIENTS, NUMBERING, valid_secs, &mut session.book)?;
    let primary = ground.start(Role::Primary, Some(&ALONE))?;
    ground.wait(Role::Primary, LIMIT, |told| told.state() == "PARTNER-DOWN")?;
    let before = on_core(GENERATOR_CORE, || Ok(session.run(&SARR, PER_S, BEFORE)))?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(once(&ground, &primary, &mut session)?);
    }
    check(&session)?;

    let mut findings = Findings::default();
    let spread = |of: &dyn Fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (values[RUNS / 2], values[0], values[RUNS - 1])
    };
    findings.spread("resync_1m_s", spread(&|run| run.resync_s));
    let worst = |of: &dyn Fn(&Run) -> f64| spread(of).2;
    findings.figure("service_gap_ms", worst(&|run| gap_ms(&run.outcome)));
    findings.figure(
        "longest_silence_ms",
        worst(&|run| run.outcome.tally.longest_silence_ns as f64 / 1e6),
    );
    findings.figure(
        "resync_unanswered_ratio",
        worst(&|run| run.outcome.tally.unanswered_ratio()),
    );
    findings.figure("before_p99_us", before.tally.latency_us(0.99));
    findings.figure(
        "resync_p99_us",
        spread(&|run| run.outcome.tally.latency_us(0.99)).0,
    );
    findings.figure("start_to_asking_s", spread(&|run| run.asked_s).0);
    findings.figure("primary_cpu_s", spread(&|run| run.cpu_s[0]).0);
    findings.figure("secondary_cpu_s", spread(&|run| run.cpu_s[1]).0);
    findings.notes.push(format!(
        "{PER_S} exchanges a second of new clients; the generator and the secondary's worker share \
         core 0, the primary's worker has core 1 with all the rest"
    ));
    Ok(findings)
}

fn once(ground: &Ground, primary: &Server, session: &mut Session) -> Result<Run> {
    let state = ground.state(Role::Secondary);
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    let is_over = AtomicBool::new(false);
    let (outcome, resynced) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            on_core(GENERATOR_CORE, || {
                let mut goes_on = |_: &_, _| !is_over.load(Ordering::Relaxed);
                Ok(session.run_beside(&SARR, PER_S, Clock::start(), &mut goes_on))
            })
        });
        let resynced = resync(ground, primary);
        is_over.store(true, Ordering::Relaxed);
        (load.join(), resynced)
    });
    let (asked_s, resync_s, cpu_s, mut secondary) = resynced?;
    let Ok(outcome) = outcome else {
        anyhow::bail!("the generator panicked");
    };
    let outcome = outcome?;
    // Workers count once a second. What was granted meanwhile is not asked for, and may be there.
    let mut there = 0;
    wait_until("the partner to count its bindings", COUNT_LIMIT, || {
        there = bindings(&secondary)?;
        Ok((there >= u64::from(CLIENTS)).then_some(()))
    })
    .with_context(|| format!("{there} bindings are there after the resync of {CLIENTS}"))?;
    secondary.process.kill()?;
    Ok(Run {
        asked_s,
        resync_s,
        outcome,
        cpu_s,
    })
}

fn resync(ground: &Ground, primary: &Server) -> Result<(f64, f64, [f64; 2], Server)> {
    let begin = Instant::now();
    let before = primary.cpu_ns("")?;
    let secondary = ground.begin(Role::Secondary, Some(&RELATIONSHIP))?;
    let asked = ground.wait(Role::Secondary, LIMIT, |told| told.state() == "RECOVER")?;
    let done = ground.wait(Role::Secondary, LIMIT, |told| told.state() != "RECOVER")?;
    let cpu = [primary.cpu_ns("")? - before, secondary.cpu_ns("")?];
    Ok((
        (asked - begin).as_secs_f64(),
        (done - asked).as_secs_f64(),
        cpu.map(|ns| ns as f64 / 1e9),
        secondary,
    ))
}

/// The longest silence, if clients could notice it.
fn gap_ms(outcome: &Outcome) -> f64 {
    match outcome.tally.longest_silence_ns {
        short if short < GAP_NS => 0.0,
        gap => gap as f64 / 1e6,
    }
}
