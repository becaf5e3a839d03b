//! Where a worker decides: a datagram in, a reply written, held or handed over.

use super::drops::WorkerDrop;
use super::handover::HandoverWalk;
use super::held::{Held, HeldReply};
use super::inbox::{HandedOver, Inbox, Mail};
use super::leeways::LeewaysSeen;
use super::partner::{Partner, UnsentShards};
use super::reclaim::ReclaimWalk;
use super::reconfigure::Awaited;
use super::shards::ShardSet;
use super::trace::Trace;
use crate::control::command::Busy;
use crate::counters::WorkerCounters;
use arrayvec::ArrayVec;
use datapath::{Datagram, ReplyTo, Tx};
use engine::{BATCH_MAX, Batch, Context, DropReason, Ingress, InterfaceId, Model, Outcome, Parsed};
use journal::{Appender, ControlDelta};
use lease::{AbsTime, BindingDelta, Lease, Leeway, Shard};
use std::sync::Arc;
use std::time::Duration;
use wire::{MessageType, SHARDS};

/// Leases ended in one turn, so that a million that expire in one second do not stop the answers.
const EXPIRE_BATCH: usize = 64;

/// Where the answers to a batch of messages go, one way for each.
type Ways<'w> = ArrayVec<&'w ReplyTo, BATCH_MAX>;

/// A worker without its ports.
pub struct Desk {
    /// Which worker this is.
    pub index: usize,
    /// The shards it owns.
    pub shards: ShardSet,
    /// What the config says, as the engine wants it.
    pub model: Arc<Model>,
    /// What each relationship lets it do in this turn.
    pub leeways: Arc<Vec<Leeway>>,
    /// Where that is published.
    pub published: LeewaysSeen,
    /// The walk for leases that are free unnoticed.
    pub reclaim_walk: ReclaimWalk,
    /// Where its records go.
    pub appender: Appender,
    /// Replies and positions that wait for a commit.
    pub held: Held,
    /// Its part in failover.
    pub partner: Partner,
    /// Which worker owns which shard.
    pub owner: Arc<[u8; SHARDS]>,
    /// Every worker's inbox, this one's included.
    pub inboxes: Arc<[Arc<Inbox>]>,
    /// The way to the next model, while it is prepared.
    pub handover: Option<Box<HandoverWalk>>,
    /// Clients that an operator has sent a Reconfigure.
    pub awaited: Awaited,
    /// The last decisions, for `twinlease why`.
    pub trace: Trace,
    /// Read by the control thread.
    pub counters: Arc<WorkerCounters>,
}

impl Desk {
    /// Takes note of what the failover endpoints have published: at the beginning of a turn, so
    /// that all of the turn's decisions follow the same.
    pub fn obey(&mut self) {
        let published = self.published.load();
        if !Arc::ptr_eq(published, &self.leeways) {
            self.leeways = Arc::clone(published);
        }
    }

    /// Answers, hands over or drops each datagram.
    pub fn take(&mut self, tx: &mut Tx, datagrams: &[Datagram<'_>], now: AbsTime) {
        for datagrams in datagrams.chunks(BATCH_MAX) {
            let mut batch = Batch::default();
            let mut ways = Ways::new();
            for datagram in datagrams {
                match datagram.reply_to.is_kernel() {
                    true => self.counters.received_socket.add(1),
                    false => self.counters.received_xdp.add(1),
                }
                let ingress = Ingress {
                    payload: datagram.payload,
                    interface: InterfaceId(datagram.interface.0),
                    source: datagram.source,
                    destination: datagram.destination,
                };
                let parsed = match batch.push(&ingress) {
                    Ok(parsed) => parsed,
                    Err(reason) => {
                        self.trace.dropped(&ingress, None, now, reason.index());
                        self.drop_for(reason);
                        continue;
                    }
                };
                self.counters.received.of(parsed.msg_type().0).add(1);
                match self.owner_of(parsed) {
                    owner if owner == self.index => ways.push(&datagram.reply_to),
                    owner => {
                        batch.pop();
                        self.hand_over(owner, datagram);
                    }
                }
            }
            self.answer_all(tx, &batch, &ways, now);
        }
    }

    /// Answers packets that other workers received, up to [`BATCH_MAX`] of them.
    pub fn take_handed_over(&mut self, tx: &mut Tx, letters: &[Box<HandedOver>], now: AbsTime) {
        let mut batch = Batch::default();
        let mut ways = Ways::new();
        for letter in letters {
            self.counters.handed_in.add(1);
            let ingress = Ingress {
                payload: &letter.payload,
                interface: InterfaceId(letter.interface.0),
                source: letter.source,
                destination: letter.destination,
            };
            let parsed = match batch.push(&ingress) {
                Ok(parsed) => parsed,
                Err(reason) => {
                    self.trace.dropped(&ingress, None, now, reason.index());
                    self.drop_for(reason);
                    continue;
                }
            };
            match self.owner_of(parsed) {
                owner if owner == self.index => ways.push(&letter.reply_to),
                // By the model that is served since it was handed over.
                owner => {
                    batch.pop();
                    self.put_into_inbox(owner, letter.clone());
                }
            }
        }
        self.answer_all(tx, &batch, &ways, now);
    }

    fn answer_all(&mut self, tx: &mut Tx, batch: &Batch<'_>, ways: &Ways<'_>, now: AbsTime) {
        batch.look_ahead(&self.model, |id| self.shards.get(id));
        for (parsed, to) in batch.messages().iter().zip(ways) {
            self.answer(tx, to, parsed, now);
        }
    }

    /// The worker that answers a message.
    fn owner_of(&self, parsed: &Parsed<'_>) -> usize {
        usize::from(self.owner[usize::from(parsed.shard(&self.model).0)])
    }

    fn hand_over(&mut self, owner: usize, datagram: &Datagram<'_>) {
        let letter = HandedOver {
            payload: datagram.payload.into(),
            reply_to: datagram.reply_to,
            interface: datagram.interface,
            source: datagram.source,
            destination: datagram.destination,
        };
        self.put_into_inbox(owner, Box::new(letter));
    }

    fn put_into_inbox(&mut self, owner: usize, letter: Box<HandedOver>) {
        match self.inboxes[owner].put(Mail::HandedOver(letter)) {
            Ok(()) => self.counters.handed_out.add(1),
            Err(Busy) => self.drop_here(WorkerDrop::InboxFull),
        }
    }

    fn answer(&mut self, tx: &mut Tx, to: &ReplyTo, parsed: &Parsed<'_>, now: AbsTime) {
        if leads_to_a_lease(parsed) && self.appender.is_failing() {
            return self.drop_message(parsed, now, WorkerDrop::JournalFailing);
        }
        if parsed.may_change_state() && !self.appender.has_room() {
            return self.drop_message(parsed, now, WorkerDrop::JournalFull);
        }
        let Some(mut reply) = tx.reserve(to) else {
            return self.drop_message(parsed, now, WorkerDrop::NoTxFrame);
        };
        let (shards, context, mut recorder) = self.deciding(now);
        let outcome = engine::answer(
            &context,
            shards.get_mut(parsed.shard(context.model)),
            parsed,
            tx.payload_mut(&mut reply),
            &mut |delta| recorder.record(delta),
        );
        if let Outcome::Reply { len, .. } = outcome {
            self.trace
                .answered(parsed, now, &tx.payload_mut(&mut reply)[..len]);
            if !self.awaited.is_empty() && self.awaited.note(parsed) {
                self.counters.reconfigured.add(1);
            }
        }
        match outcome {
            Outcome::Reply {
                len,
                durable: true,
                kind,
            } => self.held.hold(HeldReply {
                ticket: self.appender.ticket(),
                reply,
                len,
                decided: now,
                msg_type: kind,
            }),
            Outcome::Reply {
                len,
                durable: false,
                kind,
            } => {
                tx.send(reply, len);
                self.counters.replies.of(kind.0).add(1);
            }
            Outcome::Drop(reason) => {
                tx.discard(reply);
                self.trace
                    .dropped(parsed.ingress(), Some(parsed), now, reason.index());
                self.drop_for(reason);
            }
        }
    }

    /// Sends the replies and frees the positions whose records are durable; how many. A reply that
    /// had to wait too long for that is dropped.
    pub fn deliver_committed(&mut self, tx: &mut Tx, now: AbsTime) -> usize {
        let committed = self.appender.committed();
        let mut delivered = 0;
        while let Some(held) = self.held.next_reply(committed) {
            delivered += 1;
            if now >= held.decided.plus(engine::failover::REPLY_HELD_SECS_MAX) {
                tx.discard(held.reply);
                self.drop_here(WorkerDrop::ReplyTooLate);
                continue;
            }
            tx.send(held.reply, held.len);
            self.counters.replies.of(held.msg_type.0).add(1);
        }
        while let Some((shard, lease)) = self.held.next_position(committed) {
            if let Some(handover) = &mut self.handover {
                handover.release_ended(self.shards.get_mut(shard), lease);
            }
            self.model.release(lease);
            delivered += 1;
        }
        while let Some(answer) = self.held.next_answer(committed) {
            answer();
            delivered += 1;
        }
        self.counters.held.set(self.held.replies() as u64);
        delivered + self.hand_over_to_control()
    }

    /// Ends leases whose time is up, as long as the journal takes their records; how many.
    pub fn expire(&mut self, now: AbsTime) -> usize {
        if !self.appender.has_room() {
            return 0;
        }
        let (shards, context, mut recorder) = self.deciding(now);
        let emit = &mut |delta: &BindingDelta<'_>| recorder.record(delta);
        let ended = shards.expire_due(&context, EXPIRE_BATCH, emit);
        self.counters.expired.add(ended as u64);
        ended
    }

    /// The shards, what is decided about them by, and where changes to them go.
    pub(super) fn deciding(&mut self, now: AbsTime) -> (&mut ShardSet, Context<'_>, Recorder<'_>) {
        let context = Context {
            model: &self.model,
            now,
            leeways: &self.leeways,
        };
        let recorder = Recorder {
            appender: &mut self.appender,
            held: &mut self.held,
            handover: self.handover.as_deref_mut(),
            model: &self.model,
            unsent: &mut self.partner.unsent,
        };
        (&mut self.shards, context, recorder)
    }

    /// The shards, and where changes to them go.
    pub(super) fn recorder(&mut self) -> (&mut ShardSet, Recorder<'_>) {
        let (shards, _, recorder) = self.deciding(AbsTime(0));
        (shards, recorder)
    }

    /// Calls `answer` when everything recorded until now is durable.
    pub fn answer_when_committed(&mut self, answer: impl FnOnce() + Send + 'static) {
        self.held
            .answer_at(self.appender.ticket(), Box::new(answer));
    }

    /// Hands what was recorded since the last call to the journal, if somebody waits for it.
    pub fn submit(&mut self) {
        self.appender.submit();
    }

    /// Hands all that was recorded to the journal.
    pub fn submit_all(&mut self) {
        self.appender.submit_all();
    }

    /// Counts a turn of the loop.
    pub fn count_turn(&self, work: usize, took: Duration) {
        let nanos = took.as_nanos() as u64;
        self.counters.iterations.add(1);
        match work {
            0 => self.counters.idle_ns.add(nanos),
            _ => self.counters.busy_ns.add(nanos),
        }
    }

    /// Publishes how many bindings there are, and how many of them the partner has not
    /// acknowledged.
    pub fn count_bindings(&mut self) {
        self.counters.bindings.set(self.shards.bindings() as u64);
        let of_subscribers = self.shards.all().map(Shard::of_subscribers).sum::<usize>();
        (self.counters.subscriber_bindings).set(of_subscribers as u64);
        (self.counters.client_changes).add(self.shards.take_client_changes());
        self.count_unacked();
    }

    /// Whether records wait for room in the journal, so that [`submit`](Self::submit) has to be
    /// called again soon.
    pub fn is_behind(&self) -> bool {
        !self.appender.has_room() && !self.appender.is_failing()
    }

    /// Whether something that waits for a commit can be delivered now.
    pub fn is_due(&self) -> bool {
        let committed = self.appender.committed();
        self.held.is_due(committed) || self.partner.is_due(committed)
    }

    fn drop_for(&self, reason: DropReason) {
        self.counters.drops.of(reason.index()).add(1);
    }

    fn drop_message(&mut self, parsed: &Parsed<'_>, now: AbsTime, reason: WorkerDrop) {
        self.trace
            .dropped(parsed.ingress(), Some(parsed), now, reason.index());
        self.drop_here(reason);
    }

    fn drop_here(&self, reason: WorkerDrop) {
        self.counters.drops.of(reason.index()).add(1);
    }

    /// Whether a client waits for a commit.
    pub fn holds_replies(&self) -> bool {
        self.held.replies() > 0
    }

    /// Whether a client still waits for a commit, or anything recorded is not on disk.
    pub fn has_uncommitted(&self) -> bool {
        self.held.replies() > 0 || self.appender.committed() < self.appender.ticket()
    }
}

/// Whether the answer would have the client count on a lease that cannot be committed now: an
/// Advertise among them, so that another server gets the client.
fn leads_to_a_lease(parsed: &Parsed<'_>) -> bool {
    parsed.may_change_state() || parsed.msg_type() == MessageType::SOLICIT
}

/// Where every change to a binding goes.
pub(super) struct Recorder<'d> {
    pub(super) appender: &'d mut Appender,
    pub(super) held: &'d mut Held,
    pub(super) handover: Option<&'d mut HandoverWalk>,
    pub(super) model: &'d Model,
    pub(super) unsent: &'d mut UnsentShards,
}

impl Recorder<'_> {
    /// Journals one change. A lease that ended stays out of its pool until that record is durable.
    pub(super) fn record(&mut self, delta: &BindingDelta<'_>) {
        self.record_unfreed(delta);
        if let BindingDelta::Remove { shard, lease } = delta {
            if let Some(handover) = &mut self.handover {
                handover.hold_ended(*shard, *lease);
            }
            self.held
                .keep_from_pool(self.appender.ticket(), *shard, *lease);
        }
    }

    /// As [`record`](Self::record); the caller sees to it that a lease that ended goes back to its
    /// pool.
    pub(super) fn record_unfreed(&mut self, delta: &BindingDelta<'_>) {
        match delta {
            // Lost, it costs one more BNDUPD.
            BindingDelta::Acked { .. } => self.appender.append_lazily(delta),
            _ => self.appender.append(delta),
        }
        if let Some(handover) = &mut self.handover {
            handover.note(delta);
        }
        match delta {
            BindingDelta::Put { shard, record } if record.partner.unacked => {
                self.unsent.insert(*shard);
            }
            BindingDelta::Remove { lease, .. } if self.is_split(*lease) => {
                // A block that the journal says is the secondary's has the prefix in it.
                self.appender.append_control(&ControlDelta::Ownership {
                    block: *lease,
                    backup: false,
                });
            }
            _ => {}
        }
    }

    fn is_split(&self, prefix: Lease) -> bool {
        let next = self.handover.as_ref();
        self.model.is_split(prefix) || next.is_some_and(|next| next.next().is_split(prefix))
    }
}
