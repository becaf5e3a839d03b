//! Configured options, encoded once when the model is built.
//!
//! The packet path knows only codes and octets: what a value means is the business of whoever
//! fills an [`OptionValues`]. An answer takes its options from a chain of scopes, the nearest one
//! first, and no scope is copied for that.

use super::class::{CLASSES_MAX, ClassSet};
use super::reservation::Reservation;
use super::{Link, Model};
use crate::ingress::Parsed;
use crate::plan::LINES_MAX;
use arrayvec::ArrayVec;
use std::collections::BTreeMap;
use thiserror::Error;
use wire::option::OPTION_HEADER_LEN;
use wire::{IaKind, OptionCode};

/// Scopes that one answer can draw on: what is reserved for the client, an address and a prefix, its
/// classes, the pools of the leases in the answer, and the link.
const SCOPES_MAX: usize = 2 + CLASSES_MAX + LINES_MAX + 1;

/// What the server writes by rules of its own, or what only clients and relays write.
const NOT_CONFIGURABLE: [OptionCode; 30] = [
    OptionCode::CLIENTID,
    OptionCode::SERVERID,
    OptionCode::IA_NA,
    OptionCode::IA_TA,
    OptionCode::IAADDR,
    OptionCode::ORO,
    OptionCode::PREFERENCE,
    OptionCode::ELAPSED_TIME,
    OptionCode::RELAY_MSG,
    OptionCode::AUTH,
    OptionCode::UNICAST,
    OptionCode::STATUS_CODE,
    OptionCode::RAPID_COMMIT,
    OptionCode::USER_CLASS,
    OptionCode::VENDOR_CLASS,
    OptionCode::INTERFACE_ID,
    OptionCode::RECONF_MSG,
    OptionCode::RECONF_ACCEPT,
    OptionCode::IA_PD,
    OptionCode::IAPREFIX,
    OptionCode::REMOTE_ID,
    OptionCode::SUBSCRIBER_ID,
    OptionCode::CLIENT_FQDN,
    OptionCode::ERO,
    OptionCode::RELAY_ID,
    OptionCode::RSOO,
    OptionCode::PD_EXCLUDE,
    OptionCode::CLIENT_LINKLAYER_ADDR,
    OptionCode::LINK_ADDRESS,
    OptionCode::RELAY_PORT,
];

/// One option as configured at one level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OptionValue {
    /// The data of each instance, in the order sent; none silences the level above.
    pub instances: Vec<Vec<u8>>,
    /// Sent to clients that do not ask for it, too.
    pub always: bool,
}

/// Options as configured at one level; a code that is not here has the value of the level above.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OptionValues(BTreeMap<OptionCode, OptionValue>);

/// Why an option's value cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OptionError {
    /// More than 65,535 octets.
    #[error("{0} is longer than an option can be; give fewer values")]
    TooLong(OptionCode),
    /// Written by the server itself, or never sent to clients.
    #[error("{0} cannot be configured: servers write it by rules of their own, or never")]
    NotConfigurable(OptionCode),
    /// Must not be sent unasked (RFC 9915 §21.24, §21.25).
    #[error(
        "{0} may be sent only to clients that ask for it; take it off the list of those always sent"
    )]
    OnlyRequested(OptionCode),
}

impl OptionValues {
    /// Values of nothing.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Sets the value of a code.
    pub fn set(&mut self, code: OptionCode, value: OptionValue) {
        self.0.insert(code, value);
    }

    /// These, and one instance of `code` with this data, sent on request.
    #[must_use]
    pub fn with(mut self, code: OptionCode, data: Vec<u8>) -> Self {
        let value = OptionValue {
            instances: vec![data],
            always: false,
        };
        self.set(code, value);
        self
    }

    /// Whether the level says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These values, and those of `above` where there are none.
    pub(super) fn or(&self, above: &Self) -> Self {
        let mut all = above.clone();
        all.0.extend(self.0.clone());
        all
    }

    pub(super) fn encode(&self) -> Result<EncodedOptions, OptionError> {
        let options: Result<_, _> = self
            .0
            .iter()
            .map(|(code, value)| encode(*code, value))
            .collect();
        options.map(EncodedOptions)
    }
}

/// Whether an option's value may come from the configuration.
pub fn is_configurable(code: OptionCode) -> bool {
    !NOT_CONFIGURABLE.contains(&code)
}

fn encode(code: OptionCode, value: &OptionValue) -> Result<EncodedOption, OptionError> {
    if !is_configurable(code) {
        return Err(OptionError::NotConfigurable(code));
    }
    if value.always && matches!(code, OptionCode::SOL_MAX_RT | OptionCode::INF_MAX_RT) {
        return Err(OptionError::OnlyRequested(code));
    }
    let mut octets = Vec::new();
    for data in &value.instances {
        let len = u16::try_from(data.len()).map_err(|_| OptionError::TooLong(code))?;
        octets.reserve(OPTION_HEADER_LEN + data.len());
        octets.extend(code.0.to_be_bytes());
        octets.extend(len.to_be_bytes());
        octets.extend_from_slice(data);
    }
    Ok(EncodedOption {
        code,
        always: value.always,
        // RFC 9915 §21.23: in a Reply to an Information-request and nowhere else.
        information_only: code == OptionCode::INFORMATION_REFRESH_TIME,
        octets: octets.into_boxed_slice(),
    })
}

/// An option ready to be copied into a message.
#[derive(Debug)]
pub(crate) struct EncodedOption {
    pub(crate) code: OptionCode,
    /// Sent unasked.
    pub(crate) always: bool,
    /// Only in answers to Information-requests.
    pub(crate) information_only: bool,
    /// All instances with their headers; empty: silenced here.
    pub(crate) octets: Box<[u8]>,
}

/// What one scope says, in ascending order of codes, which is the order sent.
#[derive(Debug, Default)]
pub(crate) struct EncodedOptions(Box<[EncodedOption]>);

impl EncodedOptions {
    fn says(&self, code: OptionCode) -> Option<&EncodedOption> {
        self.0.iter().find(|option| option.code == code)
    }
}

/// The scopes that an answer takes its options from, the nearest one first: what a nearer one
/// says hides what a farther one says of the same code.
pub(crate) struct OptionScopes<'m>(ArrayVec<&'m EncodedOptions, SCOPES_MAX>);

impl<'m> OptionScopes<'m> {
    /// No scope yet.
    #[inline]
    pub(crate) fn new() -> Self {
        Self(ArrayVec::new())
    }

    /// Adds what the client's reservations on its link say: that of the nearer identity first, if its
    /// address and its prefix are reserved by different ones.
    #[inline]
    pub(crate) fn push_reserved(&mut self, model: &'m Model, link: &Link, parsed: &Parsed<'_>) {
        if model.reservations().have_options() {
            self.look_up_reserved(model, link, parsed);
        }
    }

    /// Apart, so that answers where no reservation has options are not longer for it.
    #[inline(never)]
    fn look_up_reserved(&mut self, model: &'m Model, link: &Link, parsed: &Parsed<'_>) {
        let found = [IaKind::Na, IaKind::Pd].map(|ia| model.reservation(link, parsed, ia));
        let mut found = found.map(|reserved| reserved.map(|reserved| reserved.reservation));
        found.sort_by_key(|reservation| reservation.as_ref().map(Reservation::key_kind));
        let options = found.iter().flatten().filter_map(|found| found.options);
        options.for_each(|options| self.push(options));
    }

    /// Adds the scopes of these classes.
    #[inline]
    pub(crate) fn push_classes(&mut self, model: &'m Model, classes: ClassSet) {
        if !classes.is_empty() {
            let options = model.classes_in(classes).filter_map(|c| c.options.as_ref());
            options.for_each(|options| self.push(options));
        }
    }

    /// Adds the next farther scope; one that is there already changes nothing.
    pub(crate) fn push(&mut self, scope: &'m EncodedOptions) {
        if !self.0.iter().any(|there| core::ptr::eq(*there, scope)) && !self.0.is_full() {
            self.0.push(scope);
        }
    }

    /// The options in force.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'m EncodedOption> {
        self.0.iter().enumerate().flat_map(move |(rank, scope)| {
            let nearer = &self.0[..rank];
            let hidden = move |code| nearer.iter().any(|scope| scope.says(code).is_some());
            scope.0.iter().filter(move |option| !hidden(option.code))
        })
    }

    /// Whether an option with this code is in force and has a value.
    pub(crate) fn has(&self, code: OptionCode) -> bool {
        let nearest = self.0.iter().find_map(|scope| scope.says(code));
        nearest.is_some_and(|option| !option.octets.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(options: &[(u16, &[&[u8]])]) -> OptionValues {
        let mut values = OptionValues::default();
        for (code, instances) in options {
            let value = OptionValue {
                instances: instances.iter().map(|data| data.to_vec()).collect(),
                always: false,
            };
            values.set(OptionCode(*code), value);
        }
        values
    }

    fn in_force(scopes: &[&EncodedOptions]) -> Vec<u8> {
        let mut chain = OptionScopes::new();
        scopes.iter().for_each(|scope| chain.push(scope));
        chain
            .iter()
            .flat_map(|option| option.octets.to_vec())
            .collect()
    }

    #[test]
    fn instances_are_encoded_in_order_and_codes_ascend() {
        let encoded = values(&[(200, &[b"b", b""]), (23, &[b"a"])])
            .encode()
            .unwrap();
        let expected = b"\0\x17\0\x01a\0\xc8\0\x01b\0\xc8\0\0";
        assert_eq!(in_force(&[&encoded]), expected);
    }

    #[test]
    fn a_level_takes_over_what_it_does_not_say_and_silences_what_it_leaves_empty() {
        let global = values(&[(23, &[b"a"]), (24, &[b"b"]), (31, &[b"c"])]);
        let link = values(&[(23, &[]), (24, &[b"x"])]);
        let encoded = link.or(&global).encode().unwrap();
        assert_eq!(in_force(&[&encoded]), b"\0\x18\0\x01x\0\x1f\0\x01c");
    }

    #[test]
    fn the_nearest_scope_that_speaks_of_a_code_decides() {
        let link = values(&[(23, &[b"a"]), (24, &[b"b"]), (31, &[b"c"])])
            .encode()
            .unwrap();
        let pool = values(&[(24, &[b"p"]), (31, &[])]).encode().unwrap();
        let client = values(&[(24, &[b"r"])]).encode().unwrap();
        let scopes = [&client, &pool, &link];
        assert_eq!(in_force(&scopes), b"\0\x18\0\x01r\0\x17\0\x01a");
        let mut chain = OptionScopes::new();
        scopes.iter().for_each(|scope| chain.push(scope));
        assert!(chain.has(OptionCode(24)) && chain.has(OptionCode(23)));
        assert!(!chain.has(OptionCode(31)) && !chain.has(OptionCode(99)));
        assert_eq!(in_force(&[&pool, &pool, &link]), in_force(&[&pool, &link]));
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let long = values(&[(23, &[&[0; 65_536]])]);
        assert_eq!(
            long.encode().err(),
            Some(OptionError::TooLong(OptionCode::DNS_SERVERS))
        );
        let own = values(&[(13, &[b"\0\0"])]);
        let refused = OptionError::NotConfigurable(OptionCode::STATUS_CODE);
        assert_eq!(own.encode().err(), Some(refused));
        let mut unasked = OptionValues::default();
        let value = OptionValue {
            instances: vec![vec![0, 0, 1, 0]],
            always: true,
        };
        unasked.set(OptionCode::SOL_MAX_RT, value);
        let refused = OptionError::OnlyRequested(OptionCode::SOL_MAX_RT);
        assert_eq!(unasked.encode().err(), Some(refused));
    }
}
