//! Client classes: who is meant by what messages say of their senders.
//!
//! A class is a table, not an expression: each of its matches names one attribute and the values
//! that count; all matches must hold, any value of a match does. Classes choose pools, lifetimes
//! and options.
//!
//! Clients need not say in a Renew what they said in a Solicit. So beside the classes that a
//! message puts its client in there are those that it does not refute: a lease is drawn from a
//! pool of the former only, and one that the client holds is left to it in a pool of the latter.

use super::Model;
use super::options::{EncodedOptions, OptionValues};
use crate::attributes::{Attribute, Attributes, Said};
use crate::ingress::Parsed;
use crate::lifetime::Lifetimes;

/// Most classes: one bit each.
pub const CLASSES_MAX: usize = 64;

/// What is configured for one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassSpec {
    /// Unique name.
    pub name: String,
    /// All of these must hold; there is at least one.
    pub matches: Vec<ClassMatch>,
    /// Overrides the lifetimes of the pool that a lease is of. Of several classes the first that
    /// says so counts.
    pub lifetimes: Option<Lifetimes>,
    /// Overrides the options of pools and links. Of several classes the first that speaks of an
    /// option counts.
    pub options: OptionValues,
}

/// One condition of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMatch {
    /// What is looked at.
    pub of: Attribute,
    /// Any of these must be said; there is at least one.
    pub values: Vec<AttributeValue>,
}

/// A value that an attribute may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeValue {
    /// The enterprise number in front of the octets; `None`: whichever.
    pub enterprise: Option<u32>,
    /// The octets; `None`: whichever.
    pub octets: Option<Pattern>,
}

/// Which octets count: those given, with anything before or behind them where that is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// What must be there.
    pub octets: Vec<u8>,
    /// Anything may stand before it.
    pub open_start: bool,
    /// Anything may stand behind it.
    pub open_end: bool,
}

/// A class that is served.
#[derive(Debug)]
pub(crate) struct Class {
    name: Box<str>,
    matches: Box<[ClassMatch]>,
    pub(crate) lifetimes: Option<Lifetimes>,
    pub(crate) options: Option<EncodedOptions>,
}

/// All classes, in the order of the configuration; at most [`CLASSES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Classes {
    all: Box<[Class]>,
    looked_at: Attributes,
}

/// Some of a model's classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassSet(u64);

/// What a message says of its client's classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The classes that the client is in.
    pub of: ClassSet,
    /// These, and those of which something that they look at is not said and nothing that is said
    /// is wrong.
    pub not_refuted: ClassSet,
}

impl Model {
    /// The classes of a message's client.
    #[inline]
    pub fn membership(&self, parsed: &Parsed<'_>) -> Membership {
        match self.classes.all.is_empty() {
            true => Membership::default(),
            false => self.classes.judge(parsed),
        }
    }

    /// The names of these classes, in the order of the configuration.
    pub fn class_names(&self, classes: ClassSet) -> impl Iterator<Item = &str> {
        self.classes_in(classes).map(|class| &*class.name)
    }

    pub(crate) fn classes_in(&self, classes: ClassSet) -> impl Iterator<Item = &Class> {
        let all = self.classes.all.iter().enumerate();
        let of_set = all.filter(move |(at, _)| classes.has(*at));
        of_set.map(|(_, class)| class)
    }
}

impl Classes {
    pub(super) fn new(all: Vec<Class>) -> Self {
        let matches = all.iter().flat_map(|class| &class.matches);
        let looked_at = matches.fold(Attributes::default(), |set, m| set.with(m.of));
        Self {
            all: all.into_boxed_slice(),
            looked_at,
        }
    }

    /// The classes with these names, or the first name that no class has.
    pub(super) fn named<'n>(&self, names: &'n [String]) -> Result<ClassSet, &'n str> {
        let mut set = ClassSet::default();
        for name in names {
            let at = self.all.iter().position(|class| *class.name == **name);
            set.add(at.ok_or(name.as_str())?);
        }
        Ok(set)
    }

    fn judge(&self, parsed: &Parsed<'_>) -> Membership {
        let said = Said::by(parsed, self.looked_at);
        let mut membership = Membership::default();
        for (at, class) in self.all.iter().enumerate() {
            match class.judge(&said) {
                Judgement::In => {
                    membership.of.add(at);
                    membership.not_refuted.add(at);
                }
                Judgement::NotRefuted => membership.not_refuted.add(at),
                Judgement::Refuted => {}
            }
        }
        membership
    }
}

enum Judgement {
    In,
    NotRefuted,
    Refuted,
}

impl Class {
    pub(super) fn new(spec: &ClassSpec, options: Option<EncodedOptions>) -> Self {
        Self {
            name: spec.name.as_str().into(),
            matches: spec.matches.clone().into_boxed_slice(),
            lifetimes: spec.lifetimes,
            options,
        }
    }

    fn judge(&self, said: &Said<'_>) -> Judgement {
        let mut judgement = Judgement::In;
        for condition in &self.matches {
            let mut facts = said.of(condition.of).peekable();
            if facts.peek().is_none() {
                judgement = Judgement::NotRefuted;
                continue;
            }
            let holds = facts.any(|fact| {
                let mut values = condition.values.iter();
                values.any(|value| value.admits(fact.enterprise, fact.octets))
            });
            if !holds {
                return Judgement::Refuted;
            }
        }
        judgement
    }
}

impl ClassSet {
    /// Whether it holds no class.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a pool for these classes, or for all clients if there are none, is for a client in
    /// those.
    #[inline]
    pub fn admits(self, client: Self) -> bool {
        self.0 == 0 || self.0 & client.0 != 0
    }

    fn has(self, at: usize) -> bool {
        at < CLASSES_MAX && self.0 & 1 << at != 0
    }

    fn add(&mut self, at: usize) {
        self.0 |= 1 << at;
    }
}

impl AttributeValue {
    fn admits(&self, enterprise: u32, octets: &[u8]) -> bool {
        self.enterprise.is_none_or(|wanted| wanted == enterprise)
            && (self.octets.as_ref()).is_none_or(|pattern| pattern.admits(octets))
    }
}

impl Pattern {
    /// Exactly these octets.
    pub fn exact(octets: &[u8]) -> Self {
        Self {
            octets: octets.to_vec(),
            ..Self::default()
        }
    }

    /// Whether these octets count.
    pub fn admits(&self, octets: &[u8]) -> bool {
        let wanted = &self.octets[..];
        match (self.open_start, self.open_end) {
            (false, false) => octets == wanted,
            (false, true) => octets.starts_with(wanted),
            (true, false) => octets.ends_with(wanted),
            (true, true) => {
                wanted.is_empty() || octets.windows(wanted.len()).any(|part| part == wanted)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_open_where_it_says() {
        let pattern = |open_start, open_end| Pattern {
            octets: b"bc".to_vec(),
            open_start,
            open_end,
        };
        let admitted = |octets: &[u8]| {
            [(false, false), (false, true), (true, false), (true, true)]
                .map(|(start, end)| pattern(start, end).admits(octets))
        };
        assert_eq!(admitted(b"bc"), [true; 4]);
        assert_eq!(admitted(b"bcd"), [false, true, false, true]);
        assert_eq!(admitted(b"abc"), [false, false, true, true]);
        assert_eq!(admitted(b"abcd"), [false, false, false, true]);
        assert_eq!(admitted(b"b"), [false; 4]);
        assert_eq!(admitted(b""), [false; 4]);
        let anything = Pattern {
            open_start: true,
            open_end: true,
            ..Pattern::default()
        };
        assert!(anything.admits(b"") && anything.admits(b"x"));
    }
}
