//! STARTTLS and its answer (RFC 7653 §8.2, §9.1; RFC 8156 §6.1): plain DHCPv6 headers, no sent-time.

use crate::code::{MessageType, OptionCode, StatusCode};
use crate::failover::lease_options::rejection;
use crate::failover::message::{MessageError, status};
use crate::failover::values::TransactionId;
use crate::failover::writer::FrameWriter;
use crate::message::Message;
use crate::options::status::Status;
use crate::reply::NoRoom;

/// Octets that hold either message as written here, size field included.
pub const TLS_FRAME_LEN_MAX: usize = 64;

/// A message of the set-up of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMessage<'a> {
    /// The primary wants TLS. Its options are ignored.
    Starttls(TransactionId),
    /// The secondary takes part, or refuses with an error.
    Reply(TransactionId, Option<Status<'a>>),
}

impl<'a> TlsMessage<'a> {
    /// Reads a message without its size field.
    ///
    /// # Errors
    /// [`MessageError::Type`] for another message, [`MessageError::Malformed`].
    pub fn parse(octets: &'a [u8]) -> Result<Self, MessageError> {
        let malformed = |msg_type| {
            move |malformed| MessageError::Malformed {
                msg_type,
                malformed,
            }
        };
        let message =
            Message::parse(octets, 0, OptionCode(0)).map_err(malformed(MessageType(0)))?;
        let transaction_id = TransactionId::from_octets(message.transaction_id);
        match message.msg_type {
            MessageType::STARTTLS => Ok(Self::Starttls(transaction_id)),
            MessageType::REPLY => {
                let status = status(message.options).map_err(malformed(message.msg_type))?;
                Ok(Self::Reply(transaction_id, status))
            }
            other => Err(MessageError::Type(other)),
        }
    }

    /// The error with which TLS was refused; Success is no refusal.
    pub fn refusal(&self) -> Option<Status<'a>> {
        match self {
            Self::Starttls(_) => None,
            Self::Reply(_, status) => rejection(*status),
        }
    }

    /// A REPLY that refuses TLS.
    pub fn refused(transaction_id: TransactionId, message: &'a str) -> Self {
        let status = Status {
            code: StatusCode::TLS_CONNECTION_REFUSED,
            message: message.as_bytes(),
        };
        Self::Reply(transaction_id, Some(status))
    }

    /// Writes the frame at the start of `buffer`; gives its length, size field included.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        match self {
            Self::Starttls(id) => {
                FrameWriter::begin_plain(buffer, MessageType::STARTTLS, *id)?.finish()
            }
            Self::Reply(id, status) => {
                let mut frame = FrameWriter::begin_plain(buffer, MessageType::REPLY, *id)?;
                if let Some(status) = status {
                    frame.status(status)?;
                }
                frame.finish()
            }
        }
    }
}
