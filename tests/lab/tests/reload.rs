use std::collections::BTreeMap;
use std::fmt::Write;
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

/// Reservations of the file besides those of the load's clients.
const OTHERS: u32 = 20_000;

/// A file in which each client of the load has an address of its own, as the epoch says.
fn reservations(epoch: u32) -> Result<String> {
    let mut lines = String::new();
    for number in 0..CLIENTS {
        let duid = Client::new(number).solicit();
        let duid = duid
            .option(lab::message::code::CLIENT_ID)
            .context("no DUID")?;
        let duid: String = duid.iter().map(|octet| format!("{octet:02x}")).collect();
        writeln!(
            lines,
            "{{\"link\":\"lan\",\"duid\":\"{duid}\",\"address\":\"2001:db8:1::{epoch}:{number}\"}}"
        )?;
    }
    for number in 0..OTHERS {
        writeln!(
            lines,
            "{{\"link\":\"lan\",\"remote-id\":\"line {number}\",\"prefix\":\"2001:db8:a000:{number:x}::/64\"}}"
        )?;
    }
    Ok(lines)
}

#[test]
fn the_reservations_file_is_read_alone_and_no_packet_is_lost() {
    lab::run(|lab| {
        let site = Site::new(lab, 2)?;
        let namespace = site.lan.client(lab, "client")?;
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("reservations.jsonl");
        std::fs::write(&file, reservations(1)?)?;
        let config = Config {
            workers: 2,
            ..Config::default()
        };
        let named = format!("[reservations]\nfile = {file:?}\n\n[[link]]\nname = \"lan\"\n");
        let text = config.text(std::path::Path::new("@dir@"));
        let config = Config {
            template: Some(text.replacen("[[link]]\nname = \"lan\"\n", &named, 1)),
            ..config
        };
        let server = Server::start(&site.server, &config)?;
        let probe = Probe::direct(&namespace, "eth0")?;
        let stop = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| -> Result<Seen> {
            let load = scope.spawn(|| load(&probe, &stop));
            let reload = || -> Result<()> {
                for epoch in (2..4).cycle().take(RELOADS / 2) {
                    std::fs::write(&file, reservations(epoch)?)?;
                    let changes = server.reload_reservations()?;
                    let said = format!(
                        "link \"lan\": reservations: {CLIENTS} added, {CLIENTS} removed, 0 changed"
                    );
                    ensure!(changes == [said], "{changes:?}");
                }
                Ok(())
            };
            let reloaded = reload();
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
        // A file with a fault changes nothing.
        std::fs::write(&file, reservations(2)?.replace("line 7\"", "line 8\""))?;
        let refused = server
            .reload_reservations()
            .err()
            .context("it was accepted")?;
        let told = format!("{refused:#}");
        let line = CLIENTS + 9;
        ensure!(
            told.contains(&format!(
                "reservations.jsonl:{line}:1: error: prefix: this client"
            )),
            "not clear: {told}"
        );
        for number in 0..4 {
            let client = Client::new(number);
            let given = first_address(&probe.four_messages(&client)?)?;
            let own: Ipv6Addr = format!("2001:db8:1::3:{number}").parse()?;
            ensure!(given == own, "{given}, not {own}");
            let shown = server.lease(&own.to_string())?.context("no binding")?;
            let reserved = shown["reserved"].as_str().unwrap_or_default();
            ensure!(reserved.starts_with("by duid "), "{shown}");
        }
        Ok(())
    });
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
