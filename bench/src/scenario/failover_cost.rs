//! What a partner costs: processor time of the worker for each exchange, with failover on and off,
//! in turns in one run.
//!
//! Both servers are on networks of the same kind and on the same cores, and both sleep when they
//! have nothing to do. Only the worker's thread counts: it makes the updates, and takes the
//! partner's answers. What the control thread, the journal's thread and the partner spend
//! is shown beside it.
//!
//! The goal is about exchanges per processor second, so it is judged near the highest rate that the
//! pair bears; where workers sleep between two packets, waking them is most of what there is to see.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lab::failover::Role;

use super::ground::{GENERATOR_CORE, Server, on_core};
use super::partners::{Ground, RELATIONSHIP};
use super::sarr::{FROM, SARR, check};
use crate::generator::flow::Kind;
use crate::generator::session::{Session, UNANSWERED_MAX, Who, Work};
use crate::report::Findings;

/// Exchanges a second at which workers sleep between two packets.
const SLEEPY_PER_S: f64 = 10_000.0;
/// How well the highest rate that the pair bears is found.
const PRECISION: f64 = 1.3;
/// Share of it at which the ratio is judged: both sides bear it.
const LOAD: f64 = 0.6;
const TIME: Duration = Duration::from_millis(1_500);
/// In which what was granted last is told the partner.
const AFTERWARDS: Duration = Duration::from_millis(300);
const ROUNDS: usize = 5;
/// Runs that may be repeated because not all was answered: a single stall of a shared machine.
const REPEATED_MAX: usize = 3;
const LIMIT: Duration = Duration::from_secs(30);

/// What an exchange took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Nanoseconds of processor time of the worker.
    worker: f64,
    /// Of all threads.
    process: f64,
    /// How often the worker slept.
    sleeps: f64,
    /// Share of exchanges that were not answered.
    unanswered: f64,
}

/// With failover, and without.
type Round = (Cost, Cost);

struct Side {
    server: Server,
    session: Session,
}

/// The scenario.
pub fn run() -> Result<Findings> {
    let (with, without) = (Ground::new()?, Ground::new()?);
    let secondary = with.start(Role::Secondary, Some(&RELATIONSHIP))?;
    let mut on = Side {
        server: with.start(Role::Primary, Some(&RELATIONSHIP))?,
        session: with.clients()?,
    };
    with.wait_for_normal(LIMIT)?;
    let mut off = Side {
        server: without.start(Role::Primary, None)?,
        session: without.clients()?,
    };
    // Tables, caches and the neighbours' addresses are there when it counts.
    let maximum = on_core(GENERATOR_CORE, || {
        Ok(on.session.search(&SARR, FROM, PRECISION).per_second)
    })?;
    ensure!(maximum > 0.0, "the pair bears no rate");
    let per_s = LOAD * maximum;
    off.cost(&SARR, per_s)?;
    let mut findings = Findings::default();
    findings.figure("pair_sarr_per_s", maximum);
    let partner_before = secondary.cpu_ns("")?;
    let rounds = rounds(&mut on, &mut off, &SARR, per_s)?;
    let partner = secondary.cpu_ns("")? - partner_before;
    let clients = ROUNDS as f64 * per_s * TIME.as_secs_f64();
    figures(&mut findings, "", "", &rounds);
    findings.figure("partner_ns_per_exchange", partner as f64 / clients);

    let bound = [&on, &off].map(|side| side.session.clients().end);
    let rounds = self::rounds(&mut on, &mut off, &SARR, SLEEPY_PER_S)?;
    figures(&mut findings, "", "_10k", &rounds);

    // All of these have a lease; of those before them too much was asked.
    let renew = |side: &Side, from: u32| Work {
        kind: Kind::Renew,
        who: Who::Scattered(from..side.session.clients().end),
    };
    let works = [renew(&on, bound[0]), renew(&off, bound[1])];
    let rounds: Result<Vec<Round>> = (0..ROUNDS)
        .map(|_| Ok((on.cost(&works[0], per_s)?, off.cost(&works[1], per_s)?)))
        .collect();
    figures(&mut findings, "renew_", "", &rounds?);
    for side in [&on, &off] {
        check(&side.session)?;
    }
    findings.notes.push(format!(
        "{per_s:.0} exchanges a second, {LOAD} of what the pair bears ({SLEEPY_PER_S} where the name \
         says 10k), {ROUNDS} rounds of {TIME:?} with and without in turns; the generator and the \
         partner's worker share core 0, the worker that is measured has core 1 with the control and \
         journal threads"
    ));
    Ok(findings)
}

/// With and without, in turns.
fn rounds(on: &mut Side, off: &mut Side, work: &Work, per_s: f64) -> Result<Vec<Round>> {
    (0..ROUNDS)
        .map(|_| Ok((on.cost(work, per_s)?, off.cost(work, per_s)?)))
        .collect()
}

impl Side {
    /// What an exchange takes at a rate that is borne.
    fn cost(&mut self, work: &Work, per_s: f64) -> Result<Cost> {
        let mut unanswered = Vec::new();
        while unanswered.len() <= REPEATED_MAX {
            let cost = self.run(work, per_s)?;
            if cost.unanswered <= UNANSWERED_MAX {
                return Ok(cost);
            }
            unanswered.push(cost.unanswered);
        }
        bail!("{per_s:.0} exchanges a second are too many: unanswered {unanswered:?} of them")
    }

    fn run(&mut self, work: &Work, per_s: f64) -> Result<Cost> {
        let Self { server, session } = self;
        let spent = || {
            let times = (server.cpu_ns("worker")?, server.cpu_ns("")?);
            Ok::<_, anyhow::Error>((times, server.sleeps("worker")?))
        };
        let ((worker, process), sleeps) = spent()?;
        let outcome = on_core(GENERATOR_CORE, || Ok(session.run(work, per_s, TIME)))?;
        std::thread::sleep(AFTERWARDS);
        let after = spent()?;
        ensure!(!lab::interrupted(), "interrupted");
        let tally = &outcome.tally;
        ensure!(tally.completed > 0, "nothing is answered");
        let each = |count: u64| count as f64 / tally.completed as f64;
        Ok(Cost {
            worker: each(after.0.0 - worker),
            process: each(after.0.1 - process),
            sleeps: each(after.1 - sleeps),
            unanswered: tally.unanswered_ratio(),
        })
    }
}

fn figures(findings: &mut Findings, prefix: &str, suffix: &str, rounds: &[Round]) {
    let spread = |of: &dyn Fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (
            values[values.len() / 2],
            values[0],
            values[values.len() - 1],
        )
    };
    let ratio = spread(&|(on, off)| on.worker / off.worker);
    findings.spread(&format!("{prefix}cpu_ratio{suffix}"), ratio);
    let median = |of: &dyn Fn(&Round) -> f64| spread(of).0;
    for (name, value) in [
        ("worker_on_ns", median(&|(on, _)| on.worker)),
        ("worker_off_ns", median(&|(_, off)| off.worker)),
        ("process_on_ns", median(&|(on, _)| on.process)),
        ("process_off_ns", median(&|(_, off)| off.process)),
        ("sleeps_on", median(&|(on, _)| on.sleeps)),
        ("sleeps_off", median(&|(_, off)| off.sleeps)),
        (
            "unanswered_ratio",
            median(&|(on, off)| on.unanswered.max(off.unanswered)),
        ),
    ] {
        findings.figure(format!("{prefix}{name}{suffix}"), value);
    }
}
