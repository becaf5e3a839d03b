//! `cargo xtask lab`: the lab's networks, standing, for working by hand.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Subcommand;
use lab::Lab;
use lab::failover::{Authority, FailoverSite, Relationship, Role, SERVERS_UP, Security, directory};
use lab::server::Config;
use lab::topology::{Lan, RelaySite, SERVER_UP, Site};

/// The standing lab's name: its namespaces are `tl-lab-server`, …
const NAME: &str = "lab";
/// Queues of each interface that is served.
const QUEUES: usize = 2;
/// Its namespaces with one server.
const ROLES: [&str; 6] = ["server", "lan", "client", "relay", "far", "far-client"];
/// Its namespaces with a pair.
const PAIR_ROLES: [&str; 9] = [
    "primary",
    "secondary",
    "link",
    "lan",
    "client",
    "core",
    "relay",
    "far",
    "far-client",
];

#[derive(Subcommand)]
pub enum LabCommand {
    /// Make it
    Up {
        /// With two servers that are failover partners
        #[arg(long)]
        pair: bool,
    },
    /// Delete it with everything that runs in it
    Down,
    /// A shell in one of its namespaces
    Shell {
        /// server (of a pair: primary, secondary, link, core), lan, client, relay, far, or far-client
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
        LabCommand::Up { pair: false } => up(),
        LabCommand::Up { pair: true } => up_with_pair(),
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
    let site = Site::new(&mut lab, QUEUES)?;
    let far = site.add_relay(&mut lab)?;
    add_clients(&mut lab, &site.lan, &far)?;
    let config = lab.dir().join("twinlease.toml");
    fs::write(&config, served().text(lab.dir()))?;
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

/// Two servers with TLS between them, on the same networks, and a link of their own.
fn up_with_pair() -> Result<()> {
    lab::remove_named(NAME)?;
    let mut lab = Lab::standing(NAME)?;
    let site = FailoverSite::new(&mut lab, QUEUES)?;
    let far = site.add_relay(&mut lab)?;
    add_clients(&mut lab, &site.lan, &far)?;
    let authority = Authority::new(lab.dir(), "authority")?;
    for role in [Role::Primary, Role::Secondary] {
        let dir = directory(&site, role);
        fs::create_dir_all(&dir)?;
        let files = authority.certify(role.address())?;
        let relationship = Relationship::default().text(role, &Security::Tls(files));
        let config = lab.dir().join(format!("{}.toml", role.name()));
        fs::write(config, served().text(&dir) + &relationship)?;
    }
    let dir = lab.dir().display();
    let [primary_up, secondary_up] = SERVERS_UP;
    println!(
        "The lab stands: {roles}.

  cargo xtask lab shell primary       target/debug/twinlease run --config {dir}/primary.toml
  cargo xtask lab shell secondary     target/debug/twinlease run --config {dir}/secondary.toml
  cargo xtask lab shell relay         dhcrelay -6 -d -I --no-pid -l down0 -u {primary_up}%up0 -u {secondary_up}%up0
  cargo xtask lab shell client        dhclient -6 -d -v -lf /tmp/leases -sf /bin/true eth0
  cargo xtask lab shell far-client    the same, through the relay
  cargo xtask lab shell link          ip link set lan0 down    cuts the partners' link, `up` mends it
  target/debug/twinlease failover status --config {dir}/primary.toml
  cargo xtask lab down",
        roles = PAIR_ROLES.join(", "),
    );
    Ok(())
}

fn add_clients(lab: &mut Lab, lan: &Lan, far: &RelaySite) -> Result<()> {
    lan.client(lab, "client")?;
    far.lan.client(lab, "far-client").map(drop)
}

/// What the servers of the lab serve.
fn served() -> Config {
    Config {
        interfaces: vec!["lan0", "up0"],
        workers: 2,
        ..Config::default()
    }
}

fn shell(role: &str) -> Result<()> {
    if !ROLES.contains(&role) && !PAIR_ROLES.contains(&role) {
        bail!(
            "no namespace {role}: there are {}; of a pair {}",
            ROLES.join(", "),
            PAIR_ROLES.join(", ")
        );
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
