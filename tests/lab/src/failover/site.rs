//! The networks of a pair.
//!
//! ```text
//!                     ┌─ lan0 ─ primary ──── up0 ─┐
//!  client ─ eth0 ─┤ LAN ├                     ┤ core ├─ up0 ─ relay ─ down0 ─┤ far LAN ├─ client
//!                     └─ lan0 ─ secondary ── up0 ─┘
//!
//!                   primary ─ fo0 ─┤ link ├─ fo0 ─ secondary
//! ```
//!
//! The partners' link is a switch of its own, so that it can be cut without a server seeing its
//! interface go down: what it knows is that the partner is silent.

use std::net::Ipv6Addr;

use anyhow::Result;

use super::config::Role;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::topology::{Lan, RELAY_DOWN, RELAY_UP, RelaySite, SERVER_ON_LAN, SERVER_UP};

/// The primary's address on the partners' link.
pub const PRIMARY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
/// The secondary's address on the partners' link.
pub const SECONDARY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 2);
/// The secondary's address on the LAN; the primary has [`SERVER_ON_LAN`].
const SECONDARY_ON_LAN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
/// The secondary's address towards the relay; the primary has [`SERVER_UP`].
const SECONDARY_UP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 3);

/// Where both servers' clients and relays find them.
pub const SERVERS_UP: [Ipv6Addr; 2] = [SERVER_UP, SECONDARY_UP];

/// Two servers on one LAN, with a link between them.
#[derive(Debug)]
pub struct FailoverSite {
    /// Where the primary runs: `lan0`, and `fo0` to its partner.
    pub primary: Namespace,
    /// Where the secondary runs, with the same interfaces.
    pub secondary: Namespace,
    /// The clients' LAN; the servers are at the ports `primary` and `secondary`.
    pub lan: Lan,
    link: Lan,
    queues: usize,
}

impl FailoverSite {
    /// Makes both servers' namespaces, their LAN and their link; `queues` is for each served
    /// interface.
    ///
    /// # Errors
    /// A namespace or a veth cannot be made.
    pub fn new(lab: &mut Lab, queues: usize) -> Result<FailoverSite> {
        let lan = Lan::new(lab, "lan")?;
        let link = Lan::new(lab, "link")?;
        let [primary, secondary] = [Role::Primary, Role::Secondary].map(|role| {
            let server = lab.namespace(role.name())?;
            let (on_lan, _) = addresses(role);
            lan.attach(&server, "lan0", role.name(), queues)?;
            server.add_address("lan0", &format!("{on_lan}/64"))?;
            link.attach(&server, "fo0", role.name(), 1)?;
            server.add_address("fo0", &format!("{}/64", role.address()))?;
            server.link_local("lan0")?;
            anyhow::Ok(server)
        });
        Ok(FailoverSite {
            primary: primary?,
            secondary: secondary?,
            lan,
            link,
            queues,
        })
    }

    /// The namespace of one server.
    pub fn server(&self, role: Role) -> &Namespace {
        match role {
            Role::Primary => &self.primary,
            Role::Secondary => &self.secondary,
        }
    }

    /// Adds a relay's namespace with a far LAN behind it; both servers get `up0`, at the ports
    /// `primary` and `secondary` of the switch `core`. No relay program runs yet.
    ///
    /// # Errors
    /// A namespace or a veth cannot be made.
    pub fn add_relay(&self, lab: &mut Lab) -> Result<RelaySite> {
        let core = Lan::new(lab, "core")?;
        for role in [Role::Primary, Role::Secondary] {
            let (_, up) = addresses(role);
            core.attach(self.server(role), "up0", role.name(), self.queues)?;
            self.server(role).add_address("up0", &format!("{up}/64"))?;
            self.server(role).link_local("up0")?;
        }
        let relay = lab.namespace("relay")?;
        core.attach(&relay, "up0", "relay", 1)?;
        relay.add_address("up0", &format!("{RELAY_UP}/64"))?;
        let lan = Lan::new(lab, "far")?;
        lan.attach(&relay, "down0", "relay", 1)?;
        relay.add_address("down0", &format!("{RELAY_DOWN}/64"))?;
        relay.link_local("up0")?;
        relay.link_local("down0")?;
        Ok(RelaySite { relay, lan })
    }

    /// Cuts the partners' link in silence: nothing passes, and no interface goes down at a server.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn cut(&self) -> Result<()> {
        self.link.switch.ip("link set lan0 down").map(drop)
    }

    /// Mends the partners' link.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn mend(&self) -> Result<()> {
        self.link.switch.up("lan0")
    }
}

/// A server's addresses on the LAN and towards the relay.
fn addresses(role: Role) -> (Ipv6Addr, Ipv6Addr) {
    match role {
        Role::Primary => (SERVER_ON_LAN, SERVER_UP),
        Role::Secondary => (SECONDARY_ON_LAN, SECONDARY_UP),
    }
}
