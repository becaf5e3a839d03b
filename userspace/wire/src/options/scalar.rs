//! Options that hold one number (RFC 9915 §21.8, §21.9, §21.23 to §21.25).
//!
//! Elapsed Time is hundredths of a second, the times are seconds.

use crate::malformed::Malformed;
use crate::option::RawOption;

/// `sol-max-rt-value` and `inf-max-rt-value` must lie in here, in seconds (RFC 9915 §21.24).
pub const MAX_RT_SECS: core::ops::RangeInclusive<u32> = 60..=86_400;
/// Shortest legal Information Refresh Time, in seconds (RFC 9915 §7.6, IRT_MINIMUM).
pub const IRT_MINIMUM_SECS: u32 = 600;

/// The one octet of a Preference option.
///
/// # Errors
/// [`Fault::Length`](crate::malformed::Fault::Length) if the data is not one octet.
#[inline]
pub fn octet(option: &RawOption<'_>) -> Result<u8, Malformed> {
    let [value] = *option.fixed()?;
    Ok(value)
}

/// The 16-bit number of an Elapsed Time option.
///
/// # Errors
/// [`Fault::Length`](crate::malformed::Fault::Length) if the data is not two octets.
#[inline]
pub fn number_16(option: &RawOption<'_>) -> Result<u16, Malformed> {
    option.fixed().map(|octets| u16::from_be_bytes(*octets))
}

/// The 32-bit number of an Information Refresh Time, SOL_MAX_RT or INF_MAX_RT option.
///
/// # Errors
/// [`Fault::Length`](crate::malformed::Fault::Length) if the data is not four octets.
#[inline]
pub fn number_32(option: &RawOption<'_>) -> Result<u32, Malformed> {
    option.fixed().map(|octets| u32::from_be_bytes(*octets))
}
