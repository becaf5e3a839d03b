//! Clients by number: DUID, IAID, transaction id and relay are functions of it, so that millions
//! of clients need no table, and whoever a reply is for can be read from its DUID.

use std::ops::Range;

/// Octets of a client's DUID.
pub const DUID_LEN: usize = 10;
/// DUID-LL (RFC 9915 §11.4) of an Ethernet address that is locally administered.
const DUID_HEAD: [u8; 5] = [0, 3, 0, 1, 2];

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub u32);

/// The clients of one run: those of another `salt` are others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// One octet of every DUID.
    pub salt: u8,
    /// How many relays the clients are behind; 0 for clients on the server's link.
    pub relays: u32,
}

impl Numbering {
    /// The client's DUID.
    pub fn duid(self, client: Client) -> [u8; DUID_LEN] {
        let [a, b, c, d, e] = DUID_HEAD;
        let [w, x, y, z] = client.0.to_be_bytes();
        [a, b, c, d, e, self.salt, w, x, y, z]
    }

    /// Whose DUID this is, if it is one of ours.
    pub fn client(self, duid: &[u8]) -> Option<Client> {
        let duid: &[u8; DUID_LEN] = duid.try_into().ok()?;
        let [head @ .., salt, w, x, y, z] = *duid;
        (head == DUID_HEAD && salt == self.salt).then(|| Client(u32::from_be_bytes([w, x, y, z])))
    }

    /// IAID of the client's IA_NA and of its IA_PD: the octets of its DUID that differ, as clients
    /// commonly do with those of their interface's address.
    pub fn iaid(self, client: Client) -> u32 {
        client.0
    }

    /// Transaction id of a client's message: `message` counts those that differ, which
    /// retransmissions of one do not (RFC 9915 §16.1).
    pub fn transaction_id(self, client: Client, message: u32) -> [u8; 3] {
        let mixed = mix(u64::from(client.0) << 32 | u64::from(message) << 8 | u64::from(self.salt));
        let [a, b, c, ..] = mixed.to_be_bytes();
        [a, b, c]
    }

    /// The relay that the client is behind: neighbours in number are behind different ones.
    pub fn relay(self, client: Client) -> Option<u32> {
        client.0.checked_rem(self.relays)
    }
}

/// SplitMix64's finaliser: every bit of the result depends on every bit of `value`.
pub fn mix(value: u64) -> u64 {
    let mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// A range of clients in an order that touches them all once without a table, and jumps about: a
/// server that has their bindings in order of number gains nothing from that.
#[derive(Clone, Copy, Debug)]
pub struct Shuffled {
    first: u32,
    count: u32,
    /// Coprime to `count`.
    step: u32,
    /// `step` times this is 1 modulo `count`.
    inverse: u32,
}

impl Shuffled {
    /// All clients of `range`.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn new(range: Range<u32>) -> Self {
        let count = range.end - range.start;
        assert!(count > 0, "no clients");
        // The golden ratio spreads neighbours in order far from each other in number.
        let mut step = ((f64::from(count) * 0.618_033_988_75) as u32).max(1);
        while gcd(step, count) != 1 {
            step += 1;
        }
        Self {
            first: range.start,
            count,
            step,
            inverse: inverse(step, count),
        }
    }

    /// The client at a place in the order, which repeats after the last one.
    pub fn at(self, place: u64) -> Client {
        let place = place % u64::from(self.count);
        let offset = place * u64::from(self.step) % u64::from(self.count);
        Client(self.first + offset as u32)
    }

    /// How often every client was there before this place.
    pub fn round(self, place: u64) -> u32 {
        (place / u64::from(self.count)) as u32
    }

    /// The last place below `end` at which the client is.
    pub fn last_place(self, client: Client, end: u64) -> Option<u64> {
        let offset = client.0.checked_sub(self.first)?;
        let count = u64::from(self.count);
        let place = u64::from(offset) * u64::from(self.inverse) % count;
        let rounds = end.checked_sub(place + 1)? / count;
        (offset < self.count).then_some(place + rounds * count)
    }
}

/// The number whose product with `value` is 1 modulo `modulus`, to which it is coprime.
fn inverse(value: u32, modulus: u32) -> u32 {
    let (mut old, mut rest) = (i64::from(value), i64::from(modulus));
    let (mut factor, mut next) = (1_i64, 0_i64);
    while rest != 0 {
        let quotient = old / rest;
        (old, rest) = (rest, old - quotient * rest);
        (factor, next) = (next, factor - quotient * next);
    }
    factor.rem_euclid(i64::from(modulus)) as u32
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const NUMBERING: Numbering = Numbering { salt: 7, relays: 4 };

    #[test]
    fn a_client_is_read_back_from_its_duid_and_no_other_is() {
        for number in [0, 1, 255, 256, u32::MAX] {
            let duid = NUMBERING.duid(Client(number));
            assert_eq!(NUMBERING.client(&duid), Some(Client(number)));
            let other = Numbering {
                salt: 8,
                ..NUMBERING
            };
            assert_eq!(other.client(&duid), None);
            assert_eq!(NUMBERING.client(&duid[1..]), None);
        }
        assert_eq!(NUMBERING.client(&[0, 1, 0, 1, 2, 7, 0, 0, 0, 1]), None);
    }

    #[test]
    fn transaction_ids_of_one_client_differ_and_those_of_all_are_spread() {
        let of = |client, message| NUMBERING.transaction_id(Client(client), message);
        assert_ne!(of(1, 0), of(1, 1));
        assert_eq!(of(1, 1), of(1, 1));
        let distinct: HashSet<_> = (0..10_000).map(|client| of(client, 0)).collect();
        assert!(distinct.len() > 9_980, "{}", distinct.len());
    }

    #[test]
    fn relays_share_the_clients_evenly() {
        let mut shares = [0; 4];
        for client in 0..400 {
            shares[NUMBERING.relay(Client(client)).unwrap() as usize] += 1;
        }
        assert_eq!(shares, [100; 4]);
        let direct = Numbering { salt: 7, relays: 0 };
        assert_eq!(direct.relay(Client(3)), None);
    }

    #[test]
    fn the_shuffled_order_has_every_client_once() {
        for (first, count) in [(0, 1), (5, 2), (0, 10_000), (7, 65_536), (3, 99_991)] {
            let order = Shuffled::new(first..first + count);
            let seen: HashSet<_> = (0..u64::from(count)).map(|place| order.at(place)).collect();
            assert_eq!(seen.len(), count as usize);
            assert!(
                seen.iter()
                    .all(|client| (first..first + count).contains(&client.0))
            );
            assert_eq!(order.at(0), order.at(u64::from(count)));
            for place in (0..u64::from(count)).step_by(97) {
                let end = u64::from(count) + place + 1;
                let again = place + u64::from(count);
                assert_eq!(order.last_place(order.at(place), end), Some(again));
                assert_eq!(order.last_place(order.at(place), end - 1), Some(place));
                assert_eq!((order.round(place), order.round(again)), (0, 1));
            }
            assert_eq!(order.last_place(Client(first + count), 1 << 40), None);
            assert_eq!(order.last_place(order.at(0), 0), None);
        }
    }
}
