//! Status Code option (RFC 9915 §21.13).

use crate::code::StatusCode;
use crate::malformed::{Fault, Malformed};
use crate::option::RawOption;

/// A status and the text for the eye that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// The status.
    pub code: StatusCode,
    /// Should be UTF-8; not checked.
    pub message: &'a [u8],
}

impl<'a> Status<'a> {
    /// Reads the option.
    ///
    /// # Errors
    /// [`Fault::Length`] if the code is not there.
    #[inline]
    pub fn parse(option: &RawOption<'a>) -> Result<Self, Malformed> {
        let Some((code, message)) = option.data.split_first_chunk() else {
            return Err(option.malformed(Fault::Length));
        };
        Ok(Self {
            code: StatusCode(u16::from_be_bytes(*code)),
            message,
        })
    }
}
