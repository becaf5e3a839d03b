//! ISC `dhcrelay -6`.

use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;
use crate::process::Process;

/// A running dhcrelay.
#[derive(Debug)]
pub struct Dhcrelay {
    _process: Process,
}

impl Dhcrelay {
    /// Starts dhcrelay: clients on `lower`, each of `servers` through `upper`. It adds an
    /// Interface-Id to what it forwards and wants it back.
    ///
    /// # Errors
    /// It does not start to listen.
    pub fn start(
        namespace: &Namespace,
        lower: &str,
        upper: &str,
        servers: &[Ipv6Addr],
    ) -> Result<Dhcrelay> {
        let mut command = namespace.command("dhcrelay");
        command.args(["-6", "-d", "-I", "--no-pid", "-l", lower]);
        for server in servers {
            command.args(["-u", &format!("{server}%{upper}")]);
        }
        let mut process = namespace.spawn(command, "dhcrelay")?;
        process.wait_for_output("Sending on", Duration::from_secs(5))?;
        Ok(Dhcrelay { _process: process })
    }
}
