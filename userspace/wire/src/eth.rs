//! Ethernet header and VLAN tags (IEEE 802.3, 802.1Q).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// TPID of a customer tag (802.1Q).
pub const TPID_CUSTOMER: u16 = 0x8100;
/// TPID of a service tag (802.1ad).
pub const TPID_SERVICE: u16 = 0x88a8;
/// Tags that are followed; a frame with more is left to the kernel.
pub const VLAN_TAGS_MAX: usize = 2;

/// Ethernet header without tags; `ethertype` is the TPID where a tag follows.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EthHeader {
    /// Destination MAC address.
    pub dst: [u8; 6],
    /// Source MAC address.
    pub src: [u8; 6],
    /// What follows.
    pub ethertype: U16,
}

/// What stands behind a TPID.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VlanHeader {
    /// Priority, drop eligibility and VLAN identifier.
    pub tci: U16,
    /// What follows.
    pub ethertype: U16,
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VlanTag {
    /// [`TPID_CUSTOMER`] or [`TPID_SERVICE`].
    pub tpid: u16,
    /// Priority, drop eligibility and VLAN identifier.
    pub tci: u16,
}

/// Up to [`VLAN_TAGS_MAX`] tags, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VlanTags {
    /// Unused places stay at their default, so that equality is that of the tags.
    tags: [VlanTag; VLAN_TAGS_MAX],
    count: u8,
}

impl VlanTags {
    /// Adds a tag inside the others; `false` if there is no place.
    #[inline]
    #[must_use]
    pub fn push(&mut self, tag: VlanTag) -> bool {
        let Some(place) = self.tags.get_mut(usize::from(self.count)) else {
            return false;
        };
        *place = tag;
        self.count += 1;
        true
    }

    /// The tags, outermost first.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[VlanTag] {
        self.tags.get(..usize::from(self.count)).unwrap_or_default()
    }
}

/// Whether `ethertype` says that a VLAN tag follows.
#[inline]
#[must_use]
pub fn is_tpid(ethertype: u16) -> bool {
    matches!(ethertype, TPID_CUSTOMER | TPID_SERVICE)
}
