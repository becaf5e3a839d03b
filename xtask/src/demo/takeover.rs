use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::clients::{BOUND_LIMIT, Dhclient, Want};
use lab::failover::{Bindings, Partners, bindings};
use lab::message::{Client, kind};
use lab::probe::Probe;
use lab::server::Server;
use lab::{Namespace, wait_until};

use super::clients::{Held, bound, ensure_bound, shown};
use super::story::AGREE_LIMIT;
use super::teller::Teller;

/// A client that nobody has seen before.
const ASKER: u32 = 1 << 20;
/// The client that the primary answers last.
const LAST: u32 = ASKER + 1;
/// How soon the secondary answers a Solicit after the primary was killed.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(1);
/// Between two Solicits that wait for the first answer.
const PAUSE: Duration = Duration::from_millis(20);
/// T2 of what the clients have, and their own randomness of tries.
const REBIND_LIMIT: Duration = Duration::from_secs(30);

/// `kill -9` of the primary right after a Reply, and the time until a new client's Solicit is
/// answered. Returns the lease in that Reply.
pub(super) fn kill_primary(
    teller: &Teller,
    partners: &mut Partners,
    client: &Namespace,
) -> Result<Ipv6Addr> {
    let probe = Probe::direct(client, "eth0")?;
    let solicit = Client::new(ASKER).solicit();
    let reply = probe.four_messages(&Client::new(LAST))?;
    let killed = Instant::now();
    partners.primary.kill()?;
    let answer = wait_until("an answer of the secondary", AGREE_LIMIT, || {
        probe.send(&solicit)?;
        probe.answer_to(&solicit, PAUSE)
    })?;
    let after = killed.elapsed();
    ensure!(
        answer.kind == kind::ADVERTISE,
        "type {} came for a Solicit",
        answer.kind
    );
    ensure!(
        after <= TAKEOVER_LIMIT,
        "the secondary's first answer came after {after:?}"
    );
    let millis = after.as_millis();
    teller.fact(&format!(
        "the primary was killed with kill -9; {millis} ms later the secondary answers a new client"
    ));
    let last = reply.granted()?;
    Ok(last.first().context("nothing was granted")?.address)
}

/// A real client that comes during the outage.
pub(super) fn serve_newcomer(teller: &Teller, server: &Server, client: &Namespace) -> Result<()> {
    let dhclient = Dhclient::start(client, "eth0", Want::Both)?;
    let newcomer = bound(teller, "meanwhile a new client", dhclient)?;
    ensure_bound(server, newcomer.bound.leased_address()?)
}

/// Each client gets its address and prefix from the secondary when it rebinds.
pub(super) fn rebind(teller: &Teller, held: &[Held]) -> Result<()> {
    let written = held.iter().map(|client| client.dhclient.leases_written());
    let written: Vec<usize> = written.collect::<Result<_>>()?;
    for (client, written) in held.iter().zip(written) {
        let Held { dhclient, bound } = client;
        wait_until("a client to rebind", REBIND_LIMIT, || {
            Ok((dhclient.leases_written()? > written).then_some(()))
        })?;
        let rebound = dhclient.bound(BOUND_LIMIT)?;
        ensure!(
            shown(&rebound) == shown(bound),
            "the client had {} and now has {}",
            shown(bound),
            shown(&rebound)
        );
        teller.fact(&format!(
            "a client rebound at the secondary and keeps {}",
            shown(bound)
        ));
    }
    Ok(())
}

/// The primary starts on its state of `before`, which it has all of, and of the `last` Reply; both
/// end in NORMAL with the same bindings.
pub(super) fn bring_primary_back(
    teller: &Teller,
    partners: &mut Partners,
    before: &Bindings,
    last: Ipv6Addr,
) -> Result<()> {
    let start = Instant::now();
    partners.primary.restart()?;
    let after = bindings(&partners.primary)?;
    let lost = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .count();
    ensure!(lost == 0, "{lost} bindings of the primary are lost");
    ensure_bound(&partners.primary, last)?;
    let millis = start.elapsed().as_millis();
    teller.fact(&format!(
        "the primary is back after {millis} ms with all its {} bindings and {last} of its last Reply",
        before.len()
    ));
    partners.wait_for_normal(AGREE_LIMIT)?;
    let both = partners.wait_for_equal_bindings(AGREE_LIMIT)?.len();
    teller.fact(&format!(
        "both servers are in NORMAL again and hold the same {both} bindings"
    ));
    Ok(())
}
