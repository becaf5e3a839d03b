//! `cargo xtask sim`: builds the simulator with optimisation and runs it over many seeds.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::cargo;

/// What is simulated.
#[derive(Args)]
pub struct Simulation {
    /// How many seeds, from 1 or from `--seed` on
    #[arg(long)]
    seeds: Option<u64>,
    /// This seed, and without `--seeds` only this
    #[arg(long)]
    seed: Option<u64>,
    /// Break a rule on purpose, which must be found: `skip-reset`, `answer-before-commit`,
    /// `ignore-mclt`, `use-partners-half`, `ack-before-store`
    #[arg(long)]
    mutation: Option<String>,
    /// Go on after a violation
    #[arg(long)]
    keep_going: bool,
}

/// Runs it; whether nothing was violated.
///
/// # Errors
/// The build fails.
pub fn run(simulation: &Simulation) -> Result<bool> {
    let built = cargo::build("--release --package sim", Stdio::inherit())?;
    let mut command = Command::new(cargo::program(&built, "sim")?);
    let seeds = simulation.seeds.or(simulation.seed.map(|_| 1));
    let numbers = [("--seeds", seeds), ("--seed", simulation.seed)];
    for (name, number) in numbers {
        if let Some(number) = number {
            command.arg(name).arg(number.to_string());
        }
    }
    if let Some(mutation) = &simulation.mutation {
        command.arg("--mutation").arg(mutation);
    }
    if simulation.keep_going {
        command.arg("--keep-going");
    }
    let status = command.status().context("cannot start the simulator")?;
    Ok(status.success())
}
