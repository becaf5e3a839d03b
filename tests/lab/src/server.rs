//! The server under test: its config, its process, and what it says of itself.

use std::ffi::OsString;
use std::fs;
use std::net::Ipv6Addr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::process::{Process, Signal, output_of};
use crate::wait::wait_until;

/// Names the program instead of the one beside the tests.
const PROGRAM_VARIABLE: &str = "TWINLEASE";
const START_LIMIT: Duration = Duration::from_secs(15);
/// The user and the group without rights.
const NOBODY: u32 = 65534;
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The path of the program: `$TWINLEASE`, else the one that cargo built beside this executable.
///
/// # Errors
/// There is none; the message says how to build it.
pub fn program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM_VARIABLE) {
        return Ok(PathBuf::from(named));
    }
    let own = std::env::current_exe().context("this executable has no path")?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("twinlease"));
    found
        .into_iter()
        .find(|path| path.is_file())
        .context("no twinlease beside the tests: run `cargo build -p twinlease` first")
}

/// What the lab's config says. The two links of the lab's [topology](crate::topology) are always
/// in it; the second interface only if it is served.
#[derive(Debug, Clone)]
pub struct Config {
    /// The served interfaces: `lan0`, `up0`.
    pub interfaces: Vec<&'static str>,
    /// `io` of every interface.
    pub io: &'static str,
    /// How many workers; each has a core of its own, so there are no more than cores.
    pub workers: usize,
    /// The preferred lifetime in seconds.
    pub preferred_secs: u32,
    /// The valid lifetime in seconds.
    pub valid_secs: u32,
    /// Whether Solicit may be answered with a Reply.
    pub rapid_commit: bool,
    /// The whole text instead of all this, with `@dir@` for the directory of state and socket.
    pub template: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            interfaces: vec!["lan0"],
            io: "auto",
            workers: 1,
            preferred_secs: 1800,
            valid_secs: 3600,
            rapid_commit: false,
            template: None,
        }
    }
}

/// The first and the last address of the pool on the LAN.
pub const LAN_POOL: (Ipv6Addr, Ipv6Addr) = (
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x1000),
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x1fff),
);
/// The prefix pool of the LAN, a /40.
pub const LAN_PREFIXES: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x8000, 0, 0, 0, 0, 0);
/// The address pool of the far LAN, a whole /64.
pub const FAR_POOL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0);
/// The prefix pool of the far LAN, a /40.
pub const FAR_PREFIXES: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x9000, 0, 0, 0, 0, 0);
/// The DNS server that clients are told.
pub const DNS_SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);

impl Config {
    /// The config file's text with `dir` for state and control socket.
    pub fn text(&self, dir: &Path) -> String {
        if let Some(template) = &self.template {
            return template.replace("@dir@", &dir.display().to_string());
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cores: Vec<String> = (0..self.workers.min(cores))
            .map(|core| core.to_string())
            .collect();
        let interfaces: String = self
            .interfaces
            .iter()
            .map(|name| format!("[[interface]]\nname = \"{name}\"\nio = \"{}\"\n\n", self.io))
            .collect();
        format!(
            r#"[server]
state-dir = "{state}"

[workers]
cores = [{cores}]
idle = "sleep"

{interfaces}[lifetimes]
preferred = "{preferred}s"
valid = "{valid}s"
rapid-commit = {rapid_commit}

[options]
dns-servers = ["{DNS_SERVER}"]
domain-search = ["example.net"]

[[link]]
name = "lan"
interface = "lan0"

[[link.address-pool]]
range = "{first}-{last}"

[[link.prefix-pool]]
prefix = "{LAN_PREFIXES}/40"
delegated-length = 56

[[link]]
name = "bng-1"
link-addresses = ["{FAR_POOL}/64"]

[[link.address-pool]]
range = "{FAR_POOL}/64"

[[link.prefix-pool]]
prefix = "{FAR_PREFIXES}/40"
delegated-length = 56

[control]
socket = "{socket}"
"#,
            state = dir.join("state").display(),
            socket = dir.join("control.sock").display(),
            cores = cores.join(", "),
            preferred = self.preferred_secs,
            valid = self.valid_secs,
            rapid_commit = self.rapid_commit,
            first = LAN_POOL.0,
            last = LAN_POOL.1,
        )
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Process,
    program: PathBuf,
    /// The whole command line.
    run: Vec<OsString>,
    namespace: Namespace,
    config: PathBuf,
    starts: u32,
}

impl Server {
    /// [`Server::start_program`] with the [`program`] beside the tests.
    ///
    /// # Errors
    /// As there, or there is no such program.
    pub fn start(namespace: &Namespace, config: &Config) -> Result<Server> {
        Server::start_program(&program()?, namespace, config)
    }

    /// Writes the config and starts the server in `namespace`; returns when it answers on its
    /// control socket.
    ///
    /// # Errors
    /// It ends, or does not answer in time; with its log.
    pub fn start_program(program: &Path, namespace: &Namespace, config: &Config) -> Result<Server> {
        Server::start_with(program, namespace, &config.text(namespace.dir()))
    }

    /// Like [`Server::start_program`] with the text of a config file.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(program: &Path, namespace: &Namespace, config: &str) -> Result<Server> {
        let mut server = Server::launch(&[], program, namespace, config)?;
        server.wait_until_ready(START_LIMIT)?;
        Ok(server)
    }

    /// Like [`Server::start_with`], and returns as soon as the process is there.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn begin_with(program: &Path, namespace: &Namespace, config: &str) -> Result<Server> {
        Server::launch(&[], program, namespace, config)
    }

    /// Like [`Server::start`] without any privilege: as user and group nobody, who own the scratch
    /// directory from then on.
    ///
    /// # Errors
    /// As there.
    pub fn start_unprivileged(namespace: &Namespace, config: &Config) -> Result<Server> {
        // The directory of the build may be closed to nobody.
        let copy = namespace.dir().join("twinlease");
        fs::copy(program()?, &copy).context("cannot copy the program")?;
        chown(namespace.dir(), Some(NOBODY), Some(NOBODY))?;
        let id = NOBODY.to_string();
        let launcher = [
            "setpriv",
            "--reuid",
            &id,
            "--regid",
            &id,
            "--clear-groups",
            "--inh-caps=-all",
        ];
        let text = config.text(namespace.dir());
        let mut server = Server::launch(&launcher, &copy, namespace, &text)?;
        server.wait_until_ready(START_LIMIT)?;
        Ok(server)
    }

    fn launch(
        launcher: &[&str],
        program: &Path,
        namespace: &Namespace,
        config: &str,
    ) -> Result<Server> {
        let path = namespace.dir().join(format!("{}.toml", namespace.role()));
        fs::write(&path, config)?;
        let mut run: Vec<OsString> = launcher.iter().map(OsString::from).collect();
        run.extend(
            [
                program.as_os_str(),
                "run".as_ref(),
                "--config".as_ref(),
                path.as_os_str(),
            ]
            .map(OsString::from),
        );
        Ok(Server {
            process: spawn(namespace, &run, 0)?,
            program: program.to_owned(),
            run,
            namespace: namespace.clone(),
            config: path,
            starts: 1,
        })
    }

    /// Returns when it answers on its control socket.
    ///
    /// # Errors
    /// It ends, or does not answer within `limit`; with its log.
    pub fn wait_until_ready(&mut self, limit: Duration) -> Result<()> {
        wait_until("the server to answer on its control socket", limit, || {
            if let Some(status) = self.process.ended()? {
                bail!("the server ended ({status}):\n{}", self.process.printed());
            }
            Ok(self.operate(&["status", "--json"]).ok())
        })?;
        Ok(())
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The config file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// What it has logged since it was started last.
    pub fn log(&self) -> String {
        self.process.printed()
    }

    /// `twinlease status --json`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self) -> Result<Status> {
        let text = self.operate(&["status", "--json"])?;
        Ok(Status(
            serde_json::from_str(&text).context("status --json printed no JSON")?,
        ))
    }

    /// `twinlease leases show LEASE --json`; `None` if there is no such lease.
    ///
    /// # Errors
    /// It does not answer.
    pub fn lease(&self, lease: &str) -> Result<Option<Value>> {
        let text = self.operate(&["leases", "show", lease, "--json"])?;
        let shown = text.lines().find(|line| !line.trim().is_empty());
        shown
            .map(|line| serde_json::from_str(line).context("leases show printed no JSON"))
            .transpose()
    }

    /// Changes the text of the config file; the server goes on as before until it reloads.
    ///
    /// # Errors
    /// The file does not hold `from`, or cannot be written.
    pub fn edit_config(&self, from: &str, to: &str) -> Result<()> {
        let text = fs::read_to_string(&self.config)?;
        if !text.contains(from) {
            bail!("the config does not hold {from:?}");
        }
        Ok(fs::write(&self.config, text.replace(from, to))?)
    }

    /// `twinlease reload`: what changed, line by line.
    ///
    /// # Errors
    /// The config is refused; with what was told.
    pub fn reload(&self) -> Result<Vec<String>> {
        let told = self.operate(&["reload"])?;
        Ok(told.lines().map(str::to_owned).collect())
    }

    /// `twinlease reload --reservations`: what changed, line by line.
    ///
    /// # Errors
    /// The file is refused; with what was told.
    pub fn reload_reservations(&self) -> Result<Vec<String>> {
        let told = self.operate(&["reload", "--reservations"])?;
        Ok(told.lines().map(str::to_owned).collect())
    }

    /// SIGHUP.
    ///
    /// # Errors
    /// It has ended already.
    pub fn hang_up(&mut self) -> Result<()> {
        self.process.signal(Signal::HUP)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It has ended already.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// SIGTERM; returns how it ended.
    ///
    /// # Errors
    /// It has ended already, or does not end in time.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(STOP_LIMIT)
    }

    /// Starts it again on the same config and state after it ended.
    ///
    /// # Errors
    /// It ends, or does not answer in time; with its log.
    pub fn restart(&mut self) -> Result<()> {
        self.process = spawn(&self.namespace, &self.run, self.starts)?;
        self.starts += 1;
        self.wait_until_ready(START_LIMIT)
    }

    /// A command to the running server, as an operator gives it: what it printed.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn operate(&self, arguments: &[&str]) -> Result<String> {
        output_of(
            Command::new(&self.program)
                .args(arguments)
                .arg("--config")
                .arg(&self.config),
        )
    }
}

fn spawn(namespace: &Namespace, run: &[OsString], starts: u32) -> Result<Process> {
    let (program, arguments) = run.split_first().context("an empty command line")?;
    let mut command = namespace.command(program);
    command.args(arguments);
    namespace.spawn(command, &format!("twinlease-{starts}"))
}

/// What `twinlease status --json` said.
#[derive(Debug, Clone)]
pub struct Status(pub Value);

/// One worker's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// Datagrams from its own AF_XDP sockets.
    pub received_xdp: u64,
    /// Datagrams from the kernel's sockets.
    pub received_socket: u64,
    /// Datagrams that belonged to another worker.
    pub handed_out: u64,
}

impl Worker {
    /// All datagrams it took from the network itself.
    pub fn received(&self) -> u64 {
        self.received_xdp + self.received_socket
    }
}

/// One served interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `zero-copy`, `copy`, `generic` or `socket`.
    pub rung: String,
    /// Why each rung above was refused, best rung first.
    pub refused: Vec<String>,
}

impl Status {
    /// The workers in order.
    ///
    /// # Errors
    /// The status has none, or one without a counter.
    pub fn workers(&self) -> Result<Vec<Worker>> {
        let workers = self.0["workers"]
            .as_array()
            .context("no workers in the status")?;
        let counter = |worker: &Value, name: &str| {
            worker[name]
                .as_u64()
                .with_context(|| format!("no {name} in {worker}"))
        };
        let read = |worker: &Value| {
            Ok(Worker {
                received_xdp: counter(worker, "received-xdp")?,
                received_socket: counter(worker, "received-socket")?,
                handed_out: counter(worker, "handed-out")?,
            })
        };
        workers.iter().map(read).collect()
    }

    /// The interfaces in the order of the config.
    ///
    /// # Errors
    /// The status has none, or one without its rung.
    pub fn interfaces(&self) -> Result<Vec<Interface>> {
        let interfaces = self.0["interfaces"]
            .as_array()
            .context("no interfaces in the status")?;
        let read = |interface: &Value| {
            let text = |name: &str| interface[name].as_str().map(str::to_owned);
            Ok(Interface {
                name: text("name").with_context(|| format!("no name in {interface}"))?,
                rung: text("rung").with_context(|| format!("no rung in {interface}"))?,
                refused: interface["why"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|reason| reason.as_str().map(str::to_owned))
                    .collect(),
            })
        };
        interfaces.iter().map(read).collect()
    }

    /// Dropped datagrams, over all workers and reasons.
    ///
    /// # Errors
    /// The status has no workers, or one without its drops.
    pub fn drops(&self) -> Result<u64> {
        let workers = self.0["workers"]
            .as_array()
            .context("no workers in the status")?;
        let mut sum = 0;
        for worker in workers {
            let reasons = worker["drops"]
                .as_object()
                .context("no drops in the status")?;
            sum += reasons.values().filter_map(Value::as_u64).sum::<u64>();
        }
        Ok(sum)
    }
}
