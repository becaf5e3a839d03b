//! The messages that are measured: by which path which sort, under one name.

use crate::{Path, Sort};

/// A kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// How it reaches the server.
    pub path: Path,
    /// What it asks.
    pub sort: Sort,
}

const SORTS: [(&str, Sort); 5] = [
    ("solicit", Sort::Solicit),
    ("solicit-bound", Sort::SolicitBound),
    ("request", Sort::Request),
    ("renew", Sort::Renew),
    ("information-request", Sort::InformationRequest),
];

const PATHS: [(&str, Path); 2] = [("", Path::Direct), ("-relayed", Path::Relayed)];

impl Kind {
    /// Every kind, in the order of measuring, and its name: `solicit-bound-relayed`.
    pub fn all() -> impl Iterator<Item = (String, Self)> {
        PATHS.into_iter().flat_map(|(suffix, path)| {
            SORTS.map(|(name, sort)| (format!("{name}{suffix}"), Self { path, sort }))
        })
    }
}
