use std::net::Ipv6Addr;

use super::certificates::TlsFiles;
use super::site::{PRIMARY, SECONDARY};

/// Which of the two servers one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Connects to the secondary, and answers all clients while both work.
    Primary,
    /// Listens, and answers only its own clients while both work.
    Secondary,
}

impl Role {
    /// As the config, the lab's namespaces and the status spell it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Secondary => "secondary",
        }
    }

    /// Its address on the partners' own link.
    pub fn address(self) -> Ipv6Addr {
        match self {
            Role::Primary => PRIMARY,
            Role::Secondary => SECONDARY,
        }
    }

    /// The other one.
    pub fn partner(self) -> Role {
        match self {
            Role::Primary => Role::Secondary,
            Role::Secondary => Role::Primary,
        }
    }
}

/// How a server protects the connection to its partner.
#[derive(Debug, Clone)]
pub enum Security {
    /// Not at all.
    Insecure,
    /// By TLS with these files.
    Tls(TlsFiles),
}

/// The `[[failover]]` of both servers, with times for a lab: short beside those of RFC 8156.
#[derive(Debug, Clone, Copy)]
pub struct Relationship {
    /// Maximum Client Lead Time in seconds.
    pub mclt_secs: u32,
    /// FO_KEEPALIVE_TIME in seconds.
    pub keepalive_secs: u32,
    /// How long STARTUP waits for the partner, in seconds.
    pub startup_secs: u32,
    /// The links that belong to it.
    pub links: &'static [&'static str],
    /// Whether a server that never met its partner serves alone after STARTUP.
    pub serves_alone: bool,
}

impl Relationship {
    /// Its name on both servers (OPTION_F_RELATIONSHIP_NAME).
    pub const NAME: &'static str = "edge";

    /// The text of the table for one of the two.
    pub fn text(&self, role: Role, security: &Security) -> String {
        let tls = match security {
            Security::Insecure => "tls = \"insecure\"\n".to_owned(),
            Security::Tls(TlsFiles {
                certificate,
                key,
                ca,
            }) => format!(
                "\n[failover.tls]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"\n",
                certificate.display(),
                key.display(),
                ca.display()
            ),
        };
        format!(
            r#"
[[failover]]
name = "{name}"
role = "{role}"
local = "[{local}]:647"
partner = "[{partner}]:647"
links = {links:?}
mclt = "{mclt}s"
keepalive = "{keepalive}s"
startup = "{startup}s"
connect-retry = "1s"
without-partner = "{without_partner}"
{tls}"#,
            name = Self::NAME,
            role = role.name(),
            local = role.address(),
            partner = role.partner().address(),
            mclt = self.mclt_secs,
            keepalive = self.keepalive_secs,
            startup = self.startup_secs,
            links = self.links,
            without_partner = match self.serves_alone {
                true => "serve",
                false => "wait",
            },
        )
    }
}

impl Default for Relationship {
    fn default() -> Relationship {
        Relationship {
            mclt_secs: 5,
            keepalive_secs: 4,
            startup_secs: 2,
            links: &["lan", "bng-1"],
            serves_alone: false,
        }
    }
}
