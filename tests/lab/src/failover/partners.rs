use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::config::{Relationship, Role, Security};
use super::site::FailoverSite;
use super::status::Endpoint;
use crate::server::{Config, Server};
use crate::wait::wait_until;

/// `NORMAL` (RFC 8156 §8.8).
const NORMAL: &str = "NORMAL";

/// What one server has on record: lease, client and IAID of every binding, and all else that both
/// servers must agree on.
pub type Bindings = BTreeMap<String, Value>;

/// What each server knows of a binding for itself: when the client last spoke to it, and what its
/// partner was told.
const OWN: [&str; 2] = ["cltt", "partner"];

/// Both servers, running.
#[derive(Debug)]
pub struct Partners {
    /// The primary.
    pub primary: Server,
    /// The secondary.
    pub secondary: Server,
}

impl Partners {
    /// Starts both, each with a directory of its own for state and control socket.
    ///
    /// # Errors
    /// One ends, or does not answer in time; with its log.
    pub fn start(
        program: &Path,
        site: &FailoverSite,
        config: &Config,
        relationship: &Relationship,
        security: impl Fn(Role) -> Security,
    ) -> Result<Partners> {
        let start = |role| start(program, site, config, relationship, role, &security(role));
        Ok(Partners {
            primary: start(Role::Primary)?,
            secondary: start(Role::Secondary)?,
        })
    }

    /// Waits until both are in NORMAL.
    ///
    /// # Errors
    /// Not within `limit`.
    pub fn wait_for_normal(&self, limit: Duration) -> Result<()> {
        Endpoint::wait_for(&self.primary, NORMAL, limit)?;
        Endpoint::wait_for(&self.secondary, NORMAL, limit).map(drop)
    }

    /// Waits until both have the same bindings on record; returns them.
    ///
    /// # Errors
    /// Not within `limit`; with the bindings that only one of them has.
    pub fn wait_for_equal_bindings(&self, limit: Duration) -> Result<Bindings> {
        let mut differences = String::new();
        let waited = wait_until("both servers to have the same bindings", limit, || {
            let (primary, secondary) = (bindings(&self.primary)?, bindings(&self.secondary)?);
            differences =
                told("primary", &primary, &secondary) + &told("secondary", &secondary, &primary);
            Ok((primary == secondary).then_some(primary))
        });
        waited.with_context(|| differences)
    }
}

/// Starts one of the two.
///
/// # Errors
/// It ends, or does not answer in time; with its log.
pub fn start(
    program: &Path,
    site: &FailoverSite,
    config: &Config,
    relationship: &Relationship,
    role: Role,
    security: &Security,
) -> Result<Server> {
    let dir = directory(site, role);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let text = config.text(&dir) + &relationship.text(role, security);
    Server::start_with(program, site.server(role), &text)
}

/// Where one of the two keeps its state and control socket.
pub fn directory(site: &FailoverSite, role: Role) -> PathBuf {
    site.server(role).dir().join(role.name())
}

/// What a server has on record.
///
/// # Errors
/// It does not answer, or a binding lacks a field.
pub fn bindings(server: &Server) -> Result<Bindings> {
    let listed = server.operate(&["leases", "export"])?;
    let lines = listed.lines().filter(|line| !line.trim().is_empty());
    lines.map(reduced).collect()
}

fn reduced(line: &str) -> Result<(String, Value)> {
    let mut binding: Value = serde_json::from_str(line).context("leases export printed no JSON")?;
    let key = format!(
        "{} {} {}",
        binding["lease"], binding["duid"], binding["iaid"]
    );
    let fields = binding
        .as_object_mut()
        .context("leases export printed no object")?;
    for own in OWN {
        fields.remove(own);
    }
    Ok((key.replace('"', ""), binding))
}

/// What `here` has and `there` has not, or not so.
fn told(role: &str, here: &Bindings, there: &Bindings) -> String {
    const SHOWN_MAX: usize = 5;
    let only: Vec<String> = here
        .iter()
        .filter(|(key, binding)| there.get(*key) != Some(*binding))
        .map(|(_, binding)| binding.to_string())
        .collect();
    let shown = only[..only.len().min(SHOWN_MAX)].join("\n  ");
    format!("{} bindings at the {role} only\n  {shown}\n", only.len())
}
