//! Messages on a TCP connection: each behind its size (RFC 5460 §5.1).

use crate::code::MessageType;
use crate::failover::message::{FAILOVER_HEADER_LEN, is_failover};
use crate::message::MESSAGE_HEADER_LEN;

/// Octets of `message-size`.
pub const FRAME_HEADER_LEN: usize = 2;
/// Longest message in octets, without its size field.
pub const MESSAGE_LEN_MAX: usize = u16::MAX as usize;
/// Where `sent-time` stands in a frame.
const SENT_TIME_AT: core::ops::Range<usize> = 6..10;

/// The octets cannot be a message: the connection is out of step and to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "message-size {size} is too small for a message of type {msg_type}, which has {shortest} octets or more"
)]
pub struct FramingError {
    /// The size field.
    pub size: u16,
    /// The message's type, 0 if it was not read.
    pub msg_type: MessageType,
    /// Octets a message of the type has at least.
    pub shortest: usize,
}

/// The whole messages at the start of what was read from a connection, without their size fields.
///
/// Iterating ends before the first message that is not yet whole, or with the one
/// [`FramingError`] behind which nothing can be found.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    octets: &'a [u8],
    failed: bool,
}

impl<'a> Frames<'a> {
    /// `octets` begin with a size field.
    pub fn new(octets: &'a [u8]) -> Self {
        Self {
            octets,
            failed: false,
        }
    }

    /// What stands behind the messages iterated over.
    pub fn rest(&self) -> &'a [u8] {
        self.octets
    }

    /// The size field of the next message, if it can be read.
    pub fn next_size(&self) -> Option<u16> {
        self.octets
            .first_chunk()
            .map(|size| u16::from_be_bytes(*size))
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<&'a [u8], FramingError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let (&size, rest) = self.octets.split_first_chunk()?;
        let size = u16::from_be_bytes(size);
        let msg_type = rest.first().copied().map_or(MessageType(0), MessageType);
        let shortest = match msg_type {
            MessageType(0) | MessageType::STARTTLS | MessageType::REPLY => MESSAGE_HEADER_LEN,
            _ => FAILOVER_HEADER_LEN,
        };
        if usize::from(size) < shortest {
            self.failed = true;
            return Some(Err(FramingError {
                size,
                msg_type,
                shortest,
            }));
        }
        let (message, rest) = rest.split_at_checked(usize::from(size))?;
        self.octets = rest;
        Some(Ok(message))
    }
}

/// Writes `sent_time` into every whole failover message of `frames`; STARTTLS and REPLY have none.
pub fn stamp(mut frames: &mut [u8], sent_time: u32) {
    while let Some(size) = Frames::new(frames).next_size() {
        let len = FRAME_HEADER_LEN + usize::from(size);
        let Some((frame, rest)) = frames.split_at_mut_checked(len) else {
            return;
        };
        if frame
            .get(FRAME_HEADER_LEN)
            .is_some_and(|&code| is_failover(MessageType(code)))
            && let Some(field) = frame.get_mut(SENT_TIME_AT)
        {
            field.copy_from_slice(&sent_time.to_be_bytes());
        }
        frames = rest;
    }
}
