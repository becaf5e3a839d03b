//! Whatever several clients send in whichever order: what must hold after every message, after a
//! restart, and when all bindings have ended.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use core::net::Ipv6Addr;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IAPrefix, Message, MessageType as Type,
};
use dhcproto::{Decodable, Decoder, Encodable};
use engine::{
    Adopting, Context, Ingress, InterfaceId, Lifetimes, LinkSpec, Model, ModelBuilder, Outcome,
    PoolConfig, ReservationKey, ReservationTable, ReservationTerms, adopt, answer, expire, parse,
    restore, restore_batch,
};
use lease::{
    AbsTime, AllocationKey, BindingDelta, BindingRecord, Lease, PoolCounts, PoolSpec, Shard,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::{Duid, MessageType, SHARDS, ShardId, shard_of};

const SERVER: [u8; 4] = [0, 3, 0, 1];
const CLIENTS: usize = 6;
const QUARANTINE_SECS: u32 = 500;
const LIFETIMES: Lifetimes = Lifetimes {
    preferred_secs: 1_000,
    valid_secs: 2_000,
};

/// One step of a sequence.
#[derive(Clone, Debug)]
struct Step {
    client: usize,
    msg_type: Type,
    rapid_commit: bool,
    /// IAIDs of the IA_NAs and the IA_PDs.
    ias: (Vec<u32>, Vec<u32>),
    names: Names,
    /// Seconds that pass before it.
    pause_secs: u32,
}

/// What stands in the IAs.
#[derive(Clone, Debug)]
enum Names {
    Nothing,
    /// What the client has, if anything.
    Own,
    /// An address and a prefix by their position in the pools and around them.
    Other(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let types = prop::sample::select(vec![
        Type::Solicit,
        Type::Request,
        Type::Request,
        Type::Renew,
        Type::Rebind,
        Type::Release,
        Type::Decline,
        Type::Confirm,
    ]);
    let names = prop_oneof![
        2 => Just(Names::Nothing),
        4 => Just(Names::Own),
        2 => (0_u8..24).prop_map(Names::Other),
    ];
    let iaids = || prop::collection::vec(1_u32..3, 0..3);
    let pause = prop_oneof![3 => Just(0_u32), 2 => 1_u32..700, 1 => 700_u32..4_000];
    (
        0..CLIENTS,
        types,
        any::<bool>(),
        (iaids(), iaids()),
        names,
        pause,
    )
        .prop_map(
            |(client, msg_type, rapid_commit, ias, names, pause_secs)| Step {
                client,
                msg_type,
                rapid_commit,
                ias,
                names,
                pause_secs,
            },
        )
}

struct Server {
    model: Model,
    shards: Vec<Shard>,
    now: AbsTime,
    duids: Vec<&'static [u8]>,
    log: Vec<BindingDelta<'static>>,
}

/// So few leases that clients compete for them; one is reserved for client 0.
fn model(duids: &[&[u8]]) -> Model {
    let pool = PoolConfig::new;
    let delegable = Lease {
        addr: ip("2001:db8:8000::").to_bits(),
        len: 48,
    };
    let link = LinkSpec {
        name: "access".to_owned(),
        interface: Some(InterfaceId(0)),
        link_addresses: vec![Lease {
            addr: ip("2001:db8:1::").to_bits(),
            len: 64,
        }],
        pools: vec![
            pool(PoolSpec::addresses(ip("2001:db8:1::4"), ip("2001:db8:1::b")).unwrap()),
            pool(PoolSpec::prefixes(delegable, 51).unwrap()),
        ],
        ..LinkSpec::default()
    };
    let mut reserved = ReservationTable::builder();
    let key = ReservationKey::Duid(duids[0]);
    let lease = Lease::address(ip("2001:db8:1::5"));
    reserved
        .push(0, "access", key, lease, &ReservationTerms::NONE)
        .unwrap();
    ModelBuilder::new(&SERVER, AllocationKey::new([1; 16]))
        .lifetimes(LIFETIMES)
        .quarantine_secs(QUARANTINE_SECS)
        .rapid_commit(true)
        .link(link)
        .reservations(Arc::new(reserved.finish(1).unwrap()))
        .build()
        .unwrap()
}

fn shards() -> Vec<Shard> {
    let shards = (0..SHARDS).map(|id| Shard::new(ShardId(id as u8), 5));
    shards.collect()
}

impl Server {
    /// With clients that all belong to one shard, or each to another.
    fn new(one_shard: bool) -> Self {
        let candidates = (0_u32..).map(|number| [&[0, 3], &number.to_be_bytes()[..]].concat());
        let mut duids: Vec<&'static [u8]> = Vec::new();
        for candidate in candidates {
            let shard = shard_of(&candidate);
            let alike = duids.iter().filter(|duid| shard_of(duid) == shard).count();
            let wanted = if one_shard { duids.len() } else { 0 };
            if alike == wanted {
                duids.push(candidate.leak());
            }
            if duids.len() == CLIENTS {
                break;
            }
        }
        Self {
            model: model(&duids),
            shards: shards(),
            now: AbsTime(1_000),
            duids,
            log: Vec::new(),
        }
    }

    /// Plays a step; the reply, if there was one.
    fn play(&mut self, step: &Step) -> Option<Message> {
        self.now = AbsTime(self.now.0 + step.pause_secs);
        self.expire();
        let payload = self.message(step).to_vec().unwrap();
        let ingress = Ingress {
            payload: &payload,
            interface: InterfaceId(0),
            source: ip("fe80::9"),
            destination: ip("ff02::1:2"),
        };
        let parsed = parse(&ingress).unwrap();
        let context = Context {
            model: &self.model,
            now: self.now,
            leeways: &[],
        };
        let duid = self.duids[step.client];
        let from = self.log.len();
        let mut out = [0; 1_200];
        let shard = &mut self.shards[usize::from(parsed.shard(&self.model).0)];
        let outcome = answer(&context, shard, &parsed, &mut out, &mut |delta| {
            self.log.push(kept(delta, duid));
        });
        self.release_from(from);
        let changed = self.log.len() > from;
        assert!(!changed || parsed.may_change_state());
        match outcome {
            Outcome::Reply { len, durable, kind } => {
                assert_eq!(durable, changed);
                let reply = Message::decode(&mut Decoder::new(&out[..len])).unwrap();
                assert_eq!(u8::from(reply.msg_type()), kind.0);
                assert!(wire::RelayChain::parse(&out[..len]).is_ok_and(|chain| {
                    wire::MessageIndex::new(&chain.message)
                        .is_ok_and(|index| index.repeated.is_none())
                }));
                Some(reply)
            }
            Outcome::Drop(_) => {
                assert!(!changed);
                None
            }
        }
    }

    fn expire(&mut self) {
        let from = self.log.len();
        let context = Context::alone(&self.model, self.now);
        for shard in &mut self.shards {
            while shard.next_expiry().is_some_and(|next| next <= self.now) {
                expire(&context, shard, 3, &mut |delta| {
                    self.log.push(kept(delta, &[0; 3]));
                });
            }
        }
        self.release_from(from);
    }

    /// Frees what the deltas from here on ended, as a worker does when they are on disk.
    fn release_from(&self, from: usize) {
        for delta in &self.log[from..] {
            if let BindingDelta::Remove { lease, .. } = delta {
                self.model.release(*lease);
            }
        }
    }

    fn bindings(&self) -> Vec<BindingRecord<'_>> {
        bindings(&self.shards)
    }

    fn message(&self, step: &Step) -> Message {
        let mut message = Message::new_with_id(step.msg_type, [1, 2, 3]);
        let opts = message.opts_mut();
        opts.insert(DhcpOption::ClientId(self.duids[step.client].to_vec()));
        if matches!(
            step.msg_type,
            Type::Request | Type::Renew | Type::Release | Type::Decline
        ) {
            opts.insert(DhcpOption::ServerId(SERVER.to_vec()));
        }
        if step.rapid_commit {
            opts.insert(DhcpOption::RapidCommit);
        }
        for &id in &step.ias.0 {
            let opts_in = self.named(step, id, true);
            opts.insert(DhcpOption::IANA(IANA {
                id,
                t1: 0,
                t2: 0,
                opts: opts_in,
            }));
        }
        for &id in &step.ias.1 {
            let opts_in = self.named(step, id, false);
            opts.insert(DhcpOption::IAPD(IAPD {
                id,
                t1: 0,
                t2: 0,
                opts: opts_in,
            }));
        }
        message
    }

    fn named(&self, step: &Step, iaid: u32, addresses: bool) -> DhcpOptions {
        let duid = self.duids[step.client];
        let leases: Vec<Lease> = match step.names {
            Names::Nothing => Vec::new(),
            Names::Own => {
                let all = self.bindings().into_iter();
                let own = all.filter(|b| b.duid.octets() == duid && b.iaid.0 == iaid);
                let leases = own.map(|binding| binding.lease);
                leases.filter(|l| (l.len == 128) == addresses).collect()
            }
            Names::Other(position) if addresses => vec![Lease {
                addr: ip("2001:db8:1::").to_bits() + u128::from(position),
                len: 128,
            }],
            Names::Other(position) => vec![Lease {
                addr: ip("2001:db8:8000::").to_bits() + (u128::from(position) << (128 - 51)),
                len: 51,
            }],
        };
        let mut opts = DhcpOptions::new();
        for lease in leases {
            let ip = Ipv6Addr::from_bits(lease.addr);
            opts.insert(if addresses {
                DhcpOption::IAAddr(IAAddr {
                    addr: ip,
                    preferred_life: 0,
                    valid_life: 0,
                    opts: DhcpOptions::new(),
                })
            } else {
                DhcpOption::IAPrefix(IAPrefix {
                    preferred_lifetime: 0,
                    valid_lifetime: 0,
                    prefix_len: lease.len,
                    prefix_ip: ip,
                    opts: DhcpOptions::new(),
                })
            });
        }
        opts
    }
}

/// The delta with a DUID that outlives the message.
fn kept(delta: &BindingDelta<'_>, duid: &'static [u8]) -> BindingDelta<'static> {
    match *delta {
        BindingDelta::Remove { shard, lease } => BindingDelta::Remove { shard, lease },
        BindingDelta::Acked { .. } => panic!("there is no partner"),
        BindingDelta::Put { shard, record } => {
            assert_eq!(record.duid.octets(), duid, "bound to another client");
            BindingDelta::Put {
                shard,
                record: BindingRecord {
                    duid: Duid::new(duid).unwrap(),
                    kind: record.kind,
                    iaid: record.iaid,
                    subscriber: None,
                    lease: record.lease,
                    link: record.link,
                    status: record.status,
                    preferred_secs: record.preferred_secs,
                    valid_secs: record.valid_secs,
                    cltt: record.cltt,
                    status_since: record.status_since,
                    expires: record.expires,
                    partner: record.partner,
                    accepts_reconfigure: false,
                    via: &[],
                },
            }
        }
    }
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// All bindings in the order of their leases.
fn bindings(shards: &[Shard]) -> Vec<BindingRecord<'_>> {
    let mut all: Vec<_> = shards
        .iter()
        .flat_map(|shard| shard.walk(0, usize::MAX).1)
        .collect();
    all.sort_by_key(|record| record.lease);
    all
}

fn counts(model: &Model) -> Vec<PoolCounts> {
    model.pools().iter().map(|p| p.pool().counts()).collect()
}

/// T1, T2 and the leases of an IA, each with its preferred and its valid lifetime.
type ShownIa = (u32, u32, Vec<(Lease, u32, u32)>);

fn ias(reply: &Message) -> Vec<ShownIa> {
    let held = |opts: &DhcpOptions| {
        let leases = opts.iter().filter_map(|option| match option {
            DhcpOption::IAAddr(a) => Some((Lease::address(a.addr), a.preferred_life, a.valid_life)),
            DhcpOption::IAPrefix(p) => {
                let lease = Lease {
                    addr: p.prefix_ip.to_bits(),
                    len: p.prefix_len,
                };
                Some((lease, p.preferred_lifetime, p.valid_lifetime))
            }
            _ => None,
        });
        leases.collect()
    };
    let ias = reply.opts().iter().filter_map(|option| match option {
        DhcpOption::IANA(ia) => Some((ia.t1, ia.t2, held(&ia.opts))),
        DhcpOption::IAPD(ia) => Some((ia.t1, ia.t2, held(&ia.opts))),
        _ => None,
    });
    ias.collect()
}

fn check_reply(server: &Server, step: &Step, reply: &Message) {
    let ias = ias(reply);
    assert!(
        ias.windows(2)
            .all(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1))
    );
    let bound: BTreeMap<Lease, BindingRecord<'_>> = server
        .bindings()
        .into_iter()
        .map(|record| (record.lease, record))
        .collect();
    let mut granted = Vec::new();
    for (t1, t2, leases) in ias {
        for (lease, preferred, valid) in leases {
            if valid == 0 {
                assert_eq!(preferred, 0);
                continue;
            }
            assert!(t1 <= t2 && t2 <= preferred && preferred <= valid);
            granted.push(lease);
            let holder = bound.get(&lease);
            if u8::from(reply.msg_type()) == MessageType::REPLY.0 {
                assert_eq!(holder.map(|b| b.expires), Some(server.now.plus(valid)));
            }
            let client = server.duids[step.client];
            assert!(holder.is_none_or(|binding| binding.duid.octets() == client));
        }
    }
    let total = granted.len();
    granted.sort_unstable();
    granted.dedup();
    assert_eq!(granted.len(), total, "one lease in two IAs");
}

/// What is bound in a pool is what the bindings in it say, and no lease is in two of them.
fn check_state(server: &Server) {
    let bindings = server.bindings();
    assert!(
        bindings
            .windows(2)
            .all(|pair| pair[0].lease < pair[1].lease)
    );
    for served in server.model.pools() {
        let pool = served.pool();
        let drawn = |lease| pool.contains(lease) && !pool.is_reserved(lease);
        let held = bindings
            .iter()
            .filter(|binding| drawn(binding.lease))
            .count();
        let counts = pool.counts();
        assert_eq!(counts.bound, held as u128);
        assert_eq!(counts.size, counts.reserved + counts.bound + counts.free);
    }
}

/// A server that starts from the deltas, one by one or together, has the same bindings, and takes as
/// much in the pools.
fn check_restart(server: &Server) {
    let model = model(&server.duids);
    let mut one_by_one = shards();
    for delta in &server.log {
        let shard = delta.shard();
        restore(&mut one_by_one[usize::from(shard.0)], delta);
    }
    assert_eq!(bindings(&one_by_one), server.bindings());
    let mut together: Vec<Option<Shard>> = shards().into_iter().map(Some).collect();
    restore_batch(&mut together, &server.log);
    let mut shards: Vec<Shard> = together.into_iter().flatten().collect();
    for which in [Adopting::Foreign, Adopting::Own] {
        for shard in &mut shards {
            let adopted = adopt(&model, shard, which, &mut |delta| panic!("{delta:?}"));
            assert_eq!((adopted.outside, adopted.conflicting), (0, 0));
        }
    }
    assert_eq!(bindings(&shards), server.bindings());
    assert_eq!(counts(&model), counts(&server.model));
}

fn check(steps: &[Step], one_shard: bool) {
    let mut server = Server::new(one_shard);
    for step in steps {
        if let Some(reply) = server.play(step) {
            check_reply(&server, step, &reply);
        }
        check_state(&server);
    }
    check_restart(&server);
    server.now = AbsTime(server.now.0 + LIFETIMES.valid_secs + QUARANTINE_SECS);
    server.expire();
    assert!(server.bindings().is_empty());
    for counts in counts(&server.model) {
        assert_eq!(counts.free + counts.reserved, counts.size);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn clients_of_one_shard(steps in prop::collection::vec(step(), 1..60)) {
        check(&steps, true);
    }

    #[test]
    fn clients_of_several_shards(steps in prop::collection::vec(step(), 1..60)) {
        check(&steps, false);
    }
}
