//! `cargo xtask bench`: builds with optimisation and runs a scenario.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo;

/// Runs `scenario`; prints its table and writes the figures to `json`.
///
/// # Errors
/// The build or the scenario fails.
pub fn run(scenario: &str, json: Option<&Path>) -> Result<()> {
    let built = cargo::build("--release --package twinlease-bench", Stdio::inherit())?;
    let program = cargo::program(&built, "twinlease-bench")?;
    let mut command = Command::new(program);
    // The journal's scenario writes below the target directory: a disk, which /tmp may not be.
    command.arg(scenario).current_dir(cargo::root());
    if let Some(json) = json {
        // The path is the caller's, not the repository's.
        command.arg("--json").arg(std::path::absolute(json)?);
    }
    let status = command.status().context("cannot start the bench")?;
    if !status.success() {
        bail!("the bench ended with {status}");
    }
    Ok(())
}
