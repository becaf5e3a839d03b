//! Relay envelopes on the way to the server (RFC 9915 §9, §19).

use arrayvec::ArrayVec;
use zerocopy::network_endian::U128;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::code::{MessageType, OptionCode};
use crate::malformed::{Fault, Malformed};
use crate::message::Message;
use crate::option::{OPTION_HEADER_LEN, Options, RawOption};
use crate::udp::{CLIENT_PORT, SERVER_PORT};

/// Relay layers a message may have (RFC 9915 §7.6).
pub const HOP_COUNT_LIMIT: usize = 8;

/// Octets of the fixed fields of a relay message.
pub const RELAY_HEADER_LEN: usize = size_of::<RelayHeader>();

/// One Relay-forward layer.
///
/// `hop_count` is as the relay sent it and is not compared with the depth: the RFC bounds it at
/// relays only, and a server copies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayForward<'a> {
    /// Address on the client's link, or 0 (RFC 9915 §19.1.1).
    pub link_address: u128,
    /// Where the relay had the message from.
    pub peer_address: u128,
    /// Relays the message had passed before this one.
    pub hop_count: u8,
    /// Data of the first Interface-Id option.
    pub interface_id: Option<&'a [u8]>,
    /// Whether the answer's layer carries more than Interface-Id: an Echo Request (RFC 4994) or a
    /// Relay Source Port (RFC 8357) is among the options.
    pub wants_echo: bool,
    /// Whether Relay-Supplied Options (RFC 6422) are among the options.
    pub supplies_options: bool,
    /// All options of the layer, Interface-Id and Relay Message included; well formed.
    pub options: Options<'a>,
    /// Where the Relay Message option begins, if it is the last one: octets from the start of the
    /// UDP payload.
    pub message_at_end: Option<u32>,
}

/// A received UDP payload: the relay layers, outermost first, and the message inside.
///
/// A message that came without a relay is a chain of zero layers.
#[derive(Clone, Debug, Default)]
pub struct RelayChain<'a> {
    /// Outermost (nearest to the server) first.
    pub relays: ArrayVec<RelayForward<'a>, HOP_COUNT_LIMIT>,
    /// The innermost message; its options are not yet looked at.
    pub message: Message<'a>,
}

/// Why a UDP payload holds no message for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A header or relay option is malformed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// More than [`HOP_COUNT_LIMIT`] layers; the offset is that of the first one too many.
    #[error("RELAY-FORW at octet {offset}: more than 8 relay layers")]
    TooDeep {
        /// Octets from the start of the UDP payload.
        offset: u32,
    },
    /// The layer at this offset has no Relay Message option.
    #[error("RELAY-FORW at octet {offset}: no OPTION_RELAY_MSG")]
    NoRelayMessage {
        /// Octets from the start of the UDP payload.
        offset: u32,
    },
    /// A layer has a second Relay Message option, at this offset: which one is meant is unknown.
    #[error("OPTION_RELAY_MSG at octet {offset}: second one in its layer")]
    RepeatedRelayMessage {
        /// Octets from the start of the UDP payload.
        offset: u32,
    },
    /// A Relay-reply, which only relays receive (RFC 9915 §16).
    #[error("RELAY-REPL at octet {offset}: not for a server")]
    RelayReply {
        /// Octets from the start of the UDP payload.
        offset: u32,
    },
}

impl ChainError {
    /// Short label, stable over versions, for a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.reason(),
            Self::TooDeep { .. } => "relay-too-deep",
            Self::NoRelayMessage { .. } => "relay-without-message",
            Self::RepeatedRelayMessage { .. } => "relay-message-repeated",
            Self::RelayReply { .. } => "relay-reply",
        }
    }
}

impl<'a> RelayChain<'a> {
    /// Takes the layers off `payload`.
    ///
    /// # Errors
    /// [`ChainError`], with the offset of what is wrong.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, ChainError> {
        let mut chain = Self::default();
        chain.read(payload)?;
        Ok(chain)
    }

    /// As [`parse`](Self::parse), in the place where it is to stand: it is too large to be moved
    /// for each packet. What it held before is gone, also after an error.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    #[inline]
    pub fn read(&mut self, payload: &'a [u8]) -> Result<(), ChainError> {
        self.relays.clear();
        let (mut octets, mut offset, mut holder) = (payload, 0, OptionCode(0));
        loop {
            match octets.first().copied().map(MessageType) {
                Some(MessageType::RELAY_FORW) => {}
                Some(MessageType::RELAY_REPL) => return Err(ChainError::RelayReply { offset }),
                _ => {
                    self.message = Message::parse(octets, offset, holder)?;
                    return Ok(());
                }
            }
            let (layer, inner) = RelayForward::parse(octets, offset, holder)?;
            if self.relays.try_push(layer).is_err() {
                return Err(ChainError::TooDeep { offset });
            }
            octets = inner.data;
            offset = inner.offset.wrapping_add(OPTION_HEADER_LEN as u32);
            holder = OptionCode::RELAY_MSG;
        }
    }

    /// The link-address that tells the client's link: that of the relay nearest to the client
    /// that has one. Zero is ignored, as layer 2 relays send it (RFC 9915 §13.1, RFC 6221).
    #[inline]
    pub fn link_address(&self) -> Option<u128> {
        let mut addresses = self.relays.iter().rev().map(|relay| relay.link_address);
        addresses.find(|&address| address != 0)
    }
}

/// The UDP port that the answer to `payload` goes to: a client's is 546; a relay's is 547, or the
/// port that it sent from if it says by a Relay Source Port option in its layer that it listens
/// there (RFC 9915 §7.2, RFC 8357 §5.2).
#[inline]
pub fn answer_port(payload: &[u8], source_port: u16) -> u16 {
    if payload.first() != Some(&MessageType::RELAY_FORW.0) {
        return CLIENT_PORT;
    }
    if source_port == SERVER_PORT {
        return SERVER_PORT;
    }
    let options = payload.get(RELAY_HEADER_LEN..).unwrap_or_default();
    match Options::new(options, 0).find(OptionCode::RELAY_PORT) {
        Some(_) => source_port,
        None => SERVER_PORT,
    }
}

impl<'a> RelayForward<'a> {
    /// Reads the layer that fills `octets`, and gives its Relay Message option beside it.
    #[inline]
    fn parse(
        octets: &'a [u8],
        offset: u32,
        holder: OptionCode,
    ) -> Result<(Self, RawOption<'a>), ChainError> {
        let Ok((header, rest)) = RelayHeader::ref_from_prefix(octets) else {
            return Err(ChainError::Malformed(Malformed {
                option: holder,
                offset,
                why: Fault::ShortHeader,
            }));
        };
        let options = Options::new(rest, offset.wrapping_add(RELAY_HEADER_LEN as u32));
        let mut interface_id = None;
        let (mut wants_echo, mut supplies_options) = (false, false);
        let mut inner = None;
        for option in options {
            let option = option?;
            match option.code {
                OptionCode::RELAY_MSG if inner.is_some() => {
                    return Err(ChainError::RepeatedRelayMessage {
                        offset: option.offset,
                    });
                }
                OptionCode::RELAY_MSG => inner = Some(option),
                OptionCode::INTERFACE_ID => {
                    interface_id.get_or_insert(option.data);
                }
                OptionCode::ERO | OptionCode::RELAY_PORT => wants_echo = true,
                OptionCode::RSOO => supplies_options = true,
                _ => {}
            }
        }
        let inner = inner.ok_or(ChainError::NoRelayMessage { offset })?;
        let end = offset.wrapping_add(octets.len() as u32);
        let inner_end = inner.offset as usize + OPTION_HEADER_LEN + inner.data.len();
        let layer = Self {
            message_at_end: (inner_end == end as usize).then_some(inner.offset),
            link_address: header.link_address.get(),
            peer_address: header.peer_address.get(),
            hop_count: header.hop_count,
            interface_id,
            wants_echo,
            supplies_options,
            options,
        };
        Ok((layer, inner))
    }
}

/// The fixed fields of Relay-forward and Relay-reply (RFC 9915 §9).
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RelayHeader {
    pub(crate) msg_type: u8,
    pub(crate) hop_count: u8,
    pub(crate) link_address: U128,
    pub(crate) peer_address: U128,
}

#[cfg(test)]
mod tests;
