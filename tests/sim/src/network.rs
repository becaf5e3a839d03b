//! Connections between the two servers: octets in order, late, held up by a partition, or lost
//! with the connection, of which one end may know nothing.

use crate::client::Millis;
use failover::ConnectionId;
use std::collections::{BTreeMap, VecDeque};

/// What goes over a connection.
#[derive(Debug)]
pub enum Segment {
    Octets(Vec<u8>),
    /// The other end is closed.
    End,
}

#[derive(Debug, Default)]
struct Connection {
    /// Whether each server's end is open.
    open: [bool; 2],
    /// What is on its way to each server.
    to: [VecDeque<Segment>; 2],
    /// When the last of it arrives.
    last: [Millis; 2],
    /// Arrivals that a partition holds up.
    stalled: [u32; 2],
}

#[derive(Debug)]
pub struct Network {
    connections: BTreeMap<ConnectionId, Connection>,
    next: u64,
    /// Whether what is on its way to each server arrives.
    pub blocked: [bool; 2],
    /// Delay range in milliseconds.
    pub delay: (Millis, Millis),
}

impl Default for Network {
    fn default() -> Self {
        Self {
            connections: BTreeMap::new(),
            next: 0,
            blocked: [false; 2],
            delay: (1, 20),
        }
    }
}

impl Network {
    pub fn connect(&mut self) -> ConnectionId {
        self.next += 1;
        let id = ConnectionId(self.next);
        let connection = Connection {
            open: [true; 2],
            ..Connection::default()
        };
        self.connections.insert(id, connection);
        id
    }

    /// Puts a segment on its way from a server; when it arrives at the other, if the end is open.
    pub fn send(
        &mut self,
        id: ConnectionId,
        from: usize,
        segment: Segment,
        at: Millis,
    ) -> Option<Millis> {
        let connection = self.connections.get_mut(&id)?;
        if !connection.open[from] {
            return None;
        }
        if matches!(segment, Segment::End) {
            connection.open[from] = false;
        }
        let to = 1 - from;
        connection.to[to].push_back(segment);
        connection.last[to] = connection.last[to].max(at);
        Some(connection.last[to])
    }

    /// The next segment that arrives at a server; `None` if a partition holds it up, or the end is
    /// closed.
    pub fn arrive(&mut self, id: ConnectionId, to: usize) -> Option<Segment> {
        let blocked = self.blocked[to];
        let connection = self.connections.get_mut(&id)?;
        if blocked {
            connection.stalled[to] += 1;
            return None;
        }
        let segment = connection.to[to].pop_front()?;
        if !connection.open[to] {
            return None;
        }
        if matches!(segment, Segment::End) {
            connection.open[to] = false;
        }
        Some(segment)
    }

    /// A partition towards a server is over: the arrivals that it held up.
    pub fn unblock(&mut self, to: usize) -> Vec<ConnectionId> {
        self.blocked[to] = false;
        let mut due = Vec::new();
        for (id, connection) in &mut self.connections {
            let count = core::mem::take(&mut connection.stalled[to]);
            due.extend((0..count).map(|_| *id));
        }
        due
    }

    /// The connections of a server's open ends.
    pub fn open_ends(&self, of: usize) -> Vec<ConnectionId> {
        let open = self.connections.iter().filter(|(_, c)| c.open[of]);
        open.map(|(id, _)| *id).collect()
    }

    /// An end is gone without a word to the other.
    pub fn vanish(&mut self, id: ConnectionId, end: usize) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.open[end] = false;
        }
        self.connections.retain(|_, c| c.open != [false; 2]);
    }
}
