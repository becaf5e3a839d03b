//! What the caller asks for: interfaces, the rung of each, how workers idle.

use core::fmt;
use core::str::FromStr;
use std::net::Ipv6Addr;
use wire::ClientKey;

/// An interface, by its place in the list given to [`crate::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u16);

/// A way in and out: one (interface, queue) or one (interface, kernel socket). The numbers are the
/// same in every worker of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u16);

/// A receive queue of a network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u32);

/// One interface to serve.
#[derive(Clone, Debug)]
pub struct InterfaceSpec {
    /// The kernel's name of the interface.
    pub name: String,
    /// The rung asked for.
    pub io: IoMode,
    /// Whether received UDP checksums are verified.
    pub verify_checksums: VerifyChecksums,
    /// Unicast addresses to serve besides those that the interface has.
    pub addresses: Vec<Ipv6Addr>,
    /// What the XDP program steers by: relayed packets by an option of their relays, if they have it,
    /// all others by the DUID.
    pub steer_by: ClientKey,
}

/// `io` of an interface: a rung, or the highest that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoMode {
    /// Walk the ladder from the top; take the first rung whose self-test passes.
    Auto,
    /// This rung, or an error with the remedy.
    Exactly(Rung),
}

impl IoMode {
    /// AF_XDP without copies.
    #[expect(non_upper_case_globals, reason = "reads as a variant beside Auto")]
    pub const ZeroCopy: Self = Self::Exactly(Rung::ZeroCopy);
    /// AF_XDP in the driver's XDP hook, frames copied.
    #[expect(non_upper_case_globals, reason = "reads as a variant beside Auto")]
    pub const Copy: Self = Self::Exactly(Rung::Copy);
    /// AF_XDP in the generic (SKB) hook.
    #[expect(non_upper_case_globals, reason = "reads as a variant beside Auto")]
    pub const Generic: Self = Self::Exactly(Rung::Generic);
    /// The kernel's UDP socket alone.
    #[expect(non_upper_case_globals, reason = "reads as a variant beside Auto")]
    pub const Socket: Self = Self::Exactly(Rung::Socket);
}

impl FromStr for IoMode {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        if word == "auto" {
            return Ok(Self::Auto);
        }
        Rung::LADDER
            .into_iter()
            .find(|rung| rung.as_str() == word)
            .map(Self::Exactly)
            .ok_or(UnknownWord)
    }
}

impl fmt::Display for IoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(rung) => rung.fmt(f),
        }
    }
}

/// How an interface's packets reach the workers, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// AF_XDP, native XDP, the NIC writes into the UMEM.
    ZeroCopy,
    /// AF_XDP, native XDP, the kernel copies.
    Copy,
    /// AF_XDP behind the generic (SKB) XDP hook.
    Generic,
    /// The kernel's UDP socket alone.
    Socket,
}

impl Rung {
    /// All rungs in the order in which `auto` tries them.
    pub const LADDER: [Self; 4] = [Self::ZeroCopy, Self::Copy, Self::Generic, Self::Socket];

    /// The word used in the configuration and in `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy",
            Self::Generic => "generic",
            Self::Socket => "socket",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether received UDP checksums are verified in userspace. The kernel socket always verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyChecksums {
    /// On, except on veth, whose frames carry partial checksums unless the sender's offload is off.
    Auto,
    /// Verify.
    On,
    /// Trust the link.
    Off,
}

impl FromStr for VerifyChecksums {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(UnknownWord),
        }
    }
}

/// A word that is none of those the configuration knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown word")]
pub struct UnknownWord;

#[cfg(test)]
mod tests {
    use super::{IoMode, Rung};

    #[test]
    fn every_rung_is_read_back_from_its_word() {
        for rung in Rung::LADDER {
            assert_eq!(rung.as_str().parse(), Ok(IoMode::Exactly(rung)));
        }
        assert_eq!("auto".parse(), Ok(IoMode::Auto));
        assert!("zerocopy".parse::<IoMode>().is_err());
    }
}
