//! Where the relationship's leases are, out of the model.

use engine::Model;
use failover::updates::Places;
use lease::{Lease, LinkKey};
use wire::{Duid, IaKind, ShardId};

pub struct InModel<'a> {
    pub model: &'a Model,
    /// The client of the update.
    pub duid: Duid<'a>,
}

impl Places for InModel<'_> {
    fn link_of(&self, lease: Lease, kind: IaKind) -> Option<LinkKey> {
        self.model.partnered_link_of(lease, kind)
    }

    fn take(&self, shard: ShardId, lease: Lease) -> bool {
        self.model.take_for(shard, self.duid, lease)
    }

    fn reconfigure_key(&self, _: wire::Duid<'_>) -> Option<[u8; 16]> {
        None
    }

    fn is_taken(&self, shard: ShardId, lease: Lease) -> bool {
        self.model.is_taken_from(shard, self.duid, lease)
    }

    fn comes_back_to_the_primary(&self, lease: Lease) -> bool {
        self.model.comes_back_to_the_primary(lease)
    }
}
