//! `cargo xtask bench`: builds with optimisation and runs a scenario.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{cargo, setup};

/// The scenarios that compare with programs of others.
const WITH_RIVALS: [&str; 3] = ["kea", "perfdhcp", "all"];

/// Runs `scenario`; prints its table and writes the figures to `json`.
///
/// # Errors
/// The build or the scenario fails.
pub fn run(scenario: &str, json: Option<&Path>) -> Result<()> {
    if WITH_RIVALS.contains(&scenario) {
        setup::rivals()?;
    }
    let packages = "--release --package twinlease-bench --package twinlease";
    let built = cargo::build(packages, Stdio::inherit())?;
    let bench = cargo::program(&built, "twinlease-bench")?;
    let server = cargo::program(&built, "twinlease")?;
    // Namespaces, XDP and the disk below the target directory, which /tmp may not be on.
    let mut command = if lab::is_root() {
        Command::new("env")
    } else {
        println!("the bench needs root, for network namespaces of its own:");
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    };
    command
        .arg(format!("TWINLEASE={}", server.display()))
        .arg(bench)
        .args(["scenario", scenario])
        .current_dir(cargo::root());
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
