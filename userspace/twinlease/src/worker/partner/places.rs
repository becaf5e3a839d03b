//! The model as the updates of one client see it.

use engine::Model;
use failover::updates::Places;
use lease::{Lease, LinkKey};
use wire::{Duid, IaKind, ShardId};

/// See the module. Without a client nothing is taken: the whole update is rejected.
pub(super) struct ClientPlaces<'a> {
    pub(super) model: &'a Model,
    pub(super) duid: Option<Duid<'a>>,
}

impl Places for ClientPlaces<'_> {
    fn link_of(&self, lease: Lease, kind: IaKind) -> Option<LinkKey> {
        self.model.partnered_link_of(lease, kind)
    }

    fn take(&self, shard: ShardId, lease: Lease) -> bool {
        self.duid
            .is_some_and(|duid| self.model.take_for(shard, duid, lease))
    }

    fn is_taken(&self, shard: ShardId, lease: Lease) -> bool {
        self.duid
            .is_some_and(|duid| self.model.is_taken_from(shard, duid, lease))
    }

    fn reconfigure_key(&self, duid: Duid<'_>) -> Option<[u8; 16]> {
        self.model.reconfigure_key(duid)
    }

    fn comes_back_to_the_primary(&self, lease: Lease) -> bool {
        self.model.comes_back_to_the_primary(lease)
    }
}
