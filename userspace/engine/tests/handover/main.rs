//! Models that follow one another while two workers answer: whatever happens in whichever order, no
//! two bindings share an address, nothing is given before its end is committed, and in the end
//! every pool is empty.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use core::net::Ipv6Addr;
use engine::{
    Context, Handover, Ingress, InterfaceId, Lifetimes, LinkSpec, Model, ModelBuilder, Outcome,
    PoolConfig, ReservationKey, ReservationTable, ReservationTerms, answer, expire, parse,
};
use lease::{AbsTime, AllocationKey, BindingDelta, Lease, Lengths, PoolSpec, Shard};
use proptest::prelude::*;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use wire::{SHARDS, ShardId};

mod threads;

const SERVER: [u8; 4] = [0, 3, 0, 1];
const CLIENTS: u8 = 8;
const WORKERS: usize = 2;
const MODELS: usize = 10;
const KEY: [u8; 16] = [3; 16];

/// The prefix length that each client asks for (RFC 8168), or none.
const HINTS: [u8; CLIENTS as usize] = [0, 49, 50, 51, 52, 54, 0, 0];

/// The link-layer address of every client's DUID.
const SHARED: [u8; 6] = [2, 0, 0, 0, 0, 7];
/// Whose a lease is that is reserved by that address: of whoever asks first.
const ANYBODY: u8 = u8::MAX;

/// A DUID-LLT.
fn duid(client: u8) -> [u8; 14] {
    let [a, b, c, d, e, f] = SHARED;
    [0, 1, 0, 1, 0, 0, 0, client, a, b, c, d, e, f]
}

fn lease(text: &str, len: u8) -> Lease {
    Lease {
        addr: text.parse::<Ipv6Addr>().unwrap().to_bits(),
        len,
    }
}

fn addresses(first: &str, last: &str) -> PoolConfig {
    PoolConfig::new(PoolSpec::addresses(first.parse().unwrap(), last.parse().unwrap()).unwrap())
}

fn prefixes(text: &str, len: u8, delegated: u8) -> PoolConfig {
    PoolConfig::new(PoolSpec::prefixes(lease(text, len), delegated).unwrap())
}

/// Of the shortest to the longest of these lengths; the second is the default.
fn between(text: &str, len: u8, [shortest, default, longest]: [u8; 3]) -> PoolConfig {
    let lengths = Lengths { shortest, default };
    PoolConfig::new(PoolSpec::prefixes_between(lease(text, len), lengths, longest).unwrap())
}

/// A client's lease.
fn own(client: u8, text: &str, len: u8) -> (u8, Lease) {
    (client, lease(text, len))
}

fn reserved(leases: &[(u8, Lease)]) -> Arc<ReservationTable> {
    let mut table = ReservationTable::builder();
    for (client, lease) in leases {
        let duid = duid(*client);
        let key = match *client {
            ANYBODY => ReservationKey::LinkLayerAddress(&SHARED),
            _ => ReservationKey::Duid(&duid),
        };
        table
            .push(0, "access", key, *lease, &ReservationTerms::NONE)
            .unwrap();
    }
    Arc::new(table.finish(1).unwrap())
}

/// Ranges that stay, move, are cut anew, go, and come back with other kinds of leases.
fn builder(number: usize) -> ModelBuilder {
    let low = || addresses("2001:db8:1::4", "2001:db8:1::b");
    let (pools, reservations) = match number {
        0 => (vec![low(), prefixes("2001:db8:8000::", 48, 51)], vec![]),
        1 => (vec![low(), prefixes("2001:db8:8000::", 48, 52)], vec![]),
        2 => (
            vec![
                addresses("2001:db8:1::8", "2001:db8:1::13"),
                prefixes("2001:db8:8000::", 48, 51),
            ],
            vec![
                own(0, "2001:db8:8000:4000::", 51),
                own(ANYBODY, "2001:db8:1::b", 128),
            ],
        ),
        3 => (vec![low()], vec![]),
        4 => (
            vec![low(), prefixes("2001:db8:8000::", 47, 50)],
            vec![
                own(1, "2001:db8:1::6", 128),
                own(ANYBODY, "2001:db8:8000:8000::", 50),
            ],
        ),
        5 => (vec![low(), prefixes("2001:db8:8000::", 33, 64)], vec![]),
        6 => (
            vec![addresses("2001:db8:8000::1000", "2001:db8:8000::1007")],
            vec![],
        ),
        7 => (
            vec![low(), between("2001:db8:8000::", 48, [49, 51, 52])],
            vec![
                own(0, "2001:db8:8000:4000::", 51),
                own(ANYBODY, "2001:db8:8000:9000::", 52),
            ],
        ),
        8 => (
            vec![low(), between("2001:db8:8000::", 47, [50, 50, 54])],
            vec![own(ANYBODY, "2001:db8:8000:8400::", 54)],
        ),
        _ => (
            vec![low(), prefixes("2001:db8:8000::", 48, 51)],
            vec![
                own(ANYBODY, "2001:db8:8000:a000::", 51),
                own(ANYBODY, "2001:db8:1::7", 128),
                own(2, "2001:db8:1::6", 128),
                own(3, "2001:db8:1::b", 128),
            ],
        ),
    };
    let link = LinkSpec {
        name: "access".to_owned(),
        interface: Some(InterfaceId(0)),
        pools,
        ..LinkSpec::default()
    };
    ModelBuilder::new(&SERVER, AllocationKey::new(KEY))
        .lifetimes(Lifetimes {
            preferred_secs: 100,
            valid_secs: 200,
        })
        .quarantine_secs(50)
        .bind_on_renew(true)
        .link(link)
        .reservations(reserved(&reservations))
}

#[derive(Clone, Debug)]
enum Step {
    /// A client sends a message of this type with an IA_NA, an IA_PD or both, naming what it has.
    Message(u8, u8, bool, bool),
    /// The records of a worker are committed.
    Commit(usize),
    /// A reload begins, unless one is under way.
    Reload(usize),
    /// A worker walks some of its bindings.
    Walk(usize, usize),
    /// All workers switch, if all walks are through.
    Switch,
    /// Time passes and leases end.
    Pause(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let types = prop::sample::select(vec![1_u8, 3, 3, 3, 5, 6, 8, 8, 9]);
    prop_oneof![
        12 => (0..CLIENTS, types, any::<bool>(), any::<bool>())
            .prop_map(|(client, msg_type, na, pd)| Step::Message(client, msg_type, na, pd)),
        3 => (0..WORKERS).prop_map(Step::Commit),
        2 => (0..MODELS).prop_map(Step::Reload),
        6 => (0..WORKERS, 1_usize..200).prop_map(|(worker, slices)| Step::Walk(worker, slices)),
        2 => Just(Step::Switch),
        1 => (1_u32..150).prop_map(Step::Pause),
    ]
}

struct Worker {
    model: Arc<Model>,
    shards: Vec<Shard>,
    pending: VecDeque<(ShardId, Lease)>,
    handover: Option<(Handover, usize, u32)>,
}

impl Worker {
    fn new(index: usize, model: &Arc<Model>) -> Self {
        Self {
            model: Arc::clone(model),
            shards: (0..SHARDS)
                .filter(|id| id % WORKERS == index)
                .map(|id| Shard::new(ShardId(id as u8), 5))
                .collect(),
            pending: VecDeque::new(),
            handover: None,
        }
    }

    /// What the server's workers do with every change.
    fn record(
        pending: &mut VecDeque<(ShardId, Lease)>,
        handover: &mut Option<(Handover, usize, u32)>,
        delta: &BindingDelta<'_>,
    ) {
        if let Some((handover, ..)) = handover {
            handover.note(delta);
        }
        if let BindingDelta::Remove { shard, lease } = delta {
            pending.push_back((*shard, *lease));
        }
    }

    fn commit(&mut self) {
        while let Some((id, lease)) = self.pending.pop_front() {
            if let Some((handover, ..)) = &mut self.handover {
                let shard = self.shards.iter().find(|shard| shard.id() == id);
                handover.release_ended(shard.unwrap(), lease);
            }
            self.model.release(lease);
        }
    }

    fn begin(&mut self, next: &Arc<Model>) {
        let mut handover = Handover::new(Arc::clone(next));
        for (shard, lease) in &self.pending {
            handover.hold_ended(*shard, *lease);
        }
        self.handover = Some((handover, 0, 0));
    }

    fn walk(&mut self, slices: usize) {
        let Some((handover, at, from)) = &mut self.handover else {
            return;
        };
        for _ in 0..slices {
            let Some(shard) = self.shards.get(*at) else {
                return;
            };
            match handover.walk(shard, *from, 1) {
                Some(next) => *from = next,
                None => (*at, *from) = (*at + 1, 0),
            }
        }
    }

    fn is_ready(&self) -> bool {
        let shard = |id| self.shards.iter().find(|shard| shard.id() == id);
        let is_ready = |(handover, at, _): &(Handover, usize, u32)| {
            *at == self.shards.len() && handover.is_settled(shard)
        };
        self.handover.as_ref().is_some_and(is_ready)
    }
}

struct Server {
    workers: Vec<Worker>,
    now: AbsTime,
}

impl Server {
    fn new() -> Self {
        let model = Arc::new(builder(0).build().unwrap());
        let workers = (0..WORKERS).map(|index| Worker::new(index, &model));
        Self {
            workers: workers.collect(),
            now: AbsTime(1_000),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Message(client, msg_type, na, pd) => self.message(client, msg_type, na, pd),
            Step::Commit(worker) => self.workers[worker].commit(),
            Step::Reload(number) if self.workers[0].handover.is_none() => {
                let before = &self.workers[0].model;
                let next = Arc::new(builder(number).build_successor(before).unwrap());
                self.workers.iter_mut().for_each(|w| w.begin(&next));
            }
            Step::Reload(_) => {}
            Step::Walk(worker, slices) => self.workers[worker].walk(slices),
            Step::Switch => self.switch(),
            Step::Pause(secs) => {
                self.now = AbsTime(self.now.0 + secs);
                self.expire();
            }
        }
    }

    fn switch(&mut self) {
        if !self.workers.iter().all(Worker::is_ready) {
            return;
        }
        for worker in &mut self.workers {
            let (handover, ..) = worker.handover.take().unwrap();
            worker.model = Arc::clone(handover.next());
        }
    }

    fn expire(&mut self) {
        for worker in &mut self.workers {
            let (pending, handover) = (&mut worker.pending, &mut worker.handover);
            let context = Context::alone(&worker.model, self.now);
            for shard in &mut worker.shards {
                expire(&context, shard, usize::MAX, &mut |delta| {
                    Worker::record(pending, handover, delta);
                });
            }
        }
    }

    fn message(&mut self, client: u8, msg_type: u8, na: bool, pd: bool) {
        let duid = duid(client);
        let payload = octets(&self.bindings(), &duid, msg_type, na, pd);
        let ingress = Ingress {
            payload: &payload,
            interface: InterfaceId(0),
            source: "fe80::1".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        };
        let parsed = parse(&ingress).unwrap();
        let id = parsed.shard(&self.workers[0].model);
        let worker = &mut self.workers[usize::from(id.0) % WORKERS];
        let shard = worker.shards.iter_mut().find(|shard| shard.id() == id);
        let context = Context {
            model: &worker.model,
            now: self.now,
            leeways: &[],
        };
        let (pending, handover) = (&mut worker.pending, &mut worker.handover);
        let outcome = answer(
            &context,
            shard.unwrap(),
            &parsed,
            &mut [0; 1400],
            &mut |delta| Worker::record(pending, handover, delta),
        );
        assert!(matches!(outcome, Outcome::Reply { .. } | Outcome::Drop(_)));
    }

    fn bindings(&self) -> Held {
        bindings_of(self.workers.iter().flat_map(|worker| &worker.shards))
    }

    /// Nothing that is bound, or whose end is not committed yet, overlaps anything else.
    fn check(&self) {
        let pending = self.workers.iter().flat_map(|worker| &worker.pending);
        let bindings = self.bindings();
        let leases: HashSet<Lease> = bindings.iter().map(|(_, lease)| *lease).collect();
        assert_eq!(leases.len(), bindings.len(), "{bindings:x?}");
        let mut spans: Vec<(u128, u128)> = bindings
            .into_iter()
            .map(|(_, lease)| lease)
            .chain(pending.map(|(_, lease)| *lease))
            .map(|lease| {
                let host = u128::MAX.checked_shr(u32::from(lease.len)).unwrap_or(0);
                (lease.addr, lease.addr | host)
            })
            .collect();
        // A client may get back what it gave back before that is committed: it is its own.
        spans.sort_unstable();
        spans.dedup();
        for pair in spans.windows(2) {
            assert!(pair[0].1 < pair[1].0, "{:x?} twice", pair[1]);
        }
    }

    /// Ends everything; what is still taken then was lost.
    fn drain(&mut self) {
        for worker in &mut self.workers {
            worker.walk(usize::MAX >> 1);
        }
        if self.workers[0].handover.is_some() {
            self.switch();
        }
        self.now = AbsTime(self.now.0 + 1_000);
        self.expire();
        self.workers.iter_mut().for_each(Worker::commit);
        for served in self.workers[0].model.pools() {
            let counts = served.pool().counts();
            assert_eq!(counts.bound, 0, "{:?}", served.pool().spec());
        }
        assert_eq!(self.workers[0].model.reservations_held(), 0);
    }
}

/// Leases with the DUIDs of their holders.
type Held = Vec<(Vec<u8>, Lease)>;

fn bindings_of<'s>(shards: impl IntoIterator<Item = &'s Shard>) -> Held {
    let shards = shards.into_iter();
    let records = shards.flat_map(|shard| shard.walk(0, usize::MAX).1);
    records
        .map(|record| (record.duid.octets().to_vec(), record.lease))
        .collect()
}

/// A message with the leases that the client has.
fn octets(held: &Held, duid: &[u8], msg_type: u8, na: bool, pd: bool) -> Vec<u8> {
    let mut out = vec![msg_type, 1, 2, 3];
    option(&mut out, 1, duid);
    if [3, 5, 8, 9].contains(&msg_type) {
        option(&mut out, 2, &SERVER);
    }
    for (wanted, code, len) in [(na, 3, 128), (pd, 25, 0)] {
        if !wanted {
            continue;
        }
        let mut ia = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        for (holder, lease) in held {
            if holder != duid || (lease.len == 128) != (len == 128) {
                continue;
            }
            let addr = lease.addr.to_be_bytes();
            match len {
                128 => option(&mut ia, 5, &[&addr[..], &[0; 8]].concat()),
                _ => option(&mut ia, 26, &[&[0; 8][..], &[lease.len], &addr].concat()),
            }
        }
        let hint = HINTS[usize::from(duid[7]) % HINTS.len()];
        if len != 128 && hint != 0 {
            option(&mut ia, 26, &[&[0; 8][..], &[hint], &[0; 16]].concat());
        }
        option(&mut out, code, &ia);
    }
    out
}

fn option(out: &mut Vec<u8>, code: u16, data: &[u8]) {
    out.extend(code.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_lease_is_given_twice_and_none_is_lost(
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut server = Server::new();
        for step in &steps {
            server.take(step);
            server.check();
        }
        server.drain();
    }
}

/// A client may have back what is reserved for it before the record of its Release is on disk; that
/// record must then free nothing in the next model, where it may be reserved no more.
#[test]
fn what_is_bound_again_before_its_end_is_committed_stays_bound_over_a_switch() {
    let mut server = Server::new();
    let to_reserved = [
        Step::Reload(2),
        Step::Walk(0, 200),
        Step::Walk(1, 200),
        Step::Switch,
    ];
    let request = Step::Message(0, 3, false, true);
    let release = Step::Message(0, 8, false, true);
    let commits = [Step::Commit(0), Step::Commit(1)];
    let to_cut_anew = [Step::Reload(4), Step::Walk(0, 200), Step::Walk(1, 200)];
    let twice = [release.clone(), request.clone(), Step::Switch];
    let others = (1..CLIENTS).map(|client| Step::Message(client, 3, false, true));
    let steps = to_reserved
        .into_iter()
        .chain([request])
        .chain(commits.clone());
    let steps = steps.chain(to_cut_anew).chain(twice).chain(commits);
    for step in steps.chain([Step::Switch]).chain(others) {
        server.take(&step);
        server.check();
    }
    assert!(server.workers[0].handover.is_none(), "switched");
    server.drain();
}

#[test]
fn what_is_the_same_is_shared_and_needs_no_walk() {
    let before = builder(0).build().unwrap();
    let same = builder(0).build_successor(&before).unwrap();
    assert!(same.needs_no_walk());
    assert!(builder(3).build_successor(&before).unwrap().needs_no_walk());
    for other in [1, 2, 4, 5, 6, 7] {
        let next = builder(other).build_successor(&before).unwrap();
        assert!(!next.needs_no_walk(), "{other}");
    }
}
