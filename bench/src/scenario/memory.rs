//! Memory of a binding with all indexes: what ten million of them add to the process.

use anyhow::Result;

use super::fill::fill;
use super::ground::{Ground, ServerSpec};
use crate::generator::client::Numbering;
use crate::generator::oracle::Book;
use crate::report::Findings;

const CLIENTS: u32 = 10_000_000;

/// The scenario.
pub fn run() -> Result<Findings> {
    let empty = resident_with(0)?;
    let full = resident_with(CLIENTS)?;
    let mut findings = Findings::default();
    let added = full.saturating_sub(empty) as f64;
    findings.figure("bytes_per_binding", added / f64::from(CLIENTS));
    findings.figure("empty_mib", empty as f64 / f64::from(1 << 20));
    findings.figure("full_mib", full as f64 / f64::from(1 << 20));
    Ok(findings)
}

/// Octets resident in a server that serves so many bindings.
fn resident_with(clients: u32) -> Result<u64> {
    let ground = Ground::new()?;
    let spec = ServerSpec::default();
    let numbering = Numbering { salt: 1, relays: 0 };
    if clients > 0 {
        fill(
            ground.state(),
            clients,
            numbering,
            spec.valid_secs,
            &mut Book::default(),
        )?;
    }
    ground.start(&spec)?.resident()
}
