//! A failover message (RFC 8156 §5.2, §5.3).

use crate::code::{MessageType, OptionCode};
use crate::failover::binding::Container;
use crate::failover::connect::Connect;
use crate::failover::once;
use crate::failover::state::State;
use crate::failover::values::TransactionId;
use crate::failover::writer::FrameWriter;
use crate::malformed::{Fault, Malformed};
use crate::option::Options;
use crate::options::status::Status;
use crate::reply::NoRoom;

/// Octets of `msg-type`, `transaction-id` and `sent-time`.
pub const FAILOVER_HEADER_LEN: usize = 8;

/// Whether messages of this type have the header of RFC 8156 §5.2.
#[inline]
pub fn is_failover(msg_type: MessageType) -> bool {
    (MessageType::BNDUPD..=MessageType::CONTACT).contains(&msg_type)
}

/// Why octets are no failover message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// An option or the header is malformed.
    #[error("{msg_type}: {malformed}")]
    Malformed {
        /// The message's type, 0 if it is empty.
        msg_type: MessageType,
        /// Where and why.
        malformed: Malformed,
    },
    /// Not a message of RFC 8156 §5.3.
    #[error("message of type {0} has no place on a failover connection")]
    Type(MessageType),
    /// A BNDUPD or BNDREPLY with neither OPTION_CLIENT_DATA nor OPTION_IAPREFIX.
    #[error("{0} holds neither OPTION_CLIENT_DATA nor OPTION_IAPREFIX")]
    NoContainer(MessageType),
    /// A BNDUPD or BNDREPLY with more than one of them, the second at this offset.
    #[error("{msg_type} holds a second container at octet {offset}")]
    SecondContainer {
        /// BNDUPD or BNDREPLY.
        msg_type: MessageType,
        /// Octets from the start of the message.
        offset: u32,
    },
}

/// A message between failover partners: header read, options untouched.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |    msg-type   |               transaction-id                  |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           sent-time                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// .                            options                            .
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailoverMessage<'a> {
    /// BNDUPD to CONTACT.
    pub msg_type: MessageType,
    /// Set by the initiator of an exchange, copied into the answer.
    pub transaction_id: TransactionId,
    /// When the message was sent, absolute.
    pub sent_time: u32,
    /// Everything behind the header.
    pub options: Options<'a>,
}

/// What a failover message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Leases that changed.
    Bndupd(Container<'a>),
    /// Leases accepted or rejected.
    Bndreply(Container<'a>),
    /// Balance the delegable prefixes.
    Poolreq,
    /// The balance is looked after.
    Poolresp,
    /// Send what is not yet acknowledged.
    Updreq,
    /// Send everything.
    Updreqall,
    /// All is sent and acknowledged.
    Upddone,
    /// Set the connection up.
    Connect(Connect<'a>),
    /// The answer to it.
    Connectreply(Connect<'a>),
    /// The sender closes the connection, and why.
    Disconnect(Option<Status<'a>>),
    /// The sender's failover state.
    State(State),
    /// A sign of life.
    Contact,
}

impl<'a> FailoverMessage<'a> {
    /// Reads the header of a message without its size field.
    ///
    /// # Errors
    /// [`MessageError::Type`], or [`Fault::ShortHeader`] if there are fewer than eight octets.
    #[inline]
    pub fn parse(octets: &'a [u8]) -> Result<Self, MessageError> {
        let msg_type = octets.first().copied().map_or(MessageType(0), MessageType);
        if !octets.is_empty() && !is_failover(msg_type) {
            return Err(MessageError::Type(msg_type));
        }
        let Some((&[_, a, b, c, t0, t1, t2, t3], rest)) = octets.split_first_chunk() else {
            return Err(MessageError::Malformed {
                msg_type,
                malformed: Malformed {
                    option: OptionCode(0),
                    offset: 0,
                    why: Fault::ShortHeader,
                },
            });
        };
        Ok(Self {
            msg_type,
            transaction_id: TransactionId::from_octets([a, b, c]),
            sent_time: u32::from_be_bytes([t0, t1, t2, t3]),
            options: Options::new(rest, FAILOVER_HEADER_LEN as u32),
        })
    }

    /// Reads all options, nested ones included. Those without a meaning here are skipped.
    ///
    /// # Errors
    /// [`MessageError`] other than of the header. An option that is missing is no error, unless it
    /// is the container of a BNDUPD or BNDREPLY.
    #[inline]
    pub fn body(&self) -> Result<Body<'a>, MessageError> {
        let msg_type = self.msg_type;
        let malformed = |malformed| MessageError::Malformed {
            msg_type,
            malformed,
        };
        Ok(match msg_type {
            MessageType::BNDUPD => Body::Bndupd(Container::parse(self)?),
            MessageType::BNDREPLY => Body::Bndreply(Container::parse(self)?),
            MessageType::CONNECT => Body::Connect(Connect::parse(self.options).map_err(malformed)?),
            MessageType::CONNECTREPLY => {
                Body::Connectreply(Connect::parse(self.options).map_err(malformed)?)
            }
            MessageType::DISCONNECT => Body::Disconnect(status(self.options).map_err(malformed)?),
            MessageType::STATE => Body::State(State::parse(self.options).map_err(malformed)?),
            plain => {
                status(self.options).map_err(malformed)?;
                match plain {
                    MessageType::POOLREQ => Body::Poolreq,
                    MessageType::POOLRESP => Body::Poolresp,
                    MessageType::UPDREQ => Body::Updreq,
                    MessageType::UPDREQALL => Body::Updreqall,
                    MessageType::UPDDONE => Body::Upddone,
                    MessageType::CONTACT => Body::Contact,
                    other => return Err(MessageError::Type(other)),
                }
            }
        })
    }
}

impl Body<'_> {
    /// The type of the message.
    pub fn msg_type(&self) -> MessageType {
        match self {
            Self::Bndupd(_) => MessageType::BNDUPD,
            Self::Bndreply(_) => MessageType::BNDREPLY,
            Self::Poolreq => MessageType::POOLREQ,
            Self::Poolresp => MessageType::POOLRESP,
            Self::Updreq => MessageType::UPDREQ,
            Self::Updreqall => MessageType::UPDREQALL,
            Self::Upddone => MessageType::UPDDONE,
            Self::Connect(_) => MessageType::CONNECT,
            Self::Connectreply(_) => MessageType::CONNECTREPLY,
            Self::Disconnect(_) => MessageType::DISCONNECT,
            Self::State(_) => MessageType::STATE,
            Self::Contact => MessageType::CONTACT,
        }
    }

    /// Writes the frame of this message at the start of `buffer`; gives its length with the size
    /// field. The sent-time is left to [`stamp`](crate::failover::stamp).
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn write(&self, buffer: &mut [u8], transaction_id: TransactionId) -> Result<usize, NoRoom> {
        let mut frame = FrameWriter::begin(buffer, self.msg_type(), transaction_id)?;
        match self {
            Self::Bndupd(container) | Self::Bndreply(container) => container.put(&mut frame)?,
            Self::Connect(connect) | Self::Connectreply(connect) => connect.put(&mut frame)?,
            Self::Disconnect(Some(status)) => frame.status(status)?,
            Self::State(state) => state.put(&mut frame)?,
            Self::Disconnect(None)
            | Self::Poolreq
            | Self::Poolresp
            | Self::Updreq
            | Self::Updreqall
            | Self::Upddone
            | Self::Contact => {}
        }
        frame.finish()
    }
}

/// The Status Code among `options`, all of which are walked.
pub(super) fn status(options: Options<'_>) -> Result<Option<Status<'_>>, Malformed> {
    let mut found = None;
    for option in options {
        let option = option?;
        if option.code == OptionCode::STATUS_CODE {
            once(&mut found, &option, Status::parse(&option)?)?;
        }
    }
    Ok(found)
}
