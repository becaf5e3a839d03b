//! The options that have a meaning here, one family a file.
//!
//! Each type reads the data of a [`RawOption`](crate::option::RawOption) whose code the caller
//! has matched. Options without a type here stay raw.

pub mod dns;
pub mod ia;
pub mod identity;
pub mod oro;
pub mod scalar;
pub mod status;
