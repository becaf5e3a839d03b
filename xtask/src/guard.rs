//! `cargo xtask guard`: instructions per operation against the committed baseline.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{cargo, setup};

/// The command that counts and judges, built as what is released is.
///
/// # Errors
/// The build fails.
pub fn command(progress: Stdio) -> Result<Command> {
    let built = cargo::build("--quiet --release --package guard", progress)?;
    let mut command = Command::new(cargo::program(&built, "guard")?);
    command.current_dir(cargo::root());
    Ok(command)
}

/// Counts; whether no path has become slower. With `accept`, what was counted is the baseline.
///
/// # Errors
/// Something cannot be installed, built or started.
pub fn run(accept: bool) -> Result<bool> {
    setup::run()?;
    let mut command = command(Stdio::inherit())?;
    if accept {
        command.arg("--accept");
    }
    let status = command.status().context("cannot start the guard")?;
    Ok(status.success())
}
