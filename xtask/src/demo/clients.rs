use std::net::Ipv6Addr;

use anyhow::{Result, bail, ensure};
use lab::Namespace;
use lab::clients::{BOUND_LIMIT, Bound, Dhclient, Dhcpcd, Want};
use lab::message::Client;
use lab::probe::Probe;
use lab::server::Server;
use lab::topology::{RELAY_DOWN, RELAY_UP, RelaySite, SERVER_UP};

use super::teller::Teller;

/// How many clients stand behind the one relay whose packets are to be spread.
const RELAYED_CLIENTS: u32 = 200;

/// A running client and what it has.
pub(super) struct Held {
    /// The client.
    pub(super) dhclient: Dhclient,
    /// Its address and prefix.
    pub(super) bound: Bound,
}

/// Waits until a client has what it wants.
pub(super) fn bound(teller: &Teller, who: &str, dhclient: Dhclient) -> Result<Held> {
    let bound = dhclient.bound(BOUND_LIMIT)?;
    teller.fact(&format!("{who} has {}", shown(&bound)));
    Ok(Held { dhclient, bound })
}

/// A prefix alone, and both by another client.
pub(super) fn directly(
    teller: &Teller,
    server: &Server,
    prefix: &Namespace,
    both: &Namespace,
) -> Result<()> {
    let dhclient = Dhclient::start(prefix, "eth0", Want::Prefix)?;
    let dhcpcd = Dhcpcd::start(both, "eth0", Want::Both)?;
    bound(teller, "dhclient -6 -P", dhclient)?;
    let bound = dhcpcd.bound(BOUND_LIMIT)?;
    teller.fact(&format!("dhcpcd has {}", shown(&bound)));
    ensure_bound(server, bound.leased_address()?)
}

/// One relay's packets are one flow, on one queue; the XDP program spreads them by client.
pub(super) fn spread(teller: &Teller, server: &Server, far: &RelaySite) -> Result<()> {
    let before = server.status()?.workers()?;
    let probe = Probe::relay(&far.relay, RELAY_UP, SERVER_UP, RELAY_DOWN)?;
    let mut leases = std::collections::BTreeSet::new();
    for number in 0..RELAYED_CLIENTS {
        let reply = probe.four_messages(&Client::new(number))?;
        leases.extend(reply.granted()?.iter().map(|granted| granted.address));
    }
    ensure!(
        leases.len() == RELAYED_CLIENTS as usize,
        "{} leases",
        leases.len()
    );
    let after = server.status()?.workers()?;
    let received: Vec<u64> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| after.received() - before.received())
        .collect();
    let handed: u64 = after
        .iter()
        .zip(&before)
        .map(|(after, before)| after.handed_out - before.handed_out)
        .sum();
    // Without XDP one socket gets the whole flow, and the workers hand it over.
    let by_xdp = after.iter().any(|worker| worker.received_xdp > 0);
    let spread = received.iter().all(|&count| count > 0);
    ensure!(spread || !by_xdp, "the workers received {received:?}");
    teller.fact(&format!(
        "{RELAYED_CLIENTS} clients behind one relay have {} leases; the primary's workers received \
         {received:?} of its packets and handed over {handed}",
        leases.len()
    ));
    Ok(())
}

/// The server has the address on record.
pub(super) fn ensure_bound(server: &Server, address: Ipv6Addr) -> Result<()> {
    if server.lease(&address.to_string())?.is_none() {
        bail!("the server has no binding of {address}");
    }
    Ok(())
}

/// What a client has, in words.
pub(super) fn shown(bound: &Bound) -> String {
    let address = bound
        .address
        .as_ref()
        .map(|address| format!("the address {}", address.address));
    let prefix = bound
        .prefix
        .map(|(prefix, len)| format!("the prefix {prefix}/{len}"));
    [address, prefix]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" and ")
}
