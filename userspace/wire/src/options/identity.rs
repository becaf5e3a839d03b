//! Client Identifier and Server Identifier (RFC 9915 §21.2, §21.3).

use crate::duid::Duid;
use crate::malformed::{Fault, Malformed};
use crate::option::RawOption;

/// The DUID that is the whole data of `option`.
///
/// # Errors
/// [`Fault::Duid`] if it has a length no DUID may have.
#[inline]
pub fn duid<'a>(option: &RawOption<'a>) -> Result<Duid<'a>, Malformed> {
    Duid::new(option.data).ok_or_else(|| option.malformed(Fault::Duid))
}
