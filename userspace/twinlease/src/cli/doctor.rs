//! `twinlease doctor`.

use anyhow::bail;
use std::io::{self, Write};
use std::path::Path;

use super::commands::{complain_of, json_line, load};
use crate::doctor::{Finding, Verdict, examine};

/// A line for each finding, and below it what to do.
pub(super) fn doctor(file: &Path, try_interfaces: bool, json: bool) -> anyhow::Result<()> {
    let (config, report) = load(file)?;
    complain_of(&report);
    let findings = examine(&config, try_interfaces);
    let mut out = io::stdout().lock();
    match json {
        true => json_line(&mut out, &findings)?,
        false => show(&mut out, &findings)?,
    }
    let unfit = (findings.iter())
        .filter(|finding| finding.verdict == Verdict::Unfit)
        .count();
    match unfit {
        0 => Ok(()),
        1 => bail!("this machine is unfit for the config: 1 fault"),
        faults => bail!("this machine is unfit for the config: {faults} faults"),
    }
}

fn show(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    let width = findings.iter().map(|finding| finding.about.len()).max();
    let width = width.unwrap_or(0);
    for finding in findings {
        let Finding {
            verdict,
            about,
            found,
            remedy,
        } = finding;
        writeln!(out, "{verdict:<5}  {about:<width$}  {found}")?;
        if let Some(remedy) = remedy {
            writeln!(out, "{:<5}  {:<width$}  → {remedy}", "", "")?;
        }
    }
    Ok(())
}
