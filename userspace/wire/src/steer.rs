//! Which worker a packet belongs to: the one definition, compiled into the XDP program and into
//! the workers.
//!
//! This file and `steer/identity.rs` stand alone (no other module, no dependency, no unsafe) because
//! the eBPF crate takes them in by path. They read a packet only through [`Octets`], a few large
//! loads at a time, in flat bounded loops, which is what the kernel's verifier checks fastest and the
//! processor too.
//!
//! It is *not* the server's parser: it looks at what it needs to find in a well-formed packet the
//! client's DUID, or what its relays call its line, and leaves every judgement of the rest to
//! `frame`, `relay` and `message`. On every packet that those accept both find the same.

// Paths are said because `ebpf/` compiles this file under another one.
#[path = "steer/identity.rs"]
mod identity;
#[cfg(test)]
#[path = "steer/tests.rs"]
mod tests;

pub use self::identity::{ClientKey, IDENTITY_LEN_MAX, locate_identity};

/// Number of shards the DUID hash space is cut into. Constant over versions and machines, so that
/// the number of workers may change between runs while every binding keeps its shard.
pub const SHARDS: usize = 256;

/// Most workers that the XDP program can tell apart: the stride of a queue in its socket map.
pub const WORKERS_MAX: usize = 64;

/// Most receive queues of one interface that the XDP program can serve.
pub const QUEUES_MAX: usize = 256;

/// Most unicast addresses of one interface that the XDP program can serve.
pub const SERVED_MAX: usize = 256;

/// Relay layers that are walked; the protocol allows no more (RFC 9915 §7.6, HOP_COUNT_LIMIT).
pub const RELAY_LAYERS_MAX: usize = 8;

/// Option headers looked at in one packet, all layers counted: bounds the verifier's work and the
/// time a hostile packet can take. Eight layers of eight options and a client message of sixty
/// four; what has more is answered through the kernel's socket.
pub const OPTIONS_MAX: u32 = 128;

/// Offsets into a frame stay below this power of two. No network device puts a larger frame into
/// one buffer, and the verifier accepts packet offsets below 64 KiB only.
pub const FRAME_LEN_MAX: usize = 1 << 15;

/// Octets of the longest frame that is steered: what a UMEM frame of 2048 octets takes behind the
/// kernel's headroom of 256. The kernel drops a longer one that is redirected to a ring.
pub const STEERED_LEN_MAX: usize = 2048 - 256;

/// Shortest client identifier that is hashed; the parser asks for three octets (RFC 9915 §11.1).
const DUID_LEN_MIN: usize = 1;
/// Longest client identifier that is hashed (RFC 9915 §11.1).
const DUID_LEN_MAX: usize = 130;

const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_VLAN_SERVICE: u16 = 0x88a8;
const VLAN_TAGS_MAX: u32 = 2;

const NEXT_HEADER_UDP: u8 = 17;
const NEXT_HEADER_FRAGMENT: u8 = 44;

const SERVER_PORT: u16 = 547;
/// All_DHCP_Relay_Agents_and_Servers, ff02::1:2 (RFC 9915 §7.1).
const ALL_RELAYS_AND_SERVERS: u128 = 0xff02_0000_0000_0000_0000_0000_0001_0002;
/// All_DHCP_Servers, ff05::1:3 (RFC 9915 §7.1).
const ALL_SERVERS: u128 = 0xff05_0000_0000_0000_0000_0000_0001_0003;

const RELAY_FORW: u8 = 12;
const MESSAGE_HEADER_LEN: usize = 4;
/// What the header of a Relay-forward is longer than that of a client's message.
const RELAY_EXTRA_LEN: usize = 30;
const OPTION_HEADER_LEN: usize = 4;
const OPTION_CLIENTID: usize = 1;
const OPTION_RELAY_MSG: usize = 9;

/// A fixed slice of the DUID hash space; below [`SHARDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u8);

/// A packet that can be read at an offset from its first octet.
pub trait Octets {
    /// Number of octets.
    fn size(&self) -> usize;

    /// The `N` octets from `at`, or `None` if the packet ends before. `at` is below
    /// [`FRAME_LEN_MAX`].
    fn load<const N: usize>(&self, at: usize) -> Option<&[u8; N]>;

    /// `offset` itself, which is below [`FRAME_LEN_MAX`]. The XDP program shows the verifier that
    /// bound, and nothing narrower, so that each turn of a loop looks to it like the last.
    #[inline(always)]
    fn bounded(&self, offset: usize) -> usize {
        offset
    }

    /// All ones if the highest bit of `value` is set, else 0. The XDP program does this out of the
    /// compiler's sight, because that turns arithmetic with such masks into branches.
    #[inline(always)]
    fn sign(&self, value: usize) -> usize {
        (value.cast_signed() >> (usize::BITS - 1)).cast_unsigned()
    }

    /// `mask` itself, all ones or 0. The XDP program makes the verifier forget that it is one of the
    /// two, which it would follow as two paths: it reverses the octets, all of them alike.
    #[inline(always)]
    fn unknown(&self, mask: usize) -> usize {
        mask
    }

    /// `value` where `mask` is all ones, else 0. The XDP program does this out of the compiler's sight
    /// too: it ANDs a mask with a constant in whichever order, and in one of them the verifier follows
    /// either outcome as a path of its own.
    #[inline(always)]
    fn masked(&self, value: usize, mask: usize) -> usize {
        value & mask
    }
}

/// Where something stands in a packet: offsets of its first octet and of the one after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First octet.
    pub at: usize,
    /// One past the last octet.
    pub end: usize,
}

impl Span {
    /// Itself, with [`Octets::bounded`] ends.
    #[inline(always)]
    fn bounded(self, packet: &impl Octets) -> Self {
        Self {
            at: packet.bounded(self.at),
            end: packet.bounded(self.end),
        }
    }
}

/// Declares [`Pass`] once, together with what is derived from its list of variants.
macro_rules! pass_reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)+) => {
        /// Why the XDP program left a packet to the kernel. The discriminant is the index of its
        /// counter, the label its name in metrics and status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Pass {
            $($(#[$doc])* $name,)+
        }

        impl Pass {
            /// Every reason, in the order of their indexes.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name in metrics and status; stable.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

pass_reasons! {
    /// A header, message or option reaches past the end of what contains it.
    Truncated = "truncated",
    /// More than two VLAN tags.
    TooManyTags = "too-many-tags",
    /// Not IPv6.
    NotIpv6 = "not-ipv6",
    /// IPv6 with an extension header before UDP: the kernel's socket serves it.
    ExtensionHeader = "extension-header",
    /// A fragment: the kernel puts it together and its socket serves it.
    Fragment = "fragment",
    /// IPv6, but not UDP.
    NotUdp = "not-udp",
    /// UDP, but not to port 547.
    NotOurPort = "not-our-port",
    /// To port 547 of an address that is not served.
    NotOurAddress = "not-our-address",
    /// Longer than a frame of the rings: the kernel's socket serves it.
    FrameTooLong = "frame-too-long",
    /// More than eight relay layers (RFC 9915 §19.1.2).
    TooDeep = "too-deep",
    /// More option headers than are looked at.
    TooManyOptions = "too-many-options",
    /// A Relay-forward without Relay Message option.
    NoRelayMessage = "no-relay-message",
    /// The client's message has no Client Identifier.
    NoClientId = "no-client-id",
    /// The Client Identifier is empty or longer than a DUID may be.
    DuidLength = "duid-length",
    /// The worker has no socket on the queue.
    NoSocket = "no-socket",
}

/// Index in the socket map of `worker`'s socket on `queue`; `None` if either is out of range.
#[inline(always)]
pub fn socket_index(queue: u32, worker: u8) -> Option<u32> {
    if queue as usize >= QUEUES_MAX || worker as usize >= WORKERS_MAX {
        return None;
    }
    Some(queue * WORKERS_MAX as u32 + u32::from(worker))
}

/// The shard of the client whose message is in this Ethernet frame: by what relays say of it in the
/// option of `key`, or by its DUID where they name nobody so. `serves` tells whether an address other
/// than the two multicast groups is ours.
///
/// It is the shard that answers on links whose clients are told apart by `key`. An identity of
/// more than [`IDENTITY_LEN_MAX`] octets is the exception: its shard is that of a digest.
///
/// # Errors
///
/// Why the frame is not for a worker, or cannot be told to be.
#[inline(always)]
pub fn shard_of_frame(
    frame: &impl Octets,
    key: ClientKey,
    serves: impl FnOnce(&[u8; 16]) -> bool,
) -> Result<ShardId, Pass> {
    let payload = locate_payload(frame, serves)?;
    // The key is fixed when the program is loaded, so the verifier takes the other walk out.
    let identity = match key {
        ClientKey::Duid => locate_duid(frame, payload)?,
        _ => locate_identity(frame, payload, key)?,
    };
    shard_of_span(frame, identity)
}

/// Finds the DHCPv6 message in an Ethernet frame: at most two VLAN tags, IPv6 without extension
/// headers, UDP to port 547, a destination that is served.
///
/// # Errors
///
/// The first thing that is otherwise.
#[inline(always)]
pub fn locate_payload(
    frame: &impl Octets,
    serves: impl FnOnce(&[u8; 16]) -> bool,
) -> Result<Span, Pass> {
    let ip_at = locate_ipv6(frame)?;
    let ip = frame.load::<48>(ip_at);
    let Some(ip) = ip else {
        return Err(short_of_udp(frame, ip_at));
    };
    check_next_header(ip[6])?;
    if u16::from_be_bytes([ip[42], ip[43]]) != SERVER_PORT {
        return Err(Pass::NotOurPort);
    }
    let destination = <&[u8; 16]>::try_from(&ip[24..40]).map_err(|_| Pass::Truncated)?;
    let group = u128::from_be_bytes(*destination);
    if group != ALL_RELAYS_AND_SERVERS && group != ALL_SERVERS && !serves(destination) {
        return Err(Pass::NotOurAddress);
    }
    if frame.size() > STEERED_LEN_MAX {
        return Err(Pass::FrameTooLong);
    }
    let ip_len = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    let udp_len = usize::from(u16::from_be_bytes([ip[44], ip[45]]));
    let at = ip_at + 48;
    let end = ip_at + 40 + udp_len;
    if udp_len < 8 || udp_len > ip_len || end > frame.size() || end >= FRAME_LEN_MAX {
        return Err(Pass::Truncated);
    }
    Ok(Span { at, end })
}

/// Finds the client's DUID in a DHCPv6 message or in the innermost message of a chain of
/// Relay-forwards (RFC 9915 §9, §19). The first Relay Message option of a layer and the first
/// Client Identifier of the message count.
///
/// # Errors
///
/// Why there is none to be found.
#[inline(always)]
pub fn locate_duid(packet: &impl Octets, payload: Span) -> Result<Span, Pass> {
    let [message_type] = *packet.load::<1>(payload.at).ok_or(Pass::Truncated)?;
    // All ones while the options are those of a Relay-forward.
    let mut in_relay = equal(packet, message_type.into(), RELAY_FORW.into());
    let mut layers = packet.masked(1, in_relay);
    let mut at = payload.at + MESSAGE_HEADER_LEN + packet.masked(RELAY_EXTRA_LEN, in_relay);
    let mut end = payload.end;
    for _ in 0..OPTIONS_MAX {
        (at, end) = (packet.bounded(at), packet.bounded(end));
        if at + OPTION_HEADER_LEN > end {
            return Err(end_of_options(at, end, in_relay != 0));
        }
        // With one octet of the data, which for a Relay Message option is the type of the message.
        let Some(option) = packet.load::<5>(at) else {
            return Err(end_of_options(end, end, in_relay != 0));
        };
        let code = usize::from(u16::from_be_bytes([option[0], option[1]]));
        let data = at + OPTION_HEADER_LEN;
        let next = data + usize::from(u16::from_be_bytes([option[2], option[3]]));
        if next > end {
            return Err(Pass::Truncated);
        }
        if (code ^ OPTION_CLIENTID) | in_relay == 0 {
            return Ok(Span {
                at: data,
                end: next,
            });
        }
        // Enters the message or goes to the next option by arithmetic: a turn of the loop that
        // does not branch is one path for the verifier, and never mispredicted.
        let entered = in_relay & equal(packet, code, OPTION_RELAY_MSG);
        let relay = equal(packet, option[4].into(), RELAY_FORW.into());
        let options = data + MESSAGE_HEADER_LEN + packet.masked(RELAY_EXTRA_LEN, relay);
        at = next.wrapping_add(entered & options.wrapping_sub(next));
        end = end.wrapping_add(entered & next.wrapping_sub(end));
        in_relay &= relay | !entered;
        layers += packet.masked(1, entered & relay);
        if layers > RELAY_LAYERS_MAX {
            return Err(Pass::TooDeep);
        }
    }
    Err(Pass::TooManyOptions)
}

/// The shard of the client with these DUID octets. Fixed for ever: it is written into snapshots
/// and, for sparse pools, into the addresses themselves.
pub fn shard_of(duid: &[u8]) -> ShardId {
    let mut hash = start(duid.len());
    let mut words = duid.chunks_exact(8);
    for word in &mut words {
        let mut octets = [0; 8];
        octets.copy_from_slice(word);
        hash = mix(hash, u64::from_le_bytes(octets));
    }
    let mut tail = [0; 8];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    finish(mix(hash, u64::from_le_bytes(tail)))
}

/// [`shard_of`] the octets of `duid` in `packet`, which has at least eight octets before `duid`'s
/// last one (the headers in front of an option are longer).
///
/// # Errors
///
/// [`Pass::DuidLength`], or [`Pass::Truncated`] if the packet is shorter than the span says.
#[inline(always)]
pub fn shard_of_span(packet: &impl Octets, duid: Span) -> Result<ShardId, Pass> {
    let duid = duid.bounded(packet);
    let len = duid.end - duid.at;
    if !(DUID_LEN_MIN..=DUID_LEN_MAX).contains(&len) {
        return Err(Pass::DuidLength);
    }
    let mut hash = start(len);
    let mut at = duid.at;
    for _ in 0..DUID_LEN_MAX / 8 {
        if at + 8 > duid.end {
            break;
        }
        let word = packet.load::<8>(at).ok_or(Pass::Truncated)?;
        hash = mix(hash, u64::from_le_bytes(*word));
        at += 8;
    }
    let rest = len % 8;
    let mut tail = 0;
    if rest > 0 {
        // One load that ends with the DUID; what stands before the rest is shifted out.
        let word = packet.load::<8>(duid.end - 8).ok_or(Pass::Truncated)?;
        tail = u64::from_le_bytes(*word) >> (64 - 8 * rest);
    }
    Ok(finish(mix(hash, tail)))
}

impl Octets for &[u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn load<const N: usize>(&self, at: usize) -> Option<&[u8; N]> {
        self.get(at..)?.first_chunk()
    }
}

/// Offset of the IPv6 header.
#[inline(always)]
fn locate_ipv6(frame: &impl Octets) -> Result<usize, Pass> {
    let ethernet = frame.load::<14>(0).ok_or(Pass::Truncated)?;
    let mut ethertype = u16::from_be_bytes([ethernet[12], ethernet[13]]);
    let mut at = 14;
    for _ in 0..VLAN_TAGS_MAX {
        if !is_vlan(ethertype) {
            break;
        }
        let tag = frame.load::<4>(at).ok_or(Pass::Truncated)?;
        ethertype = u16::from_be_bytes([tag[2], tag[3]]);
        at += 4;
    }
    match ethertype {
        ETHERTYPE_IPV6 => Ok(at),
        _ if is_vlan(ethertype) => Err(Pass::TooManyTags),
        _ => Err(Pass::NotIpv6),
    }
}

#[inline(always)]
fn is_vlan(ethertype: u16) -> bool {
    ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_VLAN_SERVICE
}

/// Why a frame with less than an IPv6 and a UDP header is not ours.
#[inline(always)]
fn short_of_udp(frame: &impl Octets, ip_at: usize) -> Pass {
    match frame.load::<40>(ip_at) {
        Some(ip) => check_next_header(ip[6]).err().unwrap_or(Pass::Truncated),
        None => Pass::Truncated,
    }
}

/// Only UDP directly behind the IPv6 header is judged here (RFC 8200 §4 lists the others).
#[inline(always)]
fn check_next_header(next_header: u8) -> Result<(), Pass> {
    match next_header {
        NEXT_HEADER_UDP => Ok(()),
        NEXT_HEADER_FRAGMENT => Err(Pass::Fragment),
        0 | 43 | 50 | 51 | 60 | 135 | 139 | 140 => Err(Pass::ExtensionHeader),
        _ => Err(Pass::NotUdp),
    }
}

/// All ones if the two are equal, else 0; both are below 2^63.
#[inline(always)]
fn equal(packet: &impl Octets, one: usize, other: usize) -> usize {
    packet.sign((one ^ other).wrapping_sub(1))
}

/// Why the walk stops at `at`, where no option header fits before `end`.
#[inline(always)]
fn end_of_options(at: usize, end: usize, is_relay: bool) -> Pass {
    match is_relay {
        _ if at < end => Pass::Truncated,
        true => Pass::NoRelayMessage,
        false => Pass::NoClientId,
    }
}

#[inline(always)]
fn start(len: usize) -> u64 {
    0x9e37_79b9_7f4a_7c15 ^ len as u64
}

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 32)
}

#[inline(always)]
fn finish(hash: u64) -> ShardId {
    ShardId((hash >> 56) as u8)
}
