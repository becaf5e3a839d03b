//! The whole engine: a sequence of datagrams in, and after each the answer parses back and the
//! bindings and pools agree.

#![no_main]

use engine::reconfigure::{Replay, RequestedMessage, Rkap, write};
use engine::{
    Context, Handover, Ingress, InterfaceId, Lifetimes, LinkSpec, Model, ModelBuilder, Outcome,
    PoolConfig, ReservationKey, ReservationTable, ReservationTerms, answer, expire, parse,
};
use lease::{AbsTime, AllocationKey, BindingDelta, Lease, Lengths, PoolSpec, Shard};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use wire::{Message, MessageIndex, MessageType, OptionCode, Options, ShardId};

const SERVER: [u8; 4] = [0, 3, 0, 1];
const RELAY_HEADER_LEN: usize = 34;
/// Datagrams of one input looked at.
const STEPS_MAX: usize = 12;

fn ip(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

fn lease(text: &str, len: u8) -> Lease {
    Lease {
        addr: ip(text).to_bits(),
        len,
    }
}

/// A dense pool of few addresses, one of prefixes of one length or of several, and a link with a
/// sparse pool and one of several lengths; `number` cuts the prefixes in another way.
fn builder(number: u8) -> ModelBuilder {
    let addresses =
        |from, to| PoolConfig::new(PoolSpec::addresses(ip(from), ip(to)).expect("a range"));
    let prefixes = |text, len, delegated| {
        PoolConfig::new(PoolSpec::prefixes(lease(text, len), delegated).expect("a prefix pool"))
    };
    let between = |text, len, [shortest, default, longest]: [u8; 3]| {
        let lengths = Lengths { shortest, default };
        let spec = PoolSpec::prefixes_between(lease(text, len), lengths, longest);
        PoolConfig::new(spec.expect("a prefix pool"))
    };
    let access = LinkSpec {
        name: "access".to_owned(),
        interface: Some(InterfaceId(0)),
        link_addresses: vec![lease("2001:db8:1::", 64)],
        pools: vec![
            addresses("2001:db8:1::4", "2001:db8:1::b"),
            match number % 4 {
                0 => prefixes("2001:db8:8000::", 48, 51),
                1 => prefixes("2001:db8:8000::", 48, 52),
                2 => between("2001:db8:8000::", 48, [49, 51, 52]),
                _ => between("2001:db8:8000::", 48, [50, 52, 55]),
            },
        ],
        ..LinkSpec::default()
    };
    let wide = LinkSpec {
        name: "wide".to_owned(),
        link_addresses: vec![lease("2001:db8:2::", 64)],
        pools: vec![
            PoolConfig::new(
                PoolSpec::addresses(ip("2001:db8:2::"), ip("2001:db8:2::ffff:ffff:ffff:ffff"))
                    .expect("a /64"),
            ),
            prefixes("2001:db8:9000::", 36, 64),
            between("2001:db8:a000::", 46, [48, 54, 58 - number % 2]),
        ],
        ..LinkSpec::default()
    };
    let mut reserved = ReservationTable::builder();
    for (link, key, lease) in [
        ("access", ReservationKey::Duid(&[0, 3, 7]), lease("2001:db8:1::5", 128)),
        ("access", ReservationKey::InterfaceId(b"p"), lease("2001:db8:1::6", 128)),
        ("wide", ReservationKey::InterfaceId(b"p"), lease("2001:db8:2::5", 128)),
        ("wide", ReservationKey::InterfaceId(b"q"), lease("2001:db8:a001:100::", 56)),
    ] {
        let reserved = reserved.push(0, link, key, lease, &ReservationTerms::NONE);
        reserved.expect("a lease and a key");
    }
    let reserved = reserved.finish(0).expect("reservations that do not clash");
    ModelBuilder::new(&SERVER, AllocationKey::new([1; 16]))
        .reservations(Arc::new(reserved))
        .lifetimes(Lifetimes {
            preferred_secs: 100,
            valid_secs: 200,
        })
        .quarantine_secs(50)
        .rapid_commit(number & 2 != 0)
        .bind_on_renew(number & 4 != 0)
        .link(access)
        .link(wide)
}

/// The model with which clients that accept Reconfigure messages get keys.
fn keyed(model: Model) -> Arc<Model> {
    let replay = Replay::new(0);
    replay.set_limit(u64::MAX);
    Arc::new(model.with_rkap(Rkap::new(&[7; 16], replay).map(Arc::new)))
}

struct Server {
    changed: bool,
    model: Arc<Model>,
    handover: Option<Handover>,
    shards: BTreeMap<u8, Shard>,
    pending: Vec<(ShardId, Lease)>,
    now: AbsTime,
}

impl Server {
    fn new(number: u8) -> Self {
        Self {
            changed: false,
            model: keyed(builder(number).build().expect("a model that can be served")),
            handover: None,
            shards: BTreeMap::new(),
            pending: Vec::new(),
            now: AbsTime(0),
        }
    }

    fn run(&mut self, mut rest: &[u8]) {
        self.now = AbsTime(1_000);
        for _ in 0..STEPS_MAX {
            let Some((&[control, high, low], behind)) = rest.split_first_chunk() else {
                break;
            };
            let len = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
            let (payload, after) = behind.split_at(len);
            self.step(control, payload);
            rest = after;
        }
        self.drain();
    }

    fn step(&mut self, control: u8, payload: &[u8]) {
        self.now = AbsTime(self.now.0 + u32::from(control >> 4) * 30);
        self.end_what_is_due();
        match control & 3 {
            0 => self.commit(),
            1 => self.reload(control >> 2),
            _ => {}
        }
        let ingress = Ingress {
            payload,
            interface: InterfaceId(u16::from(control >> 2 & 1)),
            source: ip("fe80::1"),
            destination: ip("ff02::1:2"),
        };
        let Ok(parsed) = parse(&ingress) else {
            return;
        };
        let id = parsed.shard(&self.model);
        let shard = self.shards.entry(id.0).or_insert_with(|| Shard::new(id, 7));
        let context = Context::alone(&self.model, self.now);
        let (pending, handover) = (&mut self.pending, &mut self.handover);
        let mut out = [0; 1452];
        let outcome = answer(&context, shard, &parsed, &mut out, &mut |delta| {
            record(pending, handover, delta);
        });
        if let Outcome::Reply { len, kind, .. } = outcome {
            let asked = parsed.client_id().map(|duid| duid.octets());
            check_answer(&out[..len], kind, asked);
        }
        self.reconfigure(id);
        self.check();
    }

    /// Whoever may be sent a Reconfigure is sent one that parses back.
    fn reconfigure(&self, id: ShardId) {
        let context = Context::alone(&self.model, self.now);
        let shard = self.shards.get(&id.0);
        for record in shard.into_iter().flat_map(|shard| shard.walk(0, 4).1) {
            let mut out = [0; 1452];
            if let Ok(letter) = write(&mut out, &context, &record, RequestedMessage::Rebind) {
                let client = Some(record.duid.octets());
                check_answer(&out[..letter.len], MessageType::RECONFIGURE, client);
            }
        }
    }

    fn end_what_is_due(&mut self) {
        let context = Context::alone(&self.model, self.now);
        let (pending, handover) = (&mut self.pending, &mut self.handover);
        for shard in self.shards.values_mut() {
            expire(&context, shard, usize::MAX, &mut |delta| {
                record(pending, handover, delta);
            });
        }
    }

    fn commit(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for (id, lease) in &pending {
            if let Some(handover) = &mut self.handover {
                handover.release_ended(&self.shards[&id.0], *lease);
            }
            self.model.release(*lease);
        }
    }

    /// Begins a change of the model or, if one is under way, ends it.
    fn reload(&mut self, number: u8) {
        self.changed = true;
        // No worker switches while a lease that waits for a commit is bound again.
        self.commit();
        if let Some(mut handover) = self.handover.take() {
            for shard in self.shards.values() {
                assert_eq!(handover.walk(shard, 0, usize::MAX), None);
            }
            assert!(handover.is_settled(|id| self.shards.get(&id.0)));
            self.model = Arc::clone(handover.next());
            return;
        }
        let next = builder(number).build_successor(&self.model);
        let mut handover = Handover::new(keyed(next.expect("a model that can be served")));
        for (shard, lease) in &self.pending {
            handover.hold_ended(*shard, *lease);
        }
        self.handover = Some(handover);
    }

    /// No two bindings, and no binding and a lease whose end is not committed, share an address.
    fn check(&self) {
        let bound = self
            .shards
            .values()
            .flat_map(|shard| shard.walk(0, usize::MAX).1);
        let bound = bound.map(|record| record.lease);
        let mut spans: Vec<(u128, u128)> = bound
            .chain(self.pending.iter().map(|(_, lease)| *lease))
            .map(|lease| {
                let host = u128::MAX.checked_shr(u32::from(lease.len)).unwrap_or(0);
                (lease.addr, lease.addr | host)
            })
            .collect();
        spans.sort_unstable();
        // A client may have back what it gave back before that is committed.
        spans.dedup();
        assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    /// When all has ended, nothing is taken.
    fn drain(&mut self) {
        if self.handover.is_some() {
            self.reload(0);
        }
        self.now = AbsTime(self.now.0 + 1_000_000);
        self.end_what_is_due();
        self.commit();
        for served in self.model.pools() {
            assert_eq!(served.pool().counts().bound, 0);
        }
    }
}

fn record(
    pending: &mut Vec<(ShardId, Lease)>,
    handover: &mut Option<Handover>,
    delta: &BindingDelta<'_>,
) {
    if let Some(handover) = handover {
        handover.note(delta);
    }
    if let BindingDelta::Remove { shard, lease, .. } = delta {
        pending.push((*shard, *lease));
    }
}

/// It is whole, from this server, and to the client that asked.
fn check_answer(mut octets: &[u8], kind: MessageType, client: Option<&[u8]>) {
    while octets[0] == MessageType::RELAY_REPL.0 {
        let options = Options::new(&octets[RELAY_HEADER_LEN..], 0);
        octets = options
            .find(OptionCode::RELAY_MSG)
            .expect("a message inside")
            .data;
    }
    let message = Message::parse(octets, 0, OptionCode(0)).expect("a whole message");
    assert_eq!(message.msg_type, kind);
    let index = MessageIndex::new(&message).expect("whole options");
    assert_eq!(index.server_id.map(|duid| duid.octets()), Some(&SERVER[..]));
    assert_eq!(index.client_id.map(|duid| duid.octets()), client);
}

thread_local! {
    /// One server for each way to configure it: making one takes longer than its datagrams, and
    /// after each input it is as good as new, or the input has found something.
    static SERVERS: RefCell<[Option<Server>; 8]> = RefCell::default();
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, rest)) = input.split_first() else {
        return;
    };
    let number = usize::from(first & 7);
    SERVERS.with_borrow_mut(|servers| {
        let server = servers[number].get_or_insert_with(|| Server::new(first & 7));
        server.run(rest);
        // A change of the config leaves the server with another model than its number's.
        if server.changed {
            servers[number] = None;
        }
    });
});
