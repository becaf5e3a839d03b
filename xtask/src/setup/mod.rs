//! `cargo xtask setup`: brings a machine with rustup's stable toolchain and apt to where all
//! builds and tests. It looks first, installs only what is missing, and says each step.

/// What the machine has.
mod machine;
/// Debian packages.
mod packages;
/// What is missing, in the order in which it is to be installed.
mod plan;

use std::process::Command;

use anyhow::{Context, Result, bail};

pub use machine::pinned_nightly;
pub use packages::install as install_packages;

use self::machine::{Machine, ThisMachine};
use self::plan::{LINKER_VERSION, Need, plan};
use crate::cargo;

/// Debian's compiler with its sources: the other way to the eBPF target.
const DISTRIBUTION_TOOLCHAIN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Installs what is missing.
///
/// # Errors
/// Something cannot be installed: with what to do.
pub fn run() -> Result<()> {
    let nightly = pinned_nightly(&cargo::root())?;
    let needs = plan(&ThisMachine, &nightly);
    if needs.is_empty() {
        println!("setup: everything is there");
        return Ok(());
    }
    for need in &needs {
        println!("setup: {need}");
        meet(need)?;
    }
    let left = plan(&ThisMachine, &nightly);
    if let Some(need) = left.first() {
        bail!(
            "it was installed, and is still missing: {need}. Is cargo's bin directory on the PATH?"
        );
    }
    println!("setup: everything is there now");
    Ok(())
}

/// The programs that only the bench compares with, and the Debian packages that have them.
const RIVALS: [(&str, &str); 2] = [("kea-dhcp6", "kea-dhcp6-server"), ("perfdhcp", "kea-admin")];

/// Installs the programs that the bench compares with, if they are missing.
///
/// # Errors
/// They cannot be installed: with what to do.
pub fn rivals() -> Result<()> {
    let lacking = RIVALS
        .iter()
        .filter(|(program, _)| !ThisMachine.has_program(program));
    let packages: Vec<String> = lacking.map(|(_, package)| (*package).to_owned()).collect();
    if packages.is_empty() {
        return Ok(());
    }
    println!("setup: packages {}", packages.join(" "));
    packages::get(&packages)
}

fn meet(need: &Need) -> Result<()> {
    match need {
        Need::Packages(packages) => packages::get(packages),
        Need::Component(component) => {
            let remedy = format!("rustup component add {component}");
            succeed(&remedy, &remedy)
        }
        Need::Nightly(channel) => {
            let by_rustup =
                format!("rustup toolchain install {channel} --profile minimal -c rust-src");
            let Err(error) = succeed(&by_rustup, &by_rustup) else {
                return Ok(());
            };
            println!("setup: {error:#}\nsetup: trying the distribution's compiler instead");
            let packages: Vec<String> = DISTRIBUTION_TOOLCHAIN.map(str::to_owned).to_vec();
            packages::get(&packages).with_context(|| {
                format!("neither rustup nor the distribution has a compiler for eBPF; rustup's way is: {by_rustup}")
            })
        }
        Need::Linker { .. } => {
            let install =
                format!("cargo install bpf-linker --version {LINKER_VERSION} --locked --force");
            succeed(&install, &install)
        }
    }
}

/// Runs a command line with its output shown.
fn succeed(line: &str, remedy: &str) -> Result<()> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let status = Command::new(program).args(words).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            bail!("`{line}` ended with {status}. Is the network there? By hand: {remedy}")
        }
        Err(error) => bail!("cannot start {program} ({error}). By hand: {remedy}"),
    }
}
