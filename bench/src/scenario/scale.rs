//! What the number of bindings costs: the same load on tables of ten thousand to ten million.

use anyhow::Result;

use super::fill::bound_clients;
use super::ground::{Ground, ServerSpec, server_duid};
use super::sarr::{SARR, check, search};
use crate::generator::flow::Kind;
use crate::generator::session::{Who, Work};
use crate::report::{Curve, Findings};

const SIZES: [(u32, &str, &str); 3] = [
    (10_000, "sarr_10k_per_s", "renew_10k_per_s"),
    (1_000_000, "sarr_1m_per_s", "renew_1m_per_s"),
    (10_000_000, "sarr_10m_per_s", "renew_10m_per_s"),
];

/// The scenario.
pub fn run() -> Result<Findings> {
    let mut findings = Findings::default();
    let mut lines = [Vec::new(), Vec::new()];
    for (clients, sarr_name, renew_name) in SIZES {
        let ground = Ground::new()?;
        let spec = ServerSpec::default();
        let mut session = bound_clients(&ground, &spec, clients)?;
        session.begin_at(clients);
        let server = ground.start(&spec)?;
        session.set_server_duid(&server_duid(&server)?);
        let renew = Work {
            kind: Kind::Renew,
            who: Who::Scattered(0..clients),
        };
        // Renewals first: they leave the number of bindings as it is.
        for (work, name, line) in [(&renew, renew_name, 1), (&SARR, sarr_name, 0)] {
            let maximum = search(&mut session, work)?.per_second;
            findings.figure(name, maximum);
            lines[line].push((f64::from(clients), maximum));
        }
        check(&session)?;
    }
    for (name, line) in [("ratio_10m_to_10k", 0), ("renew_ratio_10m_to_10k", 1)] {
        let (first, last) = (lines[line].first(), lines[line].last());
        if let (Some((_, first)), Some((_, last))) = (first, last) {
            findings.figure(name, last / first);
        }
    }
    let mut curve = Curve::new("Throughput over bindings", "bindings", "exchanges a second");
    curve.is_logarithmic = true;
    for (name, points) in ["Solicit to Reply", "Renew"].into_iter().zip(lines) {
        curve.line(name, points);
    }
    findings.curves.push(curve);
    Ok(findings)
}
