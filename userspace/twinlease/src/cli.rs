//! The command line: what may be asked for, and the commands that ask a running server.
//!
//! Exit codes: 0, 1 for an error told on stderr, 2 for a command line that is wrong.

mod commands;
#[cfg(test)]
mod tests;

use clap::{Args, Parser, Subcommand};
use lease::Lease;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::{self, CONTROL_SOCKET};
use crate::control::view::parse_lease;
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
    /// Show interfaces, workers, pools, journal and drops of the running server.
    Status {
        /// As JSON on one line.
        #[arg(long)]
        json: bool,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Have the running server read its config file again; SIGHUP does the same. Tells what changed,
    /// or every fault for which the former config stays in force.
    Reload {
        /// As JSON on one line.
        #[arg(long)]
        json: bool,
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show bindings of the running server.
    #[command(subcommand)]
    Leases(Leases),
}

/// What to show of the bindings.
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
    /// As JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
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
        Command::Status { json, server } => in_runtime(commands::status(&server, json)),
        Command::Reload { json, server } => in_runtime(commands::reload(&server, json)),
        Command::Leases(Leases::List(args)) => in_runtime(commands::list(&args)),
        Command::Leases(Leases::Show {
            lease,
            json,
            server,
        }) => in_runtime(commands::show(&server, lease, json)),
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
