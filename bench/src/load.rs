//! `twinlease-bench load`: the generator by hand, against any server.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::generator::client::Numbering;
use crate::generator::envelope::Relays;
use crate::generator::flow::Kind;
use crate::generator::message::Wants;
use crate::generator::port::{ALL_RELAYS_AND_SERVERS, Addresses, Port, SocketPort, XdpPort};
use crate::generator::session::{Outcome, Session, Who, Work};
use crate::report;

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Asks {
    /// An address.
    Na,
    /// A delegated prefix.
    Pd,
    /// Both.
    Both,
}

impl From<Asks> for Wants {
    fn from(asks: Asks) -> Self {
        Self {
            na: asks != Asks::Pd,
            pd: asks != Asks::Na,
        }
    }
}

/// How frames leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Io {
    /// AF_XDP if it can be had, else sockets.
    Auto,
    /// AF_XDP.
    Xdp,
    /// UDP sockets of the kernel.
    Socket,
}

/// The generator's command line.
#[derive(Args, Debug)]
pub struct LoadArguments {
    /// The interface towards the server
    #[arg(long)]
    interface: String,
    /// The kind of exchange
    #[arg(long, value_enum, default_value = "sarr")]
    kind: Kind,
    /// What clients ask for
    #[arg(long, value_enum, default_value = "na")]
    ask: Asks,
    /// Exchanges a second; without it the highest rate is searched for
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds at that rate
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Where the search begins, in exchanges a second
    #[arg(long, default_value_t = 2_000.0)]
    from: f64,
    /// Clients that renew, rebind or release: they are bound first
    #[arg(long, default_value_t = 10_000)]
    clients: u32,
    /// The address that clients send from: one of the interface
    #[arg(long)]
    source: Ipv6Addr,
    /// Where messages go
    #[arg(long, default_value_t = ALL_RELAYS_AND_SERVERS)]
    server: Ipv6Addr,
    /// The Ethernet address of a server that is no multicast group, aa:bb:cc:dd:ee:ff
    #[arg(long, value_parser = parse_mac)]
    server_mac: Option<[u8; 6]>,
    /// A relay's link-address; repeat it for more relays. They send from --source
    #[arg(long = "relay")]
    relays: Vec<Ipv6Addr>,
    /// Relay layers of each message behind relays
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    layers: u8,
    /// How frames leave
    #[arg(long, value_enum, default_value = "auto")]
    io: Io,
    /// The core that the generator runs on
    #[arg(long)]
    core: Option<usize>,
    /// Tells the clients of this run from those of others
    #[arg(long, default_value_t = 0)]
    salt: u8,
    /// Also write the figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs the generator.
///
/// # Errors
/// The interface cannot be used, clients could not be bound, or two clients hold one lease.
pub fn run(arguments: &LoadArguments) -> Result<()> {
    if let Some(core) = arguments.core {
        pin(core)?;
    }
    if arguments.kind.needs_leases() {
        ensure!(
            arguments.clients > 0,
            "--clients 0: nobody could {:?}",
            arguments.kind
        );
    }
    let port = open(arguments)?;
    let numbering = Numbering {
        salt: arguments.salt,
        relays: arguments.relays.len() as u32,
    };
    let relays = Relays::new(&arguments.relays, arguments.layers.into());
    let mut session = Session::new(port, numbering, arguments.ask.into(), relays).with_progress();
    let work = Work {
        kind: arguments.kind,
        who: match arguments.kind.needs_leases() {
            true => Who::Scattered(bind(&mut session, arguments.clients)?),
            false => Who::Fresh,
        },
    };
    let (findings, outcomes) = match arguments.rate {
        Some(rate) => {
            ensure!(
                rate > 0.0 && rate <= 1e7,
                "--rate {rate}: choose between 0 and 10 million"
            );
            let time = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
            let outcome = session.run(&work, rate, time);
            (figures_of(&outcome), vec![outcome])
        }
        None => {
            let maximum = session.maximum(&work, arguments.from);
            let mut findings = report::Findings::default();
            findings.maximum("highest", &maximum);
            (findings, maximum.runs)
        }
    };
    print!("{}", report::table(&findings.figures));
    let faults = outcomes
        .iter()
        .flat_map(|outcome| outcome.tally.all_faults());
    for (fault, count) in faults {
        println!("replies that were no answer: {} {count}", fault.label());
    }
    let drops = outcomes.iter().flat_map(|outcome| &outcome.drops);
    for (name, count) in drops.filter(|(_, count)| *count > 0) {
        println!("lost at the generator: {name} {count}");
    }
    if let Some(json) = &arguments.json {
        report::write_json(json, "load", &findings.figures)?;
    }
    let twice = session.book.held_twice();
    ensure!(twice == 0, "{twice} leases are held by two clients");
    println!(
        "{} clients hold a lease, none of them another's",
        session.book.held()
    );
    Ok(())
}

/// What a run showed, as figures.
fn figures_of(outcome: &Outcome) -> report::Findings {
    let tally = &outcome.tally;
    report::Findings::from(vec![
        ("offered_per_s", outcome.offered_per_s),
        ("completed_per_s", outcome.completed_per_s()),
        ("unanswered_ratio", tally.unanswered_ratio()),
        ("first_unanswered", tally.lost_first() as f64),
        ("second_unanswered", tally.lost_second() as f64),
        ("p50_us", tally.latency_us(0.5)),
        ("p99_us", tally.latency_us(0.99)),
        ("p999_us", tally.latency_us(0.999)),
        ("max_us", tally.latency_us(1.0)),
    ])
}

fn open(arguments: &LoadArguments) -> Result<Box<dyn Port + Send>> {
    let addresses = Addresses {
        interface: arguments.interface.clone(),
        client: arguments.source,
        relays: match arguments.relays.is_empty() {
            true => Vec::new(),
            false => vec![arguments.source],
        },
        server: arguments.server,
        server_mac: arguments.server_mac,
    };
    let socket = || SocketPort::open(&addresses).map(|port| Box::new(port) as Box<dyn Port + Send>);
    let xdp = || XdpPort::open(&addresses).map(|port| Box::new(port) as Box<dyn Port + Send>);
    match arguments.io {
        Io::Xdp => xdp(),
        Io::Socket => socket(),
        Io::Auto => xdp().or_else(|error| {
            eprintln!("no AF_XDP ({error:#}): going on with sockets");
            socket()
        }),
    }
}

/// Binds clients by rapid exchanges at a modest rate; those that are bound.
pub fn bind(session: &mut Session, clients: u32) -> Result<std::ops::Range<u32>> {
    const RATE: f64 = 4_000.0;
    let work = Work {
        kind: Kind::Sarr,
        who: Who::Fresh,
    };
    let time = Duration::from_secs_f64(f64::from(clients) / RATE);
    let first = session.clients().end;
    let outcome = session.run(&work, RATE, time);
    let missing = outcome.tally.begun - outcome.tally.completed;
    if missing > 0 {
        bail!("{missing} of {clients} clients could not be bound");
    }
    Ok(first..first + clients)
}

/// Pins the calling thread to a core.
///
/// # Errors
/// There is no such core, or it is not allowed to this process.
pub fn pin(core: usize) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    ensure!(core < rustix::thread::CpuSet::MAX_CPU, "no core {core}");
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).with_context(|| format!("core {core}"))
}

/// Reads an Ethernet address.
///
/// # Errors
/// It is none.
pub fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    let octets: Option<Vec<u8>> = text
        .split(':')
        .map(|octet| {
            u8::from_str_radix(octet, 16)
                .ok()
                .filter(|_| octet.len() == 2)
        })
        .collect();
    let octets = octets.and_then(|octets| octets.try_into().ok());
    octets.ok_or_else(|| "six octets in hexadecimal, as in 02:00:00:00:00:01".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ethernet_address_is_read_and_nonsense_is_not() {
        assert_eq!(parse_mac("02:00:00:00:00:fF"), Ok([2, 0, 0, 0, 0, 255]));
        for nonsense in [
            "",
            "02",
            "02:00:00:00:00",
            "02:00:00:00:00:0g",
            "2:0:0:0:0:+1",
            "02:00:00:00:00:01:02",
        ] {
            assert!(parse_mac(nonsense).is_err(), "{nonsense}");
        }
    }
}
