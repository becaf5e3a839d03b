//! UDP header (RFC 768) and DHCPv6's ports (RFC 9915 §7.2).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Clients listen here.
pub const CLIENT_PORT: u16 = 546;
/// Servers and relays listen here.
pub const SERVER_PORT: u16 = 547;

/// The header.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct UdpHeader {
    /// Source port.
    pub src_port: U16,
    /// Destination port.
    pub dst_port: U16,
    /// Octets of header and payload.
    pub len: U16,
    /// Over pseudo-header, header and payload; mandatory over IPv6.
    pub checksum: [u8; 2],
}
