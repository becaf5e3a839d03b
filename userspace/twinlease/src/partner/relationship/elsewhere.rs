//! Updates of the partner whose leases other shards hold: all workers are asked to give them up,
//! then the update is received once more.

use crate::partner::exchange::{PartnerUpdate, ToWorker, UpdateKey};
use failover::reconcile::Rejection;
use lease::Lease;
use std::collections::BTreeMap;

use super::mail::Mailroom;

/// An update that waits for what the workers say.
struct Asking {
    /// Whose shard is to receive it.
    worker: usize,
    update: PartnerUpdate,
    leases: Vec<Lease>,
    /// How many workers have not answered.
    left: usize,
}

/// See the module.
#[derive(Default)]
pub struct Elsewhere(BTreeMap<UpdateKey, Asking>);

impl Elsewhere {
    /// A worker cannot decide about an update; the others are asked.
    pub fn ask(
        &mut self,
        worker: usize,
        update: PartnerUpdate,
        leases: Vec<Lease>,
        mail: &mut Mailroom,
    ) {
        mail.send_all(|| ToWorker::Yield(update.clone(), leases.clone()));
        let asking = Asking {
            worker,
            leases,
            left: mail.workers(),
            update,
        };
        self.0.insert(asking.update.key, asking);
    }

    /// What a worker says. When all have spoken the update goes to its worker again, whatever
    /// became of its connection: what was given up for it is nobody's until then.
    pub fn answer(
        &mut self,
        key: UpdateKey,
        given: Vec<Lease>,
        refused: Vec<(Lease, Rejection)>,
        mail: &mut Mailroom,
    ) {
        let Some(asking) = self.0.get_mut(&key) else {
            return;
        };
        asking.update.yielded.extend(given);
        asking.update.refused.extend(refused);
        asking.left = asking.left.saturating_sub(1);
        if asking.left > 0 {
            return;
        }
        let Some(mut asking) = self.0.remove(&key) else {
            return;
        };
        let PartnerUpdate {
            yielded, refused, ..
        } = &mut asking.update;
        for lease in asking.leases {
            // Taken in its pool, and in no shard: its binding has just ended, or is about to begin.
            let is_known = yielded.contains(&lease) || refused.iter().any(|(l, _)| *l == lease);
            if !is_known {
                refused.push((lease, Rejection::Outdated));
            }
        }
        mail.send(asking.worker, ToWorker::Updates(vec![asking.update]));
    }
}
