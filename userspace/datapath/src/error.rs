//! Why the data path could not be opened.

use std::io;

use crate::spec::Rung;

/// Why the data path could not be opened; each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// There is no such interface, or the kernel does not tell of it.
    #[error("interface {interface}: {source}; `ip link` lists what there is")]
    Interface {
        /// Its name in the configuration.
        interface: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The UDP socket that joins the multicast groups could not be had.
    #[error("interface {interface}: UDP port 547: {source}; {remedy}")]
    KernelSocket {
        /// The interface.
        interface: String,
        /// The kernel's answer.
        source: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The rung asked for does not work.
    #[error(
        "interface {interface}: io = \"{rung}\" does not work here: {reason}; io = \"auto\" takes the best that does"
    )]
    Rung {
        /// The interface.
        interface: String,
        /// What `io` asked for.
        rung: Rung,
        /// Why it does not work.
        reason: String,
    },
    /// More workers or interfaces than the tables hold.
    #[error("{given} {what}: at most {most} are possible")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many were asked for.
        given: usize,
        /// The limit.
        most: usize,
    },
    /// The operating system refused something else.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The answer.
        source: io::Error,
    },
}

/// What to do when the kernel socket cannot be bound.
pub(crate) fn kernel_socket_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another DHCPv6 server or relay listens there: stop it",
        io::ErrorKind::PermissionDenied => {
            "run as root, or give the program CAP_NET_BIND_SERVICE and CAP_NET_RAW"
        }
        _ => "see whether the interface is up and has IPv6",
    }
}
