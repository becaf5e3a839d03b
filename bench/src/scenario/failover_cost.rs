//! What a partner costs: processor time of the worker for each exchange, with failover on and off,
//! in turns in one run.
//!
//! Both servers are on networks of the same kind and on the same cores, and both sleep when they
//! have nothing to do. Only the worker's thread counts: it makes the updates, and takes the
//! partner's answers. What the control thread, the journal's thread and the partner spend
//! is shown beside it.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::failover::Role;

use super::ground::{GENERATOR_CORE, Server, on_core};
use super::partners::{Ground, RELATIONSHIP};
use super::sarr::{SARR, check};
use crate::generator::flow::Kind;
use crate::generator::session::{Session, UNANSWERED_MAX, Who, Work};
use crate::report::Findings;

/// Exchanges a second: a fifth of what the worker bears, because the partner's worker shares the
/// generator's core.
const PER_S: f64 = 10_000.0;
const TIME: Duration = Duration::from_millis(1_500);
/// In which what was granted last is told the partner.
const AFTERWARDS: Duration = Duration::from_millis(300);
const ROUNDS: usize = 7;
const LIMIT: Duration = Duration::from_secs(30);

/// Nanoseconds of processor time for each exchange.
#[derive(Clone, Copy)]
struct Cost {
    worker: f64,
    process: f64,
}

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
    let mut findings = Findings::default();
    // Tables, caches and the neighbours' addresses are there when it counts.
    for side in [&mut on, &mut off] {
        side.cost(&SARR)?;
    }
    let partner_before = secondary.cpu_ns("")?;
    let rounds = rounds(&mut on, &mut off, &SARR)?;
    let partner = secondary.cpu_ns("")? - partner_before;
    let clients = ROUNDS as f64 * PER_S * TIME.as_secs_f64();
    figures(&mut findings, "", &rounds);
    findings.figure("partner_ns_per_exchange", partner as f64 / clients);

    let bound = on.session.clients().end.min(off.session.clients().end);
    let renew = Work {
        kind: Kind::Renew,
        who: Who::Scattered(0..bound),
    };
    let rounds = self::rounds(&mut on, &mut off, &renew)?;
    figures(&mut findings, "renew_", &rounds);
    for side in [&on, &off] {
        check(&side.session)?;
    }
    findings.notes.push(format!(
        "{PER_S} exchanges a second, {ROUNDS} rounds of {TIME:?} with and without in turns; the \
         generator and the partner's worker share core 0, the worker that is measured has core 1 \
         with the control and journal threads"
    ));
    Ok(findings)
}

/// With and without, in turns.
fn rounds(on: &mut Side, off: &mut Side, work: &Work) -> Result<Vec<(Cost, Cost)>> {
    (0..ROUNDS)
        .map(|_| Ok((on.cost(work)?, off.cost(work)?)))
        .collect()
}

impl Side {
    fn cost(&mut self, work: &Work) -> Result<Cost> {
        let Self { server, session } = self;
        let times = || Ok::<_, anyhow::Error>((server.cpu_ns("worker")?, server.cpu_ns("")?));
        let (worker, process) = times()?;
        let outcome = on_core(GENERATOR_CORE, || Ok(session.run(work, PER_S, TIME)))?;
        std::thread::sleep(AFTERWARDS);
        let after = times()?;
        ensure!(!lab::interrupted(), "interrupted");
        let tally = &outcome.tally;
        ensure!(
            tally.unanswered_ratio() <= 10.0 * UNANSWERED_MAX,
            "{PER_S} exchanges a second are too many: {} of {} were not answered",
            tally.begun - tally.completed,
            tally.begun
        );
        let each = |ns: u64| ns as f64 / tally.completed as f64;
        Ok(Cost {
            worker: each(after.0 - worker),
            process: each(after.1 - process),
        })
    }
}

fn figures(findings: &mut Findings, prefix: &str, rounds: &[(Cost, Cost)]) {
    let spread = |of: &dyn Fn(&(Cost, Cost)) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (
            values[values.len() / 2],
            values[0],
            values[values.len() - 1],
        )
    };
    let ratio = spread(&|(on, off)| on.worker / off.worker);
    findings.spread(&format!("{prefix}cpu_ratio"), ratio);
    let median = |of: &dyn Fn(&(Cost, Cost)) -> f64| spread(of).0;
    for (name, value) in [
        ("worker_on_ns", median(&|(on, _)| on.worker)),
        ("worker_off_ns", median(&|(_, off)| off.worker)),
        ("process_on_ns", median(&|(on, _)| on.process)),
        ("process_off_ns", median(&|(_, off)| off.process)),
    ] {
        findings.figure(format!("{prefix}{name}"), value);
    }
}
