//! The endpoint, and what it says carried out: strictly in its order, what stands behind a stored
//! record when that is durable.

use super::{Out, RELATIONSHIP, Running, Server, record};
use crate::client::Millis;
use crate::mutation::Mutation;
use failover::message::FRAME_LEN_MAX;
use failover::updates::{Everything, owe_all};
use failover::{
    ConnectionId, Effect, Event, Note, Now, OrderError, Owed, Received, ServerState, Window,
};
use journal::{ControlDelta, Entry};
use lease::{AbsTime, LifetimeCap, Positions, Prefixes, Role, Shard};
use wire::failover::{Body, FailoverMessage, Frames, stamp};

impl Server {
    /// Octets of the partner.
    pub fn read(&mut self, connection: ConnectionId, octets: &[u8], now: Millis) {
        let now = self.now(now);
        for frame in Frames::new(octets) {
            let frame = frame.expect("frames are whole");
            let Some(running) = &mut self.running else {
                return;
            };
            let message = FailoverMessage::parse(frame).expect("a failover message");
            let body = message.body().expect("a failover message");
            let is_binding = matches!(body, Body::Bndupd(_) | Body::Bndreply(_));
            if is_binding && running.endpoint.takes_bindings(connection) {
                running.inbound.push_back((connection, frame.to_vec()));
                let event = Event::Bindings {
                    connection,
                    updates: u32::from(matches!(body, Body::Bndupd(_))),
                    sent_time: message.sent_time,
                    at: now.wall,
                };
                self.tell_endpoint(event, now);
            } else {
                let received = Received {
                    transaction_id: message.transaction_id,
                    sent_time: message.sent_time,
                    at: now.wall,
                    body,
                };
                self.tell_endpoint(Event::Message(connection, received), now);
            }
        }
        self.go_on(now);
    }

    pub fn event(&mut self, event: Event<'_>, now: Millis) {
        let now = self.now(now);
        self.tell_endpoint(event, now);
        self.go_on(now);
    }

    /// The operator says that the partner is down.
    ///
    /// # Errors
    /// It is not obeyed.
    pub fn partner_down(&mut self, since: Option<AbsTime>, now: Millis) -> Result<(), OrderError> {
        let now = self.now(now);
        if let Some(running) = &mut self.running {
            let effects = running.endpoint.partner_down(since, false, now)?;
            let state = running.endpoint.state();
            running
                .effects
                .extend(effects.into_iter().map(|e| (e, state)));
            self.carry_out(now);
            self.go_on(now);
        }
        Ok(())
    }

    /// Twice in a second.
    pub fn tick(&mut self, now: Millis) {
        let now = self.now(now);
        self.let_go_due(&vec![true; self.params.workers], now);
        self.expire(now);
        let Some(running) = &mut self.running else {
            return;
        };
        running.ticks += 1;
        let ticks = running.ticks;
        if running.leeway.replicate && ticks.is_multiple_of(40) {
            running.shards.iter_mut().for_each(Shard::retry_rejected);
        }
        let overdue = running.window.as_ref();
        if let Some((connection, _)) = overdue.filter(|(_, window)| window.is_overdue(now.mono)) {
            let event = Event::RepliesOverdue(*connection);
            self.tell_endpoint(event, now);
        }
        if ticks.is_multiple_of(16) {
            self.rebalance(now);
        }
        let Some(running) = &self.running else {
            return;
        };
        if running
            .endpoint
            .next_deadline()
            .is_some_and(|at| at <= now.mono)
        {
            self.tell_endpoint(Event::Tick, now);
        }
        self.go_on(now);
    }

    pub(super) fn tell_endpoint(&mut self, event: Event<'_>, now: Now) {
        if let Some(running) = &mut self.running {
            let effects = running.endpoint.handle(event, now);
            let state = running.endpoint.state();
            running
                .effects
                .extend(effects.into_iter().map(|e| (e, state)));
        }
        self.carry_out(now);
    }

    pub(super) fn carry_out(&mut self, now: Now) {
        while let Some(running) = &mut self.running {
            if running
                .blocked
                .is_some_and(|ticket| ticket > self.disk.durable())
            {
                return;
            }
            running.blocked = None;
            let Some((effect, state)) = running.effects.pop_front() else {
                return;
            };
            self.carry_out_one(effect, state, now);
        }
    }

    fn carry_out_one(&mut self, effect: Effect, state: ServerState, now: Now) {
        let mutation = self.params.mutation;
        let Some(running) = &mut self.running else {
            return;
        };
        match effect {
            Effect::Dial => self.out.push(Out::Dial),
            Effect::Send {
                connection,
                transaction_id,
                message,
            } => {
                let mut frame = [0; FRAME_LEN_MAX];
                let len = message.write(&mut frame, transaction_id).expect("room");
                stamp(&mut frame[..len], now.wall.0);
                self.out
                    .push(Out::ToPartner(connection, frame[..len].to_vec()));
            }
            Effect::Close(connection) => self.out.push(Out::Close(connection)),
            Effect::Store(record) => {
                let mut octets = Vec::new();
                record.encode(&mut octets);
                self.disk
                    .append(&Entry::Control(ControlDelta::Relationship {
                        key: RELATIONSHIP,
                        state: &octets,
                    }));
                running.blocked = Some(self.disk.ticket());
            }
            Effect::Publish(mut leeway) => {
                match mutation {
                    Some(Mutation::IgnoreMclt) => leeway.cap = LifetimeCap::None,
                    Some(Mutation::UsePartnersHalf) => {
                        leeway.addresses = Positions::All;
                        leeway.prefixes = Prefixes::All;
                    }
                    _ => {}
                }
                running.leeway = leeway;
                running.serves_as = state;
            }
            Effect::Owe(round, owed) => {
                let model = &running.model;
                let everything = Everything {
                    now: now.wall,
                    mclt_secs: running.leeway.mclt_secs,
                    is_partnered: &|link| model.is_partnered(link),
                };
                for shard in &mut running.shards {
                    match owed {
                        Owed::Unacked => shard.owe_unacked(),
                        Owed::All => {
                            let mut next = Some(0);
                            while let Some(from) = next {
                                next = owe_all(shard, (from, 16), &everything, &mut |delta| {
                                    record(&mut self.disk, model, delta);
                                });
                            }
                        }
                    }
                }
                running.round = Some(round);
                if owed == Owed::All && self.role == Role::Secondary {
                    self.announce();
                }
            }
            Effect::Forget => {
                running.forget_exchange();
            }
            Effect::Renounce => self.renounce(),
            Effect::Rebalance => self.rebalance(now),
            Effect::Note(note) => {
                let enters_normal = matches!(
                    note,
                    Note::State {
                        to: ServerState::Normal,
                        ..
                    }
                );
                self.say(|| note.to_string());
                if enters_normal && self.role == Role::Primary {
                    self.announce();
                }
            }
        }
    }

    /// What may go on whenever something has happened.
    pub(super) fn go_on(&mut self, now: Now) {
        if let Some(running) = &mut self.running {
            running.open_window();
        }
        self.work_inbound(now);
        self.send_updates(now);
        self.check_round(now);
    }

    pub(super) fn send_frame(&mut self, connection: ConnectionId, mut octets: Vec<u8>, now: Now) {
        stamp(&mut octets, now.wall.0);
        self.out.push(Out::ToPartner(connection, octets));
        self.tell_endpoint(Event::Sent(connection), now);
    }

    /// A round is answered when no shard owes anything of it and all blocks are agreed on.
    fn check_round(&mut self, now: Now) {
        let Some(running) = &mut self.running else {
            return;
        };
        let is_done = running.shards.iter().all(|shard| shard.unacked().owed == 0)
            && running.transfers.is_empty()
            && running.blocks_out == 0;
        if let Some(round) = running.round.take_if(|_| is_done) {
            self.tell_endpoint(Event::Answered(round), now);
        }
    }
}

impl Running {
    /// Updates go on a connection when this server's own STATE has gone before them.
    fn open_window(&mut self) {
        if !self.effects.is_empty() || self.blocked.is_some() {
            return;
        }
        let open = self.window.as_ref().map(|(connection, _)| *connection);
        match self.endpoint.window() {
            Some((connection, width)) if open != Some(connection) => {
                self.window = Some((connection, Window::new(width)));
            }
            Some(_) => {}
            None => self.window = None,
        }
    }

    fn forget_exchange(&mut self) {
        self.shards.iter_mut().for_each(Shard::connection_lost);
        self.window = None;
        self.round = None;
        self.transfers.clear();
        self.again.clear();
        self.blocks_out = 0;
    }
}
