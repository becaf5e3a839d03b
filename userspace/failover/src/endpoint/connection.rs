//! Connections: from the dial to the partner's first STATE, and to their end (RFC 8156 §6).

use super::Endpoint;
use crate::connect::{Agreed, Greeting, check_connect, check_connectreply};
use crate::event::{ConnectionId, Effect, Ending, Received};
use crate::keepalive::{Keepalive, Skew};
use crate::message::{Message, Reason};
use crate::note::{Cause, Note};
use crate::state::Input;
use crate::time::{Monotonic, Now};
use crate::violation::Violation;
use lease::AbsTime;
use wire::StatusCode;
use wire::failover::{Body, Connect, TransactionId};

/// Seconds that each step of the set-up may take, CONNECTREPLY and STATE.
const SETUP_SECS: u32 = 10;

/// Longest time in seconds between attempts of a primary that was rejected (§6.1: slower, but
/// never giving up).
const DIAL_DELAY_MAX_SECS: u32 = 60;

/// How far the connection with the partner is.
#[derive(Debug)]
pub(super) enum Link {
    /// There is none.
    Down,
    /// One was asked for.
    Dialing,
    /// CONNECT is sent.
    AwaitReply {
        connection: ConnectionId,
        transaction_id: TransactionId,
        until: Monotonic,
    },
    /// Accepted by both; the partner's STATE is to come.
    AwaitState { peer: Peer, until: Monotonic },
    /// Communications are OK.
    Up(Peer),
}

/// The partner at the other end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) connection: ConnectionId,
    pub(super) agreed: Agreed,
    pub(super) keepalive: Keepalive,
    skew: Skew,
}

impl Link {
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Down | Self::Dialing => None,
            Self::AwaitReply { connection, .. } => Some(*connection),
            Self::AwaitState { peer, .. } | Self::Up(peer) => Some(peer.connection),
        }
    }

    pub(super) fn is(&self, connection: ConnectionId) -> bool {
        self.connection() == Some(connection)
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    /// The partner, once both have accepted.
    pub(super) fn peer(&self) -> Option<&Peer> {
        match self {
            Self::AwaitState { peer, .. } | Self::Up(peer) => Some(peer),
            _ => None,
        }
    }

    fn peer_mut(&mut self) -> Option<&mut Peer> {
        match self {
            Self::AwaitState { peer, .. } | Self::Up(peer) => Some(peer),
            _ => None,
        }
    }

    pub(super) fn sent(&mut self, connection: ConnectionId, now: Monotonic) {
        if let Some(peer) = self.peer_mut().filter(|peer| peer.connection == connection) {
            peer.keepalive.sent(now);
        }
    }

    fn phase(&self) -> &'static str {
        match self {
            Self::Down | Self::Dialing => "not set up",
            Self::AwaitReply { .. } => "waiting for CONNECTREPLY",
            Self::AwaitState { .. } => "waiting for STATE",
            Self::Up(_) => "set up",
        }
    }
}

impl Endpoint {
    pub(super) fn connected(&mut self, connection: ConnectionId, now: Now) {
        if !matches!(self.link, Link::Dialing) || self.aside {
            self.out.push(Effect::Close(connection));
            return;
        }
        let transaction_id = self.control_id();
        self.link = Link::AwaitReply {
            connection,
            transaction_id,
            until: now.mono.plus_secs(SETUP_SECS),
        };
        let connect = Message::Connect(Greeting::connect(&self.config));
        self.send(transaction_id, connect, now);
    }

    pub(super) fn dial_failed(&mut self, now: Now) {
        if matches!(self.link, Link::Dialing) {
            self.link = Link::Down;
            self.dial_at = now.mono.plus_secs(self.dial_delay_secs);
        }
    }

    pub(super) fn message(&mut self, connection: ConnectionId, received: &Received<'_>, now: Now) {
        if let Body::Connect(connect) = &received.body
            && !self.link.is(connection)
        {
            return self.on_connect(connection, received, connect, now);
        }
        if !self.link.is(connection) {
            return;
        }
        if let Link::AwaitReply { transaction_id, .. } = self.link {
            return match &received.body {
                Body::Connectreply(reply) => self.on_connectreply(
                    connection,
                    (transaction_id, received.transaction_id),
                    (reply, received),
                    now,
                ),
                Body::Disconnect(status) => self.end(Ending::Disconnected(reason(*status)), now),
                _ => self.out_of_place(received, now),
            };
        }
        if !self.heard(received.sent_time, received.at, now) {
            return;
        }
        let id = received.transaction_id;
        match (&received.body, self.link.is_up()) {
            (Body::State(state), _) => self.on_state(state, now),
            (Body::Disconnect(status), _) => {
                self.end(Ending::Disconnected(reason(*status)), now);
            }
            (Body::Contact | Body::Bndreply(_), true) => {}
            (Body::Bndupd(_), true) => self.updates_came(now),
            (Body::Updreq, true) => self.on_request(id, false, now),
            (Body::Updreqall, true) => self.on_request(id, true, now),
            (Body::Upddone, true) => self.on_update_done(id, now),
            (Body::Poolreq, true) => self.on_poolreq(id, now),
            (Body::Poolresp, true) => self.on_poolresp(id, now),
            (Body::Connect(_) | Body::Connectreply(_), _) | (_, false) => {
                self.out_of_place(received, now);
            }
        }
    }

    pub(super) fn bindings(
        &mut self,
        connection: ConnectionId,
        updates: u32,
        sent_time: u32,
        at: AbsTime,
        now: Now,
    ) {
        if self.takes_bindings(connection) && self.heard(sent_time, at, now) && updates > 0 {
            self.updates_came(now);
        }
    }

    pub(super) fn violated(&mut self, violation: Violation, now: Now) {
        self.end(Ending::Violation(violation), now);
    }

    /// Ends the connection, or the attempt at one.
    pub(super) fn end(&mut self, ending: Ending, now: Now) {
        let Some(connection) = self.link.connection() else {
            return;
        };
        if let Some(reason) = farewell(&ending) {
            let id = self.control_id();
            self.send(id, Message::Disconnect(reason), now);
        }
        if ending != Ending::Lost {
            self.out.push(Effect::Close(connection));
        }
        let cause = match ending {
            Ending::Shutdown => Cause::Shutdown,
            _ => Cause::CommunicationsFailed,
        };
        let (was_up, was_accepted) = (self.link.is_up(), self.link.peer().is_some());
        self.link = Link::Down;
        self.schedule_dial(&ending, was_up, now);
        self.note(Note::Ended(ending));
        if was_accepted {
            self.forget_exchanges();
            self.out.push(Effect::Forget);
        }
        if was_up {
            self.record.last_heard = self.record.last_heard.max(Some(now.wall));
            self.step(Input::CommunicationsFailed, cause, now);
            self.arm(now);
        }
    }

    /// A CONNECT that begins a connection (§6.1.2). One that validates replaces the connection
    /// there was: the primary may have restarted while that one looked alive.
    fn on_connect(
        &mut self,
        connection: ConnectionId,
        received: &Received<'_>,
        connect: &Connect<'_>,
        now: Now,
    ) {
        let checked = check_connect(&self.config, connect, received.sent_time, received.at);
        let refusal = match &checked {
            Err(error) => Some((error.status(), error.to_string())),
            Ok(_) if self.aside => Some((
                StatusCode::SERVER_SHUTTING_DOWN,
                "this server has stepped aside".into(),
            )),
            Ok(_) => None,
        };
        if let Some((status, text)) = refusal {
            self.out.push(Effect::Send {
                connection,
                transaction_id: received.transaction_id,
                message: Message::ConnectReject(Reason { status, text }),
            });
            self.out.push(Effect::Close(connection));
        }
        let agreed = match checked {
            Ok(agreed) if !self.aside => agreed,
            Ok(_) => return,
            Err(error) => return self.note(Note::Rejected(error)),
        };
        self.end(Ending::Replaced, now);
        self.accept(connection, agreed, now);
        let reply = Message::ConnectReply(Greeting::reply(&self.config, agreed.mclt_secs));
        self.send(received.transaction_id, reply, now);
        self.send_state(now);
    }

    fn on_connectreply(
        &mut self,
        connection: ConnectionId,
        (ours, theirs): (TransactionId, TransactionId),
        (reply, received): (&Connect<'_>, &Received<'_>),
        now: Now,
    ) {
        if ours != theirs {
            return self.violated(Violation::ForeignReply(theirs), now);
        }
        if let Some(reason) = reason(reply.status).filter(|r| r.status != StatusCode::SUCCESS) {
            return self.end(Ending::Rejected(reason), now);
        }
        match check_connectreply(&self.config, reply, received.sent_time, received.at) {
            Err(error) => self.end(Ending::Refused(error), now),
            Ok(agreed) => {
                self.accept(connection, agreed, now);
                self.send_state(now);
            }
        }
    }

    /// Both sides have accepted the connection: STATE is next (§6.1.2, §6.1.3).
    fn accept(&mut self, connection: ConnectionId, agreed: Agreed, now: Now) {
        let from = self.record.mclt.agreed_secs;
        if from != Some(agreed.mclt_secs) {
            let longest = self.config.longest_valid_secs;
            self.record.mclt.agree(agreed.mclt_secs, longest, now.wall);
            self.store();
            self.note(Note::McltAdopted {
                from,
                to: agreed.mclt_secs,
            });
            self.arm(now);
        }
        let differences = agreed.digest.unwrap_or(self.config.digest);
        let differences = self.config.digest.differences(&differences);
        if differences.any() {
            self.note(Note::ConfigDiffers(differences));
        }
        let (own, partners) = (self.config.keepalive_secs, agreed.partner_keepalive_secs);
        self.link = Link::AwaitState {
            peer: Peer {
                connection,
                agreed,
                keepalive: Keepalive::new(own, partners, now.mono),
                skew: Skew::default(),
            },
            until: now.mono.plus_secs(SETUP_SECS),
        };
    }

    /// The partner's first STATE is here: communications are OK (§6.1).
    pub(super) fn communications_ok(&mut self) {
        self.link = match core::mem::replace(&mut self.link, Link::Down) {
            Link::AwaitState { peer, .. } => Link::Up(peer),
            link => return self.link = link,
        };
        self.dial_delay_secs = self.config.connect_retry_secs;
        self.note(Note::CommunicationsOk);
    }

    /// Something came from the partner; whether the connection survives its clock.
    fn heard(&mut self, sent_time: u32, at: AbsTime, now: Now) -> bool {
        let Some(peer) = self.link.peer_mut() else {
            return false;
        };
        peer.keepalive.heard(now.mono);
        self.record.last_heard = Some(now.wall);
        match peer.skew.observe(sent_time, at) {
            None => true,
            Some(secs) => {
                self.end(Ending::Skew(secs), now);
                false
            }
        }
    }

    fn out_of_place(&mut self, received: &Received<'_>, now: Now) {
        let violation = Violation::OutOfPlace {
            message: received.body.msg_type(),
            phase: self.link.phase(),
        };
        self.violated(violation, now);
    }

    /// When to dial again: at once if communications were OK, else after a while, and after a
    /// longer one each time that the two servers could not agree.
    fn schedule_dial(&mut self, ending: &Ending, was_up: bool, now: Now) {
        let slower = match ending {
            Ending::Disconnected(_)
            | Ending::Rejected(_)
            | Ending::Refused(_)
            | Ending::Violation(_)
            | Ending::Skew(_) => true,
            _ if was_up => {
                self.dial_at = now.mono;
                return;
            }
            _ => false,
        };
        self.dial_at = now.mono.plus_secs(self.dial_delay_secs);
        if slower {
            let limit = DIAL_DELAY_MAX_SECS.max(self.config.connect_retry_secs);
            self.dial_delay_secs = self.dial_delay_secs.saturating_mul(2).min(limit);
        }
    }
}

/// What a DISCONNECT says before this ending; `None`: nobody would read it.
fn farewell(ending: &Ending) -> Option<Reason> {
    let status = match ending {
        Ending::Lost
        | Ending::Silent(_)
        | Ending::Disconnected(_)
        | Ending::Rejected(_)
        | Ending::Replaced => return None,
        Ending::Skew(_) => StatusCode::EXCESSIVE_TIME_SKEW,
        Ending::Refused(error) => error.status(),
        Ending::SetupTimeout(_)
        | Ending::Violation(_)
        | Ending::RepliesOverdue
        | Ending::UpdatesStalled(_) => StatusCode::UNSPEC_FAIL,
        Ending::Aside(_) | Ending::Shutdown => StatusCode::SERVER_SHUTTING_DOWN,
    };
    Some(Reason {
        status,
        text: ending.to_string(),
    })
}

fn reason(status: Option<wire::Status<'_>>) -> Option<Reason> {
    status.map(|status| Reason {
        status: status.code,
        text: String::from_utf8_lossy(status.message).into_owned(),
    })
}
