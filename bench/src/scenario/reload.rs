//! A file of a million reservations is read again under load, with a million bindings to be held
//! against it: how long that takes, and how long clients wait for it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::fill::bound_clients;
use super::ground::{GENERATOR_CORE, Ground, LINK, Server, ServerSpec, on_core, server_duid};
use super::sarr::{SARR, check};
use crate::generator::drive::Clock;
use crate::generator::session::{Outcome, Session};
use crate::report::Findings;
use crate::reservations;

const CLIENTS: u32 = 1_000_000;
/// Four-message exchanges a second; the grain of the longest silence is half a millisecond.
const PER_S: f64 = 2_000.0;
const RELOADS: usize = 3;
/// Load without a reload, for comparison.
const QUIET: Duration = Duration::from_secs(5);
/// Load before and after each reload.
const AROUND: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(120);

/// The scenario.
pub fn run() -> Result<Findings> {
    let ground = Ground::new()?;
    let spec = ServerSpec::default();
    let mut session = bound_clients(&ground, &spec, CLIENTS)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("reservations.jsonl");
    write(&file, 0)?;
    let text = format!("{}[reservations]\nfile = {file:?}\n", ground.config(&spec));
    let mut process =
        lab::server::Server::begin_with(ground.program(), &ground.pair.server, &text)?;
    process.wait_until_ready(LIMIT)?;
    let server = Server { process };
    session.set_server_duid(&server_duid(&server)?);
    let quiet = beside(&mut session, || {
        std::thread::sleep(QUIET);
        Ok(())
    })?;
    let (mut seconds, mut silences, mut unanswered) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=RELOADS {
        let mut taken = Duration::ZERO;
        write(&file, round as u32)?;
        let outcome = beside(&mut session, || {
            std::thread::sleep(AROUND);
            taken = reload(&server)?;
            std::thread::sleep(AROUND);
            Ok(())
        })?;
        seconds.push(taken.as_secs_f64());
        silences.push(silence_ms(&outcome));
        unanswered.push(outcome.tally.unanswered_ratio());
    }
    check(&session)?;
    let mut findings = Findings::default();
    findings.figure("silence_without_ms", silence_ms(&quiet));
    for (name, mut all) in [
        ("reload_1m_s", seconds),
        ("silence_ms", silences),
        ("unanswered_ratio", unanswered),
    ] {
        all.sort_by(f64::total_cmp);
        findings.spread(name, (all[RELOADS / 2], all[0], all[RELOADS - 1]));
    }
    findings.notes.push(format!(
        "{PER_S} exchanges a second; every reservation changes; the generator and the thread that \
         reads the file share core 0"
    ));
    Ok(findings)
}

/// Writes the file, and waits for its disk, which may be the journal's.
fn write(path: &Path, round: u32) -> Result<()> {
    let mut file = File::create(path)?;
    file.write_all(reservations::lines(LINK, round).as_bytes())?;
    Ok(file.sync_all()?)
}

/// How long from the command to its answer.
fn reload(server: &Server) -> Result<Duration> {
    let began = Instant::now();
    let changes = server.process.reload_reservations()?;
    let taken = began.elapsed();
    ensure!(changes.len() == 1, "not what changes: {changes:?}");
    Ok(taken)
}

/// Load until `work` is done.
fn beside(session: &mut Session, work: impl FnOnce() -> Result<()> + Send) -> Result<Outcome> {
    let (outcome, done) = std::thread::scope(|scope| {
        let work = scope.spawn(work);
        let began = Instant::now();
        let outcome = on_core(GENERATOR_CORE, || {
            let goes_on = |_: &_, _| !work.is_finished() && began.elapsed() < LIMIT;
            Ok(session.run_beside(&SARR, PER_S, Clock::start(), &mut { goes_on }))
        });
        (outcome, work.join())
    });
    ensure!(!lab::interrupted(), "interrupted");
    match done {
        Ok(done) => done?,
        Err(_) => bail!("the reload panicked"),
    }
    outcome
}

fn silence_ms(outcome: &Outcome) -> f64 {
    outcome.tally.longest_silence_ns as f64 / 1e6
}
