//! The messages that an endpoint sends: owned, so that they can wait for what must be on disk
//! before them.

use crate::connect::Greeting;
use wire::failover::{Body, Connect, State, TransactionId};
use wire::{NoRoom, StatusCode};

/// Octets that hold any [`Message`] as a frame.
pub const FRAME_LEN_MAX: usize = 2_048;

/// The longest text that goes with a status, octets.
const TEXT_LEN_MAX: usize = 512;

/// A message without its transaction-id and sent-time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Set the connection up.
    Connect(Greeting),
    /// The connection is accepted.
    ConnectReply(Greeting),
    /// The connection is rejected.
    ConnectReject(Reason),
    /// This endpoint's state.
    State(State),
    /// A sign of life.
    Contact,
    /// The connection ends.
    Disconnect(Reason),
    /// Send what this server has not acknowledged.
    UpdReq,
    /// Send everything.
    UpdReqAll,
    /// All that was asked for is acknowledged.
    UpdDone,
    /// Balance the delegable prefixes.
    PoolReq,
    /// The balance is looked after.
    PoolResp,
}

/// A status and a text that says what and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The status.
    pub status: StatusCode,
    /// For whoever reads the partner's log.
    pub text: String,
}

impl Message {
    /// Writes its frame at the start of `buffer`, its sent-time left to
    /// [`stamp`](wire::failover::stamp); gives the frame's length. [`FRAME_LEN_MAX`] octets hold
    /// any.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn write(&self, buffer: &mut [u8], transaction_id: TransactionId) -> Result<usize, NoRoom> {
        let body = match self {
            Self::Connect(greeting) => Body::Connect(greeting.body()),
            Self::ConnectReply(greeting) => Body::Connectreply(greeting.body()),
            Self::ConnectReject(reason) => Body::Connectreply(Connect {
                status: Some(reason.option()),
                ..Connect::default()
            }),
            Self::State(state) => Body::State(*state),
            Self::Contact => Body::Contact,
            Self::Disconnect(reason) => Body::Disconnect(Some(reason.option())),
            Self::UpdReq => Body::Updreq,
            Self::UpdReqAll => Body::Updreqall,
            Self::UpdDone => Body::Upddone,
            Self::PoolReq => Body::Poolreq,
            Self::PoolResp => Body::Poolresp,
        };
        body.write(buffer, transaction_id)
    }
}

impl Reason {
    fn option(&self) -> wire::Status<'_> {
        let text = self.text.as_bytes();
        wire::Status {
            code: self.status,
            message: text.get(..TEXT_LEN_MAX).unwrap_or(text),
        }
    }
}
