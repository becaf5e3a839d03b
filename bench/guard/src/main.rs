//! Counts the instructions of one operation each of engine, wire, pools and journal records under
//! valgrind's callgrind, and holds them against a committed baseline.
//!
//! Times on a busy machine vary by tens of percent; the number of instructions does not, so that a
//! path that became longer is seen at once, whoever else is at work. What instructions do not
//! show, cache misses above all, `cargo xtask bench engine` measures.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for people"
)]

/// The committed counts, and what is said of new ones.
mod baseline;
/// This program under callgrind.
mod callgrind;
/// What is counted.
mod work;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::baseline::Baseline;

/// The baseline, next to this package's manifest.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.json");

#[derive(Parser)]
#[command(about = "Instructions per operation, against a committed baseline")]
struct Arguments {
    /// Write what was counted as the new baseline
    #[arg(long)]
    accept: bool,
    /// Do the work that is counted; callgrind's part
    #[arg(long, hide = true)]
    work: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether no path has become slower.
fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.work {
        work::run(|name, operations| println!("{name} {operations}"))?;
        return Ok(true);
    }
    let counted = callgrind::count()?;
    let path = Path::new(BASELINE);
    if arguments.accept {
        counted.write(path)?;
        println!("{}: {} counts", path.display(), counted.instructions.len());
        return Ok(true);
    }
    let verdict = baseline::judge(&Baseline::read(path)?, &counted);
    print!("{verdict}");
    Ok(verdict.passed())
}
