//! The command line: what may be asked for, and the commands that ask a running server.
//!
//! Exit codes: 0, 1 for an error told on stderr, 2 for a command line that is wrong.

mod commands;
mod doctor;
mod failover;
mod leases;
mod reconfigure;
#[cfg(test)]
mod tests;
mod why;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lease::{AbsTime, Lease};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::config::{self, CONTROL_SOCKET};
use crate::control::client::percent_encoded;
use crate::control::view::{parse_lease, parse_moment};
use crate::import::Format;
use crate::logging::{self, LogFormat};

/// A DHCPv6 server.
#[derive(Debug, Parser)]
#[command(name = "twinlease", version, propagate_version = true)]
pub struct Cli {
    /// What is logged to stderr: error, warn, info, debug, or target=level pairs with commas.
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        env = "TWINLEASE_LOG",
        default_value = "info"
    )]
    pub log: String,
    /// How log lines are written.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value = "text"
    )]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM.
    Run {
        /// The config file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Start with what could be recovered of a damaged journal, and without the rest.
        #[arg(long)]
        accept_damage: bool,
    },
    /// Tell every fault of a config file, and what will hurt.
    Check {
        /// The config file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Tell whether this machine is fit for a config: kernel, rights, clock, cores, memory,
    /// interfaces, disk; and what to do about what is not. Fails if anything is unfit.
    Doctor {
        /// The config file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Open the interfaces as `run` would, and tell how a packet went round: this takes DHCPv6
        /// packets from whoever serves there, for less than a second.
        #[arg(long)]
        try_interfaces: bool,
        /// As JSON on one line.
        #[arg(long)]
        json: bool,
    },
    /// Show interfaces, workers, pools, journal and drops of the running server.
    Status {
        /// As JSON on one line.
        #[arg(long)]
        json: bool,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show the last messages of a client, what the server made of them, and why.
    Why(WhyArgs),
    /// Have the running server read its config file again; SIGHUP does the same. Tells what changed,
    /// or every fault for which the former config stays in force.
    Reload {
        /// Only the reservations file, beside the config as it is in force.
        #[arg(long)]
        reservations: bool,
        /// As JSON on one line.
        #[arg(long)]
        json: bool,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Have clients renew their leases or ask for their configuration now (RFC 9915 §18.3.11), and
    /// tell what became of each. Ends with the last of them; interrupting it takes the order back.
    Reconfigure(ReconfigureArgs),
    /// Show and change bindings.
    #[command(subcommand)]
    Leases(Leases),
    /// Write Kea's DHCPv6 config as this server's to stdout, and to stderr every key that is not
    /// taken over, with the reason.
    KeaConfig {
        /// Kea's config file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The DUID that Kea's clients know their server by, in hexadecimal: what stands in Kea's
        /// file kea-dhcp6-serverid. Without it no Renew of theirs is answered.
        #[arg(long, value_name = "DUID")]
        server_duid: Option<String>,
    },
    /// Show the failover relationships of the running server, or tell it that a partner is down.
    #[command(subcommand)]
    Failover(Failover),
}

/// What to do about failover relationships.
#[derive(Debug, Subcommand)]
pub enum Failover {
    /// Both endpoints of every relationship, and what this server waits for.
    Status {
        /// As JSON on one line.
        #[arg(long)]
        json: bool,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Tell this server that the partner of a relationship is down and stays so: it then serves
    /// alone.
    PartnerDown(PartnerDownArgs),
}

/// Options of `failover partner-down`.
#[derive(Debug, Args)]
pub struct PartnerDownArgs {
    /// The relationship.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Since when the partner has certainly not served anybody, as 2026-03-01T14:05:00Z [default:
    /// from now on].
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub since: Option<AbsTime>,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Even where this server may lack leases that its partner gave.
    #[arg(long)]
    pub force: bool,
    /// As JSON on one line.
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What clients are to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Requested {
    /// Renew: to the server that they have their leases from.
    #[default]
    Renew,
    /// Rebind: to any server; after a takeover this is what the partner's clients answer with.
    Rebind,
    /// Information-request: their configuration without leases.
    InformationRequest,
}

impl Requested {
    /// As the control socket has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Renew => "renew",
            Self::Rebind => "rebind",
            Self::InformationRequest => "information-request",
        }
    }
}

/// Options of `reconfigure`.
#[derive(Debug, Args)]
#[group(id = "whom", required = true, multiple = false, args = ["duid", "link", "all"])]
pub struct ReconfigureArgs {
    /// The client with this DUID, in hexadecimal.
    #[arg(long, value_name = "DUID")]
    pub duid: Option<String>,
    /// All clients of this link.
    #[arg(long, value_name = "NAME")]
    pub link: Option<String>,
    /// All clients.
    #[arg(long)]
    pub all: bool,
    /// What they are to send.
    #[arg(long, value_name = "MESSAGE", value_enum, default_value = "renew")]
    pub message: Requested,
    /// Messages sent a second at most [default: 100].
    #[arg(long, value_name = "NUMBER")]
    pub rate: Option<u32>,
    /// How long a client is waited for before it is sent the message again, as 500ms or 2s; each
    /// further wait is twice as long [default: 2s].
    #[arg(long, value_name = "DURATION", value_parser = parse_wait)]
    pub timeout: Option<Duration>,
    /// How often a client that does not answer is sent the message, at most 8 [default: 8].
    #[arg(long, value_name = "NUMBER")]
    pub attempts: Option<u8>,
    /// As JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A duration as `500ms` or `2s`.
fn parse_wait(text: &str) -> Result<Duration, String> {
    let number = |text: &str| text.parse::<u32>().ok().map(u64::from);
    let wait = match text.strip_suffix("ms") {
        Some(millis) => number(millis).map(Duration::from_millis),
        None => text
            .strip_suffix('s')
            .and_then(number)
            .map(Duration::from_secs),
    };
    wait.ok_or_else(|| "write a duration such as 500ms or 2s".to_owned())
}

/// Options of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The client's DUID in hexadecimal, an address, or a prefix with its length; without it, the
    /// last messages of all.
    #[arg(value_name = "DUID|ADDRESS|PREFIX", conflicts_with = "line")]
    pub whose: Option<String>,
    /// Or its line.
    #[command(flatten)]
    pub line: LineArgs,
    /// Only messages that were not answered.
    #[arg(long)]
    pub dropped: bool,
    /// The last so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub last: usize,
    /// As JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What to do with the bindings.
#[derive(Debug, Subcommand)]
pub enum Leases {
    /// All bindings, or those that match every option given.
    List(Box<ListArgs>),
    /// One binding. If there is none, nothing is printed to stdout.
    Show {
        /// The address, or the delegated prefix with its length.
        #[arg(value_name = "LEASE", value_parser = parse_lease)]
        lease: Lease,
        /// As JSON on one line.
        #[arg(long)]
        json: bool,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// End active bindings as if their clients had released them; they are not told.
    Release {
        /// Addresses, or delegated prefixes with their length.
        #[arg(value_name = "LEASE", value_parser = parse_lease, required = true)]
        leases: Vec<Lease>,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// End the quarantine of abandoned leases.
    Reset {
        /// Addresses, or delegated prefixes with their length.
        #[arg(value_name = "LEASE", value_parser = parse_lease, required = true)]
        leases: Vec<Lease>,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Write bindings to stdout in a format that `import` reads.
    Export(Box<ExportArgs>),
    /// Bring in bindings from a file: this server's own export, or Kea's kea-leases6.csv. Tells
    /// every line that is not taken over, and why; then the sums.
    Import(Box<ImportArgs>),
}

/// How bindings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Columns; times are seconds since 1970.
    Csv,
}

/// Options of `leases export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// How they are written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "json")]
    pub format: ExportFormat,
    /// Which of them.
    #[command(flatten)]
    pub list: ListArgs,
}

/// Options of `leases import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Its format [default: as its first line says].
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,
    /// Into the state directory of a server that is not running, before its first packet.
    #[arg(long)]
    pub offline: bool,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Options of `leases list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only bindings of this link.
    #[arg(long, value_name = "NAME")]
    pub link: Option<String>,
    /// Only bindings of the client with this DUID, in hexadecimal.
    #[arg(long, value_name = "DUID")]
    pub duid: Option<String>,
    /// Only the binding of this address.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_lease, conflicts_with = "prefix")]
    pub address: Option<Lease>,
    /// Only the binding of this delegated prefix.
    #[arg(long, value_name = "PREFIX", value_parser = parse_lease)]
    pub prefix: Option<Lease>,
    /// Only bindings of leases inside this prefix.
    #[arg(long, value_name = "PREFIX", value_parser = parse_lease)]
    pub within: Option<Lease>,
    /// Only bindings with this status: active or abandoned.
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Of one line.
    #[command(flatten)]
    pub line: LineArgs,
    /// As JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A line by what the relay nearest to the client says of it: text, or octets as 0x0a0b.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "line", required = false, multiple = false)]
pub struct LineArgs {
    /// Only of the line with this Remote-Id, whatever its enterprise number: text, or octets as 0x0a0b.
    #[arg(long, value_name = "ID")]
    pub remote_id: Option<String>,
    /// Only of lines with this Interface-Id, behind whichever relay.
    #[arg(long, value_name = "ID")]
    pub interface_id: Option<String>,
    /// Only of the line with this Subscriber-Id.
    #[arg(long, value_name = "ID")]
    pub subscriber_id: Option<String>,
}

impl LineArgs {
    /// As further parameters of a request.
    pub fn query(&self) -> String {
        let ids = [
            ("remote-id", &self.remote_id),
            ("interface-id", &self.interface_id),
            ("subscriber-id", &self.subscriber_id),
        ];
        let given = ids
            .into_iter()
            .filter_map(|(key, id)| Some((key, id.as_ref()?)));
        let given = given.map(|(key, id)| format!("&{key}={}", percent_encoded(id)));
        given.collect()
    }
}

/// Which server is asked.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArgs {
    /// Its control socket [default: the one named in the config file, else
    /// /run/twinlease/control.sock].
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Its config file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ServerArgs {
    /// The control socket: as given, else as in the config file, else the default one.
    ///
    /// # Errors
    /// The config file names none because it cannot be read.
    pub fn socket(&self) -> Result<PathBuf, config::Report> {
        match (&self.socket, &self.config) {
            (Some(socket), _) => Ok(socket.clone()),
            (None, Some(file)) => config::control_socket(file),
            (None, None) => Ok(CONTROL_SOCKET.into()),
        }
    }
}

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = logging::start(&cli.log, cli.log_format).and_then(|()| execute(cli.command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("twinlease: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run {
            config,
            accept_damage,
        } => commands::run(&config, accept_damage),
        Command::Check { config } => commands::check(&config, &mut io::stdout().lock()),
        Command::Doctor {
            config,
            try_interfaces,
            json,
        } => doctor::doctor(&config, try_interfaces, json),
        Command::Status { json, server } => in_runtime(commands::status(&server, json)),
        Command::Why(args) => in_runtime(why::why(&args)),
        Command::Reconfigure(args) => in_runtime(reconfigure::reconfigure(&args)),
        Command::Reload {
            reservations,
            json,
            server,
        } => in_runtime(commands::reload(&server, reservations, json)),
        Command::Leases(Leases::List(args)) => in_runtime(leases::list(&args)),
        Command::Leases(Leases::Export(args)) => in_runtime(leases::export(&args)),
        Command::Leases(Leases::Import(args)) => in_runtime(leases::import(&args)),
        Command::Leases(Leases::Release {
            leases: freed,
            server,
        }) => in_runtime(leases::free(&server, &freed, "release")),
        Command::Leases(Leases::Reset {
            leases: freed,
            server,
        }) => in_runtime(leases::free(&server, &freed, "reset")),
        Command::KeaConfig { file, server_duid } => {
            let cores = commands::allowed_cores()?;
            leases::kea_config(&file, server_duid.as_deref(), &cores)
        }
        Command::Failover(Failover::Status { json, server }) => {
            in_runtime(failover::status(&server, json))
        }
        Command::Failover(Failover::PartnerDown(args)) => in_runtime(failover::partner_down(&args)),
        Command::Leases(Leases::Show {
            lease,
            json,
            server,
        }) => in_runtime(leases::show(&server, lease, json)),
    }
}

fn in_runtime(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(command)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |io: &io::Error| io.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(broken)
}

/// One line to stderr; if even that cannot be written, nobody is left to be told.
fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// As the config file is named in messages.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
