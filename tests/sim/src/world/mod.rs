//! The simulated world: one queue of events, in the order of time and then of their making.

mod carry;
mod inflict;

use crate::client::{Client, Millis, Turn};
use crate::message::FromServer;
use crate::network::Network;
use crate::oracle::{Oracle, difference};
use crate::params::Params;
use crate::rng::Rng;
use crate::server::Server;
use failover::{ConnectionId, Event as Told, ServerState};
use lease::Answers;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use wire::IaKind;

/// When faults begin: the pair is NORMAL by then, if it can be.
const FAULTS_FROM: Millis = 40_000;

#[derive(Debug)]
enum Event {
    Wake {
        client: usize,
        wake: u64,
    },
    ToServer {
        server: usize,
        client: usize,
        link: u16,
        octets: Vec<u8>,
    },
    ToClient {
        client: usize,
        octets: Vec<u8>,
    },
    Written {
        server: usize,
        generation: u64,
    },
    Tick {
        server: usize,
        generation: u64,
    },
    Arrival {
        connection: ConnectionId,
        to: usize,
    },
    Dialed {
        server: usize,
        generation: u64,
    },
    Fault,
}

pub struct World {
    rng: Rng,
    params: Params,
    now: Millis,
    queue: BinaryHeap<Reverse<(Millis, u64)>>,
    events: BTreeMap<u64, Event>,
    made: u64,
    servers: [Server; 2],
    clients: Vec<Client>,
    network: Network,
    oracle: Oracle,
    faults_left: u32,
    /// When the last fault ends.
    pub healed_at: Option<Millis>,
    client_loss: u64,
    client_delay: Millis,
    write_millis: [Millis; 2],
    stalled_until: [Millis; 2],
    /// When each server went down.
    down_since: [Millis; 2],
    clients_rest: bool,
    /// Each server has served in PARTNER-DOWN, and the other has not been told of all that since.
    stood_alone: [bool; 2],
    story: VecDeque<String>,
    pub tally: Tally,
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Faults of `Fault`.
    pub faults: u64,
    /// Datagrams that were lost or came twice.
    pub datagrams: u64,
    /// Crashes among the faults.
    pub crashes: u64,
    /// Times that a client got or extended a lease.
    pub grants: u64,
    /// Runs in which the operator told what was not true, so that leases could get two holders.
    pub tainted: u64,
    /// Milliseconds from the last fault until both servers were alike.
    pub convergence: Millis,
    /// Events of the simulation.
    pub events: u64,
}

impl World {
    pub fn new(params: Params, rng: Rng, faults: u32) -> Self {
        let mut rng = rng;
        let kinds: [&[IaKind]; 3] = [&[IaKind::Na], &[IaKind::Pd], &[IaKind::Na, IaKind::Pd]];
        let clients = params.clients.iter().map(|device| {
            let kinds = rng.pick(&kinds).to_vec();
            let link = rng.within(0, 2) as u16;
            Client::new(device, link, kinds, params.by_line)
        });
        let clients: Vec<Client> = clients.collect();
        let servers = [0, 1].map(|index| Server::new(index, &params, Rng::new(rng.next())));
        Self {
            now: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            made: 0,
            servers,
            clients,
            network: Network::default(),
            oracle: Oracle::default(),
            faults_left: faults,
            healed_at: None,
            client_loss: 0,
            client_delay: 5,
            write_millis: [1, 1],
            stalled_until: [0, 0],
            down_since: [0, 0],
            clients_rest: false,
            stood_alone: [false; 2],
            story: VecDeque::new(),
            tally: Tally::default(),
            params,
            rng,
        }
    }

    /// What happened last, for who wants to know why.
    pub fn story(&self) -> impl Iterator<Item = &str> {
        self.story.iter().map(String::as_str)
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// What was violated.
    pub fn run(&mut self) -> Result<(), String> {
        for server in 0..2 {
            self.start(server)?;
        }
        for client in 0..self.clients.len() {
            let at = self.rng.within(10_000, 60_000);
            self.wake(client, at);
        }
        self.put(FAULTS_FROM, Event::Fault);
        let longest = u64::from(self.params.valid_secs.max(self.params.mclt_secs));
        // STARTUP, slowed-down dialling, two rounds of updates, RECOVER-WAIT, rejected leases
        // retried, and what two clients hold has ended; and then some.
        let patience = 400_000 + 4 * longest * 1_000;
        while let Some(Reverse((at, number))) = self.queue.pop() {
            self.now = at;
            let event = self
                .events
                .remove(&number)
                .expect("an event for each number");
            self.tally.events += 1;
            self.step(event)
                .map_err(|what| format!("at {at} ms: {what}"))?;
            if let Some(healed) = self.healed_at {
                let resting = healed + 60_000;
                self.clients_rest = at > resting;
                if at > resting && difference(&self.servers).is_none() {
                    self.tally.convergence = at - healed;
                    return Ok(());
                }
                if at > healed + patience {
                    let why = difference(&self.servers).unwrap_or_default();
                    return Err(format!(
                        "{} s after the last fault the servers are not alike: {why}",
                        patience / 1_000
                    ));
                }
            }
        }
        Err("nothing happens any more".into())
    }

    fn put(&mut self, at: Millis, event: Event) {
        self.made += 1;
        self.queue.push(Reverse((at, self.made)));
        self.events.insert(self.made, event);
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.params.story > 0 {
            if self.story.len() == self.params.story {
                self.story.pop_front();
            }
            let line = format!("{:>9} {}", self.now, line());
            self.story.push_back(line);
        }
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Wake { client, wake } => {
                if self.clients[client].wake == wake && !self.clients_rest {
                    let turn = self.clients[client].woken(self.now, &mut self.rng);
                    self.turn(client, turn)?;
                }
            }
            Event::ToServer {
                server,
                client,
                link,
                octets,
            } => {
                let decided = self.servers[server].take(client, link, &octets, self.now);
                if let Some(decided) = decided {
                    self.tell(|| {
                        format!(
                            "{} answers client {client} {:?} with {:?} {:?}",
                            name(server),
                            decided.asked,
                            decided.answer.msg_type,
                            shown(&decided.answer)
                        )
                    });
                    let of = &self.servers[server];
                    self.oracle.decided(of, self.params.mclt_secs, &decided)?;
                }
                self.drain(server)?;
            }
            Event::ToClient { client, octets } => {
                let message = FromServer::read(&octets);
                let turn = self.clients[client].heard(&message, self.now, &mut self.rng);
                self.turn(client, turn)?;
            }
            Event::Written { server, generation } => {
                if self.servers[server].generation == generation
                    && self.servers[server].running.is_some()
                {
                    self.servers[server].written(self.now);
                    self.drain(server)?;
                }
            }
            Event::Tick { server, generation } => {
                if self.servers[server].generation == generation
                    && self.servers[server].running.is_some()
                {
                    self.servers[server].tick(self.now);
                    self.drain(server)?;
                    self.put(self.now + 500, Event::Tick { server, generation });
                    if server == 0 {
                        self.oracle.owners(&self.servers)?;
                        self.check_beliefs()?;
                    }
                }
            }
            Event::Arrival { connection, to } => self.arrival(connection, to)?,
            Event::Dialed { server, generation } => {
                if self.servers[server].generation == generation
                    && self.servers[server].running.is_some()
                {
                    let reaches = self.servers[1 - server].running.is_some()
                        && self.network.blocked == [false; 2];
                    let told = match reaches {
                        true => Told::Connected(self.network.connect()),
                        false => Told::DialFailed,
                    };
                    self.servers[server].event(told, self.now);
                    self.drain(server)?;
                }
            }
            Event::Fault => self.next_fault()?,
        }
        self.note_lies();
        Ok(())
    }

    fn wake(&mut self, client: usize, at: Millis) {
        self.clients[client].wake += 1;
        let wake = self.clients[client].wake;
        self.put(at, Event::Wake { client, wake });
    }

    fn turn(&mut self, client: usize, turn: Turn) -> Result<(), String> {
        for (lease, until) in turn.gained {
            self.tally.grants += 1;
            self.tell(|| format!("client {client} has {lease} until {until}"));
            for other in (0..self.clients.len()).filter(|other| *other != client) {
                if self.clients[client].shares(&self.clients[other], lease) {
                    self.clients[other].is_displaced(lease);
                }
            }
            self.oracle.gained(&self.clients, client, lease, self.now)?;
        }
        if let Some(octets) = turn.send {
            // Multicast, or a relay that forwards to both.
            let link = self.clients[client].link;
            for server in 0..2 {
                let octets = octets.clone();
                self.datagram(
                    |octets| Event::ToServer {
                        server,
                        client,
                        link,
                        octets,
                    },
                    octets,
                );
            }
        }
        if let Some(at) = turn.wake_at {
            self.wake(client, at);
        }
        Ok(())
    }

    fn start(&mut self, server: usize) -> Result<(), String> {
        self.servers[server].start(self.now)?;
        self.drain(server)?;
        let generation = self.servers[server].generation;
        self.put(self.now + 500, Event::Tick { server, generation });
        Ok(())
    }

    /// One serves before it knows what the other gave while standing alone: from now on leases may
    /// have two holders, and no rule of the RFC could prevent it.
    fn note_lies(&mut self) {
        for server in 0..2 {
            let Some(running) = &self.servers[server].running else {
                continue;
            };
            match running.serves_as {
                ServerState::PartnerDown => self.stood_alone[server] = true,
                ServerState::Normal => self.stood_alone[server] = false,
                _ => {}
            }
            let serves = running.leeway.answers != Answers::Nothing
                && running.serves_as != ServerState::RecoverDone;
            if serves && self.stood_alone[1 - server] && !self.oracle.tainted {
                self.oracle.tainted = true;
                self.tell(|| "-- one serves that does not know what the other gave alone".into());
            }
        }
    }

    /// No lease is two clients': looked at as a whole now and then, at every grant otherwise.
    fn check_beliefs(&self) -> Result<(), String> {
        for (who, client) in self.clients.iter().enumerate() {
            for lease in client.beliefs(self.now) {
                self.oracle.gained(&self.clients, who, lease, self.now)?;
            }
        }
        Ok(())
    }
}

fn name(server: usize) -> &'static str {
    ["primary  ", "secondary"][server]
}

fn shown(answer: &FromServer) -> Vec<String> {
    let leases = answer.leases.iter();
    leases
        .map(|(lease, _, valid)| format!("{lease} {valid} s"))
        .collect()
}
