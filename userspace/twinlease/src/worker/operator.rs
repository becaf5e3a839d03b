//! What the control socket asks a worker to change; answered when that is on disk.

use super::desk::Desk;
use crate::control::command::{EndLease, Ended, ImportLeases, TakeLeases};
use engine::{Context, NotImported};
use lease::{AbsTime, BindingDelta};
use std::sync::Arc;

impl Desk {
    /// Releases or resets a lease, in whichever shard of this worker it is.
    pub fn end_lease(&mut self, order: EndLease, now: AbsTime) {
        let EndLease {
            lease,
            status,
            reply,
        } = order;
        let holder = self.shards.all().find_map(|shard| {
            let (_, record) = shard.by_lease(lease)?;
            Some((shard.id(), record.status))
        });
        let Some((id, found)) = holder else {
            // Nobody waits for it any more, if this fails.
            let _ = reply.send(Ended::NotHere);
            return;
        };
        if found != status {
            let _ = reply.send(Ended::Otherwise(found));
            return;
        }
        if !self.can_change() {
            let _ = reply.send(Ended::Failing);
            return;
        }
        let (model, leeways) = (Arc::clone(&self.model), Arc::clone(&self.leeways));
        let context = Context {
            model: &model,
            now,
            leeways: &leeways,
        };
        let (shards, mut recorder) = self.recorder();
        let shard = shards.get_mut(id);
        engine::end(&context, shard, lease, status, &mut |delta| {
            recorder.record(delta);
        });
        self.answer_when_committed(move || {
            let _ = reply.send(Ended::Done);
        });
    }

    /// Takes leases out of this worker's parts of sparse pools, for clients of other shards.
    pub fn take_leases(&mut self, order: TakeLeases) {
        let taken = order.leases.iter().map(|take| {
            let owner = self.shards.get(take.owner);
            owner.is_some_and(|owner| {
                engine::take_for_import(&self.model, owner, take.client, take.lease)
            })
        });
        let taken = taken.collect();
        if let Err(taken) = order.reply.send(taken) {
            let leases = order.leases.iter().zip(taken);
            for (take, _) in leases.filter(|(_, taken)| *taken) {
                self.model.release(take.lease);
            }
        }
    }

    /// Brings in bindings of this worker's clients. The answer is shorter than the order if the
    /// journal had no room for more.
    pub fn import_leases(&mut self, order: ImportLeases, now: AbsTime) {
        let (model, leeways) = (Arc::clone(&self.model), Arc::clone(&self.leeways));
        let context = Context {
            model: &model,
            now,
            leeways: &leeways,
        };
        let mut outcomes = Vec::with_capacity(order.bindings.len());
        for (binding, taken) in &order.bindings {
            if !self.can_change() {
                break;
            }
            let Some(record) = binding.record() else {
                outcomes.push(Err(NotImported::Status));
                continue;
            };
            let id = record.shard();
            let (shards, mut recorder) = self.recorder();
            let outcome = engine::import(
                &context,
                shards.get_mut(id),
                &record,
                *taken,
                &mut |delta: &BindingDelta<'_>| recorder.record(delta),
            );
            if outcome.is_err() && *taken {
                model.release(record.lease);
            }
            outcomes.push(outcome);
        }
        for (binding, taken) in &order.bindings[outcomes.len()..] {
            if *taken {
                self.model.release(binding.lease);
            }
        }
        let reply = order.reply;
        self.answer_when_committed(move || {
            let _ = reply.send(outcomes);
        });
    }

    /// Whether the journal takes a change now.
    fn can_change(&self) -> bool {
        !self.appender.is_failing() && self.appender.has_room()
    }
}
