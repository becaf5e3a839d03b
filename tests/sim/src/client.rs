//! A client: Solicit, Request, renewal at T1, rebinding at T2, and whatever else clients do. What
//! it believes to hold is what the servers are judged by.

use crate::message::{FromServer, ToServers};
use crate::rng::Rng;
use crate::site::{self, Device, LINK_OF_LINES};
use lease::Lease;
use std::collections::{BTreeMap, BTreeSet};
use wire::{IaKind, MessageType};

/// Milliseconds of simulated time.
pub type Millis = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Does nothing until it wakes; begins anew then.
    Off,
    /// Has its leases; wakes for what it plans next.
    Bound(Plan),
    Exchange(MessageType),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Renew,
    Release,
    Decline,
    Confirm,
    Move,
    Silence,
}

#[derive(Debug)]
pub struct Client {
    pub duid: Vec<u8>,
    line: [u8; 4],
    /// Whether there is a link whose leases are its lines'.
    by_line: bool,
    /// The link it is on.
    pub link: u16,
    kinds: Vec<IaKind>,
    phase: Phase,
    server: Vec<u8>,
    /// Leases it holds, each until when.
    believed: BTreeMap<Lease, Millis>,
    /// Those of them that another device of its line has since. That this one was silent for long
    /// enough is taken to mean that it is not on the line any more: it may ask for them, as one that
    /// comes back, and does not count as a holder.
    displaced: BTreeSet<Lease>,
    /// Those it would renew.
    held: Vec<Lease>,
    transaction_id: u32,
    octets: Vec<u8>,
    sent: u32,
    t1: Millis,
    t2: Millis,
    /// Changes with every new wake-up time: an older one does not count.
    pub wake: u64,
}

/// What a client does about something.
#[derive(Debug, Default)]
pub struct Turn {
    pub send: Option<Vec<u8>>,
    /// When to wake it next.
    pub wake_at: Option<Millis>,
    /// Leases that it holds from now on, and until when.
    pub gained: Vec<(Lease, Millis)>,
}

impl Client {
    pub fn new(device: &Device, link: u16, kinds: Vec<IaKind>, by_line: bool) -> Self {
        Self {
            duid: device.duid.clone(),
            line: device.line,
            by_line,
            link,
            kinds,
            phase: Phase::Off,
            server: Vec::new(),
            believed: BTreeMap::new(),
            displaced: BTreeSet::new(),
            held: Vec::new(),
            transaction_id: 0,
            octets: Vec::new(),
            sent: 0,
            t1: 0,
            t2: 0,
            wake: 0,
        }
    }

    /// Whether a lease is this client's and the other one's: both are on the line whose it is.
    pub fn shares(&self, other: &Self, lease: Lease) -> bool {
        self.by_line && self.line == other.line && site::link_of(lease) == LINK_OF_LINES
    }

    /// Another device of its line has a lease from now on.
    pub fn is_displaced(&mut self, lease: Lease) {
        self.displaced.insert(lease);
    }

    /// Until when it believes to hold a lease, if it does.
    pub fn believes(&self, lease: Lease, now: Millis) -> Option<Millis> {
        self.believed
            .get(&lease)
            .copied()
            .filter(|until| *until > now && !self.displaced.contains(&lease))
    }

    /// The leases it believes to hold.
    pub fn beliefs(&self, now: Millis) -> impl Iterator<Item = Lease> {
        self.believed
            .iter()
            .filter(move |(lease, until)| **until > now && !self.displaced.contains(lease))
            .map(|(lease, _)| *lease)
    }

    pub fn woken(&mut self, now: Millis, rng: &mut Rng) -> Turn {
        self.believed.retain(|_, until| *until > now);
        let believed = &self.believed;
        self.held.retain(|lease| believed.contains_key(lease));
        match self.phase {
            Phase::Off => self.begin(MessageType::SOLICIT, now, rng),
            Phase::Bound(_) if self.held.is_empty() => self.begin(MessageType::SOLICIT, now, rng),
            Phase::Bound(Plan::Renew) => self.begin(MessageType::RENEW, now, rng),
            Phase::Bound(Plan::Confirm) => self.begin(MessageType::CONFIRM, now, rng),
            Phase::Bound(Plan::Move) => {
                self.link ^= 1;
                self.begin(MessageType::CONFIRM, now, rng)
            }
            Phase::Bound(Plan::Release) => {
                let turn = self.begin(MessageType::RELEASE, now, rng);
                self.held.iter().for_each(|lease| {
                    self.believed.remove(lease);
                });
                turn
            }
            Phase::Bound(Plan::Decline) => {
                let turn = self.begin(MessageType::DECLINE, now, rng);
                self.held.iter().filter(|l| l.len == 128).for_each(|lease| {
                    self.believed.remove(lease);
                });
                turn
            }
            Phase::Bound(Plan::Silence) => self.rest(now, rng.within(60_000, 900_000)),
            Phase::Exchange(msg_type) => self.retransmit(msg_type, now, rng),
        }
    }

    fn retransmit(&mut self, msg_type: MessageType, now: Millis, rng: &mut Rng) -> Turn {
        let gives_up = match msg_type {
            MessageType::RENEW => now >= self.t2,
            MessageType::REBIND => self.held.is_empty(),
            _ => self.sent >= 4,
        };
        if !gives_up {
            self.sent += 1;
            return Turn {
                send: Some(self.octets.clone()),
                wake_at: Some(now + self.timeout(rng)),
                gained: Vec::new(),
            };
        }
        match msg_type {
            MessageType::RENEW => self.begin(MessageType::REBIND, now, rng),
            MessageType::REQUEST | MessageType::REBIND => {
                self.begin(MessageType::SOLICIT, now, rng)
            }
            MessageType::CONFIRM => self.bound(now, rng),
            MessageType::RELEASE | MessageType::DECLINE => {
                self.held.clear();
                self.rest(now, rng.within(5_000, 60_000))
            }
            _ => self.rest(now, rng.within(5_000, 30_000)),
        }
    }

    fn timeout(&self, rng: &mut Rng) -> Millis {
        (1_000 << self.sent.min(3)) + rng.within(0, 500)
    }

    fn rest(&mut self, now: Millis, millis: Millis) -> Turn {
        self.phase = Phase::Off;
        self.held.clear();
        Turn {
            wake_at: Some(now + millis),
            ..Turn::default()
        }
    }

    fn begin(&mut self, msg_type: MessageType, now: Millis, rng: &mut Rng) -> Turn {
        self.phase = Phase::Exchange(msg_type);
        self.transaction_id = rng.next() as u32 & 0xff_ffff;
        let names_server = matches!(
            msg_type,
            MessageType::REQUEST | MessageType::RENEW | MessageType::RELEASE | MessageType::DECLINE
        );
        if msg_type == MessageType::SOLICIT && rng.chance(700) {
            // Others ask for what they had.
            self.held.clear();
        }
        let mut ias = Vec::new();
        for kind in &self.kinds {
            let of_kind = |lease: &&Lease| (lease.len == 128) == (*kind == IaKind::Na);
            let leases: Vec<Lease> = self.held.iter().filter(of_kind).copied().collect();
            let is_left_out = match msg_type {
                MessageType::RELEASE => leases.is_empty(),
                MessageType::DECLINE | MessageType::CONFIRM => {
                    *kind == IaKind::Pd || leases.is_empty()
                }
                _ => false,
            };
            if !is_left_out {
                ias.push((*kind, leases));
            }
        }
        if ias.is_empty() {
            return self.bound(now, rng);
        }
        let [_, a, b, c] = self.transaction_id.to_be_bytes();
        self.octets = ToServers {
            msg_type,
            transaction_id: [a, b, c],
            duid: &self.duid,
            server: names_server.then_some(&self.server),
            ias: &ias,
        }
        .write();
        self.sent = 1;
        Turn {
            send: Some(self.octets.clone()),
            wake_at: Some(now + self.timeout(rng)),
            gained: Vec::new(),
        }
    }

    pub fn heard(&mut self, message: &FromServer, now: Millis, rng: &mut Rng) -> Turn {
        let [_, a, b, c] = self.transaction_id.to_be_bytes();
        let Phase::Exchange(asked) = self.phase else {
            return Turn::default();
        };
        if message.transaction_id != [a, b, c] {
            return Turn::default();
        }
        match (asked, message.msg_type) {
            (MessageType::SOLICIT, MessageType::ADVERTISE) => {
                if message.leases.is_empty() {
                    return Turn::default();
                }
                self.server.clone_from(&message.server);
                self.held = message.leases.iter().map(|(lease, ..)| *lease).collect();
                let turn = self.begin(MessageType::REQUEST, now, rng);
                self.held.clear();
                turn
            }
            (
                MessageType::REQUEST | MessageType::RENEW | MessageType::REBIND,
                MessageType::REPLY,
            ) => self.take(message, now, rng),
            (MessageType::CONFIRM, MessageType::REPLY) if message.is_not_on_link => {
                // A delegated prefix may be in use elsewhere: it is believed in to its end.
                self.believed.retain(|lease, _| lease.len != 128);
                self.held.clear();
                self.begin(MessageType::SOLICIT, now, rng)
            }
            (MessageType::CONFIRM, MessageType::REPLY) => self.bound(now, rng),
            (MessageType::RELEASE | MessageType::DECLINE, MessageType::REPLY) => {
                self.held.clear();
                self.rest(now, rng.within(5_000, 60_000))
            }
            _ => Turn::default(),
        }
    }

    fn take(&mut self, message: &FromServer, now: Millis, rng: &mut Rng) -> Turn {
        let mut gained = Vec::new();
        let mut shortest = u32::MAX;
        for (lease, preferred, valid) in &message.leases {
            self.held.retain(|held| held != lease);
            if *valid == 0 {
                self.believed.remove(lease);
                continue;
            }
            let until = now + u64::from(*valid) * 1_000;
            self.believed.insert(*lease, until);
            self.displaced.remove(lease);
            self.held.push(*lease);
            gained.push((*lease, until));
            shortest = shortest.min(*preferred);
        }
        self.server.clone_from(&message.server);
        if gained.is_empty() || message.has_no_binding {
            let mut turn = self.rest(now, rng.within(5_000, 20_000));
            turn.gained = gained;
            return turn;
        }
        self.t1 = now + u64::from(shortest) * 500;
        self.t2 = now + u64::from(shortest) * 800;
        let mut turn = self.bound(now, rng);
        turn.gained = gained;
        turn
    }

    /// Until T1, or for a while.
    fn bound(&mut self, now: Millis, rng: &mut Rng) -> Turn {
        let plan = match rng.within(0, 100) {
            0..12 => Plan::Release,
            12..15 => Plan::Decline,
            15..20 => Plan::Confirm,
            20..26 => Plan::Move,
            26..34 => Plan::Silence,
            _ => Plan::Renew,
        };
        self.phase = Phase::Bound(plan);
        let t1 = self.t1.max(now + 1_000);
        Turn {
            wake_at: Some(match plan {
                Plan::Renew => t1,
                _ => rng.within(now + 500, t1),
            }),
            ..Turn::default()
        }
    }
}
