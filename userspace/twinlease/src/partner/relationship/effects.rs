//! What the endpoint wants done, in its order.

use super::Relationship;
use crate::partner::exchange::ToWorker;
use failover::message::FRAME_LEN_MAX;
use failover::{ConnectionId, Effect, Event, Note, Severity};

impl Relationship {
    /// Carries out effects until one has to wait for the disk.
    pub(super) fn carry_out(&mut self) {
        loop {
            if let Some(ticket) = self.storing {
                if self.records.committed() < ticket {
                    return;
                }
                self.storing = None;
            }
            // A state is stored behind what changed sides on the way to it.
            if !self.blocks.record(&mut *self.records) {
                return;
            }
            let Some(effect) = self.effects.pop_front() else {
                return;
            };
            self.carry(effect);
        }
    }

    /// This server cannot do its work, or stops: what makes it say and do less must get through
    /// while nothing can be stored, and what waits for the disk may not be said any more.
    pub(crate) fn step_aside(&mut self, event: Event<'_>) {
        self.carry_out();
        self.storing = None;
        let mut leeway = None;
        for effect in core::mem::take(&mut self.effects) {
            match effect {
                Effect::Publish(unsaid) => leeway = Some(unsaid),
                Effect::Send { .. } | Effect::Dial | Effect::Rebalance => {}
                effect => self.carry(effect),
            }
        }
        self.tell(event);
        // Of what was not published yet the endpoint believes that it was.
        let says_itself = |effect: &Effect| matches!(effect, Effect::Publish(_));
        if !self.effects.iter().any(says_itself) {
            self.effects.extend(leeway.map(Effect::Publish));
        }
        while let Some(effect) = self.effects.pop_front() {
            self.carry(effect);
        }
    }

    fn carry(&mut self, effect: Effect) {
        match effect {
            Effect::Dial => self.dials = true,
            Effect::Send {
                connection,
                transaction_id,
                message,
            } => {
                let mut frame = vec![0; FRAME_LEN_MAX];
                match message.write(&mut frame, transaction_id) {
                    Ok(len) => {
                        frame.truncate(len);
                        self.write(connection, frame);
                    }
                    Err(error) => tracing::error!(%error, "a failover message is too long"),
                }
            }
            Effect::Close(connection) => drop(self.connections.remove(&connection)),
            // Not before what changed sides on the way to that state. Only who steps aside comes here
            // then, and after a restart gets to it by the same way.
            Effect::Store(_) if !self.blocks.record(&mut *self.records) => {}
            Effect::Store(record) => {
                let mut state = Vec::new();
                record.encode(&mut state);
                self.storing = Some(self.records.relationship(self.key, &state));
            }
            Effect::Publish(leeway) => self.leeways.publish(usize::from(self.index), leeway),
            Effect::Owe(round, owed) => {
                self.mail.send_all(|| ToWorker::Owe(round, owed));
                let model = self.model.load_full();
                self.blocks.owe(round, owed, &model, &mut *self.records);
            }
            Effect::Forget => self.mail.send_all(|| ToWorker::Forget),
            Effect::Renounce => self.renounce(),
            Effect::Rebalance => self.rebalance(),
            Effect::Note(note) => self.note(&note),
        }
    }

    /// Sends frames on a connection; one that takes no more is lost.
    pub(super) fn write(&mut self, connection: ConnectionId, frames: Vec<u8>) -> bool {
        let Some(open) = self.connections.get(&connection) else {
            return false;
        };
        self.traffic.sent(&frames);
        let is_sent = open.sender.send(frames).is_ok();
        if !is_sent {
            self.lost(connection);
        }
        is_sent
    }

    fn note(&mut self, note: &Note) {
        let relationship = self.name();
        match note.severity() {
            Severity::Info => tracing::info!(%relationship, "failover: {note}"),
            Severity::Warning => tracing::warn!(%relationship, "failover: {note}"),
            Severity::Alarm => tracing::error!(%relationship, "failover: {note}"),
        }
        if let Note::State { .. } = note {
            self.counters.state_changes += 1;
        }
    }
}
