//! A load generator that is not ours confirms that twinlease drops nothing: ISC's perfdhcp, as fast
//! as it goes on this machine.
//!
//! Its own maximum is the highest rate offered at which it completes what it was asked for and reads its
//! socket in time: what the kernel dropped there (`Udp6RcvbufErrors`) never reached it, and no server
//! can change that; nor can the namespace, in which the sockets' default buffer is read-only. What it counts as dropped at that rate is the server's or the wire's.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::ground::{Ground, ServerSpec};
use crate::report::Findings;

const PROGRAM: &str = "perfdhcp";
const SECONDS: u32 = 8;
/// Rates offered, a second, until perfdhcp itself no longer keeps up.
const RATES: [u32; 9] = [
    2_500, 5_000, 10_000, 15_000, 17_500, 20_000, 22_500, 25_000, 30_000,
];
/// Share of the exchanges that perfdhcp has to complete, or it is at its end.
const REACHED: f64 = 0.97;
/// The kernel's count of datagrams for which a socket had no room, of one network namespace.
const OVERFLOWS: &str = "Udp6RcvbufErrors";

/// What perfdhcp reports.
#[derive(Debug, Default, PartialEq)]
struct Report {
    /// Four-message exchanges completed.
    completed: u64,
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
    let mut best = Report::default();
    let mut overflows = overflows(&ground)?;
    let mut at_its_end = 0;
    for rate in RATES {
        let report = offer(&ground, rate)?;
        let before = std::mem::replace(&mut overflows, self::overflows(&ground)?);
        at_its_end = overflows - before;
        let asked = f64::from(rate * SECONDS) * REACHED;
        if at_its_end > 0 || (report.completed as f64) < asked {
            break;
        }
        best = report;
    }
    let mut findings = Findings::default();
    findings.figure("perfdhcp_per_s", best.completed as f64 / f64::from(SECONDS));
    findings.figure("perfdhcp_drops", best.drops as f64);
    findings.figure("perfdhcp_own_overflows_beyond", at_its_end as f64);
    Ok(findings)
}

fn offer(ground: &Ground, rate: u32) -> Result<Report> {
    let (rate, seconds) = (rate.to_string(), SECONDS.to_string());
    let mut command = ground.pair.peer.command(PROGRAM);
    // Status 3 says that something was dropped, which its output tells better.
    command.args(["-6", "-l", "eth0", "-r", &rate, "-R", "2000000"]);
    // What is under way at the end is waited for, microseconds. Its rate counts that second too.
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
    let numbers = |name: &str| -> Option<Vec<u64>> {
        let of_halves = text.lines().filter_map(|line| line.strip_prefix(name));
        of_halves.map(|number| number.trim().parse().ok()).collect()
    };
    Some(Report {
        completed: *numbers("received packets: ")?.get(1)?,
        drops: numbers("drops: ")?.get(..2)?.iter().sum(),
    })
}

/// Datagrams that the sockets of perfdhcp's namespace had no room for, so far.
fn overflows(ground: &Ground) -> Result<u64> {
    let path = "/proc/thread-self/net/snmp6";
    let text = (ground.pair.peer).inside(|| fs::read_to_string(path).context(path))?;
    counter(&text, OVERFLOWS).with_context(|| format!("{path} has no {OVERFLOWS}"))
}

fn counter(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| match words.next()? == name {
        true => words.next()?.parse().ok(),
        false => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Running: perfdhcp -6 -l eth0\n***Rate statistics***\n\
        Rate: 1777.5 4-way exchanges/second, expected rate: 2000\n\n\
        ***Statistics for: SOLICIT-ADVERTISE***\nsent packets: 4000\nreceived packets: 3999\n\
        drops: 1\n\n***Statistics for: REQUEST-REPLY***\nsent packets: 3999\n\
        received packets: 3997\ndrops: 2\n";

    #[test]
    fn a_report_is_read_and_nonsense_is_not() {
        assert_eq!(
            read(PRINTED),
            Some(Report {
                completed: 3997,
                drops: 3
            })
        );
        assert_eq!(read(""), None);
        assert_eq!(read("received packets: many\ndrops: 1"), None);
        let half = PRINTED.split("***Statistics for: REQUEST").next().unwrap();
        assert_eq!(read(half), None, "one half of the exchange");
    }

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let text = "Udp6InErrors 4\nUdp6RcvbufErrors         \t17\n";
        assert_eq!(counter(text, OVERFLOWS), Some(17));
        assert_eq!(counter(text, "Udp6Rcvbuf"), None);
    }
}
