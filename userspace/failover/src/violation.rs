//! What a partner may do wrong, by the rule it breaks. Never a reason to lose a lease or to keep a
//! client waiting: the connection ends, and both servers begin anew.

use thiserror::Error;
use wire::MessageType;
use wire::failover::TransactionId;

/// A rule of RFC 8156 that the partner broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A message has no place here.
    #[error("{message} on a connection that is {phase} (RFC 8156 §6.1)")]
    OutOfPlace {
        /// What came.
        message: MessageType,
        /// How far the connection was set up.
        phase: &'static str,
    },
    /// A message that only the other role sends.
    #[error("{0} from a server of this role (RFC 8156 §5.3)")]
    WrongDirection(MessageType),
    /// CONNECTREPLY with another transaction-id than the CONNECT.
    #[error("CONNECTREPLY to transaction {0}, which is not ours (RFC 8156 §5.4)")]
    ForeignReply(TransactionId),
    /// STATE without an option that must be in it.
    #[error("STATE without {0} (RFC 8156 §6.3)")]
    StateIncomplete(wire::OptionCode),
    /// STATE that names STARTUP, which is never sent.
    #[error("STATE names STARTUP instead of the state before it (RFC 8156 §8.3.1)")]
    StateIsStartup,
    /// More BNDUPDs than this server said it takes.
    #[error("{outstanding} BNDUPDs without an answer, {max} are allowed (RFC 8156 §6.1)")]
    TooManyUnacked {
        /// How many there were.
        outstanding: u32,
        /// MAX_UNACKED_BNDUPD of this server.
        max: u32,
    },
    /// More requests for updates at once than make sense.
    #[error("{0} requests for updates at once (RFC 8156 §5.3.5)")]
    TooManyRequests(usize),
}
