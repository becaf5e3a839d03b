//! What the machine has, behind a trait so that the plan can be tested on machines that are not.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// Where programs for root are, which is not on everybody's PATH.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Answers about a machine.
pub trait Machine {
    /// Whether a program of this name is installed.
    fn has_program(&self, name: &str) -> bool;

    /// What a command prints, if it can be run and succeeds.
    fn output(&self, program: &str, arguments: &[&str]) -> Option<String>;

    /// Whether there is such a file or directory.
    fn has_path(&self, path: &Path) -> bool;
}

/// The machine this runs on.
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn has_program(&self, name: &str) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::env::split_paths(&path);
        let system = SYSTEM_DIRECTORIES.map(Into::into);
        directories
            .chain(system)
            .any(|directory| directory.join(name).is_file())
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(program);
        let output = command.args(arguments).stdin(Stdio::null()).output().ok()?;
        let success = output.status.success();
        success.then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn has_path(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// The toolchain that `ebpf/rust-toolchain.toml` pins.
///
/// # Errors
/// The file cannot be read or names none.
pub fn pinned_nightly(root: &Path) -> Result<String> {
    let file = root.join("ebpf/rust-toolchain.toml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    channel_in(&text).with_context(|| format!("{} names no channel", file.display()))
}

fn channel_in(text: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("channel"))?;
    let value = value.trim_start().strip_prefix('=')?.trim();
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_is_read() {
        let text = "# why\n[toolchain]\nchannel = \"nightly-2026-05-20\"\ncomponents = []\n";
        assert_eq!(channel_in(text).as_deref(), Some("nightly-2026-05-20"));
        assert_eq!(channel_in("[toolchain]\n"), None);
    }
}
