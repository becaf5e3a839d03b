//! Two servers, one network, one clock. What an endpoint wants stored is on disk before anything
//! behind it happens; a crash loses all but the disk.

use super::*;
use crate::event::{Owed, Received};
use crate::message::FRAME_LEN_MAX;
use std::collections::VecDeque;
use wire::failover::{FailoverMessage, stamp};

pub(super) const PRIMARY: usize = 0;
pub(super) const SECONDARY: usize = 1;

pub(super) struct Server {
    pub(super) config: Config,
    /// `None`: not running.
    pub(super) endpoint: Option<Endpoint>,
    pub(super) disk: Option<EndpointRecord>,
    pub(super) leeway: Leeway,
    pub(super) notes: Vec<String>,
    /// States entered, in order.
    pub(super) states: Vec<ServerState>,
    /// What the shards were asked to have acknowledged.
    pub(super) owed: Vec<Owed>,
    /// Whether the shards' answers are held back.
    pub(super) holds_answers: bool,
    held: Vec<Round>,
    pub(super) renounced: usize,
    pub(super) rebalances: usize,
    /// Seconds by which its wall clock is ahead of the true time.
    pub(super) clock_ahead_secs: i64,
}

pub(super) struct Pair {
    pub(super) servers: [Server; 2],
    /// Milliseconds since the start.
    pub(super) millis: u64,
    /// Nothing goes from one to the other; neither side is told.
    pub(super) is_cut: bool,
    next_connection: u64,
    frames: VecDeque<(usize, ConnectionId, Vec<u8>)>,
    /// "P STATE", in the order sent.
    pub(super) sent: Vec<String>,
}

impl Pair {
    pub(super) fn new() -> Self {
        Self::of(config(Role::Primary), config(Role::Secondary))
    }

    pub(super) fn of(primary: Config, secondary: Config) -> Self {
        let server = |config: Config| Server {
            leeway: Leeway::startup(config.role, config.mclt_secs),
            config,
            endpoint: None,
            disk: None,
            notes: Vec::new(),
            states: Vec::new(),
            owed: Vec::new(),
            holds_answers: false,
            held: Vec::new(),
            renounced: 0,
            rebalances: 0,
            clock_ahead_secs: 0,
        };
        Self {
            servers: [server(primary), server(secondary)],
            millis: 0,
            is_cut: false,
            next_connection: 0,
            frames: VecDeque::new(),
            sent: Vec::new(),
        }
    }

    /// Both in NORMAL, for the first time.
    pub(super) fn normal() -> Self {
        Self::new().into_normal()
    }

    pub(super) fn into_normal(mut self) -> Self {
        self.start(PRIMARY);
        self.start(SECONDARY);
        self.run(10);
        assert_eq!(self.states(), [ServerState::Normal; 2]);
        for server in &mut self.servers {
            server.states.clear();
            server.notes.clear();
            server.owed.clear();
        }
        self.sent.clear();
        self
    }

    pub(super) fn now(&self, who: usize) -> Now {
        let wall =
            i64::from(START.0) + (self.millis / 1_000) as i64 + self.servers[who].clock_ahead_secs;
        Now {
            mono: Monotonic(self.millis),
            wall: AbsTime(wall as u32),
        }
    }

    pub(super) fn endpoint(&self, who: usize) -> &Endpoint {
        self.servers[who].endpoint.as_ref().unwrap()
    }

    pub(super) fn states(&self) -> [ServerState; 2] {
        [PRIMARY, SECONDARY].map(|who| self.endpoint(who).state())
    }

    pub(super) fn start(&mut self, who: usize) {
        let now = self.now(who);
        let server = &mut self.servers[who];
        let endpoint = Endpoint::new(server.config.clone(), server.disk, now).unwrap();
        server.endpoint = Some(endpoint);
        self.tell(who, Event::Tick);
    }

    /// `kill -9`: the other side sees its connection reset, unless the network is cut.
    pub(super) fn crash(&mut self, who: usize) {
        let connection = self.servers[who]
            .endpoint
            .take()
            .and_then(|endpoint| endpoint.link.connection());
        self.servers[who].leeway = Leeway::startup(self.servers[who].config.role, MCLT);
        self.frames.retain(|(to, ..)| *to != who);
        if let Some(connection) = connection.filter(|_| !self.is_cut) {
            self.tell(1 - who, Event::Lost(connection));
        }
    }

    pub(super) fn order_partner_down(&mut self, who: usize) {
        let now = self.now(who);
        let endpoint = self.servers[who].endpoint.as_mut().unwrap();
        let effects = endpoint.partner_down(None, false, now).unwrap();
        self.carry_out(who, effects);
        self.deliver();
    }

    /// Lets the shards' answers through that were held back.
    pub(super) fn release_answers(&mut self, who: usize) {
        self.servers[who].holds_answers = false;
        for round in core::mem::take(&mut self.servers[who].held) {
            self.tell(who, Event::Answered(round));
        }
    }

    /// Tells an endpoint, carries out what it wants, and delivers until all is quiet.
    pub(super) fn tell(&mut self, who: usize, event: Event<'_>) {
        self.tell_only(who, event);
        self.deliver();
    }

    /// Lets `secs` pass.
    pub(super) fn run(&mut self, secs: u64) {
        let end = self.millis + secs * 1_000;
        let mut rounds_left = 10_000 + 10 * secs;
        loop {
            rounds_left -= 1;
            assert!(rounds_left > 0, "a deadline that does not pass");
            let due = self
                .servers
                .iter()
                .filter_map(|server| server.endpoint.as_ref()?.next_deadline())
                .min();
            let Some(due) = due.filter(|due| due.0 <= end) else {
                break;
            };
            self.millis = self.millis.max(due.0);
            for who in [PRIMARY, SECONDARY] {
                self.tell(who, Event::Tick);
            }
        }
        self.millis = end;
    }

    fn tell_only(&mut self, who: usize, event: Event<'_>) {
        let now = self.now(who);
        if let Some(endpoint) = &mut self.servers[who].endpoint {
            let effects = endpoint.handle(event, now);
            self.carry_out(who, effects);
        }
    }

    fn deliver(&mut self) {
        let mut left = 10_000;
        while let Some((to, connection, frame)) = self.frames.pop_front() {
            left -= 1;
            assert!(
                left > 0,
                "no end to it: {:?}",
                self.sent.split_off(self.sent.len() - 30)
            );
            let message = FailoverMessage::parse(&frame[2..]).unwrap();
            let received = Received {
                transaction_id: message.transaction_id,
                sent_time: message.sent_time,
                at: self.now(to).wall,
                body: message.body().unwrap(),
            };
            self.tell_only(to, Event::Message(connection, received));
        }
    }

    fn carry_out(&mut self, who: usize, effects: Vec<Effect>) {
        let other = 1 - who;
        for effect in effects {
            match effect {
                Effect::Dial => {
                    let reached = !self.is_cut && self.servers[other].endpoint.is_some();
                    self.next_connection += 1;
                    let connection = ConnectionId(self.next_connection);
                    self.tell_only(
                        who,
                        match reached {
                            true => Event::Connected(connection),
                            false => Event::DialFailed,
                        },
                    );
                }
                Effect::Send {
                    connection,
                    transaction_id,
                    message,
                } => {
                    let mut frame = vec![0; FRAME_LEN_MAX];
                    let len = message.write(&mut frame, transaction_id).unwrap();
                    frame.truncate(len);
                    stamp(&mut frame, self.now(who).wall.0);
                    let kind = FailoverMessage::parse(&frame[2..]).unwrap().msg_type;
                    self.sent.push(format!("{} {kind}", ["P", "S"][who]));
                    if !self.is_cut && self.servers[other].endpoint.is_some() {
                        self.frames.push_back((other, connection, frame));
                    }
                }
                Effect::Close(connection) => {
                    if !self.is_cut {
                        // What was sent before is read before the end of the connection is.
                        self.deliver();
                        self.tell_only(other, Event::Lost(connection));
                    }
                }
                Effect::Store(record) => self.servers[who].disk = Some(record),
                Effect::Publish(leeway) => self.servers[who].leeway = leeway,
                Effect::Owe(round, owed) => {
                    self.servers[who].owed.push(owed);
                    match self.servers[who].holds_answers {
                        true => self.servers[who].held.push(round),
                        false => self.tell_only(who, Event::Answered(round)),
                    }
                }
                Effect::Forget => self.servers[who].held.clear(),
                Effect::Renounce => self.servers[who].renounced += 1,
                Effect::Rebalance => self.servers[who].rebalances += 1,
                Effect::Note(note) => {
                    if let Note::State { to, .. } = note {
                        self.servers[who].states.push(to);
                    }
                    self.servers[who].notes.push(note.to_string());
                }
            }
        }
    }
}
