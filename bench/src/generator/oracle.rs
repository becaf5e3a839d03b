//! What every client was granted, and whether two of them hold one lease.

use super::client::Client;
use super::message::Leases;

/// The leases of the clients from a first one on: 16 octets for an address, 16 for a prefix. What
/// is granted is written in the order of the clients, so that it costs the run little; the look
/// for leases held twice is a sort afterwards.
#[derive(Debug, Default)]
pub struct Book {
    addresses: Column,
    /// The length is in the lowest octet, which a delegated prefix has no use for.
    prefixes: Column,
}

/// A lease for each client, 0 for none, in pieces that the kernel hands out zeroed, page by page as
/// they are first written: one that grew as a whole would hold the generator up for tens of
/// milliseconds each time, and clients would seem to have waited for the server.
#[derive(Debug, Default)]
struct Column(Vec<Box<[u128]>>);

/// Clients in a piece of a [`Column`].
const PIECE: usize = 1 << 20;

impl Column {
    fn get(&self, Client(client): Client) -> u128 {
        let piece = self.0.get(client as usize / PIECE);
        piece.map_or(0, |piece| piece[client as usize % PIECE])
    }

    fn put(&mut self, Client(client): Client, lease: u128) {
        let piece = client as usize / PIECE;
        while self.0.len() <= piece {
            self.0.push(vec![0; PIECE].into_boxed_slice());
        }
        self.0[piece][client as usize % PIECE] = lease;
    }

    /// No client beyond these has a lease.
    fn clients(&self) -> u32 {
        (self.0.len() * PIECE) as u32
    }

    fn held(&self) -> impl Iterator<Item = &u128> {
        self.0.iter().flatten().filter(|lease| **lease != 0)
    }
}

/// The longest prefix that has its lowest octet free.
const PREFIX_LEN_MAX: u8 = 120;

impl Book {
    /// Whether a lease can be written down: a prefix of more than 120 bits cannot.
    pub fn can_hold(leases: Leases) -> bool {
        leases.prefix_len <= PREFIX_LEN_MAX
    }

    /// What the client holds.
    pub fn leases(&self, client: Client) -> Option<Leases> {
        let (address, prefix) = (self.addresses.get(client), self.prefixes.get(client));
        let leases = Leases {
            address,
            prefix: prefix & !0xff,
            prefix_len: prefix as u8,
        };
        (address != 0 || prefix != 0).then_some(leases)
    }

    /// The client was granted these.
    pub fn grant(&mut self, client: Client, leases: Leases) {
        if leases.address != 0 {
            self.addresses.put(client, leases.address);
        }
        if leases.prefix != 0 {
            let prefix = leases.prefix & !0xff | u128::from(leases.prefix_len);
            self.prefixes.put(client, prefix);
        }
    }

    /// The client gave its leases back.
    pub fn give_back(&mut self, client: Client) {
        for column in [&mut self.addresses, &mut self.prefixes] {
            if column.get(client) != 0 {
                column.put(client, 0);
            }
        }
    }

    /// Clients with a lease.
    pub fn held(&self) -> usize {
        let longest = self.addresses.clients().max(self.prefixes.clients());
        (0..longest)
            .filter(|client| self.leases(Client(*client)).is_some())
            .count()
    }

    /// Leases that two clients hold at this moment; overlapping prefixes count. 0 is right.
    pub fn held_twice(&self) -> usize {
        let ends = |column: &Column, last_of: fn(u128) -> (u128, u128)| {
            let mut held: Vec<_> = column.held().collect();
            held.sort_unstable();
            let mut twice = 0;
            let mut taken_to = None;
            for (first, last) in held.into_iter().map(|lease| last_of(*lease)) {
                twice += usize::from(taken_to.is_some_and(|taken| first <= taken));
                taken_to = taken_to.max(Some(last));
            }
            twice
        };
        let of_prefix = |encoded: u128| {
            let (first, len) = (encoded & !0xff, encoded as u8);
            let host = u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
            (first & !host, first | host)
        };
        ends(&self.addresses, |address| (address, address)) + ends(&self.prefixes, of_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(address: u128) -> Leases {
        Leases {
            address,
            ..Leases::default()
        }
    }

    fn prefix(prefix: u128, prefix_len: u8) -> Leases {
        Leases {
            prefix,
            prefix_len,
            ..Leases::default()
        }
    }

    #[test]
    fn one_address_held_by_two_clients_is_found_wherever_they_are() {
        let mut book = Book::default();
        book.grant(Client(1), address(10));
        book.grant(Client(4_000_000), address(11));
        assert_eq!(book.held_twice(), 0);
        book.grant(Client(2), address(11));
        assert_eq!(book.held_twice(), 1);
        book.grant(Client(3), address(11));
        assert_eq!((book.held_twice(), book.held()), (2, 4));
    }

    #[test]
    fn a_lease_given_back_may_go_to_another() {
        let mut book = Book::default();
        book.grant(Client(1), address(10));
        book.give_back(Client(1));
        book.grant(Client(2), address(10));
        assert_eq!((book.held_twice(), book.held()), (0, 1));
        assert_eq!(book.leases(Client(1)), None);
    }

    #[test]
    fn the_same_client_may_hold_its_lease_again() {
        let mut book = Book::default();
        book.grant(Client(1), address(10));
        book.grant(Client(1), address(10));
        assert_eq!(book.held_twice(), 0);
        assert_eq!(book.leases(Client(1)), Some(address(10)));
    }

    #[test]
    fn prefixes_that_overlap_are_held_twice() {
        let mut book = Book::default();
        book.grant(Client(1), prefix(0x2001 << 112, 48));
        book.grant(Client(2), prefix(0x2001 << 112 | 1 << 80, 48));
        assert_eq!(book.held_twice(), 0);
        assert_eq!(
            book.leases(Client(2)),
            Some(prefix(0x2001 << 112 | 1 << 80, 48))
        );
        book.grant(Client(3), prefix(0x2001 << 112 | 1 << 80 | 1 << 72, 56));
        assert_eq!(book.held_twice(), 1);
    }
}
