//! `cargo xtask test`: everything that CI runs.
//!
//! One build in one profile with one set of features makes every program and every test; the
//! steps after it only run what was built. The eBPF program is built with it, by the build script
//! of `datapath`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::cargo::{self, Executable};
use crate::steps::{Steps, run_all};
use crate::{fuzz, guard, setup};

/// The tests of the XDP program in the kernel: it loads, and does what its definition says.
const XDP_TESTS: &str = "steering";
/// The tests of datapath's ports over a veth pair.
const VETH_TESTS: &str = "veth";
/// The tests of the whole server in network namespaces.
const LAB_TESTS: &str = "namespaces";

/// Runs all steps; whether all passed.
///
/// # Errors
/// Interrupted.
pub fn run() -> Result<bool> {
    let mut steps = Steps::default();
    let ready = steps.run_with("setup", &[], || {
        setup::run().map(|()| (true, String::new()))
    });
    steps.run(
        "format",
        &[],
        vec![cargo::command("fmt --all --check"), ebpf_format()?],
    );

    let mut built = Vec::new();
    let build = steps.run_with("build", &[ready], || {
        built = cargo::build("--quiet --workspace --bins --tests", Stdio::piped())?;
        Ok((true, String::new()))
    });
    let clippy = "clippy --quiet --workspace --all-targets --locked -- -D warnings";
    steps.run("clippy", &[ready], vec![cargo::command(clippy)]);

    let kernel =
        |test: &&&Executable| [XDP_TESTS, VETH_TESTS, LAB_TESTS].contains(&test.target.as_str());
    let tests: Vec<&Executable> = built.iter().filter(|e| e.is_test).collect();
    let plain = tests
        .iter()
        .filter(|test| !kernel(test))
        .map(|test| command_for(test))
        .collect();
    steps.run("unit and property tests", &[build], plain);
    let examples = "test --quiet --workspace --doc --locked";
    steps.run(
        "documentation tests",
        &[build],
        vec![cargo::command(examples)],
    );
    let mut doc = cargo::command("doc --quiet --workspace --no-deps --locked");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    steps.run("documentation", &[ready], vec![doc]);

    for (name, target) in [
        ("XDP program in the kernel", XDP_TESTS),
        ("ports over a veth pair", VETH_TESTS),
        ("lab", LAB_TESTS),
    ] {
        steps.run_with(name, &[build], || {
            let Some(test) = tests.iter().find(|test| test.target == target) else {
                bail!("the build made no tests named {target}");
            };
            run_all(vec![as_root(test, &cargo::program(&built, "twinlease")?)])
        });
    }
    steps.run_with("instructions per operation", &[ready], || {
        run_all(vec![guard::command(Stdio::piped())?])
    });
    steps.run_with("fuzz, briefly", &[ready], || run_all(fuzz::commands()?));

    lab::clean_stale();
    if lab::interrupted() {
        bail!("interrupted");
    }
    Ok(steps.close())
}

/// rustfmt on the eBPF program, which is no member of the workspace and has another toolchain.
fn ebpf_format() -> Result<Command> {
    let mut command = Command::new("rustfmt");
    command.args(["--check", "--edition", "2024"]);
    for entry in std::fs::read_dir(cargo::root().join("ebpf/src"))? {
        command.arg(entry?.path());
    }
    command.current_dir(cargo::root());
    Ok(command)
}

fn command_for(test: &Executable) -> Command {
    let mut command = Command::new(&test.path);
    command
        .current_dir(&test.package)
        .env("CARGO_MANIFEST_DIR", &test.package);
    command
}

/// A test that needs root, by sudo if need be, with what it prints shown: it says so when it skips.
fn as_root(test: &Executable, program: &Path) -> Command {
    let mut command = if lab::is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    };
    command.arg(format!("TWINLEASE={}", program.display()));
    command.arg(format!("CARGO_MANIFEST_DIR={}", test.package.display()));
    command
        .arg(&test.path)
        .arg("--show-output")
        .current_dir(&test.package);
    command
}
