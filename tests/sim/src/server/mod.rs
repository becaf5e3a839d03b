//! One of the two servers: the real shards, pools, engine and endpoint, and a disk that may crash.
//!
//! `clients` answers clients and ends leases, `partner` carries out what the endpoint says,
//! `updates` exchanges binding updates, `blocks` the ownership of prefixes.

mod blocks;
pub mod clients;
mod partner;
mod places;
mod updates;

use crate::client::Millis;
use crate::disk::{Disk, Ticket};
use crate::mutation::Mutation;
use crate::params::Params;
use crate::rng::Rng;
use crate::site::{BY_LINE, FIRST_ADDRESS, LINK_OF_LINES, link_name, network, prefixes};
use engine::{
    Adopting, Clients, Lifetimes, LinkSpec, Model, ModelBuilder, PoolConfig, Relationship,
};
use failover::balance::Transfer;
use failover::updates::Offer;
use failover::{
    ConnectionId, Effect, Endpoint, EndpointRecord, Monotonic, Now, Round, ServerState, Window,
};
use journal::{ControlDelta, Entry};
use lease::{AbsTime, AllocationKey, BindingDelta, Lease, Leeway, LinkKey, PoolSpec, Role, Shard};
use std::collections::{BTreeMap, VecDeque};
use updates::Yielding;
use wire::{ClientKey, ShardId};

/// Key of the one relationship in the journal.
const RELATIONSHIP: u64 = 1;

/// Something that leaves a server.
#[derive(Debug)]
pub enum Out {
    ToClient {
        client: usize,
        octets: Vec<u8>,
    },
    Dial,
    ToPartner(ConnectionId, Vec<u8>),
    Close(ConnectionId),
    /// For the story.
    Said(String),
    /// The partner has acknowledged a lease until then, for this client.
    Acknowledged(Lease, Vec<u8>, AbsTime),
    /// Nobody holds the lease any more, here: on disk. Until then a crash brings it back with what
    /// was acknowledged, and the partner, which has no answer, keeps it as well.
    Forgotten(Lease),
    /// Something that must not be.
    Broken(String),
}

/// What waits until a part of the journal is durable.
enum Held {
    ToClient {
        client: usize,
        octets: Vec<u8>,
        decided: Monotonic,
    },
    /// A BNDREPLY.
    Answer(ConnectionId, Vec<u8>),
    /// A BNDUPD.
    Update(ConnectionId, Vec<u8>),
    Release(Lease),
}

/// Something that waits, and who looks after it.
struct Waiting {
    ticket: Ticket,
    by: Thread,
    held: Held,
}

/// One of a server's threads: what one of them says stays in its order, what two say does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thread {
    Worker(usize),
    /// What belongs to no shard.
    Control,
}

enum Sent {
    Lease(Offer),
    Block(Transfer),
}

/// A server: what outlives a crash, and what does not.
pub struct Server {
    pub index: usize,
    pub role: Role,
    params: Params,
    pub disk: Disk,
    /// Its clock is ahead of the true time by this many seconds.
    pub ahead_secs: i64,
    pub running: Option<Running>,
    /// Whether its config has the reservations.
    pub reserves: bool,
    rng: Rng,
    /// Counts its starts.
    pub generation: u64,
    pub out: Vec<Out>,
}

/// A server that runs.
pub struct Running {
    pub model: Model,
    /// What is reserved.
    pub reserved: Vec<Lease>,
    pub shards: Vec<Shard>,
    pub endpoint: Endpoint,
    pub leeway: Leeway,
    /// The state that the leeway is of.
    pub serves_as: ServerState,
    /// Effects to be carried out, each with the endpoint's state at the time.
    effects: VecDeque<(Effect, ServerState)>,
    /// What stands behind a stored record waits for it.
    blocked: Option<Ticket>,
    held: VecDeque<Waiting>,
    window: Option<(ConnectionId, Window<Sent>)>,
    round: Option<Round>,
    /// Blocks to be told to the partner, each when its record is durable.
    transfers: VecDeque<(Ticket, Transfer)>,
    blocks_out: usize,
    /// Blocks that the partner has not wholly taken over, to be told once more.
    again: Vec<Transfer>,
    inbound: VecDeque<(ConnectionId, Vec<u8>)>,
    yielding: Option<Yielding>,
    ticks: u64,
    /// Acknowledged times of ended leases, for [`Mutation::SkipReset`].
    kept: BTreeMap<Lease, AbsTime>,
}

pub fn duid_of(index: usize) -> [u8; 4] {
    [0, 3, 0, 1 + index as u8]
}

impl Server {
    pub fn new(index: usize, params: &Params, rng: Rng) -> Self {
        Self {
            index,
            role: [Role::Primary, Role::Secondary][index],
            params: params.clone(),
            disk: Disk::default(),
            ahead_secs: 0,
            running: None,
            reserves: params.reserves_at_once,
            rng,
            generation: 0,
            out: Vec::new(),
        }
    }

    pub fn wall(&self, now: Millis) -> AbsTime {
        let secs = 800_000_000 + (now / 1_000) as i64 + self.ahead_secs;
        AbsTime(secs as u32)
    }

    fn now(&self, now: Millis) -> Now {
        Now {
            mono: Monotonic(now),
            wall: self.wall(now),
        }
    }

    /// Starts with what is on disk: as the program recovers.
    ///
    /// # Errors
    /// The disk holds what it cannot hold.
    pub fn start(&mut self, now: Millis) -> Result<(), String> {
        let model = self.params.model(self.index, self.role, self.reserves);
        let mut shards = self.params.shards();
        let mut stored = None;
        let mut ownership = Vec::new();
        let mut at = 0;
        while at < self.disk.log().len() {
            let (entry, len) =
                Entry::decode(&self.disk.log()[at..]).map_err(|error| error.to_string())?;
            at += len;
            match entry {
                Entry::Binding(delta) => {
                    engine::restore(shard_mut(&mut shards, delta.shard()), &delta)
                }
                Entry::Control(ControlDelta::Relationship { state, .. }) => {
                    stored =
                        Some(EndpointRecord::decode(state).map_err(|error| error.to_string())?);
                }
                Entry::Control(ControlDelta::Ownership { block, backup }) => {
                    ownership.push((block, backup));
                }
            }
        }
        shards.iter_mut().for_each(Shard::presume_sent);
        let mut conflicting = Vec::new();
        for which in [Adopting::Foreign, Adopting::Own] {
            for shard in &mut shards {
                engine::adopt(&model, shard, which, &mut |delta| {
                    conflicting.push(format!("{delta:?}"));
                });
            }
        }
        if !conflicting.is_empty() {
            return Err(format!(
                "two bindings of one lease in the journal: {conflicting:?}"
            ));
        }
        for (block, backup) in ownership {
            let side = if backup {
                Role::Secondary
            } else {
                Role::Primary
            };
            for served in model.pools() {
                served.pool().restore_block(block, side);
            }
        }
        let config = self.params.config(self.role, &model);
        let now = self.now(now);
        let endpoint = Endpoint::new(config, stored, now).map_err(|error| error.to_string())?;
        self.generation += 1;
        let reserved = self.params.reserved.iter().filter(|_| self.reserves);
        let reserved = reserved.map(|reserved| reserved.lease);
        self.running = Some(Running {
            reserved: reserved.collect(),
            model,
            shards,
            leeway: Leeway::startup(self.role, self.params.mclt_secs),
            serves_as: endpoint.state(),
            endpoint,
            effects: VecDeque::new(),
            blocked: None,
            held: VecDeque::new(),
            window: None,
            round: None,
            transfers: VecDeque::new(),
            blocks_out: 0,
            again: Vec::new(),
            inbound: VecDeque::new(),
            yielding: None,
            ticks: 0,
            kept: BTreeMap::new(),
        });
        self.tell_endpoint(failover::Event::Tick, now);
        Ok(())
    }

    /// Stops at once, wherever it is.
    ///
    /// # Errors
    /// The disk lost what was acknowledged.
    pub fn crash(&mut self, rng: &mut Rng) -> Result<(), String> {
        self.running = None;
        self.out.clear();
        self.disk.crash(rng)
    }

    /// A write has ended: what waited for it happens.
    pub fn written(&mut self, now: Millis) {
        self.disk.end_write();
        let now = self.now(now);
        self.carry_out(now);
        // Who does not look now does so later.
        let looks: Vec<bool> = (0..self.params.workers)
            .map(|_| self.rng.chance(700))
            .collect();
        self.let_go_due(&looks, now);
        self.go_on(now);
    }

    /// What is durable happens, as far as the worker looks that it waits for.
    fn let_go_due(&mut self, looks: &[bool], now: Now) {
        let durable = self.disk.durable();
        let is_due = |waiting: &Waiting| {
            waiting.ticket <= durable
                && match waiting.by {
                    Thread::Worker(worker) => looks[worker],
                    Thread::Control => true,
                }
        };
        while let Some(running) = &mut self.running
            && let Some(first) = running.held.iter().position(is_due)
            && let Some(Waiting { ticket, held, .. }) = running.held.remove(first)
        {
            self.let_go(ticket, held, now);
        }
    }

    fn let_go(&mut self, ticket: Ticket, held: Held, now: Now) {
        let Some(running) = &mut self.running else {
            return;
        };
        match held {
            Held::ToClient { decided, .. }
                if now.mono >= decided.plus_secs(engine::failover::REPLY_HELD_SECS_MAX) => {}
            Held::ToClient { client, octets, .. } => {
                self.disk.tell(ticket);
                self.out.push(Out::ToClient { client, octets });
            }
            Held::Answer(connection, octets) | Held::Update(connection, octets) => {
                self.disk.tell(ticket);
                self.send_frame(connection, octets, now);
            }
            Held::Release(lease) => {
                running.model.release(lease);
                self.out.push(Out::Forgotten(lease));
            }
        }
    }

    /// Holds something until all that was appended is durable, and what its thread held before has
    /// happened.
    fn hold(&mut self, by: Thread, held: Held, now: Now) {
        let ticket = self.disk.ticket();
        let hurries = match held {
            Held::ToClient { .. } => Some(Mutation::AnswerBeforeCommit),
            Held::Answer(..) => Some(Mutation::AckBeforeStore),
            Held::Update(..) | Held::Release(_) => None,
        };
        let is_hurried = hurries.is_some() && self.params.mutation == hurries;
        let running = self.running.as_ref();
        let is_first = !running.is_some_and(|r| r.held.iter().any(|before| before.by == by));
        if ticket <= self.disk.durable() && is_first || is_hurried {
            self.let_go(ticket, held, now);
        } else if let Some(running) = &mut self.running {
            running.held.push_back(Waiting { ticket, by, held });
        }
    }

    /// Who owns a shard.
    fn worker_of(&self, shard: ShardId) -> Thread {
        let place = self.params.shard_ids.iter().position(|id| *id == shard);
        Thread::Worker(place.unwrap_or(0) % self.params.workers)
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if self.params.story > 0 {
            self.out.push(Out::Said(what()));
        }
    }
}

/// What a server writes down of a change to a lease.
///
/// A delegated prefix that comes back is the primary's, whatever it was: recorded before its end
/// is, so that no crash leaves it without holder and with its old owner.
fn record(disk: &mut Disk, model: &Model, delta: &BindingDelta<'_>) {
    if let BindingDelta::Remove { lease, .. } = delta
        && model
            .pool_of(*lease)
            .is_some_and(|p| p.pool().side().is_some())
    {
        disk.append(&Entry::Control(ControlDelta::Ownership {
            block: *lease,
            backup: false,
        }));
    }
    disk.append(&Entry::Binding(*delta));
}

fn shard_mut(shards: &mut [Shard], id: ShardId) -> &mut Shard {
    let mut found = shards.iter_mut();
    found
        .find(|shard| shard.id() == id)
        .expect("clients are of the simulated shards only")
}

impl Running {
    /// Whether a lease that nobody holds is on its way back to its pool.
    fn comes_back(&self, lease: Lease) -> bool {
        let mut held = self.held.iter().map(|waiting| &waiting.held);
        held.any(|held| matches!(held, Held::Release(other) if *other == lease))
    }
}

impl Params {
    /// The shards that the clients are of.
    fn shards(&self) -> Vec<Shard> {
        self.shard_ids.iter().map(|id| Shard::new(*id, 7)).collect()
    }

    fn model(&self, index: usize, role: Role, reserves: bool) -> Model {
        let link = |number: u16| {
            let (addresses, prefixes) = self.pools(number);
            LinkSpec {
                name: link_name(number),
                link_addresses: vec![network(number)],
                clients: Clients {
                    key: self.client_key(number),
                    subscriber_ias: 1,
                    takeover_after_secs: 10,
                },
                lifetimes: Some(Lifetimes {
                    preferred_secs: self.valid_secs * 3 / 4,
                    valid_secs: self.valid_secs,
                }),
                pools: vec![PoolConfig::new(addresses), PoolConfig::new(prefixes)],
                relationship: Some(Relationship {
                    index: 0,
                    role,
                    mclt_secs: self.mclt_secs,
                }),
                ..LinkSpec::default()
            }
        };
        ModelBuilder::new(&duid_of(index), AllocationKey::new([3; 16]))
            .quarantine_secs(self.quarantine_secs)
            .reservations(self.reservations(reserves))
            .link(link(0))
            .link(link(1))
            .build()
            .expect("a model")
    }

    /// How a link tells its clients apart.
    pub fn client_key(&self, link: u16) -> ClientKey {
        match self.by_line && link == LINK_OF_LINES {
            true => BY_LINE,
            false => ClientKey::Duid,
        }
    }

    /// The addresses and the prefixes of a link.
    pub fn pools(&self, link: u16) -> (PoolSpec, PoolSpec) {
        let base = network(link).addr;
        let ip = |n: u64| core::net::Ipv6Addr::from_bits(base + FIRST_ADDRESS + u128::from(n));
        let addresses = PoolSpec::addresses(ip(0), ip(self.addresses - 1));
        let prefixes = Lease {
            addr: prefixes(link),
            len: 64 - self.prefix_bits,
        };
        (
            addresses.expect("a range"),
            PoolSpec::prefixes(prefixes, 64).expect("a pool"),
        )
    }

    fn config(&self, role: Role, model: &Model) -> failover::Config {
        let mut digest = failover::ConfigDigest::default();
        for (number, link) in (0..).zip(model.links()) {
            let key: LinkKey = link.key();
            digest.add_link(key, link.client_key());
            let (addresses, prefixes) = self.pools(number);
            digest.add_pool(key, &addresses);
            digest.add_pool(key, &prefixes);
        }
        failover::Config {
            name: "pair".into(),
            role,
            mclt_secs: self.mclt_secs,
            keepalive_secs: self.keepalive_secs,
            max_unacked: self.max_unacked,
            startup_secs: self.startup_secs,
            auto_partner_down_secs: self.auto_partner_down_secs,
            serve_without_partner: false,
            connect_retry_secs: 3,
            longest_valid_secs: self.valid_secs,
            digest,
        }
    }
}
