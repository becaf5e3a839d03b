//! The pure engine with its shards, and clients around it, without a socket, disk or clock: what
//! `bench engine` times and `bench/guard` counts the instructions of.
//!
//! What is to be measured is given to the caller's `watch` as a closure, to be called once: parsing,
//! the look ahead and answering a batch, as a worker does them, but for sending and the journal.
//! Building datagrams, releases and bookkeeping are outside of it.

#![forbid(unsafe_code)]

mod clients;
mod kinds;
mod record;

use std::collections::VecDeque;
use std::net::Ipv6Addr;

use anyhow::{Context as _, ensure};
use engine::{
    BATCH_MAX, Batch, Context, Ingress, InterfaceId, LinkSpec, Model, ModelBuilder, OptionValues,
    Outcome, PoolConfig,
};
use lease::{AbsTime, AllocationKey, BindingDelta, Lease, PoolSpec, Shard};
use wire::message::MESSAGE_HEADER_LEN;
use wire::relay::RELAY_HEADER_LEN;
use wire::{MessageType, OptionCode, Options, SHARDS, ShardId};

pub use clients::{Client, Path, RELAYED_LINKS, Random, SERVER_DUID, link_address};
pub use kinds::Kind;
pub use record::record;

/// Datagrams that a worker takes at once.
pub const BATCH: usize = 64;
/// Octets of a frame that a reply is written into.
const FRAME: usize = 2048;
/// IAID, T1 and T2.
const IA_FIXED_LEN: usize = 12;
const NOW: AbsTime = AbsTime(1_000_000);

/// What a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A client without binding solicits.
    Solicit,
    /// A client with a binding solicits.
    SolicitBound,
    /// A client requests what was advertised to it. A random other one releases, untimed.
    Request,
    /// A client renews.
    Renew,
    /// A client wants configuration only.
    InformationRequest,
}

/// How much of everything there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Bindings that stay, half of them of clients behind relays.
    pub bindings: usize,
    /// Filled beyond them at first, so that a shard that meets more clients than others has the
    /// room that it would have after some days.
    pub spare: usize,
    /// Clients of either path that have an Advertise and whose Request is still to come. With
    /// enough of them, what the Solicit brought into the caches has left them.
    pub waiting: usize,
}

/// What was watched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Messages that came in.
    pub messages: u64,
    /// Those of them that were answered.
    pub answered: u64,
}

/// Measures what it is given while calling it.
pub type Watch<'w> = dyn FnMut(&mut dyn FnMut()) + 'w;

/// See the module.
pub struct Network {
    server: Server,
    /// Clients with a binding, direct and relayed.
    bound: [Vec<Client>; 2],
    /// Clients with an Advertise, direct and relayed.
    waiting: [VecDeque<Client>; 2],
    random: Random,
    next_number: u32,
    payloads: Vec<Vec<u8>>,
    tally: Tally,
}

struct Server {
    model: Model,
    shards: Vec<Shard>,
    frames: Vec<[u8; FRAME]>,
    granted: Vec<u128>,
    ended: Vec<Lease>,
}

impl Network {
    /// A server that is full to `size`: every binding came about by Solicit and Request.
    ///
    /// # Errors
    /// If a client was not served.
    pub fn new(size: Size) -> anyhow::Result<Self> {
        let mut network = Self::empty()?;
        network.fill(size)?;
        Ok(network)
    }

    fn empty() -> anyhow::Result<Self> {
        let shards = (0..SHARDS).map(|id| Shard::new(ShardId(id as u8), 0x5eed + id as u64));
        Ok(Self {
            server: Server {
                model: model()?,
                shards: shards.collect(),
                frames: vec![[0; FRAME]; BATCH],
                granted: Vec::with_capacity(BATCH),
                ended: Vec::with_capacity(BATCH),
            },
            bound: [Vec::new(), Vec::new()],
            waiting: [VecDeque::new(), VecDeque::new()],
            random: Random(7),
            next_number: 0,
            payloads: vec![Vec::new(); BATCH],
            tally: Tally::default(),
        })
    }

    /// What was watched so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Bindings in all shards.
    pub fn bindings(&self) -> usize {
        self.server.shards.iter().map(Shard::len).sum()
    }

    fn fill(&mut self, size: Size) -> anyhow::Result<()> {
        let total = size.bindings + size.spare;
        for shard in &mut self.server.shards {
            shard.reserve(total / SHARDS * 5 / 4);
        }
        while self.bindings() < total {
            for path in [Path::Direct, Path::Relayed] {
                let count = BATCH.min(total - self.bindings());
                let clients = self.solicited(path, count)?;
                self.request(&clients)?;
            }
        }
        while self.bindings() > size.bindings {
            for path in [Path::Direct, Path::Relayed] {
                let count = BATCH.min(self.bindings() - size.bindings);
                self.release(path, count)?;
            }
        }
        for path in [Path::Direct, Path::Relayed] {
            while self.waiting[path as usize].len() < size.waiting {
                let clients = self.solicited(path, BATCH)?;
                self.waiting[path as usize].extend(clients);
            }
        }
        Ok(())
    }

    /// Answers so many messages, batch by batch, each batch watched.
    pub fn answer(&mut self, path: Path, sort: Sort, messages: u64, watch: &mut Watch<'_>) {
        let mut left = messages;
        while left > 0 {
            let count = left.min(BATCH as u64) as usize;
            self.answer_batch(path, sort, count, watch);
            left -= count as u64;
        }
    }

    fn answer_batch(&mut self, path: Path, sort: Sort, count: usize, watch: &mut Watch<'_>) {
        let msg_type = match sort {
            Sort::Solicit | Sort::SolicitBound => MessageType::SOLICIT,
            Sort::Request => MessageType::REQUEST,
            Sort::Renew => MessageType::RENEW,
            Sort::InformationRequest => MessageType::INFORMATION_REQUEST,
        };
        let clients: Vec<Client> = (0..count).filter_map(|_| self.client(path, sort)).collect();
        self.write(&clients, msg_type);
        let (server, payloads) = (&mut self.server, &self.payloads[..clients.len()]);
        let mut answered = 0;
        watch(&mut || answered += server.answer(payloads));
        self.tally.messages += count as u64;
        self.tally.answered += answered as u64;
        if sort == Sort::Request {
            self.keep_granted(&clients);
            let refilled = self.release(path, count).and_then(|()| {
                let clients = self.solicited(path, count)?;
                self.waiting[path as usize].extend(clients);
                Ok(())
            });
            // Shows as a message without answer at the end.
            self.tally.messages += u64::from(refilled.is_err());
        }
    }

    /// Who sends the next message of this sort.
    fn client(&mut self, path: Path, sort: Sort) -> Option<Client> {
        match sort {
            Sort::Solicit | Sort::InformationRequest => Some(self.stranger(path)),
            Sort::Request => self.waiting[path as usize].pop_front(),
            Sort::SolicitBound | Sort::Renew => {
                let bound = &self.bound[path as usize];
                let mut client = *bound.get(self.random.below(bound.len()))?;
                if sort == Sort::SolicitBound {
                    client.address = None;
                }
                Some(client)
            }
        }
    }

    fn stranger(&mut self, path: Path) -> Client {
        self.next_number += 1;
        Client {
            number: self.next_number,
            path,
            address: None,
        }
    }

    /// New clients, each with an Advertise.
    fn solicited(&mut self, path: Path, count: usize) -> anyhow::Result<Vec<Client>> {
        let mut clients: Vec<Client> = (0..count).map(|_| self.stranger(path)).collect();
        self.write(&clients, MessageType::SOLICIT);
        let answered = self.server.answer(&self.payloads[..count]);
        ensure!(answered == count, "a Solicit was not answered");
        for (client, frame) in clients.iter_mut().zip(&self.server.frames) {
            client.address = Some(offered(frame).context("an Advertise without address")?);
        }
        Ok(clients)
    }

    fn request(&mut self, clients: &[Client]) -> anyhow::Result<()> {
        self.write(clients, MessageType::REQUEST);
        let answered = self.server.answer(&self.payloads[..clients.len()]);
        ensure!(answered == clients.len(), "a Request was not answered");
        ensure!(
            self.server.granted.len() == clients.len(),
            "a Request was not granted"
        );
        self.keep_granted(clients);
        Ok(())
    }

    /// Notes what the server has just bound, one address for each client.
    fn keep_granted(&mut self, clients: &[Client]) {
        for (client, &address) in clients.iter().zip(&self.server.granted) {
            self.bound[client.path as usize].push(Client {
                address: Some(address),
                ..*client
            });
        }
    }

    /// Random clients release what they have.
    fn release(&mut self, path: Path, count: usize) -> anyhow::Result<()> {
        let bound = &mut self.bound[path as usize];
        let random = &mut self.random;
        let clients: Vec<Client> = (0..count)
            .map(|_| bound.swap_remove(random.below(bound.len())))
            .collect();
        self.write(&clients, MessageType::RELEASE);
        self.server.answer(&self.payloads[..count]);
        let ended = &self.server.ended;
        ensure!(ended.len() == count, "a Release was not obeyed");
        for &lease in ended {
            self.server.model.release(lease);
        }
        Ok(())
    }

    fn write(&mut self, clients: &[Client], msg_type: MessageType) {
        for (client, payload) in clients.iter().zip(&mut self.payloads) {
            client.write(payload, msg_type);
        }
    }
}

impl Server {
    /// What is watched; how many had an answer.
    fn answer(&mut self, payloads: &[Vec<u8>]) -> usize {
        let Self {
            model,
            shards,
            frames,
            granted,
            ended,
        } = self;
        granted.clear();
        ended.clear();
        let context = Context {
            model,
            now: NOW,
            leeways: &[],
        };
        let mut emit = |delta: &BindingDelta<'_>| match delta {
            BindingDelta::Put { record, .. } => granted.push(record.lease.addr),
            BindingDelta::Remove { lease, .. } => ended.push(*lease),
            BindingDelta::Acked { .. } => {}
        };
        let mut answered = 0;
        for (payloads, frames) in payloads.chunks(BATCH_MAX).zip(frames.chunks_mut(BATCH_MAX)) {
            let mut batch = Batch::default();
            for payload in payloads {
                let ingress = Ingress {
                    payload,
                    interface: InterfaceId(0),
                    source: Ipv6Addr::LOCALHOST,
                    destination: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2),
                };
                // One that is dropped shows as a message without answer at the end.
                let _ = batch.push(&ingress);
            }
            batch.look_ahead(model, |id| shards.get(usize::from(id.0)));
            for (parsed, frame) in batch.messages().iter().zip(frames) {
                let shard = &mut shards[usize::from(parsed.shard(model).0)];
                let outcome = engine::answer(&context, shard, parsed, frame, &mut emit);
                answered += usize::from(matches!(outcome, Outcome::Reply { .. }));
            }
        }
        answered
    }
}

/// The first address in an answer, relayed or not; behind it stands what the frame held before.
fn offered(frame: &[u8]) -> Option<u128> {
    let message = match MessageType(*frame.first()?) {
        MessageType::RELAY_REPL => find(frame, RELAY_HEADER_LEN, OptionCode::RELAY_MSG)?,
        _ => frame,
    };
    let ia = find(message, MESSAGE_HEADER_LEN, OptionCode::IA_NA)?;
    let address = find(ia, IA_FIXED_LEN, OptionCode::IAADDR)?;
    Some(u128::from_be_bytes(*address.first_chunk()?))
}

/// The data of an option behind so many octets of fixed fields.
fn find(octets: &[u8], fixed_len: usize, code: OptionCode) -> Option<&[u8]> {
    let options = Options::new(octets.get(fixed_len..)?, 0);
    Some(options.find(code)?.data)
}

/// One link with two million addresses for direct clients and a thousand, with four thousand
/// each, behind relays.
fn model() -> anyhow::Result<Model> {
    let dns_servers: [Ipv6Addr; 2] = ["2001:db8::53".parse()?, "2001:db8::5353".parse()?];
    let options = OptionValues::default()
        .with(
            OptionCode::DNS_SERVERS,
            dns_servers.map(|server| server.octets()).concat(),
        )
        .with(OptionCode::DOMAIN_LIST, b"\x07example\x03net\0".to_vec());
    let builder = ModelBuilder::new(&SERVER_DUID, AllocationKey::new([9; 16])).options(options);
    let direct = LinkSpec {
        interface: Some(InterfaceId(0)),
        ..link("direct", 0xffff, 1 << 21)?
    };
    let mut builder = builder.link(direct);
    for number in 0..RELAYED_LINKS {
        builder = builder.link(link(&format!("relayed-{number}"), number, 1 << 12)?);
    }
    Ok(builder.build()?)
}

fn link(name: &str, number: u32, addresses: u128) -> anyhow::Result<LinkSpec> {
    let prefix = link_address(number).to_bits() & !u128::from(u64::MAX);
    let first = prefix | 1 << 32;
    let pool = PoolSpec::addresses(
        Ipv6Addr::from_bits(first),
        Ipv6Addr::from_bits(first + addresses - 1),
    )?;
    Ok(LinkSpec {
        name: name.to_owned(),
        link_addresses: vec![Lease {
            addr: prefix,
            len: 64,
        }],
        pools: vec![PoolConfig::new(pool)],
        ..LinkSpec::default()
    })
}
