use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::message::{Client, Granted, kind};
use lab::probe::Probe;
use lab::server::{Config, Server, Worker};
use lab::topology::{RELAY_DOWN, RELAY_UP, SERVER_UP, Site};

/// Enough that both workers own some of them.
const LINES: u32 = 40;
const REMOTE_ID: u16 = 37;
/// A little more than `takeover-after`.
const TAKEOVER: Duration = Duration::from_millis(2_100);

/// A config in which the far link's leases are the lines', with these keys of its interface.
fn config(interface: &str) -> Config {
    let config = Config {
        interfaces: vec!["lan0", "up0"],
        io: "copy",
        workers: 2,
        ..Config::default()
    };
    let link = "name = \"bng-1\"";
    let keyed = format!("{link}\nclient-key = \"remote-id\"\ntakeover-after = \"1s\"");
    let relayed = "name = \"up0\"";
    let text = config.text(Path::new("@dir@")).replace(link, &keyed);
    let text = text.replace(relayed, &format!("{relayed}\n{interface}"));
    Config {
        template: Some(text),
        ..config
    }
}

fn remote_id(line: u32) -> (u16, Vec<u8>) {
    let mut data = vec![0, 0, 0x0d, 0xe9];
    data.extend(format!("olt-7 slot 3 port {line}").bytes());
    (REMOTE_ID, data)
}

/// The CPE that is on a line first, and the one after it.
fn cpe(line: u32, swapped: bool) -> Client {
    let mut client = Client::new(line + if swapped { 50_000 } else { 0 });
    if swapped {
        client.iaid = 0xcafe + line;
    }
    client
}

fn bind(probe: &Probe, client: &Client) -> Result<Vec<Granted>> {
    let advertise = probe.ask(&client.solicit_both())?;
    let reply = probe.ask(&client.request(&advertise)?)?;
    let granted = reply.granted()?;
    ensure!(granted.len() == 2, "no address and prefix: {reply:?}");
    Ok(granted)
}

/// By `leases list` and `why`, and read as text; no other line is shown.
fn a_line_is_found_by_its_name(
    server: &Server,
    client: &Client,
    had: &[(std::net::Ipv6Addr, u8)],
    others: &[(std::net::Ipv6Addr, u8)],
) -> Result<()> {
    let line = ["--remote-id", "olt-7 slot 3 port 0"];
    let list = server.operate(&[&["leases", "list"], &line[..]].concat())?;
    for (address, _) in had {
        ensure!(
            list.contains(&address.to_string()),
            "{address} is not in: {list}"
        );
    }
    ensure!(list.lines().count() == 1 + had.len(), "{list}");
    let readable = "remote-id \"olt-7 slot 3 port 0\" of enterprise 3561";
    let show = server.operate(&["leases", "show", &had[0].0.to_string()])?;
    ensure!(show.contains(readable), "{show}");
    let why = server.operate(&[&["why"], &line[..]].concat())?;
    let duid: Vec<String> = client
        .duid
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    for word in [
        &duid.join(":"),
        &format!("leases   of {readable}"),
        "SOLICIT",
    ] {
        ensure!(why.contains(word), "{word} is not in: {why}");
    }
    let (other, _) = others[0];
    ensure!(!why.contains(&other.to_string()), "another line's: {why}");
    let nobody = server.operate(&["why", "--subscriber-id", "olt-7 slot 3 port 0"])?;
    ensure!(nobody.contains("nothing is remembered"), "{nobody}");
    let hex = format!("0x{}", "6f6c742d3720736c6f74203320706f72742030");
    let same = server.operate(&["leases", "list", "--remote-id", &hex])?;
    ensure!(same == list, "{same}");
    Ok(())
}

/// Messages that came over AF_XDP, and those of all that one worker handed to another.
fn received_and_handed(workers: &[Worker]) -> (u64, u64) {
    let received = workers.iter().map(|worker| worker.received_xdp).sum();
    (
        received,
        workers.iter().map(|worker| worker.handed_out).sum(),
    )
}

#[test]
fn steered_by_the_line_each_message_reaches_its_worker_at_once_whatever_the_device() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let far = site.add_relay(lab)?;
        let server = Server::start(&site.server, &config("steer-by = \"remote-id\""))?;
        let mut probe = Probe::relay(&far.relay, RELAY_UP, SERVER_UP, RELAY_DOWN)?;
        let mut had = Vec::new();
        for line in 0..LINES {
            probe.set_line(vec![remote_id(line)]);
            had.push(places(&bind(&probe, &cpe(line, false))?));
        }
        std::thread::sleep(TAKEOVER);
        for (line, had) in (0..LINES).zip(&had) {
            probe.set_line(vec![remote_id(line)]);
            let has = places(&bind(&probe, &cpe(line, true))?);
            ensure!(has == *had, "line {line} has {has:?} in place of {had:?}");
        }
        let workers = server.status()?.workers()?;
        let (received, handed) = received_and_handed(&workers);
        ensure!(
            received >= u64::from(4 * LINES),
            "not all came over AF_XDP: {workers:?}"
        );
        let spread = workers
            .iter()
            .all(|worker| worker.received_xdp > received / 4);
        ensure!(spread && workers.len() == 2, "badly spread: {workers:?}");
        ensure!(
            handed * 100 <= received,
            "the program steers to the wrong worker: {workers:?}"
        );
        Ok(())
    });
}

fn places(granted: &[Granted]) -> Vec<(std::net::Ipv6Addr, u8)> {
    let places = granted.iter();
    places
        .map(|lease| (lease.address, lease.prefix_len))
        .collect()
}

#[test]
fn a_swapped_cpe_has_the_leases_of_its_line_whichever_worker_they_are_at() {
    lab::run(|lab| {
        let site = Site::new(lab, 1)?;
        let far = site.add_relay(lab)?;
        let server = Server::start(&site.server, &config(""))?;
        let mut probe = Probe::relay(&far.relay, RELAY_UP, SERVER_UP, RELAY_DOWN)?;
        let mut had = Vec::new();
        for line in 0..LINES {
            probe.set_line(vec![remote_id(line)]);
            had.push(places(&bind(&probe, &cpe(line, false))?));
        }
        // A second device at once gets no answer.
        let eager = cpe(LINES - 1, true).solicit_both();
        probe.send(&eager)?;
        let answer = probe.answer_to(&eager, Duration::from_millis(300))?;
        ensure!(answer.is_none(), "two devices take turns: {answer:?}");
        std::thread::sleep(TAKEOVER);
        for (line, had) in (0..LINES).zip(&had) {
            probe.set_line(vec![remote_id(line)]);
            let has = places(&bind(&probe, &cpe(line, true))?);
            ensure!(has == *had, "line {line} has {has:?} in place of {had:?}");
        }
        let shards = server.status()?.workers()?;
        let spread = shards.iter().all(|worker| worker.received() > 0);
        ensure!(
            shards.len() == 2 && spread,
            "one worker served all: {shards:?}"
        );
        let (received, handed) = received_and_handed(&shards);
        ensure!(
            handed > received / 4,
            "the DUID leads to the worker of the line: {shards:?}"
        );

        // The device that was replaced is told to stop, and cannot give the leases back.
        probe.set_line(vec![remote_id(0)]);
        let (old, new) = (cpe(0, false), cpe(0, true));
        let reply = probe.ask(&new.solicit_both())?;
        let mut stale = old.to_server(kind::RENEW, &reply)?;
        for option in &mut stale.options {
            // The former device's own IAIDs.
            if matches!(option.0, 3 | 25) {
                option.1[..4].copy_from_slice(&old.iaid.to_be_bytes());
            }
        }
        let answer = probe.ask(&stale)?;
        let ended = answer.granted()?;
        ensure!(
            ended.len() == 2 && ended.iter().all(|lease| lease.valid_secs == 0),
            "the device that was replaced goes on: {answer:?}"
        );
        stale.kind = kind::RELEASE;
        probe.ask(&stale)?;
        let (address, _) = had[0][0];
        let shown = server.lease(&address.to_string())?;
        let shown = shown.with_context(|| format!("{address} was released by another device"))?;
        let subscriber = shown["subscriber"].as_str().unwrap_or_default();
        ensure!(
            subscriber.starts_with("remote-id 00:00:0d:e9:6f"),
            "{shown}"
        );
        ensure!(shown["iaid"] == new.iaid, "{shown}");

        a_line_is_found_by_its_name(&server, &new, &had[0], &had[1])?;

        // What no relay names is a counted drop.
        probe.set_line(Vec::new());
        let nameless = cpe(LINES, false).solicit_both();
        probe.send(&nameless)?;
        let answer = probe.answer_to(&nameless, Duration::from_millis(300))?;
        ensure!(answer.is_none(), "leases for nobody's line: {answer:?}");
        let status = server.status()?;
        let dropped = |reason: &str| -> u64 {
            let workers = status.0["workers"].as_array();
            let counts = workers.into_iter().flatten();
            counts
                .filter_map(|worker| worker["drops"][reason].as_u64())
                .sum()
        };
        ensure!(dropped("no-client-key") == 1, "{}", status.0);
        ensure!(dropped("subscriber-held") >= 1, "{}", status.0);
        Ok(())
    });
}
