//! The networks the tests use: a LAN, and a LAN behind a relay.
//!
//! ```text
//!  client ─ eth0 ─┐
//!  client ─ eth0 ─┤ LAN 2001:db8:1::/64 ├─ srv ─── lan0 ─ server ─ up0 ─── up0 ─ relay ─ down0 ─┐
//!                                                                                               │
//!                                           client ─ eth0 ─┤ far LAN 2001:db8:2::/64 ├──────────┘
//! ```
//!
//! The server answers by AF_XDP, which the capture on its own interface does not see, so packets
//! are captured at the other end: `srv` in the switch, `up0` in the relay.

use std::net::Ipv6Addr;

use anyhow::Result;

use crate::lab::Lab;
use crate::namespace::{Namespace, veth};

/// The server's address on the LAN.
pub const SERVER_ON_LAN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
/// The server's address towards the relay.
pub const SERVER_UP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);
/// The relay's address towards the server.
pub const RELAY_UP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 2);
/// The relay's address on the far LAN: its link-address.
pub const RELAY_DOWN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

/// An Ethernet switch: a bridge in a namespace of its own.
#[derive(Debug)]
pub struct Lan {
    /// The switch. Each port has the name that [`Lan::attach`] was given.
    pub switch: Namespace,
}

impl Lan {
    /// Makes the switch in the namespace of role `role`.
    ///
    /// # Errors
    /// A namespace or a bridge cannot be made.
    pub fn new(lab: &mut Lab, role: &str) -> Result<Lan> {
        let switch = lab.namespace(role)?;
        // No snooping: without a querier it would stop forwarding to ff02::1:2.
        switch.ip("link add lan0 type bridge forward_delay 0 mcast_snooping 0")?;
        switch.up("lan0")?;
        Ok(Lan { switch })
    }

    /// Connects `interface` of `namespace` to the port `port`, with `queues` queues on both ends.
    /// Both ends send whole checksums: XDP takes packets as they are, and so does the capture.
    ///
    /// # Errors
    /// The veth cannot be made.
    pub fn attach(
        &self,
        namespace: &Namespace,
        interface: &str,
        port: &str,
        queues: usize,
    ) -> Result<()> {
        veth((namespace, interface), (&self.switch, port), queues)?;
        self.switch.checksum_before_sending(port)?;
        namespace.checksum_before_sending(interface)?;
        self.switch
            .ip(&format!("link set {port} master lan0"))
            .map(drop)
    }

    /// A client on this LAN: a namespace of role `role` with `eth0`.
    ///
    /// # Errors
    /// The namespace or its veth cannot be made.
    pub fn client(&self, lab: &mut Lab, role: &str) -> Result<Namespace> {
        let client = lab.namespace(role)?;
        self.attach(&client, "eth0", role, 1)?;
        client.link_local("eth0")?;
        Ok(client)
    }
}

/// The server and its LAN.
#[derive(Debug)]
pub struct Site {
    /// Where the server runs; its interface on the LAN is `lan0`.
    pub server: Namespace,
    /// The LAN; the server is at the port `srv`.
    pub lan: Lan,
    queues: usize,
}

impl Site {
    /// Makes the server's namespace and its LAN; `queues` is for each of the server's interfaces.
    ///
    /// # Errors
    /// A namespace or a veth cannot be made.
    pub fn new(lab: &mut Lab, queues: usize) -> Result<Site> {
        let server = lab.namespace("server")?;
        let lan = Lan::new(lab, "lan")?;
        lan.attach(&server, "lan0", "srv", queues)?;
        server.add_address("lan0", &format!("{SERVER_ON_LAN}/64"))?;
        server.link_local("lan0")?;
        Ok(Site {
            server,
            lan,
            queues,
        })
    }

    /// Adds a relay's namespace with a far LAN behind it. No relay program runs yet.
    ///
    /// # Errors
    /// A namespace or a veth cannot be made.
    pub fn add_relay(&self, lab: &mut Lab) -> Result<RelaySite> {
        let relay = lab.namespace("relay")?;
        veth((&self.server, "up0"), (&relay, "up0"), self.queues)?;
        relay.checksum_before_sending("up0")?;
        self.server.checksum_before_sending("up0")?;
        self.server.add_address("up0", &format!("{SERVER_UP}/64"))?;
        relay.add_address("up0", &format!("{RELAY_UP}/64"))?;
        let lan = Lan::new(lab, "far")?;
        lan.attach(&relay, "down0", "relay", 1)?;
        relay.add_address("down0", &format!("{RELAY_DOWN}/64"))?;
        self.server.link_local("up0")?;
        relay.link_local("up0")?;
        relay.link_local("down0")?;
        Ok(RelaySite { relay, lan })
    }
}

/// A relay's place in the network.
#[derive(Debug)]
pub struct RelaySite {
    /// Where the relay runs: `up0` towards the server, `down0` towards its clients.
    pub relay: Namespace,
    /// The LAN of its clients.
    pub lan: Lan,
}

/// A server and one peer on a wire of their own, for measurements: nothing but a veth between them.
#[derive(Debug)]
pub struct Pair {
    /// Where the server runs, with `lan0` and [`SERVER_ON_LAN`].
    pub server: Namespace,
    /// Everybody else, with `eth0` and [`PEER_ON_LAN`].
    pub peer: Namespace,
}

/// The peer's address in a [`Pair`].
pub const PEER_ON_LAN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);

impl Pair {
    /// Makes both namespaces and the veth with so many queues at each end.
    ///
    /// # Errors
    /// A namespace or the veth cannot be made.
    pub fn new(lab: &mut Lab, queues: usize) -> Result<Pair> {
        let (server, peer) = (lab.namespace("server")?, lab.namespace("peer")?);
        veth((&server, "lan0"), (&peer, "eth0"), queues)?;
        server.checksum_before_sending("lan0")?;
        peer.checksum_before_sending("eth0")?;
        server.add_address("lan0", &format!("{SERVER_ON_LAN}/64"))?;
        peer.add_address("eth0", &format!("{PEER_ON_LAN}/64"))?;
        server.link_local("lan0")?;
        peer.link_local("eth0")?;
        Ok(Pair { server, peer })
    }
}
