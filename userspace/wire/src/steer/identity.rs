//! What a client is told apart by, and where in a packet its relays say that.

use super::{
    MESSAGE_HEADER_LEN, OPTION_CLIENTID, OPTION_HEADER_LEN, OPTION_RELAY_MSG, OPTIONS_MAX, Octets,
    Pass, RELAY_EXTRA_LEN, RELAY_FORW, RELAY_LAYERS_MAX, Span, end_of_options, equal,
};

/// Most octets by which a relay's option names a subscriber as they are; longer ones are digested
/// (`wire::subscriber`).
pub const IDENTITY_LEN_MAX: usize = 111;
/// Octets of the enterprise number in front of a Remote-Id (RFC 4649 §3).
const ENTERPRISE_LEN: usize = 4;

/// What a client is told apart by: its own DUID, or what a relay says of the subscriber's line. The
/// discriminant is the code of the option. Which relay counts: see [`locate_identity`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum ClientKey {
    /// The Client Identifier (RFC 9915 §21.2).
    #[default]
    Duid = 1,
    /// The Interface-Id of the relay nearest to the client that adds one (RFC 9915 §21.18).
    InterfaceId = 18,
    /// The Remote-Id, likewise, with its enterprise number (RFC 4649).
    RemoteId = 37,
    /// The Subscriber-Id, likewise (RFC 4580).
    SubscriberId = 38,
}

impl ClientKey {
    /// Every way to tell clients apart.
    pub const ALL: [Self; 4] = [
        Self::Duid,
        Self::InterfaceId,
        Self::RemoteId,
        Self::SubscriberId,
    ];

    /// The code of the option that it is in.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// From the code of the option.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.code() == code)
    }

    /// Whether so many octets of the option's data name somebody. An enterprise number without a
    /// Remote-Id behind it names nobody, nor does an empty option.
    #[inline(always)]
    pub fn names_somebody(self, len: usize) -> bool {
        let names_nobody = match self {
            Self::RemoteId => ENTERPRISE_LEN,
            Self::Duid | Self::InterfaceId | Self::SubscriberId => 0,
        };
        len > names_nobody
    }

    /// Whether data of so many octets is hashed as it is.
    #[inline(always)]
    fn is_hashed(self, len: usize) -> bool {
        self.names_somebody(len) && len <= IDENTITY_LEN_MAX
    }

    /// The name in the config and wherever an operator reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duid => "duid",
            Self::InterfaceId => "interface-id",
            Self::RemoteId => "remote-id",
            Self::SubscriberId => "subscriber-id",
        }
    }
}

/// Finds what a client is told apart by: the option of `key`, of the nearest relay that adds one and
/// its first there; or its DUID, if no relay adds one or if that names nobody or is longer than
/// [`IDENTITY_LEN_MAX`]. Relays put their options in front of the Relay Message or behind
/// it (RFC 9915 §19), so every layer is read to its end before the next one is entered. The first
/// Relay Message option of a layer and the first Client Identifier of the message count.
///
/// It would find the DUID too where that is the key, but not as fast as
/// [`locate_duid`](super::locate_duid).
///
/// # Errors
///
/// Why there is none to be found.
#[inline(always)]
pub fn locate_identity(packet: &impl Octets, payload: Span, key: ClientKey) -> Result<Span, Pass> {
    let [message_type] = *packet.load::<1>(payload.at).ok_or(Pass::Truncated)?;
    // All ones while the options are those of a Relay-forward.
    let mut in_relay = equal(packet, message_type.into(), RELAY_FORW.into());
    let mut layers = packet.masked(1, in_relay);
    let header_len = MESSAGE_HEADER_LEN + packet.masked(RELAY_EXTRA_LEN, in_relay);
    let mut at = payload.at + header_len;
    let mut end = payload.end;
    // Where the layer's Relay Message option begins, 0 until it is seen.
    let mut message = 0;
    let mut found = Span { at: 0, end: 0 };
    // All ones once the layer's first option of the key is found.
    let mut is_found = 0;
    for _ in 0..OPTIONS_MAX {
        (at, end) = (packet.bounded(at), packet.bounded(end));
        message = packet.bounded(message);
        found = found.bounded(packet);
        // At the end of a layer its Relay Message is read once more, to be entered. As in the walk
        // to the DUID a turn that goes on is one path, by arithmetic with masks.
        let is_over = packet.unknown(packet.sign(end.wrapping_sub(at + OPTION_HEADER_LEN)));
        let is_cut = packet.sign(at.wrapping_sub(end)) | equal(packet, message, 0);
        if is_over & is_cut != 0 {
            return Err(end_of_options(at, end, in_relay != 0));
        }
        let here = select(packet, is_over, message, at);
        let option = packet.load::<4>(here).ok_or(Pass::Truncated)?;
        let code = usize::from(u16::from_be_bytes([option[0], option[1]]));
        let data = here + OPTION_HEADER_LEN;
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
        // The type of the message is read only where there must be one: an empty option may be the
        // frame's last.
        let [inner] = *packet
            .load::<1>(select(packet, is_over, data, here))
            .ok_or(Pass::Truncated)?;
        let is_relay = equal(packet, inner.into(), RELAY_FORW.into());
        if is_over & !is_relay != 0 && key.is_hashed(found.end.wrapping_sub(found.at)) {
            return Ok(found);
        }
        let is_hit = equal(packet, code, key.code().into()) & in_relay & !is_over & !is_found;
        found = Span {
            at: select(packet, is_hit, data, found.at),
            end: select(packet, is_hit, next, found.end),
        };
        is_found = (is_found | is_hit) & !is_over;
        let is_message = equal(packet, code, OPTION_RELAY_MSG) & in_relay;
        message = select(
            packet,
            is_message & equal(packet, message, 0),
            here,
            message,
        ) & !is_over;
        let options = data + MESSAGE_HEADER_LEN + packet.masked(RELAY_EXTRA_LEN, is_relay);
        at = select(packet, is_over, options, next);
        end = select(packet, is_over, next, end);
        in_relay &= is_relay | !is_over;
        layers += packet.masked(1, is_over & is_relay);
        if layers > RELAY_LAYERS_MAX {
            return Err(Pass::TooDeep);
        }
    }
    Err(Pass::TooManyOptions)
}

/// `one` where `mask` is all ones, `other` where it is 0.
#[inline(always)]
fn select(packet: &impl Octets, mask: usize, one: usize, other: usize) -> usize {
    other ^ packet.masked(other ^ one, mask)
}
