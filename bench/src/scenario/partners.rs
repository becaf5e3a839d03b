//! Two servers that are failover partners, and the generator: on one LAN, with TLS between the
//! partners.
//!
//! There are two cores. The generator and the secondary's worker have core 0, the primary's worker
//! core 1; journals, control threads and the rest of the kernel's work run where there is time. All
//! sleep when they have nothing to do.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::failover::{Authority, FailoverSite, Relationship, Role, Security, TlsFiles};
use lab::{Lab, Namespace};
use serde_json::Value;
use tempfile::TempDir;

use super::ground::{self, GENERATOR_CORE, LINK, NA, SERVER_CORE, Server, ServerSpec};
use crate::generator::client::Numbering;
use crate::generator::session::Session;

/// RFC 8156 §8.8.
const NORMAL: &str = "NORMAL";
/// The relationship of both servers: MCLT as in the config's default.
pub const RELATIONSHIP: Relationship = Relationship {
    mclt_secs: 3_600,
    keepalive_secs: 4,
    startup_secs: 2,
    links: &[LINK],
    serves_alone: false,
};
/// Who the clients are.
pub const NUMBERING: Numbering = Numbering { salt: 1, relays: 0 };

/// Between two looks at a server's state; each costs it a fraction of a millisecond.
const LOOK: Duration = Duration::from_millis(20);
const START_LIMIT: Duration = Duration::from_secs(60);

/// A pair's networks, and its servers' state and certificates.
pub struct Ground {
    pub site: FailoverSite,
    lab: Lab,
    client: Namespace,
    state: TempDir,
    program: PathBuf,
    certificates: [TlsFiles; 2],
}

/// One server's endpoint of the relationship.
#[derive(Clone, Debug)]
pub struct Told(Value);

impl Ground {
    /// Makes the ground; what an interrupted run has left is cleaned first.
    ///
    /// # Errors
    /// Not root, or the server was not built.
    pub fn new() -> Result<Self> {
        let mut lab = ground::begin()?;
        let site = FailoverSite::new(&mut lab, 1)?;
        let client = site.lan.client(&mut lab, "client")?;
        let authority = Authority::new(lab.dir(), "authority")?;
        let [primary, secondary] =
            [Role::Primary, Role::Secondary].map(|role| authority.certify(role.address()));
        Ok(Self {
            site,
            lab,
            client,
            state: ground::state_dir()?,
            program: lab::server::program()?,
            certificates: [primary?, secondary?],
        })
    }

    /// Where one of them keeps all that it must not lose.
    pub fn state(&self, role: Role) -> PathBuf {
        self.state.path().join(role.name())
    }

    /// Starts one of them, with a partner or alone, and returns at once.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn begin(&self, role: Role, relationship: Option<&Relationship>) -> Result<Server> {
        let spec = ServerSpec {
            cores: vec![core(role)],
            idle: "sleep",
            ..ServerSpec::default()
        };
        let mut text = spec.text(&self.state(role).join("server"), &self.socket(role));
        if let Some(relationship) = relationship {
            let files = &self.certificates[usize::from(role == Role::Secondary)];
            text += &relationship.text(role, &Security::Tls(files.clone()));
        }
        let namespace = self.site.server(role);
        let process = lab::server::Server::begin_with(&self.program, namespace, &text)?;
        Ok(Server { process })
    }

    /// Likewise, and waits until it answers on its control socket.
    ///
    /// # Errors
    /// It ends or does not answer; with its log.
    pub fn start(&self, role: Role, relationship: Option<&Relationship>) -> Result<Server> {
        let mut server = self.begin(role, relationship)?;
        server.process.wait_until_ready(START_LIMIT)?;
        Ok(server)
    }

    /// Clients on the LAN.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn clients(&self) -> Result<Session> {
        let server = self.site.server(Role::Primary);
        ground::session(&self.client, server, NA, NUMBERING, 1)
    }

    /// What a server says of its endpoint, asked without a process that would take part of a core;
    /// `None` while it does not answer.
    pub fn told(&self, role: Role) -> Option<Told> {
        let mut stream = UnixStream::connect(self.socket(role)).ok()?;
        let request = b"GET /v1/failover HTTP/1.1\r\nHost: twinlease\r\nConnection: close\r\n\r\n";
        stream.write_all(request).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (_, body) = text.split_once("\r\n\r\n")?;
        let all: Value = serde_json::from_str(body).ok()?;
        Some(Told(all.get(0)?.clone()))
    }

    /// Waits until a server's endpoint is so; since when.
    ///
    /// # Errors
    /// Not within `limit`, or interrupted.
    pub fn wait(
        &self,
        role: Role,
        limit: Duration,
        is_so: impl Fn(&Told) -> bool,
    ) -> Result<Instant> {
        let begin = Instant::now();
        let mut last = None;
        while begin.elapsed() < limit {
            if let Some(told) = self.told(role) {
                if is_so(&told) {
                    return Ok(Instant::now());
                }
                last = Some(told);
            }
            ensure!(!lab::interrupted(), "interrupted");
            std::thread::sleep(LOOK);
        }
        bail!(
            "in vain for {limit:?}; the {} last said {last:?}",
            role.name()
        )
    }

    /// Waits until both are in NORMAL.
    ///
    /// # Errors
    /// Not within `limit`, or interrupted.
    pub fn wait_for_normal(&self, limit: Duration) -> Result<()> {
        for role in [Role::Primary, Role::Secondary] {
            self.wait(role, limit, |told| told.state() == NORMAL)?;
        }
        Ok(())
    }

    fn socket(&self, role: Role) -> PathBuf {
        self.lab.dir().join(format!("{}.sock", role.name()))
    }
}

impl Told {
    /// The state in the words of RFC 8156 §8.
    pub fn state(&self) -> &str {
        self.0["state"].as_str().unwrap_or_default()
    }
}

/// Bindings that a server holds.
///
/// # Errors
/// It does not answer.
pub fn bindings(server: &Server) -> Result<u64> {
    let status = server.process.status()?;
    let workers = status.0["workers"].as_array();
    let held = workers
        .into_iter()
        .flatten()
        .map(|worker| worker["bindings"].as_u64());
    held.sum::<Option<u64>>()
        .context("a worker without bindings in the status")
}

fn core(role: Role) -> usize {
    match role {
        Role::Primary => SERVER_CORE,
        Role::Secondary => GENERATOR_CORE,
    }
}
