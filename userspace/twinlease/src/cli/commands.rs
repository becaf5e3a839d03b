//! What each command does.

use anyhow::{Context, bail};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::{ServerArgs, complain, shown};
use crate::config::{self, Config, Report};
use crate::control::client::Client;
use crate::control::render::Status;
use crate::control::status::{ReloadReport, StatusReport};

/// Stands for the server's DUID where only the rest of the model is of interest: a DUID-UUID
/// (RFC 6355) of zeros.
const PLACEHOLDER_DUID: [u8; 18] = [0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Longest wait for a reload: with ten million bindings in pools that change, and a million
/// reservations, it takes seconds.
const RELOAD_MAX: Duration = Duration::from_secs(600);

/// `twinlease run`.
pub(super) fn run(file: &Path, accept_damage: bool) -> anyhow::Result<()> {
    let (config, report) = load(file)?;
    for warning in &report.0 {
        tracing::warn!("{warning}");
    }
    crate::run::run(crate::run::Start {
        file: file.to_owned(),
        config,
        cores: allowed_cores()?,
        accept_damage,
    })
}

/// `twinlease check`; `out` takes the verdict if it is good.
pub(super) fn check(file: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let (config, report) = load(file)?;
    complain_of(&report);
    let duid = config.duid.as_deref().unwrap_or(&PLACEHOLDER_DUID);
    let key = config.allocation_key.unwrap_or_default();
    config.model(duid, key).with_context(|| shown(file))?;
    match report.0.len() {
        0 => writeln!(out, "config ok")?,
        1 => writeln!(out, "config ok, 1 warning")?,
        warnings => writeln!(out, "config ok, {warnings} warnings")?,
    }
    Ok(())
}

/// Tells every fault before it fails.
pub(super) fn load(file: &Path) -> anyhow::Result<(Config, Report)> {
    let cores = allowed_cores().context("cannot tell on which cores this process may run")?;
    match config::load(file, &cores) {
        Ok(loaded) => Ok(loaded),
        Err(report) => {
            complain_of(&report);
            match report.faults() {
                1 => bail!("{}: 1 fault", shown(file)),
                faults => bail!("{}: {faults} faults", shown(file)),
            }
        }
    }
}

pub(super) fn complain_of(report: &Report) {
    for found in &report.0 {
        complain(&found.to_string());
    }
}

pub(super) fn allowed_cores() -> io::Result<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let allowed = sched_getaffinity(None)?;
    let cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    Ok(cores.collect())
}

/// `twinlease status`.
pub(super) async fn status(server: &ServerArgs, json: bool) -> anyhow::Result<()> {
    let mut client = connect(server).await?;
    let report: StatusReport = client.get("/v1/status").await?;
    let mut out = io::stdout().lock();
    if json {
        return json_line(&mut out, &report);
    }
    Ok(write!(out, "{}", Status(&report))?)
}

/// `twinlease reload`: fails if the new config is refused.
pub(super) async fn reload(
    server: &ServerArgs,
    reservations: bool,
    json: bool,
) -> anyhow::Result<()> {
    let mut client = connect(server).await?;
    let path = match reservations {
        true => "/v1/reload/reservations",
        false => "/v1/reload",
    };
    let report: ReloadReport = client.post(path, RELOAD_MAX).await?;
    let mut out = io::stdout().lock();
    if json {
        json_line(&mut out, &report)?;
    } else if report.applied && report.changes.is_empty() {
        writeln!(out, "nothing changed")?;
    } else {
        report
            .changes
            .iter()
            .try_for_each(|change| writeln!(out, "{change}"))?;
    }
    if report.applied {
        return Ok(());
    }
    report.faults.iter().for_each(|fault| complain(fault));
    bail!("the new config is refused; the former one stays in force")
}

pub(super) async fn connect(server: &ServerArgs) -> anyhow::Result<Client> {
    let socket = match server.socket() {
        Ok(socket) => socket,
        Err(report) => {
            complain_of(&report);
            bail!("the config file names no control socket; give --socket");
        }
    };
    Ok(Client::connect(&socket).await?)
}

pub(super) fn json_line(out: &mut impl Write, value: &impl serde::Serialize) -> anyhow::Result<()> {
    // By way of a string, so that an error of writing stays one and is not wrapped.
    let line = serde_json::to_string(value)?;
    Ok(writeln!(out, "{line}")?)
}
