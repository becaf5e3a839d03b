//! The fuzz targets for a few seconds each, on the stable compiler.
//!
//! `cargo fuzz run TARGET` is for looking longer. What it asks of the compiler, coverage counters
//! in the code, stable has too, so that a bounded run needs no tool and no nightly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo;

/// As `cargo fuzz` sets them, without a sanitizer: there is no unsafe code behind the targets.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions --cfg fuzzing";
/// For each target.
const SECONDS: u32 = 5;
/// A datagram in one packet is not longer.
const MAX_LEN: u32 = 1500;

/// The commands that build the targets and run each one. New inputs and crashes go below the
/// target directory; the seeds in the repository, if there are any, are replayed first.
///
/// # Errors
/// There are no targets, or the compiler does not say for which machine it compiles.
pub fn commands() -> Result<Vec<Command>> {
    let manifest = cargo::root().join("tests/fuzz/Cargo.toml");
    let host = host()?;
    let build_dir = target_dir().join("fuzz");
    let mut build = cargo::command("build --quiet --release --locked --target");
    build
        .arg(&host)
        .arg("--target-dir")
        .arg(&build_dir)
        .arg("--manifest-path")
        .arg(&manifest);
    build.env("RUSTFLAGS", FLAGS);
    let mut commands = vec![build];
    for target in targets(&cargo::root().join("tests/fuzz/fuzz_targets"))? {
        let found = build_dir.join("corpus").join(&target);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let mut run = Command::new(build_dir.join(&host).join("release").join(&target));
        run.arg(format!("-max_total_time={SECONDS}"))
            .arg(format!("-max_len={MAX_LEN}"));
        run.arg(format!("-artifact_prefix={}/", found.display()))
            .arg(&found);
        let seeds = cargo::root().join("tests/fuzz/seeds").join(&target);
        if seeds.is_dir() {
            run.arg(seeds);
        }
        commands.push(run);
    }
    Ok(commands)
}

/// The names of the targets, in order.
fn targets(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("no {}", dir.display()))?;
    let names = entries.flatten().filter_map(|entry| {
        let path = entry.path();
        let name = path.file_stem()?.to_str()?.to_owned();
        (path.extension()? == "rs").then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    if names.is_empty() {
        bail!("{} has no targets", dir.display());
    }
    Ok(names)
}

fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => cargo::root().join(dir),
        None => cargo::root().join("target"),
    }
}
