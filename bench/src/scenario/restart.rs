//! From the start of the process to the first correct answer, with bindings to recover: a Renew of
//! a bound client, sent again and again from the start on, is answered with the client's own lease.
//! The generator sleeps between two messages: the server recovers on all cores.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::fill::bound_clients;
use super::ground::{GENERATOR_CORE, Ground, ServerSpec, on_core, server_duid};
use crate::generator::drive::Clock;
use crate::generator::flow::Kind;
use crate::generator::session::{Session, Who, Work};
use crate::report::Findings;

const RUNS: usize = 3;
/// Renewals sent a second: the grain of the figure is a tenth of its goal's hundredth.
const ASKED_PER_S: f64 = 2_000.0;
const LIMIT: Duration = Duration::from_secs(60);

/// The scenario.
pub fn run() -> Result<Findings> {
    let mut findings = Findings::default();
    for (clients, name) in [(1_000_000, "restart_1m_s"), (10_000_000, "restart_10m_s")] {
        let ground = Ground::new()?;
        let spec = ServerSpec::default();
        let mut session = bound_clients(&ground, &spec, clients)?;
        // Once for its identity, and as the server that is then killed.
        let mut server = ground.start(&spec)?;
        session.set_server_duid(&server_duid(&server)?);
        server.process.kill()?;
        let mut seconds = Vec::new();
        for _ in 0..RUNS {
            seconds.push(once(&ground, &spec, &mut session, clients)?);
        }
        seconds.sort_by(f64::total_cmp);
        findings.spread(name, (seconds[RUNS / 2], seconds[0], seconds[RUNS - 1]));
    }
    Ok(findings)
}

fn once(ground: &Ground, spec: &ServerSpec, session: &mut Session, clients: u32) -> Result<f64> {
    let work = Work {
        kind: Kind::Renew,
        who: Who::Scattered(0..clients),
    };
    let text = ground.config(spec);
    let clock = Clock::start();
    let mut server = lab::server::Server::begin_with(ground.program(), &ground.pair.server, &text)?;
    let answered = on_core(GENERATOR_CORE, || {
        Ok(session.first_answer(&work, ASKED_PER_S, clock, LIMIT))
    })?;
    let after = answered.with_context(|| format!("no answer in {LIMIT:?}:\n{}", server.log()))?;
    server.kill()?;
    ensure!(!lab::interrupted(), "interrupted");
    Ok(after.as_secs_f64())
}
