//! The ground that scenarios stand on: a server and the generator in two network namespaces, joined
//! by one veth; the server's config; who runs on which core.
//!
//! The generator has core 0 and the server's worker core 1. The softirq of a veth runs on the core of
//! whoever sends, so that core 0 also pays for the XDP program and the copy into the server's UMEM,
//! and core 1 for the copy into the generator's. The server keeps its journal and control threads off
//! its workers' cores: they share core 0 with the generator, which leaves it while nothing is due.

use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::topology::{PEER_ON_LAN, Pair, SERVER_ON_LAN};
use lab::{Lab, Namespace};
use tempfile::TempDir;

use crate::generator::client::Numbering;
use crate::generator::envelope::Relays;
use crate::generator::message::Wants;
use crate::generator::port::{ALL_RELAYS_AND_SERVERS, Addresses, Port, XdpPort};
use crate::generator::session::Session;
use crate::load::pin;

/// The generator's core.
pub const GENERATOR_CORE: usize = 0;
/// The core of the server's first worker.
pub const SERVER_CORE: usize = 1;

/// How long a server may take to be ready, with ten million bindings to recover on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Where state directories go: a disk, which the system's temporary directory may not be.
const STATE_PARENT: &str = "target/bench-state";
/// The name of the only link.
pub const LINK: &str = "bench";
/// The first address of the pool, of which there are [`POOL_LEN`].
pub const POOL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 1, 0, 0);
/// Addresses in the pool, and prefixes in the other: three times the largest number of bindings.
pub const POOL_LEN: u32 = 1 << 25;
/// The prefixes delegated are the /56 of this /31.
const PREFIXES: &str = "3fff::/31";

/// Only an address.
pub const NA: Wants = Wants {
    na: true,
    pd: false,
};

/// What differs between the servers of scenarios.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// One worker on each; the first is [`SERVER_CORE`] unless said otherwise.
    pub cores: Vec<usize>,
    /// Seconds.
    pub valid_secs: u32,
    /// `idle` of the workers: what they do when there is nothing to do.
    pub idle: &'static str,
}

impl Default for ServerSpec {
    fn default() -> Self {
        Self {
            cores: vec![SERVER_CORE],
            valid_secs: 86_400,
            idle: "adaptive",
        }
    }
}

impl ServerSpec {
    /// The text of the config, with these for state and control socket.
    pub fn text(&self, state: &Path, socket: &Path) -> String {
        let last = Ipv6Addr::from_bits(POOL.to_bits() + u128::from(POOL_LEN) - 1);
        // AF_XDP must not fall back silently: the figures would be those of something else.
        format!(
            r#"[server]
state-dir = "{state}"

[workers]
cores = {cores:?}
idle = "{idle}"

[[interface]]
name = "lan0"
io = "copy"

[lifetimes]
preferred = "{preferred}s"
valid = "{valid}s"
rapid-commit = true

[options]
dns-servers = ["2001:db8::53"]

[[link]]
name = "{LINK}"
interface = "lan0"
link-addresses = ["2001:db8:2::/48"]

[[link.address-pool]]
range = "{POOL}-{last}"

[[link.prefix-pool]]
prefix = "{PREFIXES}"
delegated-length = 56

[control]
socket = "{socket}"
"#,
            state = state.display(),
            cores = self.cores,
            idle = self.idle,
            preferred = self.valid_secs / 2,
            valid = self.valid_secs,
            socket = socket.display(),
        )
    }
}

/// A lab, where there can be one.
///
/// # Errors
/// Not root, or too few cores.
pub fn begin() -> Result<Lab> {
    ensure!(
        lab::is_root(),
        "network namespaces and AF_XDP need root: run it as root or with sudo"
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ensure!(cores > SERVER_CORE, "{cores} core: the bench needs two");
    Lab::new()
}

/// A directory for servers' state, on a disk; it goes when this is dropped.
///
/// # Errors
/// It cannot be made.
pub fn state_dir() -> Result<TempDir> {
    fs::create_dir_all(STATE_PARENT).context(STATE_PARENT)?;
    // Servers run elsewhere and are told the whole path.
    let parent = fs::canonicalize(STATE_PARENT).context(STATE_PARENT)?;
    Ok(tempfile::tempdir_in(parent)?)
}

/// Two namespaces and their wire.
pub struct Ground {
    pub lab: Lab,
    pub pair: Pair,
    /// Where the server keeps its state.
    state: TempDir,
    program: PathBuf,
}

/// A running twinlease.
pub struct Server {
    pub process: lab::server::Server,
}

impl Ground {
    /// Makes the ground; what an interrupted run has left is cleaned first.
    ///
    /// # Errors
    /// Not root, or the server was not built.
    pub fn new() -> Result<Self> {
        Self::with_queues(1)
    }

    /// Likewise, with so many queues at both ends of the wire.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_queues(queues: usize) -> Result<Self> {
        let mut lab = begin()?;
        let pair = Pair::new(&mut lab, queues)?;
        Ok(Self {
            lab,
            pair,
            state: state_dir()?,
            program: lab::server::program()?,
        })
    }

    /// Where the server keeps its state.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// The server's program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The server's config.
    pub fn config(&self, spec: &ServerSpec) -> String {
        spec.text(
            &self.state().join("server"),
            &self.lab.dir().join("control.sock"),
        )
    }

    /// Starts the server and waits until it serves.
    ///
    /// # Errors
    /// It ends or does not answer; with its log.
    pub fn start(&self, spec: &ServerSpec) -> Result<Server> {
        let text = self.config(spec);
        let server = &self.pair.server;
        let mut process = lab::server::Server::begin_with(&self.program, server, &text)?;
        process.wait_until_ready(START_LIMIT)?;
        Ok(Server { process })
    }

    /// Clients on the server's link.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn direct(&self, wants: Wants, salt: u8) -> Result<Session> {
        self.session(wants, Numbering { salt, relays: 0 }, 1)
    }

    /// Clients behind so many relays, each message with so many relay layers.
    ///
    /// # Errors
    /// A relay's address or the port cannot be had.
    pub fn relayed(&self, wants: Wants, salt: u8, relays: u32, layers: usize) -> Result<Session> {
        for relay in 0..relays {
            let address = format!("{}/64", relay_address(relay));
            let peer = &self.pair.peer;
            let known = peer.addresses("eth0")?;
            if !known
                .iter()
                .any(|known| known.address == relay_address(relay))
            {
                peer.add_address("eth0", &address)?;
            }
        }
        self.session(wants, Numbering { salt, relays }, layers)
    }

    fn session(&self, wants: Wants, numbering: Numbering, layers: usize) -> Result<Session> {
        let Pair { server, peer } = &self.pair;
        session(peer, server, wants, numbering, layers)
    }
}

/// Clients in a namespace, at its `eth0`: on the link of a server's `lan0`, or behind as many relays
/// as the numbering says, each message with so many relay layers.
///
/// # Errors
/// The port cannot be opened.
pub fn session(
    peer: &Namespace,
    server: &Namespace,
    wants: Wants,
    numbering: Numbering,
    layers: usize,
) -> Result<Session> {
    let relays = numbering.relays;
    let (_, mac) = server.link("lan0")?;
    let addresses = Addresses {
        interface: "eth0".into(),
        client: peer.link_local("eth0")?,
        relays: (0..relays).map(relay_address).collect(),
        server: match relays {
            0 => ALL_RELAYS_AND_SERVERS,
            _ => SERVER_ON_LAN,
        },
        server_mac: crate::load::parse_mac(&mac).ok(),
    };
    let port = peer.inside(|| XdpPort::open(&addresses))?;
    let links: Vec<Ipv6Addr> = (0..relays).map(link_address).collect();
    let port: Box<dyn Port + Send> = Box::new(port);
    let mut session = Session::new(port, numbering, wants, Relays::new(&links, layers));
    session.sleep_when_idle();
    Ok(session.with_progress())
}

/// A relay's address on the server's link.
fn relay_address(relay: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(PEER_ON_LAN.to_bits() + 0x100 + u128::from(relay))
}

/// A relay's address on its clients' link.
fn link_address(relay: u32) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 2, relay as u16, 0, 0, 0, 1)
}

/// Runs `work` on a thread of its own on a core: what this thread starts later is not bound to it.
///
/// # Errors
/// The core cannot be had, or the error of `work`.
pub fn on_core<T: Send>(core: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            pin(core)?;
            work()
        });
        match thread.join() {
            Ok(done) => done,
            Err(_) => bail!("the thread on core {core} panicked"),
        }
    })
}

impl Server {
    /// Octets of memory that the process has resident.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident(&self) -> Result<u64> {
        resident(self.process.id())
    }

    /// Nanoseconds of processor time so far, of the threads whose name begins so.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_ns(&self, thread: &str) -> Result<u64> {
        cpu_ns(self.process.id(), thread)
    }

    /// How often threads whose name begins so have slept.
    ///
    /// # Errors
    /// It has ended.
    pub fn sleeps(&self, thread: &str) -> Result<u64> {
        sum_of_threads(self.process.id(), thread, "status", |status| {
            let mut lines = status.lines();
            lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
        })
    }
}

/// The server's DUID, for clients that know it from before.
///
/// # Errors
/// The server does not answer on its control socket.
pub fn server_duid(server: &Server) -> Result<Vec<u8>> {
    let status = server.process.status()?;
    let text = status.0["server-duid"]
        .as_str()
        .context("no server-duid in the status")?;
    let octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16));
    octets
        .collect::<Result<_, _>>()
        .with_context(|| format!("no DUID: {text}"))
}

/// Octets of memory that a process has resident.
///
/// # Errors
/// It has ended.
pub fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(kib.context("no VmRSS in the process's status")? * 1024)
}

/// Nanoseconds of processor time of those threads of a process whose name begins so.
///
/// # Errors
/// It has ended.
pub fn cpu_ns(pid: u32, thread: &str) -> Result<u64> {
    sum_of_threads(pid, thread, "schedstat", |times| {
        times.split_whitespace().next()
    })
}

/// The sum of a number that the kernel tells of each thread in a file.
fn sum_of_threads(
    pid: u32,
    thread: &str,
    file: &str,
    number: impl Fn(&str) -> Option<&str>,
) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        // A thread may end between the two looks.
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        if name.starts_with(thread) {
            let text = fs::read_to_string(task.join(file)).unwrap_or_default();
            let found = number(&text).and_then(|number| number.trim().parse::<u64>().ok());
            sum += found.unwrap_or(0);
        }
    }
    Ok(sum)
}
