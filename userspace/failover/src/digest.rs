//! A digest of what both servers must have configured alike (RFC 8156 §3: "configured
//! identically"), told to the partner in a vendor option of CONNECT and CONNECTREPLY, so that a
//! difference is seen before a lease is rejected for it. Never a reason to refuse a partner.

use crate::vendor::{ENTERPRISE, MAGIC};
use lease::{Lease, LinkKey, PoolSpec};
use wire::ClientKey;

const SUBOPTION: u16 = 1;
const DATA_LEN: usize = MAGIC.len() + 3 * size_of::<u64>();

/// Octets of the vendor option's data.
pub const VENDOR_LEN: usize = 4 + 4 + DATA_LEN;

/// What is configured for a relationship, told apart by what an operator would look at. The order
/// in which things are added does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigDigest {
    links: u64,
    pools: u64,
    reservations: u64,
}

/// What differs between two servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// The links of the relationship, or what they tell their clients apart by.
    pub links: bool,
    /// Their pools.
    pub pools: bool,
    /// What is reserved in them.
    pub reservations: bool,
}

impl ConfigDigest {
    /// Adds a link by its key, with what it tells its clients apart by.
    pub fn add_link(&mut self, link: LinkKey, client_key: ClientKey) {
        let link = link.0.to_be_bytes();
        let hash = match client_key {
            ClientKey::Duid => fnv(&[&link]),
            other => fnv(&[&link, &other.code().to_be_bytes()]),
        };
        self.links = self.links.wrapping_add(hash);
    }

    /// Adds a pool of a link; its reservations are added of themselves.
    pub fn add_pool(&mut self, link: LinkKey, spec: &PoolSpec) {
        let hash = fnv(&[
            &link.0.to_be_bytes(),
            &(spec.kind as u16).to_be_bytes(),
            &spec.first.to_be_bytes(),
            &spec.count.to_be_bytes(),
            &[spec.unit_len],
        ]);
        self.pools = self.pools.wrapping_add(hash);
    }

    /// Adds a lease reserved on a link; `key` says whose it is.
    pub fn add_reservation(&mut self, link: LinkKey, lease: Lease, key: &[u8]) {
        let hash = fnv(&[
            &link.0.to_be_bytes(),
            &lease.addr.to_be_bytes(),
            &[lease.len],
            key,
        ]);
        self.reservations = self.reservations.wrapping_add(hash);
    }

    /// What of `other` is not like this.
    pub fn differences(&self, other: &Self) -> Differences {
        Differences {
            links: self.links != other.links,
            pools: self.pools != other.pools,
            reservations: self.reservations != other.reservations,
        }
    }

    /// Data of OPTION_VENDOR_OPTS (RFC 9915 §21.17).
    pub fn vendor_data(&self) -> [u8; VENDOR_LEN] {
        let parts: [&[u8]; 7] = [
            &ENTERPRISE.to_be_bytes(),
            &SUBOPTION.to_be_bytes(),
            &(DATA_LEN as u16).to_be_bytes(),
            MAGIC,
            &self.links.to_be_bytes(),
            &self.pools.to_be_bytes(),
            &self.reservations.to_be_bytes(),
        ];
        let mut data = [0; VENDOR_LEN];
        for (octet, part) in data.iter_mut().zip(parts.into_iter().flatten()) {
            *octet = *part;
        }
        data
    }

    /// From the data of an OPTION_VENDOR_OPTS, if it is one of ours.
    pub fn from_vendor_data(data: &[u8]) -> Option<Self> {
        let head = Self::default().vendor_data();
        let (head, _) = head.split_at(VENDOR_LEN - 24);
        let mut numbers = data.strip_prefix(head)?;
        let mut number = || {
            let (number, rest) = numbers.split_first_chunk()?;
            numbers = rest;
            Some(u64::from_be_bytes(*number))
        };
        let digest = Self {
            links: number()?,
            pools: number()?,
            reservations: number()?,
        };
        numbers.is_empty().then_some(digest)
    }
}

impl Differences {
    /// Whether there is any.
    pub fn any(self) -> bool {
        self.links || self.pools || self.reservations
    }
}

impl core::fmt::Display for Differences {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let named = [
            (self.links, "links"),
            (self.pools, "pools"),
            (self.reservations, "reservations"),
        ];
        let mut comma = "";
        for (_, name) in named.into_iter().filter(|(differs, _)| *differs) {
            write!(f, "{comma}{name}")?;
            comma = ", ";
        }
        Ok(())
    }
}

/// FNV-1a over all parts, each behind its length. Nobody gains by a collision here.
fn fnv(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for octet in [part.len() as u8].iter().chain(part.iter()) {
            hash = (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(prefix: u128) -> PoolSpec {
        PoolSpec::prefixes(
            Lease {
                addr: prefix,
                len: 40,
            },
            56,
        )
        .unwrap()
    }

    #[test]
    fn order_does_not_count_and_differences_are_named() {
        let (one, two) = (LinkKey(1), LinkKey(2));
        let mut a = ConfigDigest::default();
        let duid = ClientKey::Duid;
        a.add_link(one, duid);
        a.add_link(two, duid);
        a.add_pool(one, &pool(0x2001 << 112));
        a.add_pool(two, &pool(0x2002 << 112));
        let mut b = ConfigDigest::default();
        b.add_link(two, duid);
        b.add_link(one, duid);
        b.add_pool(two, &pool(0x2002 << 112));
        b.add_pool(one, &pool(0x2001 << 112));
        assert!(!a.differences(&b).any());
        b.add_reservation(one, Lease { addr: 1, len: 128 }, b"\0\x03\x01");
        b.add_pool(one, &pool(0x2003 << 112));
        assert_eq!(a.differences(&b).to_string(), "pools, reservations");
        let [mut by_remote_id, mut by_interface_id] = [ConfigDigest::default(); 2];
        by_remote_id.add_link(one, ClientKey::RemoteId);
        by_interface_id.add_link(one, ClientKey::InterfaceId);
        let differences = by_remote_id.differences(&by_interface_id);
        assert_eq!(differences.to_string(), "links");
    }

    #[test]
    fn it_travels_in_a_vendor_option_and_nothing_else_is_taken_for_it() {
        let mut digest = ConfigDigest::default();
        digest.add_link(LinkKey(7), ClientKey::Duid);
        let mut data = digest.vendor_data().to_vec();
        assert_eq!(ConfigDigest::from_vendor_data(&data), Some(digest));
        data.push(0);
        assert_eq!(ConfigDigest::from_vendor_data(&data), None);
        data.truncate(data.len() - 2);
        assert_eq!(ConfigDigest::from_vendor_data(&data), None);
        data[9] ^= 1;
        assert_eq!(ConfigDigest::from_vendor_data(&data), None);
    }
}
