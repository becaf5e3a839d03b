//! Values that failover options hold.

use core::fmt;

use crate::malformed::{Fault, Malformed};
use crate::option::RawOption;

/// Identifies an exchange; 24 bits (RFC 8156 §5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(u32);

impl TransactionId {
    /// The low 24 bits of `number`.
    pub fn new(number: u32) -> Self {
        Self(number & 0x00ff_ffff)
    }

    /// From the header's octets.
    pub fn from_octets([a, b, c]: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, a, b, c]))
    }

    /// As in the header.
    pub fn octets(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// As a number below 2^24.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:06x}", self.0)
    }
}

/// State of a failover endpoint (RFC 8156 §5.5.16, §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ServerState {
    /// Never sent: a server in STARTUP sends the state it was in before, and the flag
    /// [`ServerFlags::STARTUP`].
    Startup = 1,
    /// Both servers work together.
    Normal = 2,
    /// The partner cannot be heard; it may be alive.
    CommunicationsInterrupted = 3,
    /// The partner is known not to serve.
    PartnerDown = 4,
    /// Both servers may have leased the same.
    PotentialConflict = 5,
    /// Bindings are being fetched from the partner.
    Recover = 6,
    /// Leases that nobody knows of are being waited out.
    RecoverWait = 7,
    /// Recovered, waiting for the partner.
    RecoverDone = 8,
    /// The partner was lost while conflicts were being resolved.
    ResolutionInterrupted = 9,
    /// The primary has resolved its conflicts, the secondary has not.
    ConflictDone = 10,
}

impl ServerState {
    /// All states, in the order of their values.
    pub const ALL: [Self; 10] = [
        Self::Startup,
        Self::Normal,
        Self::CommunicationsInterrupted,
        Self::PartnerDown,
        Self::PotentialConflict,
        Self::Recover,
        Self::RecoverWait,
        Self::RecoverDone,
        Self::ResolutionInterrupted,
        Self::ConflictDone,
    ];

    /// From the value of RFC 8156 §5.5.16.
    pub fn from_wire(value: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == value)
    }

    /// The name in RFC 8156.
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "STARTUP",
            Self::Normal => "NORMAL",
            Self::CommunicationsInterrupted => "COMMUNICATIONS-INTERRUPTED",
            Self::PartnerDown => "PARTNER-DOWN",
            Self::PotentialConflict => "POTENTIAL-CONFLICT",
            Self::Recover => "RECOVER",
            Self::RecoverWait => "RECOVER-WAIT",
            Self::RecoverDone => "RECOVER-DONE",
            Self::ResolutionInterrupted => "RESOLUTION-INTERRUPTED",
            Self::ConflictDone => "CONFLICT-DONE",
        }
    }

    pub(super) fn parse(option: &RawOption<'_>) -> Result<Self, Malformed> {
        let [value] = *option.fixed()?;
        Self::from_wire(value).ok_or_else(|| option.malformed(Fault::Value))
    }
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! flags {
    ($(#[$type_doc:meta])* $type:ident($number:ty) { $($(#[$doc:meta])* $flag:ident = $value:literal;)* }) => {
        $(#[$type_doc])*
        ///
        /// Bits without a name are carried as received and must be sent as zero.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $type(pub $number);

        impl $type {
            $($(#[$doc])* pub const $flag: Self = Self($value);)*

            /// Whether all of `flags` are raised.
            pub fn contains(self, flags: Self) -> bool {
                self.0 & flags.0 == flags.0
            }

            /// These flags, and `flags` if `raised`.
            #[must_use]
            pub fn with(self, flags: Self, raised: bool) -> Self {
                Self(if raised { self.0 | flags.0 } else { self.0 })
            }

            pub(super) fn parse(option: &RawOption<'_>) -> Result<Self, Malformed> {
                option.fixed().map(|octets| Self(<$number>::from_be_bytes(*octets)))
            }
        }
    };
}

flags! {
    /// What the sender of STATE knows (RFC 8156 §5.5.15).
    ServerFlags(u8) {
        /// C: the sender has communicated with its partner.
        COMMUNICATED = 0x01;
        /// S: the sender is in STARTUP.
        STARTUP = 0x02;
        /// A: the last flags the sender received had [`STARTUP`](Self::STARTUP).
        ACK_STARTUP = 0x04;
    }
}

flags! {
    /// What the connecting server's pools are like (RFC 8156 §5.5.2).
    ConnectFlags(u16) {
        /// F: prefixes delegated out of one delegable prefix all have the same length.
        FIXED_PD_LENGTH = 0x0001;
    }
}

flags! {
    /// How a name came into the DNS, and into which zones (RFC 8156 §5.5.3.3).
    DnsFlags(u16) {
        /// F: the forward zone is up to date.
        FWD_UPTODATE = 0x0001;
        /// R: the reverse zone is up to date.
        REV_UPTODATE = 0x0002;
        /// S: the server made the name.
        SYNTHESIZED_NAME = 0x0004;
        /// U: the client asked for the name.
        USING_REQUESTED_FQDN = 0x0008;
    }
}

/// Version of the failover protocol (RFC 8156 §5.5.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion {
    /// Grows with large changes.
    pub major: u16,
    /// Grows with small changes.
    pub minor: u16,
}

impl ProtocolVersion {
    /// The version of RFC 8156.
    pub const RFC8156: Self = Self { major: 1, minor: 0 };

    pub(super) fn parse(option: &RawOption<'_>) -> Result<Self, Malformed> {
        let [a, b, c, d] = *option.fixed()?;
        Ok(Self {
            major: u16::from_be_bytes([a, b]),
            minor: u16::from_be_bytes([c, d]),
        })
    }

    pub(super) fn octets(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.major.to_be_bytes(), self.minor.to_be_bytes());
        [a, b, c, d]
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
