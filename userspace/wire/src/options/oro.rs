//! Option Request option (RFC 9915 §21.7); the Echo Request option has the same form (RFC 4994).

use crate::code::OptionCode;
use crate::malformed::{Fault, Malformed};
use crate::option::RawOption;

/// A list of option codes, as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oro<'a> {
    codes: &'a [[u8; 2]],
}

impl<'a> Oro<'a> {
    /// Reads the list.
    ///
    /// # Errors
    /// [`Fault::Length`] if the number of octets is odd.
    #[inline]
    pub fn parse(option: &RawOption<'a>) -> Result<Self, Malformed> {
        match option.data.as_chunks() {
            (codes, []) => Ok(Self { codes }),
            _ => Err(option.malformed(Fault::Length)),
        }
    }

    /// The codes in the client's order, repetitions included.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = OptionCode> + 'a {
        self.codes
            .iter()
            .map(|code| OptionCode(u16::from_be_bytes(*code)))
    }

    /// Whether `code` is asked for.
    #[inline]
    pub fn contains(self, code: OptionCode) -> bool {
        self.codes.contains(&code.0.to_be_bytes())
    }

    /// Whether nothing is asked for.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.codes.is_empty()
    }
}
