//! No message makes the engine allocate, once a shard's tables have grown.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use core::cell::Cell;
use core::net::Ipv6Addr;
use dhcproto::Encodable;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IAPrefix, Message, MessageType as Type, ORO,
    OptionCode,
};
use engine::{
    Attribute, AttributeValue, Batch, ClassMatch, ClassSpec, Clients, Context, Ingress,
    InterfaceId, Lifetimes, LinkSpec, Model, ModelBuilder, OptionValues, Outcome, Pattern,
    PoolConfig, ReservationKey, ReservationTable, ReservationTerms, answer, expire,
};
use lease::{AbsTime, AllocationKey, BindingDelta, Lease, PoolSpec, Shard};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use wire::{ClientKey, MessageType, SHARDS, ShardId};

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    CALLS.with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SERVER: [u8; 4] = [0, 3, 0, 1];
const CLIENTS: u32 = 64;
/// Longer than the longest valid lifetime or quarantine.
const LONG_SECS: u32 = 10_000_000;

struct Server {
    model: Model,
    shards: Vec<Shard>,
    now: AbsTime,
    /// Allocations while messages were answered, and how many were.
    allocations: u64,
    answered: u64,
}

/// The leases that an answer bound.
type Bound = Vec<Lease>;

impl Server {
    /// Clients of their DUIDs, or of lines: these have classes, and reservations of both kinds.
    fn new(key: ClientKey) -> Self {
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
                pool(PoolSpec::addresses(ip("2001:db8:1::1:0"), ip("2001:db8:1::1:ffff")).unwrap()),
                pool(PoolSpec::prefixes(delegable, 60).unwrap()),
            ],
            options: OptionValues::default()
                .with(
                    wire::OptionCode::DNS_SERVERS,
                    ip("2001:db8::53").octets().to_vec(),
                )
                .with(
                    wire::OptionCode::DOMAIN_LIST,
                    b"\x07example\x03net\0".to_vec(),
                ),
            clients: Clients {
                key,
                ..Clients::default()
            },
            ..LinkSpec::default()
        };
        let mut builder = ModelBuilder::new(&SERVER, AllocationKey::new([1; 16]))
            .rapid_commit(true)
            .link(link);
        if key != ClientKey::Duid {
            builder = builder.class(of_ports()).reservations(reservations());
        }
        let model = builder.build().unwrap();
        let shards = (0..SHARDS).map(|id| Shard::new(ShardId(id as u8), 5));
        Self {
            model,
            shards: shards.collect(),
            now: AbsTime(1_000),
            allocations: 0,
            answered: 0,
        }
    }

    /// Sends a message, counts what that allocates, and frees what ended.
    fn send(&mut self, message: &Message, relayed: Option<u32>, expected: MessageType) -> Bound {
        let payload = match relayed {
            None => message.to_vec().unwrap(),
            Some(port) => forwarded(port, &message.to_vec().unwrap()),
        };
        let ingress = Ingress {
            payload: &payload,
            interface: InterfaceId(0),
            source: ip("fe80::9"),
            destination: ip("ff02::1:2"),
        };
        let mut out = [0; 1_200];
        let mut bound = Vec::with_capacity(8);
        let mut ended = Vec::with_capacity(8);
        let before = CALLS.get();
        let mut batch = Batch::default();
        batch.push(&ingress).unwrap();
        batch.look_ahead(&self.model, |id| self.shards.get(usize::from(id.0)));
        let parsed = &batch.messages()[0];
        let context = Context {
            model: &self.model,
            now: self.now,
            leeways: &[],
        };
        let shard = &mut self.shards[usize::from(parsed.shard(&self.model).0)];
        let outcome = answer(
            &context,
            shard,
            parsed,
            &mut out,
            &mut |delta| match delta {
                BindingDelta::Put { record, .. } => bound.push(record.lease),
                BindingDelta::Remove { lease, .. } => ended.push(*lease),
                BindingDelta::Acked { .. } => panic!("there is no partner"),
            },
        );
        ended.iter().for_each(|lease| self.model.release(*lease));
        self.allocations += CALLS.get() - before;
        self.answered += 1;
        match outcome {
            Outcome::Reply { kind, .. } => assert_eq!(kind, expected),
            Outcome::Drop(reason) => panic!("{:?}: {reason}", message.msg_type()),
        }
        bound
    }

    fn expire(&mut self) {
        let mut ended = Vec::with_capacity(1024);
        self.now = AbsTime(self.now.0 + LONG_SECS);
        let before = CALLS.get();
        let context = Context::alone(&self.model, self.now);
        for shard in &mut self.shards {
            while shard.next_expiry().is_some_and(|next| next <= self.now) {
                expire(&context, shard, 100, &mut |delta| {
                    if let BindingDelta::Remove { lease, .. } = delta {
                        ended.push(*lease);
                    }
                });
            }
        }
        ended.iter().for_each(|lease| self.model.release(*lease));
        self.allocations += CALLS.get() - before;
    }

    /// Every message of every client.
    fn serve_all(&mut self, relayed: bool) {
        for client in 0..CLIENTS {
            let message = |msg_type, leases: &[Lease]| message(client, msg_type, leases);
            let mut send = |message: Message, expected| {
                self.send(&message, relayed.then_some(client), expected)
            };
            send(message(Type::InformationRequest, &[]), MessageType::REPLY);
            send(message(Type::Solicit, &[]), MessageType::ADVERTISE);
            let bound = send(message(Type::Request, &[]), MessageType::REPLY);
            assert_eq!(bound.len(), 2);
            send(message(Type::Solicit, &[]), MessageType::ADVERTISE);
            send(message(Type::Confirm, &bound), MessageType::REPLY);
            assert_eq!(
                send(message(Type::Renew, &bound), MessageType::REPLY),
                bound
            );
            assert_eq!(
                send(message(Type::Rebind, &bound), MessageType::REPLY),
                bound
            );
            send(message(Type::Release, &bound), MessageType::REPLY);
            let mut rapid = message(Type::Solicit, &[]);
            rapid.opts_mut().insert(DhcpOption::RapidCommit);
            let bound = send(rapid, MessageType::REPLY);
            assert_eq!(bound.len(), 2);
            // The address comes back as ABANDONED.
            let declined = send(message(Type::Decline, &bound), MessageType::REPLY);
            assert_eq!(declined.len(), 1);
        }
        self.expire();
    }
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// Three lengths of DUID: as a binding holds it, and in cells of both sizes beside it.
fn duid(client: u32) -> Vec<u8> {
    let mut duid = vec![7; [14, 40, 130][client as usize % 3]];
    duid[2..6].copy_from_slice(&client.to_be_bytes());
    duid
}

fn message(client: u32, msg_type: Type, leases: &[Lease]) -> Message {
    let mut message = Message::new_with_id(msg_type, [1, 2, 3]);
    let opts = message.opts_mut();
    opts.insert(DhcpOption::ClientId(duid(client)));
    if matches!(
        msg_type,
        Type::Request | Type::Renew | Type::Release | Type::Decline
    ) {
        opts.insert(DhcpOption::ServerId(SERVER.to_vec()));
    }
    opts.insert(DhcpOption::ORO(ORO {
        opts: vec![OptionCode::DomainNameServers, OptionCode::DomainSearchList],
    }));
    if msg_type == Type::InformationRequest {
        return message;
    }
    let (mut addresses, mut prefixes) = (DhcpOptions::new(), DhcpOptions::new());
    for lease in leases {
        let ip = Ipv6Addr::from_bits(lease.addr);
        match lease.len {
            128 => addresses.insert(DhcpOption::IAAddr(IAAddr {
                addr: ip,
                preferred_life: 0,
                valid_life: 0,
                opts: DhcpOptions::new(),
            })),
            prefix_len => prefixes.insert(DhcpOption::IAPrefix(IAPrefix {
                preferred_lifetime: 0,
                valid_lifetime: 0,
                prefix_len,
                prefix_ip: ip,
                opts: DhcpOptions::new(),
            })),
        }
    }
    opts.insert(DhcpOption::IANA(IANA {
        id: 1,
        t1: 0,
        t2: 0,
        opts: addresses,
    }));
    opts.insert(DhcpOption::IAPD(IAPD {
        id: 1,
        t1: 0,
        t2: 0,
        opts: prefixes,
    }));
    message
}

fn of_ports() -> ClassSpec {
    ClassSpec {
        name: "ports".to_owned(),
        matches: vec![ClassMatch {
            of: Attribute::InterfaceId,
            values: vec![AttributeValue {
                enterprise: None,
                octets: Some(Pattern {
                    octets: b"eth0.".to_vec(),
                    open_start: false,
                    open_end: true,
                }),
            }],
        }],
        lifetimes: Some(Lifetimes {
            preferred_secs: 1_000,
            valid_secs: 2_000,
        }),
        ..ClassSpec::default()
    }
}

/// An address for each client, by its DUID or by its port.
fn reservations() -> Arc<ReservationTable> {
    let mut table = ReservationTable::builder();
    for client in 0..CLIENTS {
        let (duid, port) = (duid(client), port(client));
        let key = match client % 2 {
            0 => ReservationKey::Duid(&duid),
            _ => ReservationKey::InterfaceId(&port),
        };
        let terms = ReservationTerms {
            options: OptionValues::NONE
                .with(wire::OptionCode::DNS_SERVERS, vec![client as u8 % 3; 16]),
            ..ReservationTerms::NONE
        };
        let first = ip("2001:db8:1::2:0").to_bits();
        let lease = Lease {
            addr: first + u128::from(client),
            len: 128,
        };
        table.push(0, "access", key, lease, &terms).unwrap();
    }
    Arc::new(table.finish(0).unwrap())
}

fn port(number: u32) -> Vec<u8> {
    format!("eth0.{number:04}").into_bytes()
}

/// The message in one Relay-forward with an Interface-Id.
fn forwarded(number: u32, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![12, 0];
    payload.extend(ip("2001:db8:1::1").octets());
    payload.extend(ip("fe80::9").octets());
    payload.extend([0, 18, 0, 9]);
    payload.extend(port(number));
    payload.extend([0, 9]);
    payload.extend((message.len() as u16).to_be_bytes());
    payload.extend(message);
    payload
}

#[test]
fn no_message_allocates_at_steady_state() {
    let mut server = Server::new(ClientKey::Duid);
    // The tables grow here, and keep their room when all bindings have ended.
    server.serve_all(false);
    server.serve_all(true);
    assert!(server.allocations > 0, "growth is not counted");
    for relayed in [false, true] {
        (server.allocations, server.answered) = (0, 0);
        server.serve_all(relayed);
        assert_eq!(server.answered, u64::from(CLIENTS) * 10);
        assert_eq!(server.allocations, 0, "relayed: {relayed}");
    }
    assert!(server.shards.iter().all(Shard::is_empty));
}

#[test]
fn nor_where_lines_have_the_leases_with_classes_and_reservations() {
    let mut server = Server::new(ClientKey::InterfaceId);
    server.serve_all(true);
    assert!(server.allocations > 0, "growth is not counted");
    (server.allocations, server.answered) = (0, 0);
    server.serve_all(true);
    assert_eq!(server.answered, u64::from(CLIENTS) * 10);
    assert_eq!(server.allocations, 0);
    let bound = server.send(&message(2, Type::Request, &[]), Some(2), MessageType::REPLY);
    assert_eq!(bound[0].addr, ip("2001:db8:1::2:2").to_bits());
}
