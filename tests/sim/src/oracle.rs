//! What must be true, judged by what is seen outside of the servers.

use crate::client::{Client, Millis};
use crate::server::{Running, Server};
use crate::server_answers::Decided;
use failover::ServerState;
use lease::{AbsTime, BindingRecord, Lease, Prefixes, Role};
use std::collections::{BTreeMap, BTreeSet};
use wire::MessageType;

#[derive(Debug, Default)]
pub struct Oracle {
    /// What each server was acknowledged for a lease and its client.
    acked: [BTreeMap<(Lease, Vec<u8>), AbsTime>; 2],
    /// Both have served while one held the other to be down: leases may have two holders now.
    pub tainted: bool,
}

impl Oracle {
    pub fn acknowledged(&mut self, server: usize, lease: Lease, duid: Vec<u8>, until: AbsTime) {
        let known = self.acked[server].entry((lease, duid)).or_default();
        *known = (*known).max(until);
    }

    /// The lease is free on this server: nothing acknowledged for it counts any more.
    pub fn forgotten(&mut self, server: usize, lease: Lease) {
        self.acked[server].retain(|(other, _), _| *other != lease);
    }

    /// Whether a state lets a server answer, as RFC 8156 §8 says it (PROTOCOL A.13.5).
    fn may_answer(state: ServerState, role: Role, decided: &Decided) -> bool {
        match state {
            ServerState::Normal if role == Role::Secondary => decided.names_server,
            ServerState::Normal
            | ServerState::CommunicationsInterrupted
            | ServerState::PartnerDown
            | ServerState::ResolutionInterrupted => true,
            ServerState::ConflictDone => role == Role::Primary,
            ServerState::RecoverDone => matches!(
                decided.asked,
                MessageType::RENEW | MessageType::RELEASE | MessageType::DECLINE
            ),
            ServerState::Startup
            | ServerState::Recover
            | ServerState::RecoverWait
            | ServerState::PotentialConflict => false,
        }
    }

    /// An answer that a server gives, before it leaves.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decided(
        &self,
        server: &Server,
        mclt_secs: u32,
        decided: &Decided,
    ) -> Result<(), String> {
        let state = decided.state;
        if !Self::may_answer(state, server.role, decided) {
            let asked = decided.asked;
            return Err(format!(
                "the {:?} answers {asked:?} in {state}",
                server.role
            ));
        }
        if state == ServerState::PartnerDown {
            return Ok(());
        }
        for (lease, _, valid_secs) in &decided.answer.leases {
            let key = (*lease, decided.holder.clone());
            let acked = self.acked[server.index].get(&key).copied();
            let most = decided.at.max(acked.unwrap_or_default()).plus(mclt_secs);
            if decided.at.plus(*valid_secs) > most {
                return Err(format!(
                    "the {:?} promises {lease} for {valid_secs} s at {:?} in {state}; acknowledged \
                     until {acked:?}, MCLT is {mclt_secs} s",
                    server.role, decided.at
                ));
            }
        }
        Ok(())
    }

    /// A client has a lease from now on: nobody else may.
    ///
    /// # Errors
    /// Who else has it.
    pub fn gained(
        &self,
        clients: &[Client],
        who: usize,
        lease: Lease,
        now: Millis,
    ) -> Result<(), String> {
        if self.tainted {
            return Ok(());
        }
        for (other, client) in clients.iter().enumerate() {
            if other == who {
                continue;
            }
            if let Some(until) = client.believes(lease, now) {
                return Err(format!(
                    "{lease} is client {who}'s and client {other}'s, who has it until {until}"
                ));
            }
        }
        Ok(())
    }

    /// No free prefix is both servers' to give.
    ///
    /// # Errors
    /// One that is.
    pub fn owners(&self, servers: &[Server; 2]) -> Result<(), String> {
        let [Some(primary), Some(secondary)] = servers.each_ref().map(|s| s.running.as_ref())
        else {
            return Ok(());
        };
        let gives_own = |running: &Running| {
            let leeway = running.leeway;
            leeway.may_allocate && matches!(leeway.prefixes, Prefixes::Own(_))
        };
        if self.tainted || !gives_own(primary) || !gives_own(secondary) {
            return Ok(());
        }
        let of_primary = free_of(primary, Role::Primary);
        let of_secondary = free_of(secondary, Role::Secondary);
        match of_primary.intersection(&of_secondary).next() {
            Some(lease) => Err(format!("{lease} is free and both servers' own")),
            None => Ok(()),
        }
    }
}

/// The free prefixes that a server counts as a side's.
pub fn free_of(running: &Running, side: Role) -> BTreeSet<Lease> {
    let mut free = BTreeSet::new();
    for served in running.model.pools() {
        let unit_len = served.pool().spec().unit_len;
        for block in served.pool().blocks_of(side) {
            for n in 0..1_u128 << (unit_len - block.len) {
                free.insert(Lease {
                    addr: block.addr + (n << (128 - unit_len)),
                    len: unit_len,
                });
            }
        }
    }
    free
}

/// Why the two servers are not yet as they should be when nothing disturbs them; `None`: they are.
pub fn difference(servers: &[Server; 2]) -> Option<String> {
    let [Some(primary), Some(secondary)] = servers.each_ref().map(|s| s.running.as_ref()) else {
        return Some("a server does not run".into());
    };
    for (role, running) in [("primary", primary), ("secondary", secondary)] {
        let state = running.endpoint.state();
        if state != ServerState::Normal {
            return Some(format!("the {role} is in {state}"));
        }
        for shard in &running.shards {
            let counts = shard.unacked();
            if counts.unsent + counts.in_flight + counts.rejected > 0 {
                return Some(format!("the {role} has {counts:?}"));
            }
        }
    }
    let bindings = |running: &Running| {
        let mut all = BTreeMap::new();
        for shard in &running.shards {
            for record in shard.walk(0, usize::MAX).1 {
                let who = (record.duid.octets().to_vec(), record.iaid.0);
                let what = (record.status as u8, record.expires, record.link.0);
                all.insert(record.lease, (who, what));
            }
        }
        all
    };
    let (here, there) = (bindings(primary), bindings(secondary));
    for lease in here.keys().chain(there.keys()) {
        if here.get(lease) != there.get(lease) {
            let (here, there) = (here.get(lease), there.get(lease));
            return Some(format!("{lease}: primary {here:?}, secondary {there:?}"));
        }
    }
    for side in [Role::Primary, Role::Secondary] {
        let (here, there) = (free_of(primary, side), free_of(secondary, side));
        if here != there {
            let only = |one: &BTreeSet<Lease>, other: &BTreeSet<Lease>| {
                let only: Vec<String> = one.difference(other).map(Lease::to_string).collect();
                only.join(", ")
            };
            return Some(format!(
                "free prefixes of the {side:?}: only the primary says so of [{}], only the \
                 secondary of [{}]",
                only(&here, &there),
                only(&there, &here)
            ));
        }
    }
    for (role, running) in [("primary", primary), ("secondary", secondary)] {
        let model = &running.model;
        let all = || {
            running
                .shards
                .iter()
                .flat_map(|shard| shard.walk(0, usize::MAX).1)
        };
        let drawn = |lease: Lease| {
            let served = model.pool_of(lease);
            served.is_some_and(|served| !served.pool().is_reserved(lease))
        };
        let held = all().filter(|record| drawn(record.lease)).count();
        let pools = model.pools().iter();
        let bound: u128 = pools.map(|served| served.pool().counts().bound).sum();
        if held as u128 != bound {
            return Some(format!("the {role} has {held} bindings, its pools {bound}"));
        }
        let is_counted = |record: &BindingRecord<'_>| {
            let reserved = &running.reserved;
            reserved.contains(&record.lease) && !model.is_uncounted(record)
        };
        let held = all().filter(is_counted).count();
        let counted = model.reservations_held();
        if held != counted {
            return Some(format!(
                "the {role} has {held} reserved leases that others hold, and counts {counted}"
            ));
        }
    }
    None
}
