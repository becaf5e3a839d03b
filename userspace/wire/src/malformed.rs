//! What is wrong with a message, and where.

use crate::code::OptionCode;

/// An option (or the message header around options) that does not have the form its RFC gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option} at octet {offset}: {why}")]
pub struct Malformed {
    /// Code of the broken option; for [`Fault::ShortHeader`] the option that holds the message,
    /// or 0 if none does.
    pub option: OptionCode,
    /// Octets from the start of the UDP payload to the option's code, or to the message header.
    pub offset: u32,
    /// The fault.
    pub why: Fault,
}

impl Malformed {
    /// Short label of the fault, stable over versions, for a metric.
    pub fn reason(&self) -> &'static str {
        self.why.reason()
    }
}

/// Ways in which an option can be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// One to three octets are left behind the last whole option: too few for a header.
    #[error("stray octets where an option should begin")]
    StrayOctets,
    /// `option-len` passes the end of what holds the option.
    #[error("length passes the end of its enclosure")]
    Overrun,
    /// `option-len` is none that this option can have.
    #[error("length is not one this option can have")]
    Length,
    /// The identifier is shorter than 3 or longer than 130 octets (RFC 9915 §11.1).
    #[error("DUID is not 3 to 130 octets long")]
    Duid,
    /// A label passes the end, is longer than 63 octets, or is compressed (RFC 9915 §10).
    #[error("domain name is not a sequence of uncompressed labels")]
    DomainName,
    /// A prefix length above 128 (RFC 9915 §21.22).
    #[error("prefix length is above 128")]
    PrefixLength,
    /// An option that may stand once stands again (RFC 9915 §21).
    #[error("may stand only once")]
    Repeated,
    /// A number that has no meaning here, such as server state 0 (RFC 8156 §5.5.16).
    #[error("value is not one this option can have")]
    Value,
    /// The message is too short for its fixed fields.
    #[error("message is too short for its fixed fields")]
    ShortHeader,
}

impl Fault {
    /// Short label, stable over versions, for a metric.
    pub fn reason(self) -> &'static str {
        match self {
            Self::StrayOctets => "stray-octets",
            Self::Overrun => "option-overrun",
            Self::Length => "option-length",
            Self::Duid => "duid-length",
            Self::DomainName => "domain-name",
            Self::PrefixLength => "prefix-length",
            Self::Repeated => "option-repeated",
            Self::Value => "option-value",
            Self::ShortHeader => "short-header",
        }
    }
}
