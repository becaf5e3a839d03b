//! Four-message exchanges of clients that were never there before, beside the ceiling of the same
//! run; and where the server's time goes.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::ceiling;
use super::ground::{GENERATOR_CORE, Ground, NA, Server, ServerSpec, on_core};
use crate::generator::flow::Kind;
use crate::generator::message::Wants;
use crate::generator::session::{Maximum, Session, Who, Work};
use crate::report::Findings;

/// Where searches begin, in exchanges a second.
pub const FROM: f64 = 30_000.0;
/// Relays of the figure that the goals name.
const RELAYS: u32 = 4;
/// Share of the maximum at which the server's time is looked at, and for how long.
const PROFILE_LOAD: f64 = 0.9;
const PROFILE_TIME: Duration = Duration::from_secs(3);

/// Solicit, Advertise, Request, Reply of fresh clients.
pub const SARR: Work = Work {
    kind: Kind::Sarr,
    who: Who::Fresh,
};

/// The scenario.
pub fn run() -> Result<Findings> {
    let ground = Ground::new()?;
    let echo = ceiling::measure(&ground)?.per_second;
    let server = ground.start(&ServerSpec::default())?;
    let mut findings = Findings::default();
    findings.figure("echo_per_s", echo);

    let mut direct = ground.direct(NA, 1)?;
    let maximum = search(&mut direct, &SARR)?;
    findings.maximum("sarr", &maximum);
    let (unanswered, ..) = maximum.spread(|run| run.tally.unanswered_ratio());
    findings.figure("unanswered_ratio", unanswered);
    findings.figure("ceiling_ratio", maximum.per_second / (echo / 2.0));
    profile(&server, &mut direct, maximum.per_second, &mut findings)?;
    check(&direct)?;
    drop(direct);

    let mut relayed = ground.relayed(NA, 2, RELAYS, 1)?;
    let maximum = search(&mut relayed, &SARR)?;
    findings.figure("sarr_relays4_per_s", maximum.per_second);
    findings.figure("relays4_ceiling_ratio", maximum.per_second / (echo / 2.0));
    check(&relayed)?;
    drop(relayed);

    let both = Wants { na: true, pd: true };
    let mut session = ground.direct(both, 3)?;
    let maximum = search(&mut session, &SARR)?;
    findings.figure("sarr_na_pd_per_s", maximum.per_second);
    check(&session)?;
    drop(session);

    let mut session = ground.direct(NA, 4)?;
    let rapid = Work {
        kind: Kind::Rapid,
        who: Who::Fresh,
    };
    let maximum = search(&mut session, &rapid)?;
    findings.figure("rapid_per_s", maximum.per_second);
    check(&session)?;
    Ok(findings)
}

/// Searches on the generator's core.
///
/// # Errors
/// The server bears nothing.
pub fn search(session: &mut Session, work: &Work) -> Result<Maximum> {
    let maximum = on_core(GENERATOR_CORE, || Ok(session.maximum(work, FROM)))?;
    if maximum.per_second == 0.0 {
        let run = maximum.runs.last();
        let faults: Vec<_> = run.iter().flat_map(|run| run.tally.all_faults()).collect();
        ensure!(!lab::interrupted(), "interrupted");
        anyhow::bail!(
            "the server bears no rate: tried {:?}, faults {faults:?}",
            maximum.tried
        );
    }
    Ok(maximum)
}

/// No two clients hold one lease.
///
/// # Errors
/// They do: the worst that a server can do.
pub fn check(session: &Session) -> Result<()> {
    let twice = session.book.held_twice();
    ensure!(twice == 0, "{twice} leases are held by two clients");
    Ok(())
}

/// The stages of a worker's loop, as the server names them, and the figures of them.
const STAGES: [(&str, &str); 6] = [
    ("receive", "stage_receive_ns"),
    ("mail", "stage_mail_ns"),
    ("deliver", "stage_deliver_ns"),
    ("chores", "stage_chores_ns"),
    ("submit", "stage_submit_ns"),
    ("send", "stage_send_ns"),
];

/// Nanoseconds so far in each of [`STAGES`], of all workers.
fn stages(server: &Server) -> Result<[f64; STAGES.len()]> {
    let status = server.process.status()?;
    let workers = status.0["workers"].as_array().cloned().unwrap_or_default();
    Ok(STAGES.map(|(stage, _)| {
        let of = |worker: &serde_json::Value| worker["stage-ns"][stage].as_f64();
        workers.iter().filter_map(of).sum()
    }))
}

/// Nanoseconds for each exchange near the maximum: of processor time by thread, and of the worker's
/// time by stage of its loop. The latter is time on the clock, in which others may have the core.
fn profile(
    server: &Server,
    session: &mut Session,
    maximum: f64,
    findings: &mut Findings,
) -> Result<()> {
    let threads = ["worker", "journal"];
    let times = || threads.map(|thread| server.cpu_ns(thread).unwrap_or_default());
    let (before, stages_before) = (times(), stages(server)?);
    let rate = maximum * PROFILE_LOAD;
    let outcome = on_core(GENERATOR_CORE, || {
        Ok(session.run(&SARR, rate, PROFILE_TIME))
    })?;
    let (spent, stages_spent) = (times(), stages(server)?);
    let exchanges = outcome.tally.completed.max(1) as f64;
    let each = |index: usize| (spent[index] - before[index]) as f64 / exchanges;
    findings.figure("worker_ns_per_exchange", each(0));
    findings.figure("journal_ns_per_exchange", each(1));
    for (index, (_, name)) in STAGES.into_iter().enumerate() {
        findings.figure(
            name,
            (stages_spent[index] - stages_before[index]) / exchanges,
        );
    }
    Ok(())
}
