//! `dhcpcd`.

use std::fs;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::{Bound, Want, dns_servers, global_address, scratch};
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait::wait_until;

/// The interface inside the client's namespace that takes a /64 of the delegated prefix.
const INSIDE: &str = "home0";

/// A running dhcpcd.
#[derive(Debug)]
pub struct Dhcpcd {
    _process: Process,
    namespace: Namespace,
    interface: String,
    dir: PathBuf,
    want: Want,
}

impl Dhcpcd {
    /// Starts dhcpcd for one interface. With a prefix wanted, it also makes the interface `home0`
    /// that gets a /64 of it, as a home router would.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(namespace: &Namespace, interface: &str, want: Want) -> Result<Dhcpcd> {
        let dir = scratch(namespace, "dhcpcd")?;
        for sub in ["db", "run"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        // Without a router dhcpcd 9 starts DHCPv6 only with noipv6rs, and reads ia_na and ia_pd
        // only in the interface's block.
        let mut config = format!(
            "ipv6only\nnoipv6rs\nduid ll\nallowinterfaces {interface} {INSIDE}\n\
             option domain_name_servers\n\
             option dhcp6_reconfigure_accept\n\
             interface {interface}\n"
        );
        if want.address() {
            config.push_str("ia_na 1\n");
        }
        if want.prefix() {
            config.push_str(&format!("ia_pd 2 {INSIDE}/0/64\n"));
            namespace.ip(&format!("link add {INSIDE} type veth peer name {INSIDE}p"))?;
            namespace.up(INSIDE)?;
            namespace.up(&format!("{INSIDE}p"))?;
        }
        let config_file = dir.join("dhcpcd.conf");
        fs::write(&config_file, config)?;
        let mounts = [
            (dir.join("db"), "/var/lib/dhcpcd"),
            (dir.join("run"), "/run"),
            (dir.join("resolv.conf"), "/etc/resolv.conf"),
        ];
        let mut command = namespace.command_with_mounts(&mounts, "dhcpcd");
        command
            .args(["-6", "-B", "-d", "-f"])
            .arg(&config_file)
            .arg(interface);
        let process = namespace.spawn(command, "dhcpcd")?;
        let interface = interface.to_owned();
        Ok(Dhcpcd {
            _process: process,
            namespace: namespace.clone(),
            interface,
            dir,
            want,
        })
    }

    /// Waits until everything it wants is configured.
    ///
    /// # Errors
    /// Not within `limit`.
    pub fn bound(&self, limit: Duration) -> Result<Bound> {
        let what = format!("dhcpcd in {} to be bound", self.namespace.role());
        wait_until(&what, limit, || {
            let bound = Bound {
                address: global_address(&self.namespace, &self.interface)?,
                prefix: self.prefix()?,
                dns_servers: dns_servers(&fs::read_to_string(self.dir.join("resolv.conf"))?),
            };
            Ok(bound.is_complete(self.want).then_some(bound))
        })
    }

    /// The /64 that `home0` has taken from the delegated prefix.
    fn prefix(&self) -> Result<Option<(Ipv6Addr, u8)>> {
        if !self.want.prefix() {
            return Ok(None);
        }
        let inside = global_address(&self.namespace, INSIDE)?;
        Ok(inside.map(|found| (network(found.address), 64)))
    }
}

fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(address) >> 64 << 64)
}
