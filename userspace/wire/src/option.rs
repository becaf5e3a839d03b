//! The option grammar common to messages, relay envelopes and containers (RFC 9915 §21.1).

use crate::code::OptionCode;
use crate::malformed::{Fault, Malformed};

/// Octets of `option-code` and `option-len`.
pub const OPTION_HEADER_LEN: usize = 4;

/// One option as it stands on the wire; `data` is not interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// What it is.
    pub code: OptionCode,
    /// The octets behind `option-len`.
    pub data: &'a [u8],
    /// Octets from the start of the UDP payload to `option-code`.
    pub offset: u32,
}

impl<'a> RawOption<'a> {
    /// An error about this option.
    #[cold]
    pub fn malformed(&self, why: Fault) -> Malformed {
        Malformed {
            option: self.code,
            offset: self.offset,
            why,
        }
    }

    /// The data as exactly `N` octets.
    ///
    /// # Errors
    /// [`Fault::Length`] if there are more or fewer.
    #[inline]
    pub fn fixed<const N: usize>(&self) -> Result<&'a [u8; N], Malformed> {
        self.data
            .try_into()
            .map_err(|_| self.malformed(Fault::Length))
    }

    /// Takes the data as nested options behind `fixed_len` octets of fixed fields.
    ///
    /// # Errors
    /// [`Fault::Length`] if the fixed fields do not fit.
    #[inline]
    pub fn nested(&self, fixed_len: usize) -> Result<Options<'a>, Malformed> {
        let Some((_, octets)) = self.data.split_at_checked(fixed_len) else {
            return Err(self.malformed(Fault::Length));
        };
        let skipped = (OPTION_HEADER_LEN + fixed_len) as u32;
        Ok(Options::new(octets, self.offset.wrapping_add(skipped)))
    }
}

/// The options of a message or container, in the order of the wire.
///
/// Iterating yields each option once, or the one fault that makes the rest unreadable, and then
/// ends. Copying it costs nothing and starts anew where the copy was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    octets: &'a [u8],
    offset: u32,
}

impl<'a> Options<'a> {
    /// Options standing in `octets`, whose first octet is `offset` octets into the UDP payload.
    #[inline]
    pub fn new(octets: &'a [u8], offset: u32) -> Self {
        Self { octets, offset }
    }

    /// The octets not yet iterated over.
    #[inline]
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Where [`octets`](Self::octets) begins, counted from the start of the UDP payload.
    #[inline]
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// The first option with this code, if it stands before anything malformed.
    #[inline]
    pub fn find(&self, code: OptionCode) -> Option<RawOption<'a>> {
        self.map_while(Result::ok)
            .find(|option| option.code == code)
    }

    #[cold]
    fn fail(&mut self, option: OptionCode, why: Fault) -> Malformed {
        self.octets = &[];
        Malformed {
            option,
            offset: self.offset,
            why,
        }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<RawOption<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let Some((&[code_0, code_1, len_0, len_1], rest)) = self.octets.split_first_chunk() else {
            let code = match *self.octets {
                [] => return None,
                [code_0, code_1, ..] => u16::from_be_bytes([code_0, code_1]),
                [_] => 0,
            };
            return Some(Err(self.fail(OptionCode(code), Fault::StrayOctets)));
        };
        let code = OptionCode(u16::from_be_bytes([code_0, code_1]));
        let len = u16::from_be_bytes([len_0, len_1]);
        let Some((data, rest)) = rest.split_at_checked(usize::from(len)) else {
            return Some(Err(self.fail(code, Fault::Overrun)));
        };
        let offset = self.offset;
        self.octets = rest;
        self.offset = offset.wrapping_add(OPTION_HEADER_LEN as u32 + u32::from(len));
        Some(Ok(RawOption { code, data, offset }))
    }
}

impl core::iter::FusedIterator for Options<'_> {}
