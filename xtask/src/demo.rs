//! `cargo xtask demo`: the main job, told as it happens; each line is a fact that was checked.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::capture::Capture;
use lab::clients::{BOUND_LIMIT, Bound, Dhclient, Dhcpcd, Dhcrelay, Want};
use lab::message::Client;
use lab::probe::Probe;
use lab::server::{Config, Server};
use lab::topology::{RELAY_DOWN, RELAY_UP, RelaySite, SERVER_UP, Site};
use lab::{Lab, Namespace, wait_until};

use crate::{cargo, setup, sudo};

/// How many clients stand behind the one relay whose packets are to be spread.
const RELAYED_CLIENTS: u32 = 200;
/// Short, so that the demo sees a renewal: T1 is half of it.
const PREFERRED_SECS: u32 = 12;
const VALID_SECS: u32 = 40;

/// Builds, then tells the story as root.
///
/// # Errors
/// The build fails, or a fact is not so.
pub fn run() -> Result<()> {
    setup::run()?;
    println!("building …");
    let built = cargo::build("--workspace --bins", Stdio::inherit())?;
    let program = cargo::program(&built, "twinlease")?;
    if lab::is_root() {
        return tell(&program);
    }
    println!("the lab needs root, for itself alone:");
    let own = std::env::current_exe().context("this program has no path")?;
    let by_hand = format!("{} tell-demo {}", own.display(), program.display());
    sudo::run_self([OsString::from("tell-demo"), program.into()], &by_hand)
}

/// Tells the story with the server `program`; needs root.
///
/// # Errors
/// A fact is not so. The logs are printed and kept.
pub fn tell(program: &Path) -> Result<()> {
    let mut lab = Lab::new()?;
    let told = story(&mut lab, program);
    if told.is_err() && !lab::interrupted() {
        lab.keep_files();
        println!(
            "{}\nall files of this run: {}",
            lab.logs(),
            lab.dir().display()
        );
    }
    drop(lab);
    told.context("demo failed")?;
    println!("demo: ok");
    Ok(())
}

/// Prints facts with the time since the beginning.
struct Teller {
    start: Instant,
}

impl Teller {
    fn fact(&self, text: &str) {
        println!("✓ {:5.1} s  {text}", self.start.elapsed().as_secs_f64());
    }
}

fn story(lab: &mut Lab, program: &Path) -> Result<()> {
    let teller = Teller {
        start: Instant::now(),
    };
    let site = Site::new(lab, 2)?;
    let far = site.add_relay(lab)?;
    let clients = ["dhclient", "prefix-client", "dhcpcd", "newcomer"];
    let [first, second, third, newcomer] = clients.map(|role| site.lan.client(lab, role));
    let behind = far.lan.client(lab, "far-client")?;
    teller.fact("a server, a relay and five clients stand in network namespaces, joined by veth");

    let captures = [
        Capture::start(&site.lan.switch, "srv")?,
        Capture::start(&far.relay, "up0")?,
    ];
    let config = Config {
        interfaces: vec!["lan0", "up0"],
        workers: 2,
        preferred_secs: PREFERRED_SECS,
        valid_secs: VALID_SECS,
        ..Config::default()
    };
    let mut server = Server::start_program(program, &site.server, &config)?;
    for interface in server.status()?.interfaces()? {
        let lab::server::Interface {
            name,
            rung,
            refused,
        } = interface;
        let way = match rung.as_str() {
            "zero-copy" => "native XDP, zero-copy",
            "copy" => "native XDP, copy mode",
            "generic" => "generic XDP, copy mode",
            _ => "the kernel's UDP socket",
        };
        teller.fact(&format!("the server serves {name} by {way}"));
        for reason in refused {
            println!("          not better, because: {reason}");
        }
    }

    directly(&teller, &server, &second?, &third?)?;
    through_relay(&teller, &far, &behind)?;
    spread(&teller, &server, &far)?;
    kill_and_renew(&teller, &mut server, &first?)?;

    let dhclient = Dhclient::start(&newcomer?, "eth0", Want::Address)?;
    let bound = dhclient.bound(BOUND_LIMIT)?;
    teller.fact(&format!(
        "a new client is served: {}",
        bound.leased_address()?
    ));
    drop(dhclient);

    let status = server.terminate()?;
    ensure!(
        status.success(),
        "on SIGTERM the server ended with {status}"
    );
    teller.fact("on SIGTERM the server commits and ends with exit code 0");
    let mut packets = 0;
    for (capture, interface) in captures.into_iter().zip(["lan0", "up0"]) {
        packets += capture.stop()?.judge(&site.server.link(interface)?.1)?;
    }
    ensure!(packets > 0, "no packet of the server was captured");
    teller.fact(&format!(
        "tshark finds no fault in the {packets} packets that the server sent"
    ));
    Ok(())
}

fn directly(teller: &Teller, server: &Server, prefix: &Namespace, both: &Namespace) -> Result<()> {
    let dhclient = Dhclient::start(prefix, "eth0", Want::Prefix)?;
    let dhcpcd = Dhcpcd::start(both, "eth0", Want::Both)?;
    let bound = dhclient.bound(BOUND_LIMIT)?;
    teller.fact(&format!("dhclient -6 -P has {}", shown(&bound)));
    let bound = dhcpcd.bound(BOUND_LIMIT)?;
    teller.fact(&format!("dhcpcd has {}", shown(&bound)));
    ensure_bound(server, &bound.leased_address()?.to_string())
}

fn through_relay(teller: &Teller, far: &RelaySite, client: &Namespace) -> Result<()> {
    let _relay = Dhcrelay::start(&far.relay, "down0", "up0", SERVER_UP)?;
    let dhclient = Dhclient::start(client, "eth0", Want::Both)?;
    let bound = dhclient.bound(BOUND_LIMIT)?;
    teller.fact(&format!(
        "through ISC dhcrelay, dhclient -6 has {}",
        shown(&bound)
    ));
    Ok(())
}

/// One relay's packets are one flow, on one queue; the XDP program spreads them by client.
fn spread(teller: &Teller, server: &Server, far: &RelaySite) -> Result<()> {
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
        "{RELAYED_CLIENTS} clients behind one relay have {} leases; the workers received {received:?} \
         of its packets and handed over {handed}",
        leases.len()
    ));
    Ok(())
}

fn kill_and_renew(teller: &Teller, server: &mut Server, client: &Namespace) -> Result<()> {
    let dhclient = Dhclient::start(client, "eth0", Want::Address)?;
    let bound = dhclient.bound(BOUND_LIMIT)?;
    server.kill()?;
    let address = bound.leased_address()?;
    teller.fact(&format!(
        "dhclient -6 has {}; the server was killed with kill -9",
        shown(&bound)
    ));
    let start = Instant::now();
    server.restart()?;
    ensure_bound(server, &address.to_string())?;
    let millis = start.elapsed().as_millis();
    teller.fact(&format!(
        "the server is back after {millis} ms and has the binding of {address}"
    ));
    let written = dhclient.leases_written()?;
    let limit = Duration::from_secs(u64::from(VALID_SECS));
    wait_until("the client to renew", limit, || {
        Ok((dhclient.leases_written()? > written).then_some(()))
    })?;
    let renewed = dhclient.bound(BOUND_LIMIT)?.leased_address()?;
    ensure!(
        renewed == address,
        "the client had {address} and now has {renewed}"
    );
    teller.fact(&format!("the client renewed {renewed}"));
    Ok(())
}

fn ensure_bound(server: &Server, lease: &str) -> Result<()> {
    if server.lease(lease)?.is_none() {
        bail!("the server has no binding of {lease}");
    }
    Ok(())
}

fn shown(bound: &Bound) -> String {
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
