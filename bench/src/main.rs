//! Measures twinlease. Each scenario is one module with one function that returns its figures.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for people"
)]

mod alloc;
mod engine;
mod journal;
mod report;
mod steer;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::report::Figure;

/// Runs one scenario.
type Run = fn() -> Result<Vec<Figure>>;

/// The scenarios by name, in the order of `all`.
const SCENARIOS: [(&str, Run); 3] = [
    ("steer", steer::run),
    ("engine", engine::run),
    ("journal", journal::run),
];

/// Every scenario after the other.
const ALL: &str = "all";

#[derive(Parser)]
#[command(about = "Measures twinlease")]
struct Arguments {
    /// Its name, or `all`
    scenario: String,
    /// Also write the figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { scenario, json } = arguments;
    let chosen = |name: &str| scenario == ALL || scenario == name;
    let mut figures = Vec::new();
    for (name, run) in SCENARIOS.iter().filter(|(name, _)| chosen(name)) {
        println!("{name}");
        let found = run().with_context(|| format!("scenario {name}"))?;
        print!("{}", report::table(&found));
        figures.extend(found);
    }
    if figures.is_empty() {
        let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
        bail!(
            "no scenario {scenario}: there are {}, and {ALL}",
            names.join(", ")
        );
    }
    if let Some(json) = json {
        report::write_json(json, scenario, &figures)?;
    }
    Ok(())
}
