//! Who is where: lines with one device or two, what is reserved for whom, and the relay that says from
//! which line a message comes.

use crate::params::Params;
use crate::rng::Rng;
use engine::{ReservationKey, ReservationTable, ReservationTerms};
use lease::{Lease, subscriber_key};
use std::sync::Arc;
use wire::{ClientKey, OptionCode, ShardId, shard_of};

/// The option by which a relay tells the lines apart (RFC 4580).
const LINE: OptionCode = OptionCode(38);
/// How a link may tell its clients apart that does so by lines.
pub const BY_LINE: ClientKey = ClientKey::SubscriberId;

/// The link that may do so.
pub const LINK_OF_LINES: u16 = 1;

/// The first address of a link's pool, and of what is reserved beside it.
pub const FIRST_ADDRESS: u128 = 0x1000;
const BESIDE_THE_POOL: u128 = 0x2000;

/// A client's device and its line.
#[derive(Clone, Debug)]
pub struct Device {
    pub duid: Vec<u8>,
    pub line: [u8; 4],
}

/// Whose a reserved lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    Duid(Vec<u8>),
    Line([u8; 4]),
}

/// A reservation in a link.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub owner: Owner,
    pub link: u16,
    pub lease: Lease,
}

/// So many devices, of these shards whichever way they are told apart; one in five is the second one of
/// a line.
pub fn devices(rng: &mut Rng, count: usize, shards: &[ShardId]) -> Vec<Device> {
    let mut number = rng.next() as u32;
    let mut next = |is_right: &dyn Fn(&[u8; 4]) -> bool| {
        loop {
            number = number.wrapping_add(1);
            let octets = number.to_be_bytes();
            if is_right(&octets) {
                return octets;
            }
        }
    };
    let mut devices: Vec<Device> = Vec::new();
    while devices.len() < count {
        let [a, b, c, d] = next(&|id| shards.contains(&shard_of(&duid(id))));
        let line = match devices.last() {
            Some(last) if rng.chance(200) => last.line,
            _ => next(&|line| {
                let key = subscriber_key(BY_LINE, 0, line).expect("a line has a name");
                shards.contains(&key.duid().shard())
            }),
        };
        devices.push(Device {
            duid: duid(&[a, b, c, d]),
            line,
        });
    }
    devices
}

fn duid([a, b, c, d]: &[u8; 4]) -> Vec<u8> {
    vec![0, 3, 0, 1, *a, *b, *c, *d]
}

impl Params {
    /// Some leases reserved for devices and lines: addresses in the pools and beside them, and prefixes.
    pub fn reserve(&mut self, rng: &mut Rng) {
        for number in 0..u128::from(rng.within(0, 6)) {
            let of = rng.within(0, self.clients.len() as u64) as usize;
            let device = &self.clients[of];
            let owner = match rng.chance(500) {
                true => Owner::Duid(device.duid.clone()),
                false => Owner::Line(device.line),
            };
            let link = rng.within(0, 2) as u16;
            // No two are of the same lease.
            let address = |first: u128| Lease {
                addr: network(link).addr + first + number,
                len: 128,
            };
            let lease = match rng.within(0, 3) {
                0 => address(FIRST_ADDRESS),
                1 => address(BESIDE_THE_POOL),
                _ => Lease {
                    addr: prefixes(link) + (number << 64),
                    len: 64,
                },
            };
            let same = |other: &Reservation| {
                let (one, other_one) = (other.lease.len, lease.len);
                other.link == link && other.owner == owner && one == other_one
            };
            if self.reserved.iter().any(same) {
                continue;
            }
            self.reserved.push(Reservation { owner, link, lease });
        }
    }

    /// The table of what is reserved, or of nothing.
    pub fn reservations(&self, reserves: bool) -> Arc<ReservationTable> {
        let mut table = ReservationTable::builder();
        let reserved = self.reserved.iter().filter(|_| reserves);
        for (number, Reservation { owner, link, lease }) in (0..).zip(reserved) {
            let key = match owner {
                Owner::Duid(duid) => ReservationKey::Duid(duid),
                Owner::Line(line) => ReservationKey::SubscriberId(line),
            };
            let name = link_name(*link);
            let terms = ReservationTerms::NONE;
            table
                .push(number, &name, key, *lease, &terms)
                .expect("a reservation");
        }
        Arc::new(table.finish(0).expect("reservations that do not clash"))
    }
}

pub fn link_name(link: u16) -> String {
    format!("link{link}")
}

/// Where the addresses of a link are: a relay's are among them.
pub fn network(link: u16) -> Lease {
    Lease {
        addr: 0x2001_0db8_u128 << 96 | u128::from(link) << 64,
        len: 64,
    }
}

/// The first prefix of a link, which all of them have in common down to where they differ.
pub fn prefixes(link: u16) -> u128 {
    0x2001_0db8_8000_u128 << 80 | u128::from(link) << 72
}

/// The link whose a lease is.
pub fn link_of(lease: Lease) -> u16 {
    match lease.len {
        128 => (lease.addr >> 64) as u16,
        _ => (lease.addr >> 72) as u8 as u16,
    }
}

/// A client's message as its relay forwards it.
pub fn relayed(link: u16, client: usize, line: [u8; 4], octets: &[u8]) -> Vec<u8> {
    let mut forward = vec![wire::MessageType::RELAY_FORW.0, 0];
    forward.extend((network(link).addr + 1).to_be_bytes());
    forward.extend(link_local(client).to_be_bytes());
    option(&mut forward, LINE, &line);
    option(&mut forward, OptionCode::RELAY_MSG, octets);
    forward
}

/// A client's address on its link.
pub fn link_local(client: usize) -> u128 {
    (0xfe80 << 112) + client as u128 + 1
}

fn option(message: &mut Vec<u8>, code: OptionCode, data: &[u8]) {
    message.extend(code.0.to_be_bytes());
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
}

/// The message to the client in what a server answers a relay.
pub fn delivered(reply: &[u8]) -> &[u8] {
    const HEADER: usize = 34;
    let options = wire::Options::new(&reply[HEADER..], 0);
    let message = options
        .filter_map(Result::ok)
        .find(|option| option.code == OptionCode::RELAY_MSG);
    message
        .expect("an answer to a relay holds one to a client")
        .data
}
