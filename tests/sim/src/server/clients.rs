//! What a server does for clients, as a worker does it.

use super::{Held, Running, Server, Thread, record, shard_mut};
use crate::client::Millis;
use crate::message::FromServer;
use crate::mutation::Mutation;
use crate::site;
use core::net::Ipv6Addr;
use engine::{Context, Ingress, InterfaceId, Outcome};
use failover::ServerState;
use lease::{AbsTime, BindingDelta, BindingState, Lease, PartnerTimes};
use wire::MessageType;

/// An answer, as it was decided.
pub struct Decided {
    pub asked: MessageType,
    pub names_server: bool,
    pub state: ServerState,
    pub at: AbsTime,
    pub answer: FromServer,
    /// Whose the leases are: the client's DUID, or what stands for its line.
    pub holder: Vec<u8>,
}

impl Server {
    /// Answers a client's message, at once or when what it says is on disk.
    pub fn take(
        &mut self,
        client: usize,
        link: u16,
        octets: &[u8],
        now: Millis,
    ) -> Option<Decided> {
        let now = self.now(now);
        let running = self.running.as_mut()?;
        let device = &self.params.clients[client];
        let forward = site::relayed(link, client, device.line, octets);
        let ingress = Ingress {
            payload: &forward,
            interface: InterfaceId(0),
            source: Ipv6Addr::from_bits(site::network(link).addr + 1),
            destination: Ipv6Addr::from_bits((0xff05_u128 << 112) + 0x1_0003),
        };
        let parsed = engine::parse(&ingress).expect("a client's message");
        let leeways = [running.leeway];
        let context = Context {
            model: &running.model,
            now: now.wall,
            leeways: &leeways,
        };
        let mut buffer = [0; 1_500];
        let id = parsed.shard(&running.model);
        let subscriber = parsed
            .subscriber(&running.model)
            .expect("each line has a name");
        let holder = match &subscriber {
            Some(key) => key.duid().octets().to_vec(),
            None => device.duid.clone(),
        };
        let shard = shard_mut(&mut running.shards, id);
        let mut ended = Vec::new();
        let disk = &mut self.disk;
        let mut granted = Vec::new();
        let outcome = engine::answer(&context, shard, &parsed, &mut buffer, &mut |delta| {
            record(disk, &running.model, delta);
            match delta {
                BindingDelta::Remove { lease, .. } => ended.push(*lease),
                BindingDelta::Put { record, .. } => granted.push(record.lease),
                BindingDelta::Acked { .. } => {}
            }
        });
        if self.params.mutation == Some(Mutation::SkipReset) {
            skip_reset(running, &granted);
        }
        let asked = parsed.msg_type();
        let names_server = wire::MessageIndex::new(
            &wire::Message::parse(octets, 0, wire::OptionCode(0)).expect("parsed before"),
        )
        .is_ok_and(|index| index.server_id.is_some());
        let state = running.serves_as;
        let worker = self.worker_of(id);
        for lease in ended {
            self.forget(worker, lease, now);
        }
        let Outcome::Reply { len, durable, .. } = outcome else {
            return None;
        };
        let octets = site::delivered(&buffer[..len]).to_vec();
        let answer = FromServer::read(&octets);
        let decided = now.mono;
        let held = Held::ToClient {
            client,
            octets,
            decided,
        };
        match durable {
            true => self.hold(worker, held, now),
            false => self.let_go(0, held, now),
        }
        self.go_on(now);
        Some(Decided {
            asked,
            names_server,
            state,
            at: now.wall,
            answer,
            holder,
        })
    }

    /// Ends leases whose time is up, and frees those that nobody has to hear of.
    pub(super) fn expire(&mut self, now: failover::Now) {
        let Some(running) = &mut self.running else {
            return;
        };
        let leeways = [running.leeway];
        let context = Context {
            model: &running.model,
            now: now.wall,
            leeways: &leeways,
        };
        let mut ended = Vec::new();
        let disk = &mut self.disk;
        let mut emit = |delta: &BindingDelta<'_>| {
            record(disk, &running.model, delta);
            if let BindingDelta::Remove { shard, lease } = delta {
                ended.push((*shard, *lease));
            }
        };
        for shard in &mut running.shards {
            engine::expire(&context, shard, 1_000, &mut emit);
            let mut next = Some(0);
            while let Some(from) = next.filter(|_| running.ticks.is_multiple_of(8)) {
                next = engine::reclaim(&context, shard, (from, 1_000), &mut emit);
            }
        }
        for (shard, lease) in ended {
            self.forget(self.worker_of(shard), lease, now);
        }
    }

    /// Nobody holds the lease any more: back to its pool when that is on disk.
    pub(super) fn forget(&mut self, by: Thread, lease: Lease, now: failover::Now) {
        self.hold(by, Held::Release(lease), now);
    }
}

/// As if what was acknowledged for a lease's last client counted for this one.
fn skip_reset(running: &mut Running, granted: &[Lease]) {
    for lease in granted {
        let Some(kept) = running.kept.get(lease).copied() else {
            continue;
        };
        for shard in &mut running.shards {
            let Some((id, record)) = shard.by_lease(*lease) else {
                continue;
            };
            let state = BindingState {
                partner: PartnerTimes {
                    acked_partner_lifetime: record.partner.acked_partner_lifetime.max(kept),
                    ..record.partner
                },
                ..record.state()
            };
            shard.amend(id, &state);
        }
    }
}
