//! Ways onto the wire: whole frames over AF_XDP, or UDP sockets of the kernel.

mod socket;
mod xdp;

use std::net::Ipv6Addr;

pub use socket::SocketPort;
pub use xdp::XdpPort;

/// All_DHCP_Relay_Agents_and_Servers (RFC 9915 §7.1).
pub const ALL_RELAYS_AND_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// From where and to where.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The interface.
    pub interface: String,
    /// The address that clients on the link send from: one of the interface's own, so that the
    /// kernel answers neighbour discovery for it.
    pub client: Ipv6Addr,
    /// The relays' addresses towards the server, likewise the interface's own.
    pub relays: Vec<Ipv6Addr>,
    /// Where messages go.
    pub server: Ipv6Addr,
    /// The Ethernet address of `server`; none for a multicast group, which has its own.
    pub server_mac: Option<[u8; 6]>,
}

/// A way onto the wire.
pub trait Port {
    /// Takes up to `budget` datagrams and calls `f` with the UDP payload of each.
    fn receive(&mut self, budget: usize, f: &mut dyn FnMut(&[u8]));

    /// Has `write` make a UDP payload, which leaves from the client's address or from that of a
    /// relay. Returns false, without calling `write`, if there is no room now.
    fn send(&mut self, relay: Option<u32>, write: &mut dyn FnMut(&mut [u8]) -> usize) -> bool;

    /// Lets what was sent leave.
    fn flush(&mut self);

    /// What was lost on the way in at this port, by name.
    fn drops(&self) -> Vec<(&'static str, u64)>;
}

/// The multicast Ethernet address of a group, or the one given for a host.
fn destination_mac(addresses: &Addresses) -> Option<[u8; 6]> {
    let [.., a, b, c, d] = addresses.server.octets();
    match addresses.server.is_multicast() {
        true => Some([0x33, 0x33, a, b, c, d]),
        false => addresses.server_mac,
    }
}
