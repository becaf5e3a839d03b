//! IAs as the rows write and read them.

use std::net::Ipv6Addr;

use anyhow::{Context, Result, ensure};
use lab::message::{Message, Options, code, find, read_options, write_options};

pub const NO_ADDRS_AVAIL: u16 = 2;
pub const NO_BINDING: u16 = 3;
pub const NOT_ON_LINK: u16 = 4;
pub const NO_PREFIX_AVAIL: u16 = 6;

/// An IA of an answer.
#[derive(Debug)]
pub struct Ia {
    pub kind: u16,
    pub iaid: u32,
    pub t1: u32,
    pub t2: u32,
    pub leases: Vec<Lease>,
    pub status: Option<u16>,
}

#[derive(Debug)]
pub struct Lease {
    pub address: Ipv6Addr,
    pub len: u8,
    pub preferred: u32,
    pub valid: u32,
    pub options: Options,
}

/// An IA_NA that names these addresses.
pub fn na(iaid: u32, addresses: &[Ipv6Addr]) -> (u16, Vec<u8>) {
    let lease = |address: &Ipv6Addr| {
        let data = [&address.octets()[..], &[0; 8]].concat();
        (code::IA_ADDRESS, data)
    };
    ia(code::IA_NA, iaid, addresses.iter().map(lease).collect())
}

/// An IA_PD that names these prefixes; `::` with a length is a hint (RFC 8168).
pub fn pd(iaid: u32, prefixes: &[(Ipv6Addr, u8)]) -> (u16, Vec<u8>) {
    let lease = |(prefix, len): &(Ipv6Addr, u8)| {
        let data = [&[0; 8][..], &[*len], &prefix.octets()].concat();
        (code::IA_PREFIX, data)
    };
    ia(code::IA_PD, iaid, prefixes.iter().map(lease).collect())
}

fn ia(kind: u16, iaid: u32, options: Options) -> (u16, Vec<u8>) {
    // T1 and T2 are the server's to choose, whatever a client says.
    let mut data = [iaid, 77, 88].map(u32::to_be_bytes).concat();
    write_options(&options, &mut data);
    (kind, data)
}

/// The IAs of an answer in their order.
pub fn ias(message: &Message) -> Result<Vec<Ia>> {
    let of = |(code, _): &&(u16, Vec<u8>)| matches!(*code, code::IA_NA | code::IA_PD);
    message
        .options
        .iter()
        .filter(of)
        .map(|(kind, data)| read(*kind, data))
        .collect()
}

/// The only IA of an answer.
pub fn only(message: &Message) -> Result<Ia> {
    let mut all = ias(message)?;
    ensure!(all.len() == 1, "{} IAs in the answer", all.len());
    all.pop().context("no IA")
}

/// The only lease of the only IA.
pub fn lease(message: &Message) -> Result<Lease> {
    let mut ia = only(message)?;
    ensure!(ia.leases.len() == 1, "{ia:?}");
    ia.leases.pop().context("no lease")
}

fn word(data: &[u8], at: usize) -> Result<u32> {
    let octets = data.get(at..at + 4).context("too short")?;
    Ok(u32::from_be_bytes(octets.try_into()?))
}

fn read(kind: u16, data: &[u8]) -> Result<Ia> {
    let options = read_options(data.get(12..).context("a short IA")?)?;
    let status = find(&options, code::STATUS_CODE).map(|s| u16::from_be_bytes([s[0], s[1]]));
    let leases = options.iter().filter_map(|(code, data)| match *code {
        code::IA_ADDRESS => Some(read_lease(data, 0, None, 16)),
        code::IA_PREFIX => Some(read_lease(data, 9, Some(8), 0)),
        _ => None,
    });
    Ok(Ia {
        kind,
        iaid: word(data, 0)?,
        t1: word(data, 4)?,
        t2: word(data, 8)?,
        leases: leases.collect::<Result<_>>()?,
        status,
    })
}

fn read_lease(data: &[u8], at: usize, len: Option<usize>, times: usize) -> Result<Lease> {
    let octets: [u8; 16] = data.get(at..at + 16).context("a short lease")?.try_into()?;
    let fixed = if len.is_some() { 25 } else { 24 };
    Ok(Lease {
        address: octets.into(),
        len: len.map_or(128, |at| data[at]),
        preferred: word(data, times)?,
        valid: word(data, times + 4)?,
        options: read_options(data.get(fixed..).context("a short lease")?)?,
    })
}
