//! Kea beside twinlease: the same wire, the same generator, the same run, each at its best.
//!
//! Kea is the distribution's kea-dhcp6 with memfile, two threads, no reservations, no lease file
//! cleanup, and both cores: the generator sleeps while it has nothing to send. Kea writes its
//! lease file and never syncs it; twinlease has every grant on disk before it answers.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::Process;

use super::ground::{GENERATOR_CORE, Ground, NA, POOL, POOL_LEN, ServerSpec, on_core};
use super::sarr::{SARR, check, search};
use crate::report::{Curve, Findings};

const PROGRAM: &str = "kea-dhcp6";
const START_LIMIT: Duration = Duration::from_secs(10);
/// Where the search begins for Kea.
const FROM: f64 = 3_000.0;
/// Threads; ISC's advice for memfile is four, which is slower on two cores.
const THREADS: u32 = 2;

/// The scenario.
pub fn run() -> Result<Findings> {
    let mut findings = Findings::default();
    let kea = {
        let ground = Ground::new()?;
        let _kea = start(&ground)?;
        let mut session = ground.direct(NA, 1)?;
        let maximum = on_core(GENERATOR_CORE, || Ok(session.maximum(&SARR, FROM)))?;
        check(&session)?;
        if maximum.per_second == 0.0 {
            bail!("Kea bears no rate: tried {:?}", maximum.tried);
        }
        maximum
    };
    let ours = {
        let ground = Ground::new()?;
        let _server = ground.start(&ServerSpec::default())?;
        let mut session = ground.direct(NA, 2)?;
        let maximum = search(&mut session, &SARR)?;
        check(&session)?;
        maximum
    };
    findings.maximum("kea_sarr", &kea);
    findings.maximum("sarr", &ours);
    findings.figure("kea_ratio", ours.per_second / kea.per_second);
    findings
        .notes
        .push("Kea never syncs its lease file; twinlease syncs before it answers".into());
    let title = "Exchanges unanswered within a second";
    let mut curve = Curve::new(title, "exchanges a second offered", "share unanswered");
    curve.is_logarithmic = true;
    for (name, maximum) in [("Kea", kea), ("twinlease", ours)] {
        let mut tried = maximum.tried;
        tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        curve.line(name, tried);
    }
    findings.curves.push(curve);
    Ok(findings)
}

/// Starts Kea in the server's namespace.
fn start(ground: &Ground) -> Result<Process> {
    if lab::output_of(std::process::Command::new(PROGRAM).arg("-v")).is_err() {
        bail!("no {PROGRAM}: `cargo xtask bench kea` installs the packages it needs");
    }
    let dir = ground.state().join("kea");
    fs::create_dir_all(&dir)?;
    let dir = dir.canonicalize()?;
    let path = dir.join("kea.json");
    let last = std::net::Ipv6Addr::from_bits(POOL.to_bits() + u128::from(POOL_LEN) - 1);
    let leases = dir.join("leases.csv");
    let config = serde_json::json!({"Dhcp6": {
        "interfaces-config": {"interfaces": ["lan0"]},
        // Its own would be kept in a directory of the system's.
        "server-id": {
            "type": "EN", "enterprise-id": 32_473, "identifier": "7477696e", "persist": false,
        },
        "lease-database": {
            "type": "memfile", "persist": true, "name": leases, "lfc-interval": 0,
        },
        "multi-threading": {
            "enable-multi-threading": true,
            "thread-pool-size": THREADS, "packet-queue-size": 64,
        },
        "preferred-lifetime": 43_200, "valid-lifetime": 86_400,
        "reservations-global": false, "reservations-in-subnet": false,
        "option-data": [{"name": "dns-servers", "data": "2001:db8::53"}],
        "subnet6": [{
            "id": 1, "subnet": "2001:db8:1::/64", "interface": "lan0",
            "pools": [{"pool": format!("{POOL} - {last}")}],
        }],
        "loggers": [{
            "name": "kea-dhcp6", "severity": "WARN", "output_options": [{"output": "stderr"}],
        }],
    }});
    fs::write(&path, config.to_string())?;
    let mut command = ground.pair.server.command(PROGRAM);
    command
        .arg("-c")
        .arg(&path)
        .env("KEA_PIDFILE_DIR", &dir)
        .env("KEA_LOCKFILE_DIR", &dir);
    let mut process = ground.pair.server.spawn(command, "kea")?;
    lab::wait_until("Kea to listen", START_LIMIT, || {
        if let Some(status) = process.ended()? {
            bail!("Kea ended ({status}):\n{}", process.printed());
        }
        let sockets = ground.pair.server.run("ss", &["-Huln", "sport = :547"])?;
        Ok((!sockets.trim().is_empty()).then_some(()))
    })
    .context("Kea does not start")?;
    Ok(process)
}
