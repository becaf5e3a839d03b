//! `twinlease doctor`: is this machine fit for this config, and what to do about it if not.
//!
//! Each room has two halves: facts, which it asks the kernel for, and a judgement, which is a
//! function of config and facts alone.

mod cores;
mod disk;
mod interface;
mod kernel;
mod memory;
mod rungs;

use core::fmt;
use serde::{Serialize, Serializer};

use crate::config::Config;

/// How good what was found is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Fit,
    /// Serves, but slower or with less than there could be.
    Hurts,
    /// Does not serve, or not what the config asks for.
    Unfit,
}

impl Verdict {
    /// The word in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::Hurts => "hurts",
            Self::Unfit => "unfit",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How good it is.
    pub verdict: Verdict,
    /// What was looked at: `eth0`, `clock`, `disk`.
    pub about: String,
    /// What was found.
    pub found: String,
    /// What to do about it; nothing if it is fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn fit(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fit,
            about: about.into(),
            found: found.into(),
            remedy: None,
        }
    }

    fn hurts(
        about: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Hurts,
            remedy: Some(remedy.into()),
            ..Self::fit(about, found)
        }
    }

    fn unfit(
        about: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Unfit,
            remedy: Some(remedy.into()),
            ..Self::fit(about, found)
        }
    }
}

/// Looks at everything that the config will use.
///
/// `try_interfaces` also opens the interfaces as `run` would, which takes DHCPv6 packets from
/// whoever serves there for the tenths of a second that it takes.
pub fn examine(config: &Config, try_interfaces: bool) -> Vec<Finding> {
    let mut findings = kernel::examine(config);
    findings.extend(cores::examine(config));
    findings.extend(memory::examine(config));
    for interface in &config.interfaces {
        findings.extend(interface::examine(interface, config));
    }
    if try_interfaces {
        findings.extend(rungs::examine(config));
    }
    findings.extend(disk::examine(config));
    findings
}

/// Whether any interface may use AF_XDP.
fn wants_xdp(config: &Config) -> bool {
    use crate::config::Io;
    (config.interfaces.iter()).any(|interface| interface.io != Io::Socket)
}

/// A verdict for what is missing for XDP: an interface that insists on it makes it fatal.
fn without_xdp(config: &Config) -> Verdict {
    use crate::config::Io;
    let insists = |io| matches!(io, Io::ZeroCopy | Io::Copy | Io::Generic);
    match (config.interfaces.iter()).any(|interface| insists(interface.io)) {
        true => Verdict::Unfit,
        false => Verdict::Hurts,
    }
}
