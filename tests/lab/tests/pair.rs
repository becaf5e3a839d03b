//! Two servers that are failover partners: who is let in, and what outages do.

use std::fs;
use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::failover::{
    Answer, Authority, Endpoint, FailoverSite, Partners, Relationship, Role, Security, Stranger,
    TlsFiles, bindings, directory, start,
};
use lab::message::{Client, Granted, Message, code, kind};
use lab::probe::Probe;
use lab::server::{Config, Server, program};
use lab::{Lab, wait_until};

/// Everything here takes a few seconds at most, on a machine that is busy a little longer.
const LIMIT: Duration = Duration::from_secs(30);
/// CONNECTREPLY (RFC 8156 §5.3.9).
const CONNECTREPLY: u8 = 32;
/// NotAllowed (RFC 5007 §4.1.3).
const NOT_ALLOWED: u16 = 10;
/// Bindings made before something happens.
const CLIENTS: u32 = 12;

const INTERRUPTED: &str = "COMMUNICATIONS-INTERRUPTED";

#[test]
fn a_session_needs_tls_with_a_certificate_of_the_partner() {
    lab::run(|lab| {
        let site = FailoverSite::new(lab, 1)?;
        let (ours, theirs) = (
            Authority::new(lab.dir(), "ours")?,
            Authority::new(lab.dir(), "theirs")?,
        );
        let (config, relationship, program) =
            (Config::default(), Relationship::default(), program()?);
        let start = |role, files| {
            start(
                &program,
                &site,
                &config,
                &relationship,
                role,
                &Security::Tls(files),
            )
        };
        let secondary = start(Role::Secondary, ours.certify(Role::Secondary.address())?)?;
        wait_until("the secondary to listen", LIMIT, || {
            Ok(Stranger::connect(&site.primary).ok())
        })?;
        let stranger = || Stranger::connect(&site.primary);

        let in_clear = stranger()?.in_clear()?;
        ensure!(
            in_clear == Answer::Message(CONNECTREPLY, NOT_ALLOWED),
            "{in_clear:?}"
        );
        let foreign = theirs.certify(Role::Primary.address())?;
        let another = ours.certify(Ipv6Addr::LOCALHOST)?;
        for certificate in [None, Some(&foreign), Some(&another)] {
            let answer = stranger()?.by_tls(&ours.ca(), certificate)?;
            ensure!(
                matches!(answer, Answer::End(_)),
                "{certificate:?} gets {answer:?}"
            );
        }
        // The same by somebody who may: so it is the certificates that were refused.
        let files = ours.certify(Role::Primary.address())?;
        let answer = stranger()?.by_tls(&ours.ca(), Some(&files))?;
        ensure!(
            matches!(answer, Answer::Message(CONNECTREPLY, _)),
            "{answer:?}"
        );
        let told = |what: &str| secondary.log().matches(what).count();
        wait_until("the refusals to be logged", LIMIT, || {
            Ok((told("without TLS") == 1 && told("TLS failed") == 3).then_some(()))
        })?;

        let untrusted = TlsFiles {
            ca: ours.ca(),
            ..foreign
        };
        let primary = start(Role::Primary, untrusted)?;
        wait_until("a primary of another CA to be refused", LIMIT, || {
            Ok((told("TLS failed") > 3).then_some(()))
        })?;
        for server in [&primary, &secondary] {
            let state = Endpoint::of(server)?;
            ensure!(state.state()? != "NORMAL", "{state:?}");
        }
        drop(primary);

        let primary = start(Role::Primary, files)?;
        let partners = Partners { primary, secondary };
        partners.wait_for_normal(LIMIT)?;
        for server in [&partners.primary, &partners.secondary] {
            ensure!(
                Endpoint::of(server)?.is_tls()?,
                "the session is not protected"
            );
        }
        Ok(())
    });
}

#[test]
fn a_partition_heals_and_a_wiped_disk_is_filled_again() {
    lab::run(|lab| {
        let (site, mut partners, probe) = pair(lab, &Relationship::default())?;
        let mut held = bind_clients(&probe, &partners)?;

        site.cut()?;
        for server in [&partners.primary, &partners.secondary] {
            Endpoint::wait_for(server, INTERRUPTED, LIMIT)?;
        }
        held.extend(both_serve_from_their_halves(&probe)?);
        site.mend()?;
        partners.wait_for_normal(LIMIT)?;
        let both = partners.wait_for_equal_bindings(LIMIT)?;
        ensure_held(&partners.secondary, &held)?;

        partners.secondary.kill()?;
        fs::remove_dir_all(directory(&site, Role::Secondary).join("state"))?;
        partners.secondary.restart()?;
        partners.wait_for_normal(LIMIT)?;
        let log = partners.secondary.log();
        ensure!(
            log.contains("lost its bindings"),
            "it does not say so: {log}"
        );
        let again = partners.wait_for_equal_bindings(LIMIT)?;
        ensure!(
            both.keys().all(|key| again.contains_key(key)),
            "not all bindings came back: {again:?}"
        );
        ensure_held(&partners.secondary, &held)
    });
}

#[test]
fn either_serves_when_the_other_stops_and_partner_down_is_the_operators_word() {
    lab::run(|lab| {
        // Only the partner's own word or the end of its connection can tell in time.
        let relationship = Relationship {
            keepalive_secs: 300,
            ..Relationship::default()
        };
        let (_site, mut partners, probe) = pair(lab, &relationship)?;
        let held = bind_clients(&probe, &partners)?;

        let status = partners.primary.terminate()?;
        ensure!(
            status.success(),
            "on SIGTERM the primary ended with {status}"
        );
        let alone = granted(&probe.four_messages(&Client::new(100))?)?;
        ensure!(
            is_secondarys(alone.address),
            "the secondary gave {}",
            alone.address
        );
        let (client, last) = &held[0];
        let rebound = probe.ask(&rebind(client, last))?;
        ensure!(
            granted(&rebound)?.address == granted(last)?.address,
            "a client's address changed: {rebound:?}"
        );
        partners.primary.restart()?;
        partners.wait_for_normal(LIMIT)?;
        partners.wait_for_equal_bindings(LIMIT)?;

        let order = ["failover", "partner-down", Relationship::NAME, "--yes"];
        // A wrong word: both serve until they hear of each other (RFC 8156 §8.8.3, §8.10).
        partners.primary.operate(&order)?;
        partners.wait_for_normal(LIMIT)?;
        let log = partners.secondary.log();
        ensure!(log.contains("POTENTIAL-CONFLICT"), "{log}");
        partners.wait_for_equal_bindings(LIMIT)?;

        partners.secondary.kill()?;
        Endpoint::wait_for(&partners.primary, INTERRUPTED, LIMIT)?;
        partners.primary.operate(&order)?;
        Endpoint::wait_for(&partners.primary, "PARTNER-DOWN", LIMIT)?;
        probe.four_messages(&Client::new(101))?;
        partners.secondary.restart()?;
        probe.four_messages(&Client::new(102))?;
        partners.wait_for_normal(LIMIT)?;
        partners.wait_for_equal_bindings(LIMIT)?;
        ensure_held(&partners.secondary, &held)
    });
}

/// A pair in NORMAL, and clients on its LAN.
fn pair(lab: &mut Lab, relationship: &Relationship) -> Result<(FailoverSite, Partners, Probe)> {
    let site = FailoverSite::new(lab, 1)?;
    let clients = site.lan.client(lab, "client")?;
    let insecure = |_| Security::Insecure;
    let partners = Partners::start(
        &program()?,
        &site,
        &Config::default(),
        relationship,
        insecure,
    )?;
    partners.wait_for_normal(LIMIT)?;
    let probe = Probe::direct(&clients, "eth0")?;
    Ok((site, partners, probe))
}

/// A client and what it was told last.
type Held = (Client, Message);

/// Binds addresses and prefixes of many clients, and renews each until it has its whole lifetime,
/// which is when the partner has acknowledged it (RFC 8156 §4.4).
fn bind_clients(probe: &Probe, partners: &Partners) -> Result<Vec<Held>> {
    let (mclt_secs, valid_secs) = (
        Relationship::default().mclt_secs,
        Config::default().valid_secs,
    );
    let mut held = Vec::new();
    for number in 0..CLIENTS {
        let client = Client::new(number);
        let advertise = probe.ask(&client.solicit_both())?;
        let reply = probe.ask(&client.request(&advertise)?)?;
        let leases = reply.granted()?;
        ensure!(
            leases.len() == 2 && leases.iter().all(|lease| lease.valid_secs <= mclt_secs),
            "the first grant of an MCLT of {mclt_secs} s: {leases:?}"
        );
        held.push((client, reply));
    }
    partners.wait_for_equal_bindings(LIMIT)?;
    for (client, last) in &mut held {
        wait_until("a whole lifetime", LIMIT, || {
            *last = probe.ask(&client.to_server(kind::RENEW, last)?)?;
            let leases = last.granted()?;
            let is_whole = |lease: &Granted| lease.valid_secs == valid_secs;
            Ok((leases.len() == 2 && leases.iter().all(is_whole)).then_some(()))
        })?;
    }
    partners.wait_for_equal_bindings(LIMIT)?;
    Ok(held)
}

/// Both answer a Solicit, each with an address and a prefix of its own; a client of each takes
/// what it was offered.
fn both_serve_from_their_halves(probe: &Probe) -> Result<Vec<Held>> {
    let clients = [Client::new(200), Client::new(201)];
    let mut held = Vec::new();
    for (client, secondarys) in clients.into_iter().zip([false, true]) {
        let offers = probe.ask_all(&client.solicit_both(), 2)?;
        let [a, b] = [granted(&offers[0])?.address, granted(&offers[1])?.address];
        ensure!(
            is_secondarys(a) != is_secondarys(b),
            "both offer {a} and {b}"
        );
        let taken = offers
            .iter()
            .find(|offer| granted(offer).is_ok_and(|g| is_secondarys(g.address) == secondarys));
        let request = client.request(taken.context("no offer of that half")?)?;
        let reply = probe.ask(&request)?;
        ensure!(reply.granted()?.len() == 2, "address and prefix: {reply:?}");
        held.push((client, reply));
    }
    let prefixes = [0, 1].map(|i: usize| held[i].1.granted().map(|g| g[1].address));
    ensure!(
        prefixes[0].as_ref().ok() != prefixes[1].as_ref().ok(),
        "{prefixes:?}"
    );
    Ok(held)
}

/// The server has every lease of `held` on record, for the client that holds it.
fn ensure_held(server: &Server, held: &[Held]) -> Result<()> {
    let on_record = bindings(server)?;
    for (client, last) in held {
        let duid = client
            .duid
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<Vec<_>>()
            .join(":");
        for lease in last.granted()? {
            let name = match lease.prefix_len {
                128 => lease.address.to_string(),
                len => format!("{}/{len}", lease.address),
            };
            let binding = on_record.get(&format!("{name} {duid} {}", client.iaid));
            ensure!(
                binding.is_some_and(|binding| binding["status"] == "active"),
                "no active binding of {name} for {duid}: {on_record:#?}"
            );
        }
    }
    Ok(())
}

/// A Rebind: a Renew without the server's id.
fn rebind(client: &Client, last: &Message) -> Message {
    let ias = last
        .options
        .iter()
        .filter(|(found, _)| matches!(*found, code::IA_NA | code::IA_PD));
    client.message(kind::REBIND, ias.cloned().collect())
}

fn granted(message: &Message) -> Result<Granted> {
    let leases = message.granted()?;
    leases
        .first()
        .copied()
        .with_context(|| format!("nothing is granted: {message:?}"))
}

/// Even addresses are the secondary's (RFC 8156 §4.2.1).
fn is_secondarys(address: Ipv6Addr) -> bool {
    u128::from(address) % 2 == 0
}
