//! The Reconfigure message to one client, in the relay envelopes that lead to it.

use super::rkap;
use crate::exchange::Context;
use crate::relay;
use crate::via;
use core::net::Ipv6Addr;
use lease::{Answers, BindingRecord, BindingStatus};
use thiserror::Error;
use wire::udp::{CLIENT_PORT, SERVER_PORT};
use wire::{MessageType, NoRoom, OptionCode, RelayChain, ReplyWriter};

/// Octets of message type and transaction-id.
const HEADER_LEN: usize = 4;

/// What the client is to send (RFC 9915 §21.19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedMessage {
    /// Renew: to the server that it has its leases from.
    Renew,
    /// Rebind: to any server.
    Rebind,
    /// Information-request: its configuration, and no lease.
    InformationRequest,
}

impl RequestedMessage {
    /// Its type, as the option has it.
    pub fn msg_type(self) -> MessageType {
        match self {
            Self::Renew => MessageType::RENEW,
            Self::Rebind => MessageType::REBIND,
            Self::InformationRequest => MessageType::INFORMATION_REQUEST,
        }
    }
}

/// A message that stands in the buffer, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Octets of UDP payload.
    pub len: usize,
    /// The client, or the relay next to this server.
    pub peer: Ipv6Addr,
    /// The UDP port there.
    pub port: u16,
}

/// Why a client is sent no Reconfigure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unreachable {
    /// Reconfigure is not configured.
    #[error("reconfigure.enabled is not set")]
    Disabled,
    /// It has no lease any more.
    #[error("the client has no active lease")]
    NoLease,
    /// No key that it has is one of this server's secret: it did not say that it accepts Reconfigure
    /// messages, or had its key from a partner with another secret.
    #[error(
        "no key of this server's is with the client: it did not accept Reconfigure messages when it \
         last asked, or had its key under another secret; if it accepts them it gets one with its next Reply"
    )]
    NotAccepted,
    /// How to reach it is not on record.
    #[error("no address is known for the client")]
    NoAddress,
    /// Its relay listens on a port of its own (RFC 8357), which is not on record.
    #[error("its relay listens on a port that is not known")]
    RelayPort,
    /// The failover state lets the partner answer what the client would send.
    #[error("the failover partner answers this client")]
    PartnerAnswers,
    /// No replay detection value can be had: none can be retained.
    #[error("no replay detection value can be written to disk")]
    NoReplayValue,
    /// The message does not fit the buffer.
    #[error("the message is too long")]
    TooLong,
}

impl Unreachable {
    /// Short label, stable over versions.
    pub fn label(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::NoLease => "no-lease",
            Self::NotAccepted => "not-accepted",
            Self::NoAddress => "no-address",
            Self::RelayPort => "relay-port",
            Self::PartnerAnswers => "partner-answers",
            Self::NoReplayValue => "no-replay-value",
            Self::TooLong => "too-long",
        }
    }
}

impl From<NoRoom> for Unreachable {
    fn from(_: NoRoom) -> Self {
        Self::TooLong
    }
}

/// Writes the message that has the holder of this binding send `requested`. Each transmission has a
/// replay detection value of its own: a client that was busy when the first one came, and has noted
/// its value, would discard the same once more.
///
/// # Errors
/// [`Unreachable`].
pub fn write(
    out: &mut [u8],
    context: &Context<'_>,
    record: &BindingRecord<'_>,
    requested: RequestedMessage,
) -> Result<Letter, Unreachable> {
    let model = context.model;
    let rkap = model.rkap.as_ref().ok_or(Unreachable::Disabled)?;
    if record.status != BindingStatus::Active || record.expires <= context.now {
        return Err(Unreachable::NoLease);
    }
    if context.leeway_of(record).answers != Answers::All {
        return Err(Unreachable::PartnerAnswers);
    }
    if !record.accepts_reconfigure {
        return Err(Unreachable::NotAccepted);
    }
    let (peer, relays) = via::read(record.via).ok_or(Unreachable::NoAddress)?;
    let port = match relays.first() {
        None => CLIENT_PORT,
        Some(next) if next.options.find(OptionCode::RELAY_PORT).is_some() => {
            return Err(Unreachable::RelayPort);
        }
        Some(_) => SERVER_PORT,
    };
    let replay = rkap.replay().draw(context.now);
    let replay = replay.ok_or(Unreachable::NoReplayValue)?;
    let chain = RelayChain {
        relays,
        // Of its message only the transaction-id counts, which is 0.
        ..RelayChain::default()
    };
    let kind = MessageType::RECONFIGURE;
    let mut writer = ReplyWriter::begin_relayed_with(out, &chain, kind, relay::echo)?;
    let begins = writer.len() - HEADER_LEN;
    writer.option(OptionCode::SERVERID, &model.server_duid)?;
    writer.option(OptionCode::CLIENTID, record.duid.octets())?;
    writer.option(OptionCode::RECONF_MSG, &[requested.msg_type().0])?;
    rkap::unsigned(&mut writer, replay)?;
    let ends = writer.len();
    let len = writer.finish()?;
    rkap.key_of(record.duid).sign(&mut out[begins..ends]);
    Ok(Letter { len, peer, port })
}
