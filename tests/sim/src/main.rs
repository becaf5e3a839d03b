//! Runs the simulator over many seeds.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command for people")]

use clap::Parser;
use sim::{Mutation, Tally};
use std::process::ExitCode;

/// Simulate the failover pair
#[derive(Parser)]
struct Arguments {
    /// How many seeds; 1,000, or with `--seed` 1
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed; alone it is the only one, and its story is told if it fails
    #[arg(long)]
    seed: Option<u64>,
    /// Faults in each run
    #[arg(long, default_value_t = 120)]
    faults: u32,
    /// Break a rule on purpose: the simulator must find it
    #[arg(long)]
    mutation: Option<Mutation>,
    /// Lines of the story of a run that fails, from its end
    #[arg(long, default_value_t = sim::STORY_LINES)]
    lines: usize,
    /// Go on after a violation
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let first = arguments.seed.unwrap_or(1);
    let mut total = Tally::default();
    let mut slowest = 0;
    let (mut ran, mut violations) = (0_u64, 0_u64);
    let seeds = arguments
        .seeds
        .unwrap_or(if arguments.seed.is_some() { 1 } else { 1_000 });
    for seed in first..first + seeds {
        ran += 1;
        match sim::run_told(seed, arguments.faults, arguments.mutation, arguments.lines) {
            Ok(tally) => {
                total.faults += tally.faults;
                total.datagrams += tally.datagrams;
                total.crashes += tally.crashes;
                total.grants += tally.grants;
                total.tainted += tally.tainted;
                total.events += tally.events;
                slowest = slowest.max(tally.convergence);
            }
            Err(violation) => {
                violations += 1;
                if arguments.keep_going {
                    println!("seed {seed}: {}", violation.what);
                    continue;
                }
                for line in &violation.story {
                    println!("{line}");
                }
                println!("seed {seed}: {}", violation.what);
                break;
            }
        }
    }
    println!(
        "{ran} seeds, {} faults ({} crashes), {} datagrams lost or doubled, {} leases given or \
         extended, {} events; {} runs with a lie; slowest convergence {} s; {violations} violations",
        total.faults,
        total.crashes,
        total.datagrams,
        total.grants,
        total.events,
        total.tainted,
        slowest / 1_000,
    );
    match violations {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
