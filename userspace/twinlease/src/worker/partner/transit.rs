//! Leases that one shard has given up for an update of another one's client, and that no binding
//! holds until that update is received once more.

use crate::partner::exchange::UpdateKey;
use lease::Lease;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wire::ShardId;

/// Those of all workers. Locked only where one of these seldom things happens, and where a worker
/// begins to follow another model: that one must not have the lease free meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Transit(Arc<Mutex<Vec<Given>>>);

#[derive(Clone, Copy, Debug)]
struct Given {
    update: UpdateKey,
    worker: usize,
    shard: ShardId,
    lease: Lease,
}

impl Transit {
    /// A worker's shard has given up a lease for an update.
    pub fn give(&self, update: UpdateKey, worker: usize, shard: ShardId, lease: Lease) {
        self.lock().push(Given {
            update,
            worker,
            shard,
            lease,
        });
    }

    /// The update has been received.
    pub fn arrive(&self, update: UpdateKey) {
        self.lock().retain(|given| given.update != update);
    }

    /// What a worker has given up and is on its way.
    pub fn given_by(&self, worker: usize) -> Vec<(ShardId, Lease)> {
        let all = self.lock();
        let own = all.iter().filter(|given| given.worker == worker);
        own.map(|given| (given.shard, given.lease)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Given>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
