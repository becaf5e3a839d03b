//! Two servers that are failover partners (RFC 8156): their networks, certificates, configs, and
//! what they say of each other.

/// A certification authority of the lab's own.
mod certificates;
/// Both servers' config files.
mod config;
/// Both servers, running.
mod partners;
/// The networks of a pair.
mod site;
/// What `twinlease failover status` says.
mod status;
/// A partner's side of the connection by hand, up to the first message that matters.
mod stranger;

pub use certificates::{Authority, TlsFiles};
pub use config::{Relationship, Role, Security};
pub use partners::{Bindings, Partners, bindings, directory, start};
pub use site::{FailoverSite, PRIMARY, SECONDARY, SERVERS_UP};
pub use status::Endpoint;
pub use stranger::{Answer, Stranger};
