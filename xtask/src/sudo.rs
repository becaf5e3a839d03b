//! Becoming root for the parts that need it, and only for those.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs a hidden command of this program as root by sudo, which may ask for a password.
///
/// # Errors
/// There is no sudo (the message says what to run instead), or the command fails.
pub fn run_self<S: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = S>,
    by_hand: &str,
) -> Result<()> {
    let own = std::env::current_exe().context("this program has no path")?;
    let status = Command::new("sudo").arg(own).args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("sudo ended with {status}"),
        Err(_) => bail!("this needs root, and there is no sudo. As root, run:\n  {by_hand}"),
    }
}
