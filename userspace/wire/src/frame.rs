//! From an Ethernet frame to its UDP payload, and back for the answer.

use zerocopy::network_endian::{U16, U32, U128};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum;
use crate::eth::{
    ETHERTYPE_IPV6, EthHeader, VLAN_TAGS_MAX, VlanHeader, VlanTag, VlanTags, is_tpid,
};
use crate::ipv6::{Ipv6Header, NEXT_HEADER_FRAGMENT, NEXT_HEADER_UDP, is_extension};
use crate::relay::answer_port;
use crate::udp::{SERVER_PORT, UdpHeader};

const ETH_LEN: usize = size_of::<EthHeader>();
const VLAN_LEN: usize = size_of::<VlanHeader>();
const IPV6_LEN: usize = size_of::<Ipv6Header>();
const UDP_LEN: usize = size_of::<UdpHeader>();

/// Octets that headers take at most: Ethernet, two tags, IPv6, UDP.
pub const HEADROOM_MAX: usize = ETH_LEN + VLAN_TAGS_MAX * VLAN_LEN + IPV6_LEN + UDP_LEN;

/// Hop limit of what a server sends, and of a client's message on the same link.
pub const HOP_LIMIT_DEFAULT: u8 = 64;

/// Why a frame has no UDP payload for a server. Nothing here is an accusation: most of these are
/// frames that belong to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame ends inside a header.
    #[error("frame ends inside the {0} header")]
    Short(&'static str),
    /// More than two VLAN tags.
    #[error("more than two VLAN tags")]
    TooManyTags,
    /// Not IPv6.
    #[error("EtherType {0:#06x} is not IPv6")]
    NotIpv6(u16),
    /// The version field is not 6.
    #[error("IP version {0} in an IPv6 frame")]
    Version(u8),
    /// A fragment, which the kernel must put together.
    #[error("fragment")]
    Fragment,
    /// Another extension header, which the kernel must judge.
    #[error("extension header {0}")]
    ExtensionHeader(u8),
    /// Another transport.
    #[error("next header {0} is not UDP")]
    NotUdp(u8),
    /// The IPv6 payload length passes the end of the frame.
    #[error("IPv6 payload length {claimed} passes the {present} octets of the frame")]
    Ipv6Length {
        /// What the header says.
        claimed: u16,
        /// Octets behind the header.
        present: usize,
    },
    /// The UDP length is below 8 or is not the IPv6 payload length.
    #[error("UDP length {claimed} in an IPv6 payload of {present} octets")]
    UdpLength {
        /// What the header says.
        claimed: u16,
        /// Octets of the IPv6 payload.
        present: usize,
    },
    /// The UDP checksum is wrong, or is 0, which IPv6 does not allow (RFC 8200 §8.1).
    #[error("wrong UDP checksum")]
    Checksum,
}

impl FrameError {
    /// Short label, stable over versions, for a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Short(_) => "frame-short",
            Self::TooManyTags => "vlan-tags",
            Self::NotIpv6(_) => "not-ipv6",
            Self::Version(_) => "ip-version",
            Self::Fragment => "fragment",
            Self::ExtensionHeader(_) => "extension-header",
            Self::NotUdp(_) => "not-udp",
            Self::Ipv6Length { .. } => "ipv6-length",
            Self::UdpLength { .. } => "udp-length",
            Self::Checksum => "udp-checksum",
        }
    }
}

/// A UDP datagram in an Ethernet frame; the checksum is looked at only by
/// [`verify_checksum`](Self::verify_checksum). Padding behind the IPv6 packet is allowed and cut.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Source MAC address.
    pub src_mac: [u8; 6],
    /// Destination MAC address.
    pub dst_mac: [u8; 6],
    /// VLAN tags, outermost first.
    pub vlan: VlanTags,
    /// Source address.
    pub src: u128,
    /// Destination address.
    pub dst: u128,
    /// Hop limit as received.
    pub hop_limit: u8,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Where the payload begins in the frame.
    pub payload_offset: usize,
    /// The UDP payload.
    pub payload: &'a [u8],
    /// UDP header and payload.
    datagram: &'a [u8],
    checksum: [u8; 2],
}

impl<'a> Frame<'a> {
    /// Reads the headers of `frame`.
    ///
    /// # Errors
    /// [`FrameError`], never [`FrameError::Checksum`].
    #[inline]
    pub fn parse(frame: &'a [u8]) -> Result<Self, FrameError> {
        let (eth, mut rest) = header::<EthHeader>(frame, "Ethernet")?;
        let mut ethertype = eth.ethertype.get();
        let mut vlan = VlanTags::default();
        while is_tpid(ethertype) {
            let (tag, behind) = header::<VlanHeader>(rest, "VLAN")?;
            let tci = tag.tci.get();
            let tpid = ethertype;
            if !vlan.push(VlanTag { tpid, tci }) {
                return Err(FrameError::TooManyTags);
            }
            ethertype = tag.ethertype.get();
            rest = behind;
        }
        if ethertype != ETHERTYPE_IPV6 {
            return Err(FrameError::NotIpv6(ethertype));
        }
        let (ipv6, datagram) = ipv6_payload(rest)?;
        let (udp, payload) = header::<UdpHeader>(datagram, "UDP")?;
        if usize::from(udp.len.get()) != datagram.len() {
            return Err(FrameError::UdpLength {
                claimed: udp.len.get(),
                present: datagram.len(),
            });
        }
        Ok(Self {
            src_mac: eth.src,
            dst_mac: eth.dst,
            vlan,
            src: ipv6.src.get(),
            dst: ipv6.dst.get(),
            hop_limit: ipv6.hop_limit,
            src_port: udp.src_port.get(),
            dst_port: udp.dst_port.get(),
            payload_offset: ETH_LEN + vlan.as_slice().len() * VLAN_LEN + IPV6_LEN + UDP_LEN,
            payload,
            datagram,
            checksum: udp.checksum,
        })
    }

    /// Checks the UDP checksum. Not to be asked of frames whose sender left it to an offload that
    /// never ran, as veth delivers them.
    ///
    /// # Errors
    /// [`FrameError::Checksum`], also for a checksum of 0 (RFC 8200 §8.1).
    #[inline]
    pub fn verify_checksum(&self) -> Result<(), FrameError> {
        let right =
            self.checksum != [0, 0] && checksum::udp(self.src, self.dst, self.datagram) == [0, 0];
        right.then_some(()).ok_or(FrameError::Checksum)
    }

    /// The way back to the sender, from `own_mac` and the unicast address `own_address`, with
    /// the VLAN tags kept, to the port that [`answer_port`] gives.
    #[inline]
    #[must_use]
    pub fn reply_path(&self, own_mac: [u8; 6], own_address: u128) -> ReplyPath {
        ReplyPath {
            src_mac: own_mac,
            dst_mac: self.src_mac,
            vlan: self.vlan,
            src: own_address,
            dst: self.src,
            src_port: SERVER_PORT,
            dst_port: answer_port(self.payload, self.src_port),
            hop_limit: HOP_LIMIT_DEFAULT,
        }
    }
}

/// Everything the headers in front of an answer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyPath {
    /// Source MAC address.
    pub src_mac: [u8; 6],
    /// Destination MAC address.
    pub dst_mac: [u8; 6],
    /// VLAN tags, outermost first.
    pub vlan: VlanTags,
    /// Source address.
    pub src: u128,
    /// Destination address.
    pub dst: u128,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Hop limit.
    pub hop_limit: u8,
}

/// The headers and payload do not fit the frame, or the payload does not fit UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("headers and payload do not fit the frame")]
pub struct FrameTooSmall;

impl ReplyPath {
    /// Octets of the headers in front of the payload, at most [`HEADROOM_MAX`].
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        ETH_LEN + self.vlan.as_slice().len() * VLAN_LEN + IPV6_LEN + UDP_LEN
    }

    /// Writes all headers in front of the `payload_len` octets that stand at
    /// [`header_len`](Self::header_len), with the UDP checksum; gives the length of the frame.
    ///
    /// # Errors
    /// [`FrameTooSmall`]; the content of `frame` in front of the payload is undefined then.
    #[inline]
    pub fn write(&self, frame: &mut [u8], payload_len: usize) -> Result<usize, FrameTooSmall> {
        let udp_len = payload_len.checked_add(UDP_LEN).ok_or(FrameTooSmall)?;
        let udp_len_16 = u16::try_from(udp_len).map_err(|_| FrameTooSmall)?;
        let frame_len = self.header_len() + payload_len;
        let frame = frame.get_mut(..frame_len).ok_or(FrameTooSmall)?;

        let rest = self.write_link(frame)?;
        let ipv6 = Ipv6Header {
            version_class_flow: U32::new(6 << 28),
            payload_len: U16::new(udp_len_16),
            next_header: NEXT_HEADER_UDP,
            hop_limit: self.hop_limit,
            src: U128::new(self.src),
            dst: U128::new(self.dst),
        };
        let datagram = put(rest, &ipv6)?;
        let mut udp = UdpHeader::new_zeroed();
        udp.src_port = U16::new(self.src_port);
        udp.dst_port = U16::new(self.dst_port);
        udp.len = U16::new(udp_len_16);
        put(datagram, &udp)?;
        udp.checksum = checksum::nonzero(checksum::udp(self.src, self.dst, datagram));
        put(datagram, &udp)?;
        Ok(frame_len)
    }

    /// Writes Ethernet header and tags; gives what is behind them.
    #[inline]
    fn write_link<'f>(&self, frame: &'f mut [u8]) -> Result<&'f mut [u8], FrameTooSmall> {
        let tags = self.vlan.as_slice();
        let ethertype_at = |index: usize| tags.get(index).map_or(ETHERTYPE_IPV6, |tag| tag.tpid);
        let eth = EthHeader {
            dst: self.dst_mac,
            src: self.src_mac,
            ethertype: U16::new(ethertype_at(0)),
        };
        let mut rest = put(frame, &eth)?;
        for (index, tag) in tags.iter().enumerate() {
            let header = VlanHeader {
                tci: U16::new(tag.tci),
                ethertype: U16::new(ethertype_at(index + 1)),
            };
            rest = put(rest, &header)?;
        }
        Ok(rest)
    }
}

/// The IPv6 header at the start of `octets` and its payload, if that is a whole UDP datagram.
#[inline]
fn ipv6_payload(octets: &[u8]) -> Result<(&Ipv6Header, &[u8]), FrameError> {
    let (ipv6, rest) = header::<Ipv6Header>(octets, "IPv6")?;
    if ipv6.version() != 6 {
        return Err(FrameError::Version(ipv6.version()));
    }
    match ipv6.next_header {
        NEXT_HEADER_UDP => {}
        NEXT_HEADER_FRAGMENT => return Err(FrameError::Fragment),
        other if is_extension(other) => return Err(FrameError::ExtensionHeader(other)),
        other => return Err(FrameError::NotUdp(other)),
    }
    let claimed = ipv6.payload_len.get();
    match rest.get(..usize::from(claimed)) {
        Some(payload) => Ok((ipv6, payload)),
        None => Err(FrameError::Ipv6Length {
            claimed,
            present: rest.len(),
        }),
    }
}

#[inline]
fn header<'a, T>(octets: &'a [u8], name: &'static str) -> Result<(&'a T, &'a [u8]), FrameError>
where
    T: FromBytes + Immutable + KnownLayout + Unaligned,
{
    T::ref_from_prefix(octets).map_err(|_| FrameError::Short(name))
}

/// Writes `header` at the start of `octets` and gives what is behind it.
#[inline]
fn put<'f, T>(octets: &'f mut [u8], header: &T) -> Result<&'f mut [u8], FrameTooSmall>
where
    T: IntoBytes + Immutable,
{
    let (place, rest) = octets
        .split_at_mut_checked(size_of::<T>())
        .ok_or(FrameTooSmall)?;
    place.copy_from_slice(header.as_bytes());
    Ok(rest)
}

#[cfg(test)]
mod tests;
