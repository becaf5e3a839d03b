//! The real programs: ISC dhclient, dhcpcd, ISC dhcrelay.
//!
//! Each runs in the foreground in a namespace, with private mounts over the machine's files that
//! it would write: its lease directory and `/etc/resolv.conf`. What it has got is read where it
//! has effect: from the interface, from that `resolv.conf`, and for a delegated prefix from the
//! client's own record, since ISC's client puts a prefix nowhere else.

/// ISC `dhclient -6`.
mod dhclient;
/// `dhcpcd`.
mod dhcpcd;
/// ISC `dhcrelay -6`.
mod dhcrelay;

use std::fs;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use dhclient::Dhclient;
pub use dhcpcd::Dhcpcd;
pub use dhcrelay::Dhcrelay;

use crate::namespace::{Address, Namespace};

/// A first exchange takes about a second: both clients wait a random time before they solicit
/// (RFC 9915 §18.2.1), and both machines' cores may be busy.
pub const BOUND_LIMIT: Duration = Duration::from_secs(20);

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// An address (IA_NA).
    Address,
    /// A delegated prefix (IA_PD).
    Prefix,
    /// Both.
    Both,
}

impl Want {
    /// Whether an address is wanted.
    pub fn address(self) -> bool {
        self != Want::Prefix
    }

    /// Whether a prefix is wanted.
    pub fn prefix(self) -> bool {
        self != Want::Address
    }
}

/// What a client has configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The address on the interface.
    pub address: Option<Address>,
    /// The delegated prefix with its length.
    pub prefix: Option<(Ipv6Addr, u8)>,
    /// The DNS servers in its `resolv.conf`.
    pub dns_servers: Vec<Ipv6Addr>,
}

impl Bound {
    fn is_complete(&self, want: Want) -> bool {
        (self.address.is_some() || !want.address()) && (self.prefix.is_some() || !want.prefix())
    }

    /// The leased address.
    ///
    /// # Errors
    /// The client asked for none.
    pub fn leased_address(&self) -> Result<Ipv6Addr> {
        Ok(self
            .address
            .as_ref()
            .context("the client has no address")?
            .address)
    }
}

/// A directory of a client for its files, made empty unless it is there.
fn scratch(namespace: &Namespace, program: &str) -> Result<PathBuf> {
    let dir = namespace
        .dir()
        .join(format!("{}-{program}", namespace.role()));
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::write(dir.join("resolv.conf"), "")?;
    Ok(dir)
}

fn global_address(namespace: &Namespace, interface: &str) -> Result<Option<Address>> {
    let addresses = namespace.addresses(interface)?;
    Ok(addresses
        .into_iter()
        .find(|address| address.scope == "global"))
}

fn dns_servers(resolv_conf: &str) -> Vec<Ipv6Addr> {
    let servers = resolv_conf
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver "));
    servers
        .filter_map(|server| server.trim().parse().ok())
        .collect()
}

fn parse_prefix(text: &str) -> Result<(Ipv6Addr, u8)> {
    let Some((prefix, len)) = text.split_once('/') else {
        bail!("no prefix: {text}")
    };
    Ok((prefix.parse()?, len.parse()?))
}
