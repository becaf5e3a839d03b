//! A load generator that is not ours confirms that twinlease drops nothing: ISC's perfdhcp, as fast
//! as it goes on this machine.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::ground::{Ground, ServerSpec};
use crate::report::Findings;

const PROGRAM: &str = "perfdhcp";
const SECONDS: u32 = 8;
/// Rates offered, a second, until perfdhcp itself no longer keeps up.
const RATES: [u32; 8] = [2_000, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000, 40_000];
/// Share of the rate that perfdhcp has to reach, or it is at its end.
const REACHED: f64 = 0.97;

/// What perfdhcp reports.
#[derive(Debug, PartialEq)]
struct Report {
    /// Four-message exchanges a second.
    per_second: f64,
    /// Dropped in both halves of the exchange.
    drops: u64,
}

/// The scenario.
pub fn run() -> Result<Findings> {
    ensure!(
        lab::output_of(Command::new(PROGRAM).arg("-v")).is_ok(),
        "no {PROGRAM}: `cargo xtask bench perfdhcp` installs the packages it needs"
    );
    let ground = Ground::new()?;
    let _server = ground.start(&ServerSpec::default())?;
    let mut best = Report {
        per_second: 0.0,
        drops: 0,
    };
    for rate in RATES {
        let report = offer(&ground, rate)?;
        let reached = report.per_second >= f64::from(rate) * REACHED;
        best = if report.per_second > best.per_second {
            report
        } else {
            best
        };
        if !reached {
            break;
        }
    }
    let mut findings = Findings::default();
    findings.figure("perfdhcp_per_s", best.per_second);
    findings.figure("perfdhcp_drops", best.drops as f64);
    Ok(findings)
}

fn offer(ground: &Ground, rate: u32) -> Result<Report> {
    let (rate, seconds) = (rate.to_string(), SECONDS.to_string());
    let mut command = ground.pair.peer.command(PROGRAM);
    // Status 3 says that something was dropped, which its output tells better.
    command.args(["-6", "-l", "eth0", "-r", &rate, "-R", "2000000"]);
    // What is under way at the end is waited for, microseconds.
    command.args(["-p", &seconds, "-W", "1000000", "all"]);
    let output = command.output().context("cannot start perfdhcp")?;
    let text = String::from_utf8_lossy(&output.stdout);
    read(&text).with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("perfdhcp reports nothing that can be read:\n{text}{errors}")
    })
}

/// Reads the report that perfdhcp ends with.
fn read(text: &str) -> Option<Report> {
    let rate = text.lines().find_map(|line| line.strip_prefix("Rate: "))?;
    let drops = text.lines().filter_map(|line| line.strip_prefix("drops: "));
    let drops: Option<Vec<u64>> = drops.map(|drops| drops.trim().parse().ok()).collect();
    Some(Report {
        per_second: rate.split_whitespace().next()?.parse().ok()?,
        drops: drops.filter(|drops| !drops.is_empty())?.iter().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Running: perfdhcp -6 -l eth0\n***Rate statistics***\n\
        Rate: 1999.5 4-way exchanges/second, expected rate: 2000\n\n\
        ***Statistics for: SOLICIT-ADVERTISE***\nsent packets: 4000\nreceived packets: 3999\n\
        drops: 1\n\n***Statistics for: REQUEST-REPLY***\nsent packets: 3999\ndrops: 2\n";

    #[test]
    fn a_report_is_read_and_nonsense_is_not() {
        assert_eq!(
            read(PRINTED),
            Some(Report {
                per_second: 1999.5,
                drops: 3
            })
        );
        assert_eq!(read(""), None);
        assert_eq!(read("Rate: fast\ndrops: 1"), None);
        assert_eq!(read("Rate: 5 4-way"), None);
    }
}
