//! What is on its way: clients' datagrams, and the octets between the two servers.

use super::{Event, World, name};
use crate::client::Millis;
use crate::network::Segment;
use crate::server::Out;
use failover::{ConnectionId, Event as Told};

impl World {
    pub(super) fn arrival(&mut self, connection: ConnectionId, to: usize) -> Result<(), String> {
        if self.stalled_until[to] > self.now {
            let at = self.stalled_until[to];
            self.put(at, Event::Arrival { connection, to });
            return Ok(());
        }
        match self.network.arrive(connection, to) {
            Some(Segment::Octets(octets)) => {
                self.servers[to].read(connection, &octets, self.now);
                self.drain(to)
            }
            Some(Segment::End) => {
                self.servers[to].event(Told::Lost(connection), self.now);
                self.drain(to)
            }
            None => Ok(()),
        }
    }

    /// A datagram on its way: lost, late, or twice.
    pub(super) fn datagram(&mut self, event: impl Fn(Vec<u8>) -> Event, octets: Vec<u8>) {
        if self.rng.chance(self.client_loss) {
            self.tally.datagrams += 1;
            return;
        }
        if self.client_loss > 0 && self.rng.chance(30) {
            self.tally.datagrams += 1;
            let at = self.now + 1 + self.rng.within(0, self.client_delay);
            self.put(at, event(octets.clone()));
        }
        let at = self.now + 1 + self.rng.within(0, self.client_delay);
        self.put(at, event(octets));
    }

    /// Carries what a server has said to where it goes.
    pub(super) fn drain(&mut self, server: usize) -> Result<(), String> {
        let out = core::mem::take(&mut self.servers[server].out);
        for said in out {
            match said {
                Out::ToClient { client, octets } => {
                    self.datagram(|octets| Event::ToClient { client, octets }, octets);
                }
                Out::Dial => {
                    let generation = self.servers[server].generation;
                    let reaches = self.servers[1 - server].running.is_some()
                        && self.network.blocked == [false; 2];
                    let delay = if reaches { 2 * self.delay() } else { 3_000 };
                    self.put(self.now + delay, Event::Dialed { server, generation });
                }
                Out::ToPartner(connection, octets) => {
                    self.segment(connection, server, Segment::Octets(octets));
                }
                Out::Close(connection) => {
                    self.segment(connection, server, Segment::End);
                    self.network.vanish(connection, server);
                }
                Out::Said(what) => self.tell(|| format!("{} {what}", name(server))),
                Out::Acknowledged(lease, duid, until) => {
                    self.oracle.acknowledged(server, lease, duid, until);
                }
                Out::Forgotten(lease) => self.oracle.forgotten(server, lease),
                Out::Broken(what) => return Err(format!("{}: {what}", name(server))),
            }
        }
        if self.servers[server].running.is_some() && self.servers[server].disk.begin_write() {
            let generation = self.servers[server].generation;
            let most = self.write_millis[server];
            let at = self.now + 1 + self.rng.within(0, most);
            self.put(at, Event::Written { server, generation });
        }
        Ok(())
    }

    pub(super) fn delay(&mut self) -> Millis {
        let (from, to) = self.network.delay;
        self.rng.within(from, to)
    }

    pub(super) fn segment(&mut self, connection: ConnectionId, from: usize, segment: Segment) {
        let at = self.now + self.delay();
        if let Some(at) = self.network.send(connection, from, segment, at) {
            let to = 1 - from;
            self.put(at, Event::Arrival { connection, to });
        }
    }

    pub(super) fn unblock(&mut self, to: usize) {
        for connection in self.network.unblock(to) {
            let at = self.now + self.delay();
            self.put(at, Event::Arrival { connection, to });
        }
    }
}
