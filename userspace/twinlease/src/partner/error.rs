//! Why there is no connection, or no longer one.

use std::io;
use std::time::Duration;

use wire::failover::{FramingError, MessageError};
use wire::{MessageType, StatusCode};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The partner closed it between two messages.
    #[error("the partner closed the connection")]
    Closed,
    /// It ended in the middle of a message.
    #[error("the connection ended within a message")]
    CutOff,
    /// The octets are not messages.
    #[error("the partner's messages are out of step: {0}")]
    Framing(#[from] FramingError),
    /// The operating system or TLS says so.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The partner sends more than the window it was told allows.
    #[error("the partner sent {octets} octets more than were taken; it ignores MAX_UNACKED_BNDUPD")]
    Backlog {
        /// Octets received and not yet done with.
        octets: usize,
    },
    /// The partner does not read.
    #[error("the partner took nothing for {0:?}")]
    Stalled(Duration),
}

/// The frames were not queued: the connection has ended, or the partner takes too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection takes no more messages")]
pub struct NotSent;

/// Why a connection was not set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// TCP does not get through.
    #[error("cannot connect: {0}")]
    Unreachable(#[source] io::Error),
    /// The source is not a partner's address.
    #[error("no relationship has a primary with this address")]
    UnknownSource,
    /// The source has as many connections as one partner may have.
    #[error("the partner has {0} connections already")]
    TooMany(usize),
    /// A step of the set-up took too long.
    #[error("no {step} within {after:?}")]
    Timeout {
        /// What was waited for.
        step: &'static str,
        /// For how long.
        after: Duration,
    },
    /// The connection ended.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// A message of the set-up is longer than any of these is.
    #[error("a message of {size} octets where {longest} are allowed")]
    TooLong {
        /// Its size field.
        size: usize,
        /// Most that is taken before the connection is set up.
        longest: usize,
    },
    /// Octets that are no message of the set-up.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// Not the message whose turn it is.
    #[error("{found} came where {expected} was expected")]
    Unexpected {
        /// What came.
        found: MessageType,
        /// Whose turn it is.
        expected: MessageType,
    },
    /// The partner answered STARTTLS with an error.
    #[error("the partner refuses TLS: {code} ({text}); give it a [failover.tls] as well")]
    TlsRefused {
        /// The status of its REPLY.
        code: StatusCode,
        /// The text with it.
        text: String,
    },
    /// The partner gave up when it was refused TLS.
    #[error("the partner wants TLS and this server is configured without")]
    TlsWanted,
    /// TLS is configured, and the partner begins without.
    #[error("the partner sent CONNECT without TLS; give it a [failover.tls] as well")]
    Plaintext,
    /// The handshake failed: a certificate, a name, a version.
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
}

impl SetupError {
    /// Every [`reason`](Self::reason).
    pub const REASONS: [&'static str; 12] = [
        "unreachable",
        "unknown-source",
        "too-many-connections",
        "timeout",
        "lost",
        "too-long",
        "malformed",
        "unexpected-message",
        "tls-refused",
        "tls-wanted",
        "plaintext",
        "tls-failed",
    ];

    /// Short label, stable over versions, for a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::UnknownSource => "unknown-source",
            Self::TooMany(_) => "too-many-connections",
            Self::Timeout { .. } => "timeout",
            Self::Lost(_) => "lost",
            Self::TooLong { .. } => "too-long",
            Self::Message(_) => "malformed",
            Self::Unexpected { .. } => "unexpected-message",
            Self::TlsRefused { .. } => "tls-refused",
            Self::TlsWanted => "tls-wanted",
            Self::Plaintext => "plaintext",
            Self::Tls(_) => "tls-failed",
        }
    }

    /// Whether asking again soon is of no use (RFC 8156 §6.1).
    pub fn is_rejection(&self) -> bool {
        matches!(self, Self::TlsRefused { .. } | Self::Tls(_))
    }
}
