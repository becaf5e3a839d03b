use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::message::{Client, Message, kind};
use lab::probe::Probe;
use lab::server::{Config, Server};
use lab::topology::Site;

use crate::common::first_address;

/// An answer takes well below a millisecond; so long only if the packet was lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const CLIENTS: u32 = 40;
const RELOADS: usize = 24;

/// What the load saw.
#[derive(Default)]
struct Seen {
    asked: u32,
    unanswered: u32,
    /// Whose each address is now.
    holders: BTreeMap<Ipv6Addr, u32>,
}

#[test]
fn a_reload_under_load_loses_no_packet_and_gives_no_lease_twice() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let namespace = site.lan.client(lab, "client")?;
        let config = Config {
            workers: 2,
            ..Config::default()
        };
        let server = Server::start(&site.server, &config)?;
        let probe = Probe::direct(&namespace, "eth0")?;
        let stop = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| -> Result<Seen> {
            let load = scope.spawn(|| load(&probe, &stop));
            let reloaded = reload_often(&server);
            stop.store(true, Ordering::Relaxed);
            let seen = load.join().expect("the load does not panic")?;
            reloaded.map(|()| seen)
        })?;
        ensure!(
            seen.unanswered == 0 && seen.asked > CLIENTS,
            "{} of {} messages were not answered",
            seen.unanswered,
            seen.asked
        );
        // What the server holds is what the clients were told.
        for (address, client) in &seen.holders {
            let shown = server.lease(&address.to_string())?;
            let shown = shown.with_context(|| format!("{address} is not bound any more"))?;
            let duid = shown["duid"].as_str().unwrap_or_default().to_owned();
            let own = Client::new(*client).solicit();
            let own = own
                .option(lab::message::code::CLIENT_ID)
                .unwrap_or_default();
            let own: Vec<String> = own.iter().map(|octet| format!("{octet:02x}")).collect();
            ensure!(duid == own.join(":"), "{address} is {duid}'s");
        }
        Ok(())
    });
}

/// Pools grow, shrink and are cut anew; a link comes and goes.
fn reload_often(server: &Server) -> Result<()> {
    let edits = [
        ("2001:db8:1::1fff", "2001:db8:1::17ff"),
        ("delegated-length = 56", "delegated-length = 60"),
        ("2001:db8:1::17ff", "2001:db8:1::ffff"),
        ("name = \"bng-1\"", "name = \"bng-2\""),
        ("2001:db8:1::ffff", "2001:db8:1::1fff"),
        ("delegated-length = 60", "delegated-length = 56"),
        ("name = \"bng-2\"", "name = \"bng-1\""),
    ];
    for (from, to) in edits.iter().cycle().take(RELOADS) {
        server.edit_config(from, to)?;
        let changes = server.reload()?;
        ensure!(
            !changes.is_empty() && changes[0] != "nothing changed",
            "{from} to {to} changed nothing: {changes:?}"
        );
    }
    Ok(())
}

/// Clients that get, renew, and give back addresses, one message at a time.
fn load(probe: &Probe, stop: &AtomicBool) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut last: BTreeMap<u32, Message> = BTreeMap::new();
    let mut round = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let number = round * 7 % CLIENTS;
        let client = Client::new(number);
        match last.get(&number) {
            Some(reply) if round.is_multiple_of(3) => {
                let release = client.to_server(kind::RELEASE, reply)?;
                once(probe, &mut seen, &release)?;
                seen.holders.retain(|_, holder| *holder != number);
                last.remove(&number);
            }
            Some(reply) => {
                let renew = client.to_server(kind::RENEW, reply)?;
                if let Some(reply) = once(probe, &mut seen, &renew)? {
                    hold(&mut seen, number, &reply)?;
                    last.insert(number, reply);
                }
            }
            None => {
                let Some(advertise) = once(probe, &mut seen, &client.solicit())? else {
                    continue;
                };
                let request = client.request(&advertise)?;
                if let Some(reply) = once(probe, &mut seen, &request)? {
                    hold(&mut seen, number, &reply)?;
                    last.insert(number, reply);
                }
            }
        }
        round += 1;
    }
    Ok(seen)
}

fn once(probe: &Probe, seen: &mut Seen, message: &Message) -> Result<Option<Message>> {
    seen.asked += 1;
    probe.send(message)?;
    let answer = probe.answer_to(message, ANSWER_LIMIT)?;
    seen.unanswered += u32::from(answer.is_none());
    Ok(answer)
}

fn hold(seen: &mut Seen, client: u32, reply: &Message) -> Result<()> {
    let granted = reply.granted()?;
    seen.holders.retain(|_, holder| *holder != client);
    for lease in granted.iter().filter(|lease| lease.valid_secs > 0) {
        if let Some(other) = seen.holders.insert(lease.address, client) {
            anyhow::bail!("{} is {other}'s and {client}'s", lease.address);
        }
    }
    Ok(())
}

#[test]
fn a_wrong_config_is_refused_whole_and_the_former_one_stays() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let namespace = site.lan.client(lab, "client")?;
        let mut server = Server::start(&site.server, &Config::default())?;
        let probe = Probe::direct(&namespace, "eth0")?;
        let before = first_address(&probe.four_messages(&Client::new(1))?)?;

        server.edit_config("delegated-length = 56", "delegated-length = 30")?;
        let refused = server.reload().err().context("it was accepted")?;
        let told = format!("{refused:#}");
        ensure!(told.contains("delegated-length"), "not clear: {told}");
        let report = server.status()?.0["config"]["last-reload"].clone();
        ensure!(
            report["applied"] == false && report["faults"][0].is_string(),
            "the status does not say so: {report}"
        );
        let again = first_address(&probe.four_messages(&Client::new(1))?)?;
        ensure!(before == again, "{before} became {again}");

        server.edit_config("delegated-length = 30", "delegated-length = 60")?;
        server.edit_config("idle = \"sleep\"", "idle = \"adaptive\"")?;
        let refused = server.reload().err().context("it was accepted")?;
        let told = format!("{refused:#}");
        ensure!(told.contains("workers.idle"), "not clear: {told}");

        server.edit_config("idle = \"adaptive\"", "idle = \"sleep\"")?;
        server.hang_up()?;
        lab::wait_until("the new config", Duration::from_secs(10), || {
            let applied = server.status()?.0["config"]["last-reload"]["applied"] == true;
            Ok(applied.then_some(()))
        })?;
        ensure!(
            server.log().contains("of /60: added"),
            "the log does not say what changed"
        );
        first_address(&probe.four_messages(&Client::new(2))?).map(drop)
    });
}
