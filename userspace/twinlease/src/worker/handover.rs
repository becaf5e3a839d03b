//! A worker's part in a change of the model: see [`engine::Handover`].

use super::desk::Desk;
use super::gate::Gate;
use engine::{Handover, Model};
use lease::{BindingDelta, Lease, Shard};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

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
    /// A change by the model in use.
    pub fn note(&mut self, delta: &BindingDelta<'_>) {
        self.handover.note(delta);
    }

    /// The model that is to be served next.
    pub fn next(&self) -> &Model {
        self.handover.next()
    }

    /// A lease whose end in this shard is committed, and for which no other waits.
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
        let kept = self.partner.kept(self.index);
        for (shard, lease) in self.held.positions().chain(kept) {
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

    /// Whether nothing that waits for a commit is bound again, or waits twice; see
    /// [`Handover::release_ended`]. If not, the next try finds it committed.
    fn is_settled(&self) -> bool {
        let mut seen = HashSet::new();
        self.held.positions().all(|(id, lease)| {
            let bound = self.shards.get(id).is_some_and(|shard| shard.holds(lease));
            !bound && seen.insert(lease)
        })
    }

    /// Changes the model between two decisions, together with all other workers or not at all.
    pub fn switch(&mut self, switch: Switch) {
        let through = self
            .handover
            .as_ref()
            .is_some_and(|walk| walk.walked.is_none());
        let ready = through && self.is_settled();
        let passed = ready && switch.gate.pass(switch.patience);
        if passed && let Some(walk) = self.handover.take() {
            self.model = Arc::clone(walk.handover.next());
        }
        let _ = switch.switched.send(passed);
    }
}
