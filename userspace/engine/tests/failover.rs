//! One server of a pair, under random sequences of messages, acknowledgements, lost connections and
//! states. What it may promise is judged by an oracle that sees messages and acknowledgements
//! only: RFC 8156 §4.4, §4.2, §7.2, §8.4.1.

use core::net::Ipv6Addr;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IAPrefix, Message, MessageType as Type,
};
use dhcproto::{Decodable, Decoder, Encodable};
use engine::{
    Context, DropReason, Ingress, InterfaceId, Lifetimes, LinkSpec, Model, ModelBuilder, Outcome,
    PoolConfig, Relationship, answer, expire, parse, reclaim,
};
use lease::{
    AbsTime, AllocationKey, Answer, Answered, Answers, BindingDelta, BindingStatus, Lease, Leeway,
    LifetimeCap, PoolSpec, Positions, Prefixes, Role, Shard,
};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use wire::{SHARDS, ShardId, shard_of};

const SERVER: [u8; 4] = [0, 3, 0, 1];
const MCLT_SECS: u32 = 600;
const DESIRED_SECS: u32 = 4_000;
const CLIENTS: u8 = 12;

/// A state of the endpoint, as far as workers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Normal,
    Interrupted,
    PartnerDown,
    RecoverDone,
    Recover,
}

#[derive(Clone, Debug)]
enum Step {
    Message(u8, Type),
    Clock(u32),
    Send(usize),
    Answer(usize, bool),
    ConnectionLost,
    Enter(State),
    Reclaim,
}

struct World {
    model: Model,
    shards: Vec<Shard>,
    role: Role,
    state: State,
    now: u32,
    partner_down_since: u32,
    serving_since: u32,
    /// Updates on their way, each with its place, status and partner-lifetime.
    sent: Vec<(ShardId, lease::BindingId, Lease, BindingStatus, u32)>,
    oracle: Oracle,
}

/// What must be true, from what was seen outside.
#[derive(Default)]
struct Oracle {
    /// The expiry that the partner has acknowledged for a lease since it was last free.
    acked: HashMap<Lease, u32>,
    /// The greatest expiry that the partner was told for it.
    told: HashMap<Lease, u32>,
    /// Until when each client believes in a lease.
    believed: HashMap<(u8, Lease), u32>,
    /// Leases whose end was told and not acknowledged.
    ending: HashSet<Lease>,
    /// Leases on record, and whose.
    on_record: HashMap<Lease, u8>,
    /// Prefixes that went from the secondary's half to a client: they come back to the primary.
    delegated: HashSet<Lease>,
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

fn duid(client: u8) -> [u8; 5] {
    [0, 3, 0, 1, client]
}

impl World {
    fn new(role: Role) -> Self {
        let prefixes = Lease {
            addr: ip("2001:db8:8000::").to_bits(),
            len: 52,
        };
        let specs = [
            PoolSpec::addresses(ip("2001:db8::10"), ip("2001:db8::1d")).expect("a range"),
            PoolSpec::prefixes(prefixes, 56).expect("a pool"),
        ];
        let link = LinkSpec {
            name: "access".to_owned(),
            interface: Some(InterfaceId(0)),
            lifetimes: Some(Lifetimes {
                preferred_secs: DESIRED_SECS,
                valid_secs: DESIRED_SECS,
            }),
            pools: specs.map(PoolConfig::new).into(),
            relationship: Some(Relationship {
                index: 0,
                role,
                mclt_secs: MCLT_SECS,
            }),
            ..LinkSpec::default()
        };
        let model = ModelBuilder::new(&SERVER, AllocationKey::new([1; 16]))
            .quarantine_secs(300)
            .link(link)
            .build()
            .expect("a model");
        let half = Lease {
            len: 53,
            ..prefixes
        };
        assert!(model.pools()[1].pool().give_block(half, Role::Secondary));
        Self {
            model,
            shards: (0..SHARDS)
                .map(|id| Shard::new(ShardId(id as u8), 5))
                .collect(),
            role,
            state: State::Normal,
            now: 10_000,
            partner_down_since: 0,
            serving_since: 0,
            sent: Vec::new(),
            oracle: Oracle::default(),
        }
    }

    fn leeway(&self) -> Leeway {
        let startup = Leeway {
            serving_since: AbsTime(self.serving_since),
            ..Leeway::startup(self.role, MCLT_SECS)
        };
        let beyond_wait = self.now >= self.partner_down_since + MCLT_SECS;
        match self.state {
            State::Normal => Leeway {
                answers: match self.role {
                    Role::Primary => Answers::All,
                    Role::Secondary => Answers::OwnServerIdOnly,
                },
                may_allocate: true,
                replicate: true,
                ..startup
            },
            State::Interrupted => Leeway {
                answers: Answers::All,
                may_allocate: true,
                ..startup
            },
            State::PartnerDown => Leeway {
                answers: Answers::All,
                cap: LifetimeCap::None,
                may_allocate: true,
                partner_down_since: Some(AbsTime(self.partner_down_since)),
                prefixes: match beyond_wait {
                    true => Prefixes::OwnThenPartners(self.role),
                    false => Prefixes::Own(self.role),
                },
                ..startup
            },
            State::RecoverDone => Leeway {
                answers: Answers::RenewOnly,
                ..startup
            },
            State::Recover => startup,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Message(client, msg_type) => self.message(client, msg_type),
            Step::Clock(secs) => {
                self.now += secs;
                self.expire();
            }
            Step::Send(count) => self.send(count),
            Step::Answer(which, accepted) => self.answer(which, accepted),
            Step::ConnectionLost => {
                self.shards.iter_mut().for_each(Shard::connection_lost);
                self.sent.clear();
            }
            Step::Enter(state) => {
                if state == State::PartnerDown && self.state != state {
                    self.partner_down_since = self.now;
                }
                let serves = |state| !matches!(state, State::Recover | State::RecoverDone);
                if serves(state) && !serves(self.state) {
                    self.serving_since = self.now;
                }
                self.state = state;
            }
            Step::Reclaim => self.reclaim(),
        }
        self.check_records();
    }

    fn message(&mut self, client: u8, msg_type: Type) {
        let held: Vec<Lease> = self.bindings(client, |status| status == BindingStatus::Active);
        let names_server = !matches!(msg_type, Type::Solicit | Type::Rebind | Type::Confirm);
        let octets = message(client, msg_type, names_server, &held);
        let ingress = Ingress {
            payload: &octets,
            interface: InterfaceId(0),
            source: ip("fe80::9"),
            destination: ip("ff02::1:2"),
        };
        let parsed = parse(&ingress).expect("a message");
        let leeways = [self.leeway()];
        let context = Context {
            model: &self.model,
            now: AbsTime(self.now),
            leeways: &leeways,
        };
        let mut out = [0; 1_200];
        let mut puts = 0;
        let shard = &mut self.shards[usize::from(shard_of(&duid(client)).0)];
        let outcome = answer(
            &context,
            shard,
            &parsed,
            &mut out,
            &mut |delta| match delta {
                BindingDelta::Put { record, .. } => {
                    assert!(record.partner.unacked, "the partner has to hear of it");
                    puts += 1;
                }
                other => panic!("{other:?} before the partner has heard of it"),
            },
        );
        match outcome {
            Outcome::Drop(reason) => {
                assert_eq!(puts, 0);
                self.check_drop(reason, msg_type, names_server);
            }
            Outcome::Reply { len, .. } => {
                self.check_is_answered(msg_type, names_server);
                let reply = Message::decode(&mut Decoder::new(&out[..len])).expect("a reply");
                for (lease, valid_secs) in leases(&reply) {
                    self.check_lease(client, lease, valid_secs, reply.msg_type() == Type::Reply);
                }
                let returned = |lease: &Lease| match msg_type {
                    Type::Release => true,
                    // Prefixes cannot be declined.
                    Type::Decline => lease.len == 128,
                    _ => false,
                };
                for lease in held.into_iter().filter(returned) {
                    self.oracle.believed.remove(&(client, lease));
                }
            }
        }
    }

    fn check_is_answered(&self, msg_type: Type, names_server: bool) {
        match (self.state, self.role) {
            (State::Recover, _) => panic!("{msg_type:?} answered"),
            (State::Normal, Role::Secondary) => assert!(names_server, "{msg_type:?} answered"),
            (State::RecoverDone, _) => assert!(matches!(
                msg_type,
                Type::Renew | Type::Release | Type::Decline
            )),
            _ => {}
        }
    }

    fn check_drop(&self, reason: DropReason, msg_type: Type, names_server: bool) {
        match reason {
            DropReason::FailoverNotServing => assert_eq!(self.state, State::Recover),
            DropReason::FailoverPartnerAnswers => {
                assert_eq!((self.state, self.role), (State::Normal, Role::Secondary));
                assert!(!names_server);
            }
            DropReason::FailoverRenewOnly => assert_eq!(self.state, State::RecoverDone),
            DropReason::NothingToRebind => assert_eq!(msg_type, Type::Rebind),
            other => panic!("{msg_type:?}: {other}"),
        }
    }

    /// A lease in an answer to `client`.
    fn check_lease(&mut self, client: u8, lease: Lease, valid_secs: u32, binds: bool) {
        if valid_secs == 0 {
            return;
        }
        let Oracle {
            acked,
            told,
            believed,
            ending,
            on_record,
            delegated,
        } = &mut self.oracle;
        let acked = acked.get(&lease).copied().unwrap_or(0);
        if self.state != State::PartnerDown {
            let most = acked.max(self.now) + MCLT_SECS;
            assert!(
                self.now + valid_secs <= most,
                "{lease}: {valid_secs} s at {}, acknowledged until {acked}",
                self.now
            );
            let least = DESIRED_SECS.min(most - self.now);
            assert_eq!(valid_secs, least, "{lease}: less than may be promised");
        }
        assert!(
            !ending.contains(&lease),
            "{lease}: its end is not acknowledged"
        );
        for (&(other, believed_lease), until) in believed.iter() {
            let is_others = believed_lease == lease && other != client;
            assert!(
                !is_others || *until <= self.now,
                "{lease} is {other}'s until {until}"
            );
        }
        match on_record.get(&lease) {
            Some(holder) => assert_eq!(*holder, client, "{lease}"),
            None => {
                assert_ne!(self.state, State::RecoverDone, "{lease} is new");
                let beyond_wait = self.state == State::PartnerDown
                    && self.now >= self.partner_down_since + MCLT_SECS;
                let is_odd = lease.addr & 1 == 1;
                let is_backup = lease.addr & (0x800 << 64) == 0 && !delegated.contains(&lease);
                match lease.len {
                    128 => assert_eq!(
                        is_odd,
                        self.role.addresses() == Positions::Odd,
                        "{lease} is the partner's"
                    ),
                    _ => assert!(
                        beyond_wait || is_backup == (self.role == Role::Secondary),
                        "{lease} is the partner's"
                    ),
                }
            }
        }
        if binds {
            let until = believed.entry((client, lease)).or_default();
            // The Reply may be lost: the client then believes what it was told before.
            *until = (*until).max(self.now + valid_secs);
            on_record.insert(lease, client);
            delegated.insert(lease);
            let tell = self.now + valid_secs / 2 + DESIRED_SECS;
            let told = told.entry(lease).or_default();
            *told = (*told).max(tell);
        }
    }

    fn expire(&mut self) {
        let leeways = [self.leeway()];
        let context = Context {
            model: &self.model,
            now: AbsTime(self.now),
            leeways: &leeways,
        };
        let now = self.now;
        for shard in &mut self.shards {
            while shard
                .next_expiry()
                .is_some_and(|next| next <= context.expires_until())
            {
                expire(&context, shard, 100, &mut |delta| match delta {
                    BindingDelta::Put { record, .. } => {
                        assert!(matches!(
                            record.status,
                            BindingStatus::Expired | BindingStatus::Reset
                        ));
                        // A RESET keeps the time of its ABANDONED.
                        let is_now =
                            record.status == BindingStatus::Reset || record.status_since.0 == now;
                        assert!(record.partner.unacked && is_now);
                    }
                    other => panic!("{other:?} before the partner has heard of it"),
                });
            }
        }
    }

    /// Sends what is unsent, as a worker does.
    fn send(&mut self, count: usize) {
        let mut left = count;
        for shard in &mut self.shards {
            while left > 0
                && let Some(id) = shard.take_unsent()
            {
                left -= 1;
                let record = shard.get(id).expect("an unsent binding");
                let lifetime = record.partner.partner_lifetime.0;
                if ended(record.status) {
                    self.oracle.ending.insert(record.lease);
                }
                let update = (shard.id(), id, record.lease, record.status, lifetime);
                self.sent.push(update);
            }
        }
    }

    fn answer(&mut self, which: usize, accepted: bool) {
        if self.sent.is_empty() {
            return;
        }
        let (shard, id, lease, status, lifetime) = self.sent.remove(which % self.sent.len());
        let shard = &mut self.shards[usize::from(shard.0)];
        let answer = match accepted {
            true => Answer::Accepted {
                acked_partner_lifetime: AbsTime(lifetime),
            },
            false => Answer::Rejected,
        };
        let answered = shard.answered(id, answer);
        assert_ne!(answered, Answered::Unasked, "{lease}");
        if accepted {
            self.oracle.acked.insert(lease, lifetime);
        }
        if answered == Answered::Clean && ended(status) {
            shard.remove(id);
            self.free(lease);
        }
    }

    fn free(&mut self, lease: Lease) {
        self.model.release(lease);
        self.oracle.on_record.remove(&lease);
        self.oracle.acked.remove(&lease);
        self.oracle.told.remove(&lease);
        self.oracle.ending.remove(&lease);
    }

    fn reclaim(&mut self) {
        let leeways = [self.leeway()];
        let context = Context {
            model: &self.model,
            now: AbsTime(self.now),
            leeways: &leeways,
        };
        let mut freed = Vec::new();
        for shard in &mut self.shards {
            let mut from = Some(0);
            while let Some(start) = from {
                from = reclaim(&context, shard, (start, 3), &mut |delta| match delta {
                    BindingDelta::Remove { lease, .. } => freed.push(*lease),
                    other => panic!("{other:?}"),
                });
            }
        }
        for lease in freed {
            assert_eq!(
                self.state,
                State::PartnerDown,
                "{lease} freed without an answer"
            );
            let told = self.oracle.told.get(&lease).copied().unwrap_or(0);
            let latest = told.max(self.partner_down_since);
            assert!(self.now > latest + MCLT_SECS, "{lease} freed too early");
            self.sent.retain(|update| update.2 != lease);
            self.free(lease);
        }
    }

    fn bindings(&self, client: u8, of: impl Fn(BindingStatus) -> bool) -> Vec<Lease> {
        let shard = &self.shards[usize::from(shard_of(&duid(client)).0)];
        let (_, records) = shard.walk(0, usize::MAX);
        let of_client = records.filter(|r| r.duid.octets() == duid(client) && of(r.status));
        of_client.map(|record| record.lease).collect()
    }

    /// What the oracle believes is on record, is; and the pools know of it.
    fn check_records(&self) {
        let count: usize = self.shards.iter().map(Shard::len).sum();
        assert_eq!(count, self.oracle.on_record.len());
        let bound = self.model.pools().iter().map(|p| p.pool().counts().bound);
        assert_eq!(bound.sum::<u128>(), count as u128);
        for shard in &self.shards {
            let (_, records) = shard.walk(0, usize::MAX);
            for record in records {
                let client = self.oracle.on_record.get(&record.lease).copied();
                assert_eq!(client, Some(record.duid.octets()[4]));
                let acked = self.oracle.acked.get(&record.lease).copied();
                let partner = &record.partner;
                assert_eq!(partner.acked_partner_lifetime.0, acked.unwrap_or(0));
                assert_eq!(
                    Some(&partner.partner_lifetime.0),
                    self.oracle.told.get(&record.lease)
                );
                let believed = self
                    .oracle
                    .believed
                    .get(&(client.unwrap_or(0), record.lease));
                if record.status == BindingStatus::Active {
                    let believed = *believed.expect("a lease on record");
                    assert_eq!(record.expires.0, believed, "{}", record.lease);
                }
            }
        }
    }
}

fn ended(status: BindingStatus) -> bool {
    matches!(
        status,
        BindingStatus::Expired | BindingStatus::Released | BindingStatus::Reset
    )
}

fn message(client: u8, msg_type: Type, names_server: bool, held: &[Lease]) -> Vec<u8> {
    let (mut addresses, mut prefixes) = (DhcpOptions::new(), DhcpOptions::new());
    for lease in held {
        match lease.len {
            128 => addresses.insert(DhcpOption::IAAddr(IAAddr {
                addr: lease.ip(),
                preferred_life: 0,
                valid_life: 0,
                opts: DhcpOptions::new(),
            })),
            len => prefixes.insert(DhcpOption::IAPrefix(IAPrefix {
                preferred_lifetime: 0,
                valid_lifetime: 0,
                prefix_len: len,
                prefix_ip: lease.ip(),
                opts: DhcpOptions::new(),
            })),
        }
    }
    let mut message = Message::new(msg_type);
    let options = message.opts_mut();
    options.insert(DhcpOption::ClientId(duid(client).into()));
    if names_server {
        options.insert(DhcpOption::ServerId(SERVER.into()));
    }
    options.insert(DhcpOption::IANA(IANA {
        id: 1,
        t1: 0,
        t2: 0,
        opts: addresses,
    }));
    options.insert(DhcpOption::IAPD(IAPD {
        id: 1,
        t1: 0,
        t2: 0,
        opts: prefixes,
    }));
    message.to_vec().expect("a message")
}

/// The leases in an answer with their valid lifetimes.
fn leases(reply: &Message) -> Vec<(Lease, u32)> {
    let of_ia = |options: &DhcpOptions| -> Vec<(Lease, u32)> {
        options
            .iter()
            .filter_map(|option| match option {
                DhcpOption::IAAddr(address) => {
                    Some((Lease::address(address.addr), address.valid_life))
                }
                DhcpOption::IAPrefix(prefix) => {
                    let lease = Lease {
                        addr: prefix.prefix_ip.to_bits(),
                        len: prefix.prefix_len,
                    };
                    Some((lease, prefix.valid_lifetime))
                }
                _ => None,
            })
            .collect()
    };
    reply
        .opts()
        .iter()
        .flat_map(|option| match option {
            DhcpOption::IANA(ia) => of_ia(&ia.opts),
            DhcpOption::IAPD(ia) => of_ia(&ia.opts),
            _ => Vec::new(),
        })
        .collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let types = prop_oneof![
        3 => Just(Type::Solicit),
        6 => Just(Type::Request),
        4 => Just(Type::Renew),
        2 => Just(Type::Rebind),
        3 => Just(Type::Release),
        1 => Just(Type::Decline),
    ];
    let states = prop_oneof![
        4 => Just(State::Normal),
        3 => Just(State::Interrupted),
        2 => Just(State::PartnerDown),
        1 => Just(State::RecoverDone),
        1 => Just(State::Recover),
    ];
    let step = prop_oneof![
        20 => (0..CLIENTS, types).prop_map(|(client, t)| Step::Message(client, t)),
        6 => prop_oneof![1..20_u32, 100..900_u32, 2_000..9_000_u32].prop_map(Step::Clock),
        6 => (1..20_usize).prop_map(Step::Send),
        12 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(w, a)| Step::Answer(w, a)),
        1 => Just(Step::ConnectionLost),
        2 => states.prop_map(Step::Enter),
        2 => Just(Step::Reclaim),
    ];
    prop::collection::vec(step, 1..250)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn rfc8156_4_4_no_promise_goes_beyond_what_the_partner_knows(steps in steps(), secondary: bool) {
        let role = if secondary { Role::Secondary } else { Role::Primary };
        let mut world = World::new(role);
        for step in &steps {
            world.step(step);
        }
    }
}

#[test]
fn rfc8156_8_8_1_an_ended_lease_goes_back_to_its_client_only_until_the_partner_hears_of_it() {
    let mut world = World::new(Role::Primary);
    world.step(&Step::Message(1, Type::Request));
    let before = world.bindings(1, |_| true);
    assert_eq!(before.len(), 2);
    world.step(&Step::Message(1, Type::Release));
    world.step(&Step::Message(1, Type::Request));
    assert_eq!(world.bindings(1, |_| true), before, "the same leases");
    world.step(&Step::Message(1, Type::Release));
    world.step(&Step::Send(100));
    world.step(&Step::Message(1, Type::Request));
    let both = world.bindings(1, |_| true);
    assert_eq!(both.len(), 4, "the former two are not free yet");
    for _ in 0..2 {
        world.step(&Step::Answer(0, true));
    }
    assert_eq!(world.bindings(1, |_| true).len(), 2);
}

#[test]
fn rfc8156_4_4_1_the_example() {
    let mut world = World::new(Role::Primary);
    world.step(&Step::Message(1, Type::Request));
    let told = |world: &World| *world.oracle.believed.values().next().expect("a lease") - world.now;
    assert_eq!(told(&world), MCLT_SECS, "the first lease");
    world.step(&Step::Send(100));
    world.step(&Step::Answer(0, true));
    world.step(&Step::Answer(0, true));
    world.step(&Step::Clock(MCLT_SECS / 2));
    world.step(&Step::Message(1, Type::Renew));
    assert_eq!(told(&world), DESIRED_SECS, "at its renewal");
}

/// A partner that stood alone meanwhile needs not to be told, and may have given it to others.
#[test]
fn what_ended_before_or_while_nobody_was_answered_is_not_given_back() {
    for in_recover in [false, true] {
        let mut world = World::new(Role::Primary);
        world.step(&Step::Message(1, Type::Request));
        let before = world.bindings(1, |_| true);
        if !in_recover {
            world.step(&Step::Message(1, Type::Release));
        }
        world.step(&Step::Enter(State::Recover));
        world.step(&Step::Clock(MCLT_SECS + 100));
        assert_eq!(world.bindings(1, ended), before);
        world.step(&Step::Enter(State::Normal));
        world.step(&Step::Clock(30));
        world.step(&Step::Message(1, Type::Request));
        let active = world.bindings(1, |status| status == BindingStatus::Active);
        assert_eq!(active.len(), 2);
        assert!(active.iter().all(|lease| !before.contains(lease)));
    }
}
