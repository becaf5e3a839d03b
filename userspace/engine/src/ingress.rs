//! What comes in: a datagram, and what of it is known before any binding is looked at.

use core::net::Ipv6Addr;

/// A network interface of the configuration, by its position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u16);

/// A UDP datagram to port 547 as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Ingress<'a> {
    /// The UDP payload.
    pub payload: &'a [u8],
    /// The interface it came in on.
    pub interface: InterfaceId,
    /// IPv6 source: the client, or the relay next to us.
    pub source: Ipv6Addr,
    /// IPv6 destination: one of our addresses, or a multicast group.
    pub destination: Ipv6Addr,
}
