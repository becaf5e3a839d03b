//! `cargo xtask`: everything that is done with this repository beside plain `cargo build`.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for people"
)]

mod bench;
mod cargo;
mod demo;
mod fuzz;
mod guard;
mod lab_command;
mod setup;
mod sim;
mod steps;
mod sudo;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "Set up, test, show and measure twinlease"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing to build and test; safe to run twice
    Setup,
    /// Everything that CI runs
    Test,
    /// The main job in a lab of network namespaces, each line a checked fact
    Demo,
    /// The namespace lab, for working by hand
    #[command(subcommand)]
    Lab(lab_command::LabCommand),
    /// Measure: builds with optimisation and runs a scenario of the bench
    #[command(after_help = concat!("Scenarios:\n", include_str!("../../bench/scenarios.txt")))]
    Bench {
        /// One of those below
        scenario: String,
        /// Also write the figures to this file
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Count instructions per operation and hold them against the committed baseline
    Guard {
        /// Write what was counted as the new baseline
        #[arg(long)]
        accept: bool,
    },
    /// Simulate a failover pair under faults, seed after seed; a seed that fails tells its story
    Sim(sim::Simulation),
    /// The part of `setup` that needs root
    #[command(hide = true)]
    InstallPackages { packages: Vec<String> },
    /// The part of `demo` that needs root
    #[command(hide = true)]
    TellDemo { program: PathBuf },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the command found everything in order; an error is a command that could not do its work.
fn run(command: Command) -> Result<bool> {
    stop_in_order().context("cannot handle signals")?;
    match command {
        Command::Setup => setup::run().map(|()| true),
        Command::Test => test::run(),
        Command::Demo => demo::run().map(|()| true),
        Command::Lab(command) => lab_command::run(&command).map(|()| true),
        Command::Bench { scenario, json } => bench::run(&scenario, json.as_deref()).map(|()| true),
        Command::Guard { accept } => guard::run(accept),
        Command::Sim(simulation) => sim::run(&simulation),
        Command::InstallPackages { packages } => setup::install_packages(&packages).map(|()| true),
        Command::TellDemo { program } => demo::tell(&program).map(|()| true),
    }
}

/// The first SIGINT or SIGTERM sets the lab's flag: what is waited for fails, and the guards on the
/// stack stop programs and delete namespaces. The second one ends the process at once.
fn stop_in_order() -> Result<()> {
    let flag = lab::interrupt_flag();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone())?;
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(())
}
