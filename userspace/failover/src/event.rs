//! What an endpoint is told and what it wants done: values, so that a session, a simulator and a
//! test can all carry them out.

use crate::message::{Message, Reason};
use crate::note::Note;
use crate::record::EndpointRecord;
use lease::{AbsTime, Leeway};
use wire::failover::{Body, TransactionId};

/// A connection, by a number that whoever makes the connections gives it and never gives again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A request to the shards to have everything acknowledged, by number. A later round includes all
/// that is left of the earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round(pub u32);

/// A message of the partner.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its transaction-id.
    pub transaction_id: TransactionId,
    /// When it was sent, by the partner's clock: seconds since 2000.
    pub sent_time: u32,
    /// When it was read from the connection, by this server's.
    pub at: AbsTime,
    /// What it says.
    pub body: Body<'a>,
}

/// Something an endpoint is told.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an event is made on the stack and handed over once; a box would be an allocation"
)]
pub enum Event<'a> {
    /// What [`Effect::Dial`] asked for stands, TLS included.
    Connected(ConnectionId),
    /// What [`Effect::Dial`] asked for did not come about.
    DialFailed,
    /// A message came. The CONNECT with which a connection begins on the secondary also makes the
    /// connection known.
    Message(ConnectionId, Received<'a>),
    /// BNDUPDs and BNDREPLYs came: how many, and the times of the last one. Their content goes to
    /// the shards; see [`Endpoint::takes_bindings`](crate::Endpoint::takes_bindings).
    Bindings {
        /// Where they came.
        connection: ConnectionId,
        /// Number of BNDUPDs.
        updates: u32,
        /// [`Received::sent_time`].
        sent_time: u32,
        /// [`Received::at`].
        at: AbsTime,
    },
    /// BNDUPDs or BNDREPLYs were sent: no CONTACT is needed.
    Sent(ConnectionId),
    /// The connection broke or was closed by the other side.
    Lost(ConnectionId),
    /// BNDUPDs on this connection have waited too long for their BNDREPLYs: see
    /// [`Window::oldest`](crate::window::Window::oldest).
    RepliesOverdue(ConnectionId),
    /// The partner has more BNDUPDs unanswered than it may have.
    TooManyUnacked(ConnectionId, u32),
    /// The shards have had everything of this and all earlier rounds answered.
    Answered(Round),
    /// A secondary is short of delegable prefixes.
    PoolsLow,
    /// This server cannot do its work, and why: its interfaces are down, its journal fails. Or
    /// (`None`) it can again.
    Health(Option<&'a str>),
    /// A deadline has come.
    Tick,
    /// The server is stopping.
    Shutdown,
}

/// What the shards are to have acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Every lease whose last change is not acknowledged.
    Unacked,
    /// Every lease there is.
    All,
}

/// Something an endpoint wants done. Effects are carried out in their order, one endpoint's after
/// the other; one that is carried out later than others does no harm, one that overtakes others
/// does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Connect to the partner; answered by [`Event::Connected`] or [`Event::DialFailed`].
    Dial,
    /// Send a message.
    Send {
        /// Where; nowhere if it is closed meanwhile.
        connection: ConnectionId,
        /// Its transaction-id.
        transaction_id: TransactionId,
        /// What.
        message: Message,
    },
    /// Close a connection, after what was sent on it before. No [`Event::Lost`] follows.
    Close(ConnectionId),
    /// Keep this over a restart. What follows must wait until it is durable (RFC 8156 §6.3, §8.1).
    Store(EndpointRecord),
    /// What workers may do from now on.
    Publish(Leeway),
    /// Have leases acknowledged by the partner; answered by [`Event::Answered`].
    Owe(Round, Owed),
    /// The partner will answer nothing any more: what was sent and not answered is unsent again,
    /// and no round is owed.
    Forget,
    /// On a secondary whose partner may have used its prefixes: every free one is the primary's from
    /// now on, until that says again which are not. To be recorded; what follows is durable with it.
    Renounce,
    /// Give or take delegable prefixes until the two shares are as configured.
    Rebalance,
    /// Tell the operator.
    Note(Note),
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It broke, or the other side closed it.
    Lost,
    /// Nothing was heard for this many seconds (RFC 8156 §6.6).
    Silent(u32),
    /// The clocks differ by this many seconds (§7.5.1).
    Skew(i32),
    /// A step of setting it up took too long.
    SetupTimeout(&'static str),
    /// The partner said DISCONNECT.
    Disconnected(Option<Reason>),
    /// The partner rejected the CONNECT.
    Rejected(Reason),
    /// This server does not accept what the partner is.
    Refused(crate::connect::ConnectError),
    /// The partner broke a rule.
    Violation(crate::violation::Violation),
    /// The partner took too long to answer BNDUPDs (§8.8.2).
    RepliesOverdue,
    /// Neither BNDUPD nor UPDDONE came for this many seconds (§8.5.2).
    UpdatesStalled(u32),
    /// The partner connected anew.
    Replaced,
    /// This server steps aside.
    Aside(String),
    /// This server stops.
    Shutdown,
}

impl core::fmt::Display for Ending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Lost => f.write_str("connection lost"),
            Self::Silent(secs) => write!(f, "nothing heard from the partner for {secs} s"),
            Self::Skew(secs) => write!(f, "clocks differ by {secs} s: set both by NTP"),
            Self::SetupTimeout(what) => write!(f, "no {what} within the time for it"),
            Self::Disconnected(None) => f.write_str("partner disconnected"),
            Self::Disconnected(Some(reason)) => write!(f, "partner disconnected: {reason}"),
            Self::Rejected(reason) => write!(f, "partner rejected the connection: {reason}"),
            Self::Refused(error) => write!(f, "partner refused: {error}"),
            Self::Violation(violation) => write!(f, "partner broke the protocol: {violation}"),
            Self::RepliesOverdue => f.write_str("partner does not answer updates"),
            Self::UpdatesStalled(secs) => {
                write!(f, "requested updates have not come for {secs} s")
            }
            Self::Replaced => f.write_str("partner connected anew"),
            Self::Aside(why) => write!(f, "this server steps aside: {why}"),
            Self::Shutdown => f.write_str("this server stops"),
        }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.status)?;
        if self.text.is_empty() {
            return Ok(());
        }
        write!(f, ", {:?}", self.text)
    }
}
