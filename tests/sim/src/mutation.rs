//! Faults put into a server on purpose, to see that the simulator finds them.

/// A rule that the servers of a run do not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutation {
    /// What the partner acknowledged for a lease counts for its next client too.
    SkipReset,
    /// A client is answered before its lease is on disk.
    AnswerBeforeCommit,
    /// Leases are promised for as long as configured, acknowledged or not.
    IgnoreMclt,
    /// Leases are given out of the partner's half as well.
    UsePartnersHalf,
    /// An update is acknowledged before it is on disk.
    AckBeforeStore,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::SkipReset,
        Self::AnswerBeforeCommit,
        Self::IgnoreMclt,
        Self::UsePartnersHalf,
        Self::AckBeforeStore,
    ];
}
