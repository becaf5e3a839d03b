//! The IPv6 addresses of an interface: which to answer on, and which to answer from.

use core::cmp::Reverse;
use std::io;
use std::net::Ipv6Addr;

/// The addresses of the thread's own network namespace, whatever `/proc` is mounted from.
const IF_INET6: &str = "/proc/thread-self/net/if_inet6";

/// Flags of an address (`IFA_F_*`) as the kernel prints them.
const TEMPORARY: u8 = 0x01;
const DAD_FAILED: u8 = 0x08;
const DEPRECATED: u8 = 0x20;
const TENTATIVE: u8 = 0x40;

/// What an interface is reached by. Tentative addresses and those that failed duplicate address
/// detection are not among them (RFC 4862 §5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The first link-local address.
    pub link_local: Option<Ipv6Addr>,
    /// Everything else on the interface; temporary and deprecated addresses last.
    pub others: Vec<Ipv6Addr>,
    /// Configured addresses, which may sit on another interface such as `lo`.
    pub extra: Vec<Ipv6Addr>,
}

impl Addresses {
    /// Asks the kernel for the addresses of an interface.
    ///
    /// # Errors
    /// What reading says; `NotFound` where the kernel has no IPv6.
    pub(crate) fn read(interface: &str, extra: &[Ipv6Addr]) -> io::Result<Self> {
        let table = std::fs::read_to_string(IF_INET6)
            .map_err(|error| io::Error::new(error.kind(), format!("{IF_INET6}: {error}")))?;
        Ok(Self::parse(&table, interface, extra))
    }

    /// Every unicast address to answer on, each once.
    pub(crate) fn served(&self) -> Vec<Ipv6Addr> {
        let mut served = Vec::with_capacity(1 + self.others.len() + self.extra.len());
        for address in self
            .link_local
            .iter()
            .chain(&self.others)
            .chain(&self.extra)
        {
            if !served.contains(address) {
                served.push(*address);
            }
        }
        served
    }

    /// Whether the interface itself has the address.
    pub(crate) fn is_on_interface(&self, address: Ipv6Addr) -> bool {
        self.link_local == Some(address) || self.others.contains(&address)
    }

    /// The address to answer from: the one that was asked; behind a multicast, one of the client's
    /// scope, and of those the one that shares the longest prefix with it (RFC 6724 §5, rules 2
    /// and 8). `None` while the interface has no address that would do.
    pub(crate) fn reply_source(&self, destination: Ipv6Addr, client: Ipv6Addr) -> Option<Ipv6Addr> {
        if !destination.is_multicast() {
            return Some(destination);
        }
        if client.is_unicast_link_local() {
            return self.link_local;
        }
        let shared = |address: &Ipv6Addr| (address.to_bits() ^ client.to_bits()).leading_zeros();
        let wider = self
            .others
            .iter()
            .filter(|address| !address.is_unicast_link_local());
        // The first of equals, so that temporary and deprecated ones come last.
        let nearest = wider.min_by_key(|address| Reverse(shared(address)));
        nearest.copied().or(self.link_local)
    }

    /// Reads lines of `address index prefix-length scope flags name`, numbers in hexadecimal. A
    /// line that is not of this form is passed over.
    fn parse(table: &str, interface: &str, extra: &[Ipv6Addr]) -> Self {
        let mut found: Vec<(bool, Ipv6Addr)> = Vec::new();
        for line in table.lines() {
            if let Some((address, flags, name)) = parse_line(line)
                && name == interface
                && flags & (TENTATIVE | DAD_FAILED) == 0
            {
                found.push((flags & (TEMPORARY | DEPRECATED) != 0, address));
            }
        }
        found.sort_by_key(|(last, _)| *last);
        let mut addresses: Vec<Ipv6Addr> = found.into_iter().map(|(_, address)| address).collect();
        let link_local = addresses.iter().position(Ipv6Addr::is_unicast_link_local);
        Self {
            link_local: link_local.map(|place| addresses.remove(place)),
            others: addresses,
            extra: extra.to_vec(),
        }
    }
}

fn parse_line(line: &str) -> Option<(Ipv6Addr, u8, &str)> {
    let mut words = line.split_ascii_whitespace();
    let address = words.next().filter(|word| word.len() == 32)?;
    let address = u128::from_str_radix(address, 16).ok()?;
    let flags = u8::from_str_radix(words.nth(3)?, 16).ok()?;
    Some((Ipv6Addr::from_bits(address), flags, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::Addresses;
    use std::net::Ipv6Addr;

    const TABLE: &str = "\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000010000000000000009 02 40 00 21     eth0
20010db8000000010000000000000001 02 40 00 80     eth0
20010db8000000020000000000000001 02 40 00 80     eth0
20010db8000000030000000000000001 02 40 00 c0     eth0
20010db8000000040000000000000001 02 40 00 88     eth0
fd000000000000000000000000000001 02 40 00 80     eth0
fe80000000000000000000000000000a 02 40 20 80     eth0
fe80000000000000000000000000000b 02 40 20 80     eth0
fe80000000000000000000000000000c 03 40 20 80    eth01
not a line
20010db8 02 40 00 80 eth0
";

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn eth0() -> Addresses {
        Addresses::parse(
            TABLE,
            "eth0",
            &[ip("2001:db8:ffff::1"), ip("2001:db8:1::1")],
        )
    }

    #[test]
    fn the_table_gives_the_usable_addresses_of_one_interface() {
        let found = eth0();
        assert_eq!(found.link_local, Some(ip("fe80::a")));
        let others = [
            "2001:db8:0:1::1",
            "2001:db8:0:2::1",
            "fd00::1",
            "fe80::b",
            "2001:db8:0:1::9",
        ];
        assert_eq!(found.others, others.map(ip));
        assert_eq!(found.served().len(), 8);
        let none = Addresses::parse(TABLE, "eth1", &[]);
        assert!(none.served().is_empty());
    }

    #[test]
    fn served_names_no_address_twice() {
        let found = Addresses::parse(TABLE, "lo", &[ip("::1"), ip("::1")]);
        assert_eq!(found.served(), [ip("::1")]);
    }

    #[test]
    fn the_source_fits_destination_and_client() {
        let table = [
            (
                "2001:db8:ffff::1",
                "2001:db8:9::1",
                Some("2001:db8:ffff::1"),
            ),
            ("ff02::1:2", "fe80::77", Some("fe80::a")),
            ("ff05::1:3", "2001:db8:0:1::77", Some("2001:db8:0:1::1")),
            ("ff05::1:3", "2001:db8:0:2::77", Some("2001:db8:0:2::1")),
            ("ff05::1:3", "fd00:0:0:7::1", Some("fd00::1")),
        ];
        for (destination, client, source) in table {
            let chosen = eth0().reply_source(ip(destination), ip(client));
            assert_eq!(chosen, source.map(ip), "{destination} {client}");
        }
        let only_link_local = Addresses::parse(TABLE, "eth01", &[]);
        let group = ip("ff05::1:3");
        let chosen = only_link_local.reply_source(group, ip("2001:db8::1"));
        assert_eq!(chosen, Some(ip("fe80::c")));
        let none = Addresses::parse(TABLE, "eth1", &[]);
        assert_eq!(none.reply_source(group, ip("fe80::1")), None);
    }

    #[test]
    fn the_kernel_table_is_readable() {
        assert!(Addresses::read("lo", &[]).is_ok());
    }
}
