//! Why a journal cannot be recovered or started.

use crate::RecordError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a journal cannot be recovered or started; each says what to do about it.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another server has the state directory.
    #[error(
        "{path}: in use by another server (pid {pid}); stop it, or give this one a state-dir of its own"
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Its holder, as far as known.
        pid: String,
    },
    /// The operating system refused.
    #[error("{path}: cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// Written in another format.
    #[error(
        "{file}: format version {found}, this server reads version {supported} only; {}",
        if found > supported {
            "use the newer server that wrote it"
        } else {
            "use the older server that wrote it, or begin with an empty state-dir"
        }
    )]
    Version {
        /// The file's name.
        file: String,
        /// What it says.
        found: u32,
        /// The one that is understood.
        supported: u32,
    },
    /// A batch is whole but holds a record that this version does not understand.
    #[error(
        "{file}: record at offset {offset}: {source}; use the version that wrote it, or a newer one"
    )]
    Record {
        /// The file's name.
        file: String,
        /// Where in the file.
        offset: u64,
        /// What is wrong with it.
        source: RecordError,
    },
    /// Too much is damaged to go on without being told to.
    #[error(
        "the journal is damaged: {}; restore the state directory from a copy, or accept the damage explicitly to go on with what can be read", .0.join("; ")
    )]
    Damaged(
        /// What was found, one line each.
        Vec<String>,
    ),
}
