//! Running cargo on this repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// An executable that cargo has built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// The name of its target.
    pub target: String,
    /// Whether it is a target's tests, and not the target itself.
    pub is_test: bool,
    /// Where it is.
    pub path: PathBuf,
    /// The directory of its package, where its tests expect to run.
    pub package: PathBuf,
}

/// The repository.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// cargo in the repository, with space-separated arguments. It is the cargo that runs this
/// program if one does.
pub fn command(arguments: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root())
        .args(arguments.split_whitespace());
    command
}

/// Builds, and returns the executables. cargo's progress and its diagnostics go to `progress`.
///
/// # Errors
/// The build fails.
pub fn build(arguments: &str, progress: Stdio) -> Result<Vec<Executable>> {
    let mut command = command("build --locked --message-format json-render-diagnostics");
    command
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let child = command
        .stderr(progress)
        .spawn()
        .context("cannot start cargo")?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let shown = String::from_utf8_lossy(&output.stderr);
        bail!("cargo build {arguments} failed\n{shown}");
    }
    Ok(executables_in(&String::from_utf8_lossy(&output.stdout)))
}

/// The path of the program `name`, not of its tests.
///
/// # Errors
/// It was not built.
pub fn program(executables: &[Executable], name: &str) -> Result<PathBuf> {
    let found = executables.iter().find(|e| e.target == name && !e.is_test);
    Ok(found
        .with_context(|| format!("the build made no {name}"))?
        .path
        .clone())
}

/// The executables in cargo's JSON messages.
fn executables_in(messages: &str) -> Vec<Executable> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executable = |message: Value| {
        let manifest = Path::new(message["manifest_path"].as_str()?);
        Some(Executable {
            target: message["target"]["name"].as_str()?.to_owned(),
            is_test: message["profile"]["test"] == true,
            path: message["executable"].as_str()?.into(),
            package: manifest.parent()?.to_owned(),
        })
    };
    messages.filter_map(executable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_the_messages() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/r/wire/Cargo.toml","target":{"name":"wire"},"profile":{"test":false},"executable":null}
not json
{"reason":"compiler-artifact","manifest_path":"/r/t/Cargo.toml","target":{"name":"t"},"profile":{"test":true},"executable":"/b/t-1"}
{"reason":"compiler-artifact","manifest_path":"/r/t/Cargo.toml","target":{"name":"t"},"profile":{"test":false},"executable":"/b/t"}
{"reason":"build-finished","success":true}"#;
        let found = executables_in(messages);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].package, Path::new("/r/t"));
        assert_eq!(program(&found, "t").unwrap(), Path::new("/b/t"));
        assert!(program(&found, "wire").is_err());
    }
}
