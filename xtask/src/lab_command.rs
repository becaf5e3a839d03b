//! `cargo xtask lab`: the lab's networks, standing, for working by hand.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Subcommand;
use lab::Lab;
use lab::server::Config;
use lab::topology::{SERVER_UP, Site};

/// The standing lab's name: its namespaces are `tl-lab-server`, …
const NAME: &str = "lab";
/// Its namespaces.
const ROLES: [&str; 6] = ["server", "lan", "client", "relay", "far", "far-client"];

#[derive(Subcommand)]
pub enum LabCommand {
    /// Make it
    Up,
    /// Delete it with everything that runs in it
    Down,
    /// A shell in one of its namespaces
    Shell {
        /// server, lan, client, relay, far, or far-client
        #[arg(default_value = "server")]
        namespace: String,
    },
}

/// Runs the command.
///
/// # Errors
/// Not root, or a network cannot be made.
pub fn run(command: &LabCommand) -> Result<()> {
    if !lab::is_root() {
        bail!("network namespaces need root: run `sudo -E $(command -v cargo) xtask lab …`");
    }
    match command {
        LabCommand::Up => up(),
        LabCommand::Down => {
            let count = lab::remove_named(NAME)?;
            println!("deleted {count} namespaces");
            Ok(())
        }
        LabCommand::Shell { namespace } => shell(namespace),
    }
}

fn up() -> Result<()> {
    lab::remove_named(NAME)?;
    let mut lab = Lab::standing(NAME)?;
    let site = Site::new(&mut lab, 2)?;
    let far = site.add_relay(&mut lab)?;
    site.lan.client(&mut lab, "client")?;
    far.lan.client(&mut lab, "far-client")?;
    let config = lab.dir().join("twinlease.toml");
    let served = Config {
        interfaces: vec!["lan0", "up0"],
        workers: 2,
        ..Config::default()
    };
    fs::write(&config, served.text(lab.dir()))?;
    let config = config.display();
    println!(
        "The lab stands: {roles}.

  cargo xtask lab shell server        target/debug/twinlease run --config {config}
  cargo xtask lab shell relay         dhcrelay -6 -d -I --no-pid -l down0 -u {SERVER_UP}%up0
  cargo xtask lab shell client        dhclient -6 -d -v -lf /tmp/leases -sf /bin/true eth0
  cargo xtask lab shell far-client    the same, through the relay
  cargo xtask lab down",
        roles = ROLES.join(", "),
    );
    Ok(())
}

fn shell(role: &str) -> Result<()> {
    if !ROLES.contains(&role) {
        bail!("no namespace {role}: there are {}", ROLES.join(", "));
    }
    let namespace = Lab::standing(NAME)?.existing(role);
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    println!("in {}: `exit` leaves it", namespace.name());
    let error = Command::new("ip")
        .args(["netns", "exec", namespace.name()])
        .arg(shell)
        .exec();
    bail!("cannot start a shell (is the lab up? `cargo xtask lab up`): {error}")
}
