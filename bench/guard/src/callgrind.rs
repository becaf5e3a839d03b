//! This program under callgrind: each piece of work is one part of the profile.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::baseline::Baseline;
use crate::work::WATCHED;

/// Instructions per operation, of every kind of operation there is.
///
/// # Errors
/// There is no valgrind, or it does not bring the program to its end.
pub fn count() -> Result<Baseline> {
    let dir = tempfile::tempdir()?;
    let profile = dir.path().join("profile");
    let pieces = run(&profile)?;
    let text = std::fs::read_to_string(&profile)
        .with_context(|| format!("callgrind left no {}", profile.display()))?;
    Ok(Baseline {
        made_with: format!("{}, {}", env!("GUARD_RUSTC"), version()?),
        instructions: per_operation(&pieces, &parts(&text))?,
    })
}

fn version() -> Result<String> {
    let output = Command::new("valgrind").arg("--version").output();
    let output = output.context("cannot start valgrind: `cargo xtask setup` installs it")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The names of the pieces of work in their order, each with how many operations it was.
fn run(profile: &Path) -> Result<Vec<(String, u64)>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--combine-dumps=yes"])
        .args(["--collect-atstart=no", "--compress-strings=no"])
        .arg(format!("--toggle-collect={WATCHED}"))
        .arg(format!("--dump-after={WATCHED}"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .arg("--work")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start valgrind: `cargo xtask setup` installs it")?;
    if !output.status.success() {
        bail!("the work ended with {} under valgrind", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    let pieces = text.lines().map(|line| {
        let (name, operations) = line.split_once(' ').context("a line without a space")?;
        Ok((name.to_owned(), operations.parse()?))
    });
    pieces.collect()
}

/// The instructions of every part of a profile that is not empty.
fn parts(profile: &str) -> Vec<u64> {
    let totals = profile
        .lines()
        .filter_map(|line| line.strip_prefix("totals:"));
    let totals = totals.filter_map(|total| total.trim().parse().ok());
    totals.filter(|&total| total > 0).collect()
}

fn per_operation(pieces: &[(String, u64)], parts: &[u64]) -> Result<BTreeMap<String, f64>> {
    ensure!(
        pieces.len() == parts.len(),
        "callgrind saw {} pieces of work of {}: is `{WATCHED}` still the name of the function?",
        parts.len(),
        pieces.len()
    );
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for ((name, operations), instructions) in pieces.iter().zip(parts) {
        let sum = sums.entry(name).or_default();
        sum.0 += instructions;
        sum.1 += operations;
    }
    let each = sums.into_iter().map(|(name, (instructions, operations))| {
        let each = instructions as f64 / operations as f64;
        (name.to_owned(), (each * 10.0).round() / 10.0)
    });
    Ok(each.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "version: 1\npart: 1\n\nfn=a\n1 5\ntotals: 300\n\npart: 2\n\
                           totals: 500\n\npart: 3\ntotals: 120\n\npart: 4\ntotals: 0\n";

    #[test]
    fn parts_of_the_same_name_are_added_up() {
        let pieces = [("a", 10), ("b", 10), ("a", 20)];
        let pieces = pieces.map(|(name, operations)| (name.to_owned(), operations));
        let each = per_operation(&pieces, &parts(PROFILE)).unwrap();
        assert_eq!(each["a"], 14.0);
        assert_eq!(each["b"], 50.0);
    }

    #[test]
    fn a_part_that_is_missing_is_noticed() {
        let pieces = [("a".to_owned(), 10)];
        assert!(per_operation(&pieces, &parts(PROFILE)).is_err());
    }
}
