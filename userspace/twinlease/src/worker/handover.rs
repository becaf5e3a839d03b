//! A worker's part in a change of the model: see [`engine::Handover`].

use super::desk::Desk;
use super::gate::Gate;
use engine::{Handover, Model};
use lease::{BindingDelta, Lease, Shard};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use wire::ShardId;

/// Places looked at in one turn: some microseconds.
const SLICE: usize = 64;

/// Asks a worker to fill the new pools of `next` with what its shards hold.
pub struct BeginHandover {
    /// A successor of the model in use.
    pub next: Arc<Model>,
    /// Told when the walk is through; dropped if the handover is given up.
    pub walked: oneshot::Sender<()>,
}

/// Asks a worker whose walk is through to decide by the new model from now on, if all others do.
pub struct Switch {
    /// Where the workers meet.
    pub gate: Arc<Gate>,
    /// How long one waits there for the others.
    pub patience: Duration,
    /// Takes whether the model was changed.
    pub switched: oneshot::Sender<bool>,
}

/// How far a worker's handover has come.
pub struct HandoverWalk {
    handover: Handover,
    shard: usize,
    cursor: u32,
    walked: Option<oneshot::Sender<()>>,
}

impl HandoverWalk {
    /// A change by the model in use. Of what ended the caller says how it is given back.
    pub fn note(&mut self, delta: &BindingDelta<'_>) {
        match delta {
            BindingDelta::Remove { shard, lease } => self.handover.hold(*shard, *lease),
            _ => self.handover.note(delta),
        }
    }

    /// A lease that is given back when its end is committed.
    pub fn hold_ended(&mut self, shard: ShardId, lease: Lease) {
        self.handover.hold_ended(shard, lease);
    }

    /// The model that is to be served next.
    pub fn next(&self) -> &Model {
        self.handover.next()
    }

    /// A lease whose end in this shard is committed.
    pub fn release_ended(&mut self, shard: &Shard, lease: Lease) {
        self.handover.release_ended(shard, lease);
    }

    /// A lease that is kept for the partner no more.
    pub fn release(&mut self, lease: Lease) {
        self.handover.release(lease);
    }
}

impl Desk {
    /// Begins a handover; one that was under way is given up.
    pub fn begin_handover(&mut self, begin: BeginHandover) {
        let no_walk = begin.next.needs_no_walk();
        let mut handover = Handover::new(begin.next);
        for (shard, lease) in self.held.positions() {
            handover.hold_ended(shard, lease);
        }
        for (shard, lease) in self.partner.kept(self.index) {
            handover.hold(shard, lease);
        }
        self.handover = Some(Box::new(HandoverWalk {
            handover,
            shard: if no_walk {
                self.shards.owned().len()
            } else {
                0
            },
            cursor: 0,
            walked: Some(begin.walked),
        }));
    }

    /// Walks the next slice of bindings, if a handover is under way; the work it was.
    pub fn continue_handover(&mut self) -> usize {
        let Some(walk) = &mut self.handover else {
            return 0;
        };
        let Some(id) = self.shards.owned().get(walk.shard).copied() else {
            return match walk.walked.take() {
                // Nobody waits if the server stops.
                Some(walked) => usize::from(walked.send(()).is_ok()),
                None => 0,
            };
        };
        let shard = self.shards.get(id).expect("an owned shard is here");
        match walk.handover.walk(shard, walk.cursor, SLICE) {
            Some(cursor) => walk.cursor = cursor,
            None => (walk.shard, walk.cursor) = (walk.shard + 1, 0),
        }
        1
    }

    /// Changes the model between two decisions, together with all other workers or not at all.
    pub fn switch(&mut self, switch: Switch) {
        let is_ready = |walk: &HandoverWalk| {
            walk.walked.is_none() && walk.handover.is_settled(|id| self.shards.get(id))
        };
        let ready = self.handover.as_deref().is_some_and(is_ready);
        let passed = ready && switch.gate.pass(switch.patience);
        if passed && let Some(walk) = self.handover.take() {
            self.model = Arc::clone(walk.handover.next());
        }
        let _ = switch.switched.send(passed);
    }
}
