//! ISC `dhclient -6`.

use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Bound, Want, dns_servers, global_address, parse_prefix, scratch};
use crate::namespace::Namespace;
use crate::process::{Process, Signal};
use crate::wait::wait_until;

/// Where Debian's AppArmor profile lets dhclient write; a private directory is mounted there.
const LEASE_DIR: &str = "/var/lib/dhcp";
const LEASE_FILE: &str = "lab6.leases";

/// A running dhclient.
#[derive(Debug)]
pub struct Dhclient {
    process: Process,
    namespace: Namespace,
    interface: String,
    dir: PathBuf,
    want: Want,
}

impl Dhclient {
    /// Starts dhclient for one interface. If it ran in this namespace before, it finds its leases.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(namespace: &Namespace, interface: &str, want: Want) -> Result<Dhclient> {
        let dir = scratch(namespace, "dhclient")?;
        let leases = dir.join(LEASE_FILE);
        if !leases.exists() {
            // dhclient wants its lease file to be there, if empty.
            fs::write(&leases, "")?;
        }
        fs::write(
            dir.join("dhclient.conf"),
            "also request dhcp6.name-servers, dhcp6.domain-search;\n",
        )?;
        let mounts = [
            (dir.clone(), LEASE_DIR),
            (dir.join("resolv.conf"), "/etc/resolv.conf"),
        ];
        let mut command = namespace.command_with_mounts(&mounts, "dhclient");
        command.args(["-6", "-d", "-v", "--no-pid", "-D", "LL"]);
        command.args(["-lf", &format!("{LEASE_DIR}/{LEASE_FILE}")]);
        command.args(["-cf", &format!("{LEASE_DIR}/dhclient.conf")]);
        if want.address() {
            command.arg("-N");
        }
        if want.prefix() {
            command.arg("-P");
        }
        command.arg(interface);
        let process = namespace.spawn(command, "dhclient")?;
        let interface = interface.to_owned();
        Ok(Dhclient {
            process,
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
        let what = format!("dhclient in {} to be bound", self.namespace.role());
        wait_until(&what, limit, || {
            let bound = Bound {
                address: global_address(&self.namespace, &self.interface)?,
                prefix: self.prefix()?,
                dns_servers: dns_servers(&fs::read_to_string(self.dir.join("resolv.conf"))?),
            };
            Ok(bound.is_complete(self.want).then_some(bound))
        })
    }

    /// How many times it has written a lease to its file: one more with each Reply that grants.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn leases_written(&self) -> Result<usize> {
        Ok(self.lease_file()?.matches("lease6 {").count())
    }

    /// Stops it without a Release.
    ///
    /// # Errors
    /// It has ended already, or does not end.
    pub fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(Duration::from_secs(5)).map(drop)
    }

    /// Runs `dhclient -r`: a Release of what is in the lease file.
    ///
    /// # Errors
    /// It fails.
    pub fn release(self) -> Result<()> {
        let Dhclient {
            namespace,
            interface,
            dir,
            want,
            ..
        } = &self;
        let mounts = [
            (dir.clone(), LEASE_DIR),
            (dir.join("resolv.conf"), "/etc/resolv.conf"),
        ];
        let mut command = namespace.command_with_mounts(&mounts, "dhclient");
        command.args(["-6", "-r", "-v", "--no-pid", "-D", "LL"]);
        command.args(["-lf", &format!("{LEASE_DIR}/{LEASE_FILE}")]);
        if want.address() {
            command.arg("-N");
        }
        if want.prefix() {
            command.arg("-P");
        }
        command.arg(interface);
        let mut release = namespace.spawn(command, "dhclient-release")?;
        release.wait(Duration::from_secs(20)).map(drop)
    }

    fn lease_file(&self) -> Result<String> {
        let path = self.dir.join(LEASE_FILE);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn prefix(&self) -> Result<Option<(Ipv6Addr, u8)>> {
        last_prefix(&self.lease_file()?)
    }

    /// Its scratch directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The prefix in the last `iaprefix 2001:db8:8000::/56 {` of a lease file.
fn last_prefix(leases: &str) -> Result<Option<(Ipv6Addr, u8)>> {
    let lines = leases
        .lines()
        .filter_map(|line| line.trim().strip_prefix("iaprefix "));
    let last = lines
        .filter_map(|line| line.split_whitespace().next())
        .next_back();
    last.map(parse_prefix).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_prefix_counts() {
        let leases = "lease6 {\n  ia-pd 00:00:00:01 {\n    iaprefix 2001:db8:8000::/56 {\n    }\n  }\n}\n\
                      lease6 {\n  ia-pd 00:00:00:01 {\n    iaprefix 2001:db8:8000:100::/56 {\n";
        let prefix = last_prefix(leases).unwrap();
        assert_eq!(prefix, Some(("2001:db8:8000:100::".parse().unwrap(), 56)));
        assert_eq!(last_prefix("default-duid \"x\";\n").unwrap(), None);
    }
}
