//! The addresses of an interface: which are answered on, and which one an answer comes from.

use std::fs;
use std::io;
use std::net::Ipv6Addr;

/// Of the thread's own network namespace, whichever /sys is mounted.
const IF_INET6: &str = "/proc/thread-self/net/if_inet6";
/// Duplicate address detection has not ended, or found a duplicate (`IFA_F_TENTATIVE`,
/// `IFA_F_DADFAILED`): not ours to send from.
const UNUSABLE: u32 = 0x40 | 0x08;

/// The unicast addresses of one interface, and those configured beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The first link-local one.
    pub link_local: Option<Ipv6Addr>,
    /// Global and unique local ones.
    pub others: Vec<Ipv6Addr>,
    /// Configured ones, which may be on another interface, such as `lo`.
    pub extra: Vec<Ipv6Addr>,
}

impl Addresses {
    /// Asks the kernel what the interface has now.
    ///
    /// # Errors
    /// The kernel has no IPv6.
    pub(crate) fn read(interface: &str, extra: &[Ipv6Addr]) -> io::Result<Self> {
        let text = fs::read_to_string(IF_INET6)?;
        let mut addresses = Self::parse(&text, interface);
        addresses.extra = extra.to_vec();
        Ok(addresses)
    }

    fn parse(if_inet6: &str, interface: &str) -> Self {
        let mut addresses = Self::default();
        for line in if_inet6.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [address, _index, _len, _scope, flags, name] = fields[..] else {
                continue;
            };
            let (Ok(address), Ok(flags)) = (
                u128::from_str_radix(address, 16),
                u32::from_str_radix(flags, 16),
            ) else {
                continue;
            };
            if name != interface || flags & UNUSABLE != 0 {
                continue;
            }
            let address = Ipv6Addr::from_bits(address);
            match address.is_unicast_link_local() {
                true => addresses.link_local = addresses.link_local.or(Some(address)),
                false => addresses.others.push(address),
            }
        }
        addresses
    }

    /// Every unicast address that is answered on.
    pub(crate) fn served(&self) -> Vec<Ipv6Addr> {
        let own = self
            .link_local
            .into_iter()
            .chain(self.others.iter().copied());
        own.chain(self.extra.iter().copied()).collect()
    }

    /// What an answer comes from: the address that was asked; else, to a link-local client, the
    /// link-local address; else the address nearest to the client's. `None` without any address.
    pub(crate) fn reply_source(&self, destination: Ipv6Addr, client: Ipv6Addr) -> Option<Ipv6Addr> {
        if !destination.is_multicast() {
            return Some(destination);
        }
        if client.is_unicast_link_local() {
            return self.link_local;
        }
        let common = |address: &&Ipv6Addr| (address.to_bits() ^ client.to_bits()).leading_zeros();
        self.others
            .iter()
            .max_by_key(common)
            .copied()
            .or(self.link_local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000e000000000000001 02 40 20 80     eth0
fe80000000000000e000000000000002 02 40 20 80     eth0
20010db8000000000000000000000001 02 40 00 80     eth0
20010db8000100000000000000000001 02 40 00 80     eth0
20010db8000200000000000000000001 02 40 00 c0     eth0
20010db8000300000000000000000001 02 40 00 88     eth0
20010db8000400000000000000000001 03 40 00 80     eth1
rubbish
";

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn only_usable_addresses_of_the_interface_are_taken() {
        let addresses = Addresses::parse(TEXT, "eth0");
        assert_eq!(addresses.link_local, Some(address("fe80::e000:0:0:1")));
        assert_eq!(
            addresses.others,
            [address("2001:db8::1"), address("2001:db8:1::1")]
        );
        assert_eq!(addresses.served().len(), 3);
        assert_eq!(Addresses::parse(TEXT, "eth"), Addresses::default());
    }

    #[test]
    fn an_answer_comes_from_where_the_client_asked_or_from_nearby() {
        let addresses = Addresses::parse(TEXT, "eth0");
        let group = address("ff02::1:2");
        let asked = address("2001:db8:9::9");
        for (destination, client, source) in [
            (asked, address("2001:db8:1::5"), asked),
            (group, address("fe80::5"), address("fe80::e000:0:0:1")),
            (group, address("2001:db8:1::5"), address("2001:db8:1::1")),
            (group, address("2001:db8::5"), address("2001:db8::1")),
        ] {
            assert_eq!(addresses.reply_source(destination, client), Some(source));
        }
        assert_eq!(
            Addresses::default().reply_source(group, address("fe80::5")),
            None
        );
    }
}
