//! Measures twinlease. Each scenario is one module with one function that returns its figures.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for people"
)]

mod alloc;
mod engine;
mod generator;
mod journal;
mod load;
mod report;
mod reservations;
mod scenario;
mod steer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::report::{Chapter, Findings};
use crate::scenario::Run;

/// The scenarios that need no server, in the order of `all`; [`scenario::SCENARIOS`] follow.
const ALONE: [(&str, Run); 4] = [
    ("steer", || Ok(Findings::from(steer::run()?))),
    ("engine", engine::run),
    ("journal", || Ok(Findings::from(journal::run()?))),
    ("reservations", || Ok(Findings::from(reservations::run()?))),
];

/// Every scenario after the other, and a report of them.
const ALL: &str = "all";
/// Where the report of all scenarios goes, in the repository.
const REPORT: &str = "bench/report";

#[derive(Parser)]
#[command(about = "Load for DHCPv6 servers, and the measurements of twinlease")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load for any DHCPv6 server: at a set rate, or in search of the highest one
    Load(load::LoadArguments),
    /// A measurement of twinlease
    Scenario(Arguments),
}

#[derive(Args)]
struct Arguments {
    /// Its name, or `all`
    scenario: String,
    /// Also write the figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Load(arguments) => load::run(&arguments),
        Command::Scenario(arguments) => run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    stop_in_order()?;
    let Arguments { scenario, json } = arguments;
    let scenarios = ALONE.into_iter().chain(scenario::SCENARIOS);
    let chosen: Vec<(&str, Run)> = scenarios
        .clone()
        .filter(|(name, _)| scenario == ALL || scenario == name)
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = scenarios.map(|(name, _)| name).collect();
        bail!(
            "no scenario {scenario}: there are {}, and {ALL}",
            names.join(", ")
        );
    }
    let mut chapters = Vec::new();
    for (name, run) in chosen {
        println!("{name}");
        let began = Instant::now();
        let findings = attempt(run).with_context(|| format!("scenario {name}"));
        match &findings {
            Ok(findings) => {
                print!("{}", report::table(&findings.figures));
                for note in &findings.notes {
                    println!("note: {note}");
                }
            }
            Err(error) => eprintln!("error: {error:#}"),
        }
        println!("{name}: {:.0} s", began.elapsed().as_secs_f64());
        chapters.push(Chapter { name, findings });
        // After each: whatever becomes of the next, what was measured is kept.
        if let Some(json) = json {
            report::write_json(json, scenario, &report::figures_of(&chapters))?;
        }
        if scenario == ALL {
            report::write_page(Path::new(REPORT), &chapters)?;
        }
        if lab::interrupted() {
            bail!("interrupted");
        }
    }
    if scenario == ALL {
        println!("report: {REPORT}/report.md");
    }
    let failed: Vec<&str> = chapters
        .iter()
        .filter(|chapter| chapter.findings.is_err())
        .map(|chapter| chapter.name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// One scenario's panic must not cost the others their figures; its namespaces and servers go while
/// it unwinds.
fn attempt(run: Run) -> Result<Findings> {
    std::panic::catch_unwind(run).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        bail!("it panicked: {}", message.unwrap_or("without a message"))
    })
}

/// The first SIGINT or SIGTERM ends what is under way, so that servers stop and namespaces are
/// deleted; the second one ends the process at once.
fn stop_in_order() -> Result<()> {
    let flag = lab::interrupt_flag();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone())?;
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_for_people_names_every_scenario_in_order() {
        let listed = include_str!("../scenarios.txt").lines();
        let listed = listed.filter_map(|line| line.split_whitespace().next());
        let named = ALONE.into_iter().chain(scenario::SCENARIOS);
        let named: Vec<&str> = named.map(|(name, _)| name).chain([ALL]).collect();
        assert_eq!(listed.collect::<Vec<_>>(), named);
    }
}
