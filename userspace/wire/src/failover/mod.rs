//! DHCPv6 Failover messages (RFC 8156 §5), as they stand on the TCP connection between partners.
//!
//! The way in: [`Frames`] finds the messages in what was read, [`FailoverMessage::parse`] reads
//! a header, [`FailoverMessage::body`] all options of the message. Whoever has a [`Body`] knows
//! that everything nested in it is well formed. The way out: [`FrameWriter`] writes one frame;
//! every view can be written back with it.
//!
//! All absolute times are seconds since 2000-01-01T00:00:00Z modulo 2^32 (RFC 8156 §3). Offsets in
//! errors count from the message's `msg-type`, behind the size field. A known option that stands
//! twice where it may stand once makes the message malformed: which one would be meant is unknown.

pub mod binding;
pub mod connect;
pub mod dns;
pub mod framing;
pub mod lease_options;
pub mod message;
pub mod state;
pub mod subscriber;
pub mod tls;
pub mod values;
pub mod writer;

use crate::malformed::{Fault, Malformed};
use crate::option::RawOption;

pub use binding::{
    BindingLease, Client, ClientData, Container, Leased, PrefixData, ReconfigureData,
};
pub use connect::Connect;
pub use dns::DnsRemovalInfo;
pub use framing::{Frames, FramingError, stamp};
pub use lease_options::LeaseOptions;
pub use message::{Body, FailoverMessage, MessageError};
pub use state::State;
pub use subscriber::{ENTERPRISE, MAGIC};
pub use tls::TlsMessage;
pub use values::{
    ConnectFlags, DnsFlags, ProtocolVersion, ServerFlags, ServerState, TransactionId,
};
pub use writer::FrameWriter;

/// Fills `slot` with what `option` says.
///
/// # Errors
/// [`Fault::Repeated`] if it is full.
fn once<T>(slot: &mut Option<T>, option: &RawOption<'_>, value: T) -> Result<(), Malformed> {
    if slot.is_some() {
        return Err(option.malformed(Fault::Repeated));
    }
    *slot = Some(value);
    Ok(())
}

#[cfg(test)]
mod tests;
