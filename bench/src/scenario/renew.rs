//! Bound clients that come back, scattered over a million.

use std::time::Duration;

use anyhow::Result;

use super::fill::bound_clients;
use super::ground::{GENERATOR_CORE, Ground, ServerSpec, on_core};
use super::sarr::{check, search};
use crate::generator::flow::Kind;
use crate::generator::session::{Who, Work};
use crate::report::Findings;

const CLIENTS: u32 = 1_000_000;
/// Share of the highest rate of renewals at which clients release, each once.
const RELEASE_LOAD: f64 = 0.5;
const RELEASE_TIME: Duration = Duration::from_secs(2);

/// The scenario.
pub fn run() -> Result<Findings> {
    let ground = Ground::new()?;
    let spec = ServerSpec::default();
    let mut session = bound_clients(&ground, &spec, CLIENTS)?;
    let server = ground.start(&spec)?;
    session.set_server_duid(&super::ground::server_duid(&server)?);
    let mut findings = Findings::default();
    let work = |kind| Work {
        kind,
        who: Who::Scattered(0..CLIENTS),
    };
    let renew = search(&mut session, &work(Kind::Renew))?;
    findings.maximum("renew", &renew);
    let rebind = search(&mut session, &work(Kind::Rebind))?;
    findings.figure("rebind_per_s", rebind.per_second);
    check(&session)?;
    let rate = renew.per_second * RELEASE_LOAD;
    let release = work(Kind::Release);
    let outcome = on_core(GENERATOR_CORE, || {
        Ok(session.run(&release, rate, RELEASE_TIME))
    })?;
    findings.figure("release_per_s", outcome.completed_per_s());
    findings.figure("release_unanswered_ratio", outcome.tally.unanswered_ratio());
    Ok(findings)
}
