//! Whom an order is for: every client once, with the binding that says how it is reached.

use datapath::InterfaceId;
use lease::Lease;
use std::collections::{HashMap, VecDeque};
use std::net::Ipv6Addr;
use wire::{SHARDS, ShardId};

use crate::control::command::{Command, Filter, ListLeases, OwnedBinding, PAGE_MAX, Page};
use crate::control::server::ControlState;
use crate::control::server::answer::ApiError;
use crate::control::server::leases::ask;

/// A client of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) duid: Box<[u8]>,
    pub(super) shard: ShardId,
    /// The lease of the binding that says most.
    pub(super) lease: Lease,
    /// Whether it was given a key.
    pub(super) accepts: bool,
    /// Whether it is known how to reach it.
    pub(super) has_address: bool,
    /// The relay next to this server.
    pub(super) relay: Option<Ipv6Addr>,
    /// The interface by which that is reached, once it has been looked up.
    pub(super) interface: Option<InterfaceId>,
}

/// Walks the shards, one in memory at a time: all bindings of a client are in one.
pub(super) struct Clients<'s> {
    state: &'s ControlState,
    filter: Filter,
    shard: usize,
    found: VecDeque<Found>,
}

impl<'s> Clients<'s> {
    pub(super) fn new(state: &'s ControlState, filter: Filter) -> Self {
        Self {
            state,
            filter,
            shard: 0,
            found: VecDeque::new(),
        }
    }

    /// The next client; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, ApiError> {
        while self.found.is_empty() && self.shard < SHARDS {
            let shard = ShardId(self.shard as u8);
            self.shard += 1;
            self.found = self.clients_of(shard).await?.into();
        }
        Ok(self.found.pop_front())
    }

    async fn clients_of(&self, shard: ShardId) -> Result<Vec<Found>, ApiError> {
        let mut best: HashMap<Box<[u8]>, OwnedBinding> = HashMap::new();
        let mut from = Some(0);
        while let Some(start) = from {
            let list = |reply| {
                Command::ListLeases(ListLeases {
                    shard,
                    from: start,
                    filter: self.filter.clone(),
                    max: PAGE_MAX,
                    reply,
                })
            };
            let page: Page = ask(self.state.workers.of(shard), list).await?;
            for binding in page.bindings {
                match best.get_mut(&binding.duid) {
                    Some(before) if rank(before) >= rank(&binding) => {}
                    Some(before) => *before = binding,
                    None => {
                        best.insert(binding.duid.clone(), binding);
                    }
                }
            }
            from = page.next;
        }
        let mut found: Vec<_> = best.into_values().map(|b| found(shard, b)).collect();
        // The same order at each run, so that an operator finds a client again.
        found.sort_by(|a, b| a.duid.cmp(&b.duid));
        Ok(found)
    }
}

/// Of a client's bindings the one that says how to reach it, and of those the latest.
fn rank(binding: &OwnedBinding) -> (bool, bool, lease::AbsTime) {
    let has_address = !binding.via.is_empty();
    (binding.accepts_reconfigure, has_address, binding.cltt)
}

fn found(shard: ShardId, binding: OwnedBinding) -> Found {
    let address = binding.via.first_chunk::<16>().copied();
    Found {
        shard,
        lease: binding.lease,
        accepts: binding.accepts_reconfigure,
        has_address: address.is_some(),
        relay: address
            .filter(|address| binding.via.len() > address.len())
            .map(Ipv6Addr::from_octets),
        interface: None,
        duid: binding.duid,
    }
}
