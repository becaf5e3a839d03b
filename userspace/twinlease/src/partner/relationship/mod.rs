//! One failover relationship on the control thread: between the endpoint, which decides, and the
//! connection, the journal's lane and the workers, which carry out.
//!
//! [`Relationship`] is synchronous: it is told what has happened and does what can be done without
//! waiting; the module `task` waits for it. Effects are carried out in their order, and what stands
//! behind a record waits until that is on disk (RFC 8156 §6.3). Bindings pass by the endpoint: a
//! BNDUPD goes to the worker of its client, a BNDREPLY to the worker of the offer.

mod blocks;
mod effects;
mod elsewhere;
mod flow;
mod mail;
mod order;
mod receive;
pub mod report;
pub mod task;
#[cfg(test)]
mod tests;
mod traffic;
mod workers;

pub use mail::Post;
pub use order::OrderRefused;

use self::blocks::Blocks;
use self::elsewhere::Elsewhere;
use self::flow::Flow;
use self::mail::Mailroom;
use self::report::Rejected;
use self::traffic::Traffic;
use crate::control_lane::Records;
use crate::partner::{Connection, Sender};
use crate::worker::Leeways;
use arc_swap::ArcSwap;
use engine::Model;
use failover::balance::PrefixShare;
use failover::{ConnectionId, Effect, Endpoint, EndpointRecord, Event, Monotonic, Now, Round};
use journal::Ticket;
use lease::{AbsTime, Role};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use wire::SHARDS;

/// Seconds between two looks at the balance of the delegable prefixes.
const BALANCE_SECS: u32 = 10;
/// Seconds between two attempts with what the partner rejected.
const RETRY_REJECTED_SECS: u32 = 300;

/// What a relationship is made of and with.
pub struct Parts {
    /// Its configuration.
    pub config: failover::Config,
    /// Its place in the configuration.
    pub index: u16,
    /// What is stored of it.
    pub stored: Option<EndpointRecord>,
    /// The secondary's share of the delegable prefixes.
    pub share: PrefixShare,
    /// The journal's lane.
    pub records: Box<dyn Records>,
    /// The way to the workers.
    pub post: Box<dyn Post>,
    /// Which of them owns which shard.
    pub owner: [u8; SHARDS],
    /// How many there are.
    pub workers: usize,
    /// Where workers see what they may do.
    pub leeways: Leeways,
    /// Pools and links.
    pub model: Arc<ArcSwap<Model>>,
    /// Held while the model changes: what is moved between the sides of its pools then would not be
    /// in the next one.
    pub changing: Arc<tokio::sync::Mutex<()>>,
    /// What the wall clock says.
    pub wall: fn() -> AbsTime,
}

/// An open connection: dropping it closes it when what is queued is written.
struct Open {
    sender: Sender,
    reader: AbortHandle,
    peer: std::net::SocketAddr,
    is_tls: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// See the module.
pub struct Relationship {
    endpoint: Endpoint,
    key: u64,
    index: u16,
    started: Instant,
    wall: fn() -> AbsTime,
    effects: VecDeque<Effect>,
    /// What stands in `effects` waits until this is on disk.
    storing: Option<Ticket>,
    records: Box<dyn Records>,
    mail: Mailroom,
    owner: [u8; SHARDS],
    leeways: Leeways,
    model: Arc<ArcSwap<Model>>,
    changing: Arc<tokio::sync::Mutex<()>>,
    /// Renounced while the model changed: once more in the next one.
    renounces_again: bool,
    connections: BTreeMap<ConnectionId, Open>,
    last_connection: u64,
    /// A connection is to be made.
    dials: bool,
    flow: Option<Flow>,
    blocks: Blocks,
    elsewhere: Elsewhere,
    /// The last round that each worker has done with, and behind them `blocks`.
    rounds: Vec<Round>,
    was_normal: bool,
    balance_at: Monotonic,
    retry_at: Monotonic,
    /// Whether an inbox was full.
    is_mail_waiting: bool,
    counters: report::Counters,
    traffic: Traffic,
    rejected: VecDeque<Rejected>,
}

/// What stands for a relationship in the journal: FNV-1a of its name.
pub fn key_of(name: &str) -> u64 {
    let step = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

impl Relationship {
    /// A relationship that starts.
    ///
    /// # Errors
    /// What is stored is of the other role.
    pub fn new(parts: Parts) -> Result<Self, failover::RestoreError> {
        let started = Instant::now();
        let now = Now {
            mono: Monotonic(0),
            wall: (parts.wall)(),
        };
        let key = key_of(&parts.config.name);
        let role = parts.config.role;
        Ok(Self {
            endpoint: Endpoint::new(parts.config, parts.stored, now)?,
            key,
            index: parts.index,
            started,
            wall: parts.wall,
            effects: VecDeque::new(),
            storing: None,
            records: parts.records,
            mail: Mailroom::new(parts.post, parts.workers),
            owner: parts.owner,
            leeways: parts.leeways,
            model: parts.model,
            changing: parts.changing,
            renounces_again: false,
            connections: BTreeMap::new(),
            last_connection: 0,
            dials: false,
            flow: None,
            blocks: Blocks::new(parts.index, role, parts.share),
            elsewhere: Elsewhere::default(),
            rounds: vec![Round(0); parts.workers + 1],
            was_normal: false,
            balance_at: Monotonic(0),
            retry_at: Monotonic(0),
            is_mail_waiting: false,
            counters: report::Counters::default(),
            traffic: Traffic::default(),
            rejected: VecDeque::new(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.endpoint.config().name
    }

    fn role(&self) -> Role {
        self.endpoint.config().role
    }

    fn now(&self) -> Now {
        let millis = self.started.elapsed().as_millis();
        Now {
            mono: Monotonic(u64::try_from(millis).unwrap_or(u64::MAX)),
            wall: (self.wall)(),
        }
    }

    /// Tells the endpoint; what it wants done is done by [`settle`](Self::settle).
    pub(crate) fn tell(&mut self, event: Event<'_>) {
        let effects = self.endpoint.handle(event, self.now());
        self.effects.extend(effects);
        self.follow();
    }

    /// Follows the endpoint from one connection and state to the next.
    fn follow(&mut self) {
        let up = self.endpoint.window();
        if up.map(|(id, _)| id) != self.flow.as_ref().map(|flow| flow.connection) {
            let workers = self.mail.workers();
            self.flow = up.map(|(id, width)| Flow::new(id, width, workers));
            self.blocks.forget();
        }
        let is_normal = self.endpoint.state() == failover::ServerState::Normal;
        if is_normal && !self.was_normal && self.role() == Role::Primary {
            let model = self.model.load();
            self.blocks.announce(&model, &mut *self.records);
        }
        self.was_normal = is_normal;
    }

    /// A connection that [`dials`](Self::take_dial) asked for stands, or a partner's has come. Its
    /// batches come by [`received`](Self::received).
    pub(crate) fn adopt(
        &mut self,
        connection: Connection,
        read: impl FnOnce(ConnectionId, super::Received) -> AbortHandle,
    ) -> ConnectionId {
        self.last_connection += 1;
        self.traffic.connected();
        let id = ConnectionId(self.last_connection);
        let Connection {
            peer,
            is_tls,
            received,
            sender,
            permit,
        } = connection;
        let open = Open {
            sender,
            reader: read(id, received),
            peer,
            is_tls,
            _permit: permit,
        };
        self.connections.insert(id, open);
        id
    }

    /// A connection has ended by itself.
    pub(crate) fn lost(&mut self, id: ConnectionId) {
        if self.connections.remove(&id).is_some() {
            self.tell(Event::Lost(id));
        }
    }

    /// Whether a connection is to be made; asked for once.
    pub(crate) fn take_dial(&mut self) -> bool {
        core::mem::take(&mut self.dials)
    }

    /// The model in whose pools blocks may change sides; `None` while it is about to be replaced, which
    /// takes moments: the balance is looked at again, and the partner tells again.
    fn steady_model(&mut self) -> Option<Arc<Model>> {
        if self.changing.try_lock().is_err() {
            return None;
        }
        let model = self.model.load_full();
        if core::mem::take(&mut self.renounces_again) {
            self.blocks.renounce(&model, &mut *self.records);
        }
        Some(model)
    }

    fn rebalance(&mut self) {
        if let Some(model) = self.steady_model() {
            self.blocks.rebalance(&model, &mut *self.records);
        }
    }

    /// What was the secondary's may have been used by the primary. Not to be put off.
    fn renounce(&mut self) {
        let model = self.model.load_full();
        self.blocks.renounce(&model, &mut *self.records);
        self.renounces_again = true;
        let _ = self.steady_model();
    }

    /// Whether something waits for the disk.
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.storing.is_some() || self.blocks.waits()
    }

    /// Whether all that the endpoint wanted is done.
    pub(crate) fn is_done(&self) -> bool {
        self.storing.is_none() && self.effects.is_empty() && self.blocks.is_recorded()
    }

    /// When to [`settle`](Self::settle) at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        let overdue = self.flow.as_ref().and_then(Flow::overdue_at);
        let full = self.is_mail_waiting;
        let full = full.then(|| Monotonic(self.now().mono.0 + 5));
        let deadlines = [self.endpoint.next_deadline(), overdue, full];
        let deadlines = deadlines.into_iter().flatten();
        let at = deadlines.fold(self.balance_at, Monotonic::min);
        self.started + std::time::Duration::from_millis(at.0)
    }

    /// Does what can be done now.
    pub(crate) fn settle(&mut self) {
        self.expire();
        self.carry_out();
        self.exchange();
        if let Some(round) = self.blocks.take_answered() {
            self.answered(self.mail.workers(), round);
            self.carry_out();
        }
        self.is_mail_waiting = !self.mail.deliver();
    }

    fn expire(&mut self) {
        let now = self.now().mono;
        if self.endpoint.next_deadline().is_some_and(|at| at <= now) {
            self.tell(Event::Tick);
        }
        let overdue = self.flow.as_ref().filter(|flow| flow.is_overdue(now));
        if let Some(id) = overdue.map(|flow| flow.connection) {
            self.tell(Event::RepliesOverdue(id));
        }
        if now < self.balance_at {
            return;
        }
        self.balance_at = now.plus_secs(BALANCE_SECS);
        if !self.was_normal || self.flow.is_none() {
            return;
        }
        let model = self.model.load_full();
        match self.role() {
            Role::Primary => self.rebalance(),
            Role::Secondary if self.blocks.is_short(&model) => self.tell(Event::PoolsLow),
            Role::Secondary => {}
        }
        if self.retry_at <= now {
            self.retry_at = now.plus_secs(RETRY_REJECTED_SECS);
            self.mail
                .send_all(|| crate::partner::exchange::ToWorker::RetryRejected);
        }
    }
}
