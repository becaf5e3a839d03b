//! DNS Recursive Name Server and Domain Search List options (RFC 3646), and domain names as
//! options hold them: uncompressed labels (RFC 9915 §10).

use core::fmt::{self, Write};

use arrayvec::ArrayVec;

use crate::malformed::{Fault, Malformed};
use crate::option::RawOption;

/// Longest domain name in octets, root label included (RFC 1035 §2.3.4).
pub const NAME_LEN_MAX: usize = 255;
/// Longest label in octets (RFC 1035 §2.3.4).
pub const LABEL_LEN_MAX: usize = 63;

/// The addresses of a DNS Recursive Name Server option, in order of preference.
///
/// # Errors
/// [`Fault::Length`] if the octets are none or no multiple of 16.
pub fn addresses<'a>(
    option: &RawOption<'a>,
) -> Result<impl ExactSizeIterator<Item = u128> + use<'a>, Malformed> {
    match option.data.as_chunks() {
        (addresses @ [_, ..], []) => {
            Ok(addresses.iter().map(|octets| u128::from_be_bytes(*octets)))
        }
        _ => Err(option.malformed(Fault::Length)),
    }
}

/// The names of a Domain Search List option: each name once, or the fault that ends the list.
pub fn names<'a>(option: &RawOption<'a>) -> Names<'a> {
    Names {
        option: *option,
        rest: option.data,
    }
}

/// Iterator of [`names`].
#[derive(Clone, Debug)]
pub struct Names<'a> {
    option: RawOption<'a>,
    rest: &'a [u8],
}

impl<'a> Iterator for Names<'a> {
    type Item = Result<Name<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = name_len(self.rest).and_then(|len| self.rest.split_at_checked(len));
        let Some((labels, rest)) = split else {
            self.rest = &[];
            return Some(Err(self.option.malformed(Fault::DomainName)));
        };
        self.rest = rest;
        Some(Ok(Name { labels }))
    }
}

/// A domain name: labels with their lengths, the root label last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    labels: &'a [u8],
}

impl<'a> Name<'a> {
    /// The octets as they stand on the wire, root label included.
    pub fn octets(self) -> &'a [u8] {
        self.labels
    }
}

impl fmt::Display for Name<'_> {
    /// Presentation form with a dot at the end; octets that are not printable as `\DDD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.labels;
        let mut empty = true;
        while let Some((&len, behind)) = rest.split_first() {
            let Some((label, behind)) = behind.split_at_checked(usize::from(len)) else {
                break;
            };
            rest = behind;
            if label.is_empty() {
                break;
            }
            empty = false;
            for &octet in label {
                match octet {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                    b'!'..=b'~' => f.write_char(char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_char('.')?;
        }
        if empty { f.write_char('.') } else { Ok(()) }
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing between two dots, or nothing at all.
    #[error("a label is empty")]
    EmptyLabel,
    /// A label of more than [`LABEL_LEN_MAX`] octets.
    #[error("a label is longer than 63 octets")]
    LongLabel,
    /// More than [`NAME_LEN_MAX`] octets with all lengths.
    #[error("the name is longer than 255 octets")]
    LongName,
    /// A character that is not a letter, digit, hyphen or underscore.
    #[error("{0:?} cannot stand in a host name; use the punycode form for other scripts")]
    Character(char),
}

/// Turns a name such as `example.net`, with or without a dot at the end, into its wire form.
///
/// # Errors
/// [`NameError`], which says what the text has that a domain name may not have.
pub fn encode_name(text: &str) -> Result<ArrayVec<u8, NAME_LEN_MAX>, NameError> {
    let mut name = ArrayVec::new();
    for label in text.strip_suffix('.').unwrap_or(text).split('.') {
        if let Some(wrong) = label
            .chars()
            .find(|&c| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        {
            return Err(NameError::Character(wrong));
        }
        let len = match label.len() {
            0 => return Err(NameError::EmptyLabel),
            len @ 1..=LABEL_LEN_MAX => len as u8,
            _ => return Err(NameError::LongLabel),
        };
        name.try_push(len).map_err(|_| NameError::LongName)?;
        name.try_extend_from_slice(label.as_bytes())
            .map_err(|_| NameError::LongName)?;
    }
    name.try_push(0).map_err(|_| NameError::LongName)?;
    Ok(name)
}

/// Octets of the name at the start of `octets`, or `None` if there is none.
fn name_len(octets: &[u8]) -> Option<usize> {
    let mut len = 0;
    loop {
        let label_len = usize::from(*octets.get(len)?);
        if label_len > LABEL_LEN_MAX {
            return None;
        }
        len += 1 + label_len;
        if len > NAME_LEN_MAX || len > octets.len() {
            return None;
        }
        if label_len == 0 {
            return Some(len);
        }
    }
}

#[cfg(test)]
mod tests;
