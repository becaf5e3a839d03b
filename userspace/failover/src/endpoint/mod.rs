//! One side of one relationship (RFC 8156 §3, "failover endpoint").
//!
//! It is told what happens ([`Event`]) and says what to do ([`Effect`]); it has no clock, socket
//! or disk. Its rooms: `connection` sets connections up and ends them, `machine` changes states,
//! `requests` asks for updates and answers who asks, `deadlines` knows what is due, `allowed` says
//! what clients may be given, `operator` is what a person asks and orders.

mod allowed;
mod connection;
mod deadlines;
mod machine;
mod operator;
mod requests;
#[cfg(test)]
mod tests;

pub use self::operator::{OrderError, Status, Waiting};

use self::connection::Link;
use self::machine::Startup;
use self::requests::{Answering, Request};
use crate::config::Config;
use crate::event::{ConnectionId, Effect, Ending, Event, Round};
use crate::message::Message;
use crate::note::Note;
use crate::record::EndpointRecord;
use crate::state::ServerState;
use crate::time::{Monotonic, Now};
use crate::violation::Violation;
use lease::{AbsTime, Leeway, Role};
use thiserror::Error;
use wire::failover::TransactionId;

/// Control exchanges use transaction-ids from 1 to this; BNDUPDs those above
/// ([`Window`](crate::window::Window)). So neither kind can take one that the other has
/// outstanding, however long an UPDREQ lives (RFC 8156 §5.4).
pub const CONTROL_IDS_MAX: u32 = 0xffff;

/// Why an endpoint cannot take up what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// The stored state is of the other role.
    #[error(
        "this server was the {was:?} of the relationship and is configured as its {is:?}: \
         each half of the free leases belongs to one role, so set the role back, or give the \
         relationship a new name on both servers"
    )]
    Role {
        /// As stored.
        was: Role,
        /// As configured.
        is: Role,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    record: EndpointRecord,
    /// While in STARTUP.
    startup: Option<Startup>,
    /// This server cannot do its work.
    aside: bool,
    link: Link,
    /// When to dial next, on a primary without connection.
    dial_at: Monotonic,
    dial_delay_secs: u32,
    /// When this endpoint began, for a failure of unknown time (RFC 8156 §8.6.2).
    started: AbsTime,

    last_control_id: u32,
    request: Option<Request>,
    /// Own UPDREQs and UPDREQALLs of this connection that the partner has not answered, whether
    /// the answer still matters or not: their ids are not used again.
    asked: Vec<TransactionId>,
    answering: Vec<Answering>,
    round: Round,
    /// The round of updates that entering NORMAL began, after which the secondary asks for prefixes;
    /// in PARTNER-DOWN and COMMUNICATIONS-INTERRUPTED the one after which NORMAL is.
    settling: Option<Round>,
    pools_asked: Option<TransactionId>,
    /// The partner has asked for prefixes while this state does not give any.
    partner_wants_pools: bool,
    /// The partner's C flag in its first STATE of this connection.
    partner_communicated: bool,
    state_timer: Option<Monotonic>,
    partners_pool_at: Option<Monotonic>,
    /// Until when promises may hold that this server no longer knows of.
    promises_until: Option<Monotonic>,
    /// When the record of serving is to be renewed.
    heartbeat_due: Monotonic,
    published: Option<Leeway>,
    /// See [`Leeway::serving_since`].
    serving_since: AbsTime,
    out: Vec<Effect>,
}

impl Endpoint {
    /// An endpoint that starts (RFC 8156 §8.3.2) with what is on stable storage. The first
    /// [`handle`](Self::handle) says what to do.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn new(
        config: Config,
        stored: Option<EndpointRecord>,
        now: Now,
    ) -> Result<Self, RestoreError> {
        let role = config.role;
        let record = stored.unwrap_or_else(|| EndpointRecord::initial(role, now.wall));
        if record.role != role {
            return Err(RestoreError::Role {
                was: record.role,
                is: role,
            });
        }
        let mut endpoint = Self {
            startup: None,
            aside: false,
            link: Link::Down,
            dial_at: now.mono,
            dial_delay_secs: config.connect_retry_secs,
            started: now.wall,
            last_control_id: 0,
            request: None,
            asked: Vec::new(),
            answering: Vec::new(),
            round: Round(0),
            settling: None,
            pools_asked: None,
            partner_wants_pools: false,
            partner_communicated: false,
            state_timer: None,
            partners_pool_at: None,
            promises_until: None,
            heartbeat_due: now.mono,
            published: None,
            serving_since: AbsTime(0),
            out: Vec::new(),
            config,
            record,
        };
        endpoint.begin_startup(now);
        endpoint.arm_lost_promises(now);
        Ok(endpoint)
    }

    /// Takes note of an event; what is to be done about it, in this order.
    #[must_use]
    pub fn handle(&mut self, event: Event<'_>, now: Now) -> Vec<Effect> {
        match event {
            Event::Connected(id) => self.connected(id, now),
            Event::DialFailed => self.dial_failed(now),
            Event::Message(id, received) => self.message(id, &received, now),
            Event::Bindings {
                connection,
                updates,
                sent_time,
                at,
            } => self.bindings(connection, updates, sent_time, at, now),
            Event::Sent(id) => self.link.sent(id, now.mono),
            Event::Lost(id) if self.link.is(id) => self.end(Ending::Lost, now),
            Event::RepliesOverdue(id) if self.link.is(id) => {
                self.end(Ending::RepliesOverdue, now);
            }
            Event::TooManyUnacked(id, outstanding) if self.link.is(id) => {
                let max = self.config.max_unacked;
                self.violated(Violation::TooManyUnacked { outstanding, max }, now);
            }
            Event::Lost(_) | Event::RepliesOverdue(_) | Event::TooManyUnacked(..) => {}
            Event::Answered(round) => self.answered(round, now),
            Event::PoolsLow => self.ask_for_pools(now),
            Event::Health(None) => self.take_part(now),
            Event::Health(Some(why)) => self.step_aside(why, now),
            Event::Tick => {}
            Event::Shutdown => self.shut_down(now),
        }
        self.expire(now);
        self.publish(now);
        core::mem::take(&mut self.out)
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it keeps on stable storage.
    pub fn record(&self) -> &EndpointRecord {
        &self.record
    }

    /// Its state: STARTUP, or the recorded one.
    pub fn state(&self) -> ServerState {
        match self.startup {
            Some(_) => ServerState::Startup,
            None => self.record.state,
        }
    }

    /// Whether BNDUPDs and BNDREPLYs of this connection are to be taken: communications are OK on
    /// it. They are then, whatever the state (RFC 8156 §7.6). Before, they break the protocol; tell
    /// the endpoint of them as [`Event::Message`].
    pub fn takes_bindings(&self, connection: ConnectionId) -> bool {
        self.link.is_up() && self.link.is(connection)
    }

    /// The connection on which communications are OK, and how many BNDUPDs may be without an
    /// answer on it.
    pub fn window(&self) -> Option<(ConnectionId, u32)> {
        match &self.link {
            Link::Up(peer) => Some((peer.connection, peer.agreed.window)),
            _ => None,
        }
    }

    fn is_primary(&self) -> bool {
        self.config.role == Role::Primary
    }

    /// Whether the partner's last STATE had the STARTUP flag.
    fn is_partner_starting(&self) -> bool {
        self.record
            .partner
            .is_some_and(|p| p.flags.contains(wire::failover::ServerFlags::STARTUP))
    }

    fn note(&mut self, note: Note) {
        self.out.push(Effect::Note(note));
    }

    fn store(&mut self) {
        self.out.push(Effect::Store(self.record));
    }

    /// Sends on the current connection, if there is one.
    fn send(&mut self, transaction_id: TransactionId, message: Message, now: Now) {
        let Some(connection) = self.link.connection() else {
            return;
        };
        self.link.sent(connection, now.mono);
        self.out.push(Effect::Send {
            connection,
            transaction_id,
            message,
        });
    }

    /// The next transaction-id for an exchange of the endpoint's own.
    fn control_id(&mut self) -> TransactionId {
        loop {
            self.last_control_id = self.last_control_id % CONTROL_IDS_MAX + 1;
            let id = TransactionId::new(self.last_control_id);
            if !self.asked.contains(&id) && self.pools_asked != Some(id) {
                return id;
            }
        }
    }
}
