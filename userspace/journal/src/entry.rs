//! Any record of the log, whichever it is.

use crate::control::{self, ControlDelta, is_control};
use crate::record::{self, RecordError, peek};
use lease::BindingDelta;

/// What one record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A change to one lease.
    Binding(BindingDelta<'a>),
    /// A change that belongs to no shard.
    Control(ControlDelta<'a>),
}

impl<'a> Entry<'a> {
    /// Appends its octets.
    ///
    /// # Panics
    /// If a relationship's state is longer than
    /// [`RELATIONSHIP_STATE_LEN_MAX`](crate::RELATIONSHIP_STATE_LEN_MAX).
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Binding(delta) => record::encode(delta, out),
            Self::Control(delta) => control::encode(delta, out),
        }
    }

    /// The first record of `octets` and how long it is.
    ///
    /// # Errors
    /// The first thing that this version cannot have written.
    pub fn decode(octets: &'a [u8]) -> Result<(Self, usize), RecordError> {
        if is_control(peek(octets)?.kind) {
            let (delta, len) = control::decode(octets)?;
            return Ok((Self::Control(delta), len));
        }
        let (delta, len) = record::decode(octets)?;
        Ok((Self::Binding(delta), len))
    }
}
