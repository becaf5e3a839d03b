//! IPv6 header (RFC 8200 §3).

use zerocopy::network_endian::{U16, U32, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `next_header` of UDP.
pub const NEXT_HEADER_UDP: u8 = 17;
/// `next_header` of a Fragment header (RFC 8200 §4.5).
pub const NEXT_HEADER_FRAGMENT: u8 = 44;

/// The fixed header.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6Header {
    /// Version (4 bits, 6), traffic class (8) and flow label (20).
    pub version_class_flow: U32,
    /// Octets behind this header.
    pub payload_len: U16,
    /// What follows.
    pub next_header: u8,
    /// Routers the packet may still pass.
    pub hop_limit: u8,
    /// Source address.
    pub src: U128,
    /// Destination address.
    pub dst: U128,
}

impl Ipv6Header {
    /// Version field; 6 in what this header describes.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u8 {
        (self.version_class_flow.get() >> 28) as u8
    }
}

/// Whether `next_header` names an extension header (RFC 8200 §4, RFC 7045 §4).
#[inline]
#[must_use]
pub fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        0 | 43 | 44 | 50 | 51 | 60 | 135 | 139 | 140 | 253 | 254
    )
}
