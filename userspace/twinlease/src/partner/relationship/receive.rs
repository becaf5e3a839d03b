//! What comes on a connection: bindings to the workers, everything else to the endpoint.

use super::Relationship;
use super::flow::Sent;
use crate::partner::Batch;
use crate::partner::exchange::{PartnerUpdate, ToWorker, UpdateKey};
use bytes::Bytes;
use failover::updates::{Offer, shard_of};
use failover::{ConnectionId, Event, Message, Reason, Received};
use lease::AbsTime;
use wire::failover::{Body, Container, FailoverMessage, MessageError, TransactionId};
use wire::{MessageType, StatusCode};

/// Bindings that came one after the other, by worker.
struct Run {
    updates: u32,
    /// Whether any came, and the sent-time of the last.
    last: Option<u32>,
    to_workers: Vec<Vec<PartnerUpdate>>,
    answers: Vec<Vec<(Offer, Bytes)>>,
}

impl Relationship {
    /// Messages that came together.
    pub(crate) fn received(&mut self, id: ConnectionId, batch: &Batch) {
        let workers = self.mail.workers();
        let mut run = Run {
            updates: 0,
            last: None,
            to_workers: (0..workers).map(|_| Vec::new()).collect(),
            answers: (0..workers).map(|_| Vec::new()).collect(),
        };
        for octets in batch.messages() {
            if !self.connections.contains_key(&id) {
                break;
            }
            self.traffic.received(&octets);
            if let Err(error) = self.receive(id, &octets, batch.received_time, &mut run) {
                self.pass_on(id, batch.received_time, &mut run);
                self.malformed(id, &octets, &error);
            }
        }
        self.pass_on(id, batch.received_time, &mut run);
    }

    fn receive(
        &mut self,
        id: ConnectionId,
        octets: &Bytes,
        at: AbsTime,
        run: &mut Run,
    ) -> Result<(), MessageError> {
        let message = FailoverMessage::parse(octets)?;
        let body = message.body()?;
        let is_binding = matches!(body, Body::Bndupd(_) | Body::Bndreply(_));
        if is_binding && self.endpoint.takes_bindings(id) {
            run.last = Some(message.sent_time);
            match body {
                Body::Bndupd(container) => self.update(id, octets, &container, run),
                Body::Bndreply(container) => {
                    self.answer(message.transaction_id, octets, &container, run);
                }
                _ => {}
            }
            return Ok(());
        }
        self.pass_on(id, at, run);
        let received = Received {
            transaction_id: message.transaction_id,
            sent_time: message.sent_time,
            at,
            body,
        };
        self.counters.messages_received += 1;
        self.tell(Event::Message(id, received));
        // An endpoint that does not take the connection says so by closing it, maybe later.
        Ok(())
    }

    fn update(
        &mut self,
        id: ConnectionId,
        octets: &Bytes,
        container: &Container<'_>,
        run: &mut Run,
    ) {
        let Some(flow) = &mut self.flow else { return };
        let number = flow.receive();
        let unanswered = flow.unanswered;
        run.updates += 1;
        self.counters.updates_received += 1;
        let key = UpdateKey {
            connection: id,
            number,
        };
        match container {
            Container::Prefix(_) => {
                let model = self.steady_model();
                let model = model.as_deref();
                self.blocks.receive(key, octets, model, &mut *self.records);
            }
            Container::Client(data) => {
                // Without client any shard rejects it.
                let shard = shard_of(data).map_or(0, |shard| shard.0);
                let worker = usize::from(self.owner[usize::from(shard)]);
                run.to_workers[worker].push(PartnerUpdate {
                    key,
                    message: octets.clone(),
                    yielded: Vec::new(),
                    refused: Vec::new(),
                });
            }
        }
        if unanswered > self.endpoint.config().max_unacked {
            self.tell(Event::TooManyUnacked(id, unanswered));
        }
    }

    fn answer(
        &mut self,
        id: TransactionId,
        octets: &Bytes,
        container: &Container<'_>,
        run: &mut Run,
    ) {
        self.counters.replies_received += 1;
        let sent = self.flow.as_mut().and_then(|flow| flow.answered(id));
        match (sent, container) {
            (Some(Sent::Offer(worker, offer)), _) => {
                run.answers[worker].push((offer, octets.clone()));
            }
            (Some(Sent::Block(transfer)), Container::Prefix(reply)) => {
                let model = self.steady_model();
                self.blocks
                    .answered(transfer, reply, model.as_deref(), &mut *self.records);
            }
            (Some(Sent::Block(transfer)), Container::Client(_)) => {
                let block = transfer.block;
                tracing::warn!(%block, "the BNDREPLY to a block of prefixes is about a client");
            }
            (None, _) => {
                self.counters.replies_unasked += 1;
                tracing::debug!(transaction = %id.get(), "a BNDREPLY to nothing that was asked");
            }
        }
    }

    /// Hands over the bindings that came so far.
    fn pass_on(&mut self, connection: ConnectionId, at: AbsTime, run: &mut Run) {
        for (worker, updates) in run.to_workers.iter_mut().enumerate() {
            if !updates.is_empty() {
                let updates = core::mem::take(updates);
                self.mail.send(worker, ToWorker::Updates(updates));
            }
        }
        for (worker, answers) in run.answers.iter_mut().enumerate() {
            if !answers.is_empty() {
                let answers = core::mem::take(answers);
                self.mail.send(worker, ToWorker::Answers(answers));
            }
        }
        if let Some(sent_time) = run.last.take() {
            let updates = core::mem::take(&mut run.updates);
            self.tell(Event::Bindings {
                connection,
                updates,
                sent_time,
                at,
            });
        }
    }

    /// A type that nobody knows is passed over (RFC 9915 §16); what cannot be read ends the
    /// connection: nobody knows what else was meant.
    fn malformed(&mut self, id: ConnectionId, octets: &[u8], error: &MessageError) {
        let relationship = self.name();
        if let MessageError::Type(_) = error {
            tracing::warn!(%relationship, %error, "failover: a message of the partner passed over");
            return;
        }
        let msg_type = octets.first().map_or(MessageType(0), |t| MessageType(*t));
        tracing::error!(%relationship, %msg_type, %error,
            "failover: partner broke the protocol, the connection ends");
        let reason = Reason {
            status: StatusCode::UNSPEC_FAIL,
            text: error.to_string(),
        };
        let mut frame = vec![0; failover::message::FRAME_LEN_MAX];
        let id_of_its_own = TransactionId::new(failover::endpoint::CONTROL_IDS_MAX);
        if let Ok(len) = Message::Disconnect(reason).write(&mut frame, id_of_its_own) {
            frame.truncate(len);
            self.write(id, frame);
        }
        self.lost(id);
    }
}
