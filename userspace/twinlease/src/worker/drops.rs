//! Why a worker did not answer although the message may have been fine.

use engine::DropReason;

/// A drop by the worker itself; the engine's own reasons are [`DropReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerDrop {
    /// The journal cannot write, so nothing that leads to a lease is answered.
    JournalFailing,
    /// The journal is behind; the client will ask again.
    JournalFull,
    /// Every frame for answers is in use: held for the journal, or waiting to be sent.
    NoTxFrame,
    /// The inbox of the worker that owns the client's shard is full.
    InboxFull,
    /// The journal took so long to commit that the lifetimes in the answer no longer hold; the
    /// client will ask again.
    ReplyTooLate,
}

impl WorkerDrop {
    const LABELS: [&'static str; 5] = [
        "journal-failing",
        "journal-full",
        "no-tx-frame",
        "inbox-full",
        "reply-too-late",
    ];

    /// The labels of all reasons of a worker, the engine's first, in the order of the indices.
    pub fn labels() -> impl Iterator<Item = &'static str> {
        DropReason::ALL
            .into_iter()
            .map(DropReason::as_str)
            .chain(Self::LABELS)
    }

    /// Position in [`labels`](Self::labels).
    pub fn index(self) -> usize {
        DropReason::ALL.len() + self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_its_reason() {
        let labels: Vec<_> = WorkerDrop::labels().collect();
        assert_eq!(labels[DropReason::NoLink.index()], "no-link");
        assert_eq!(
            labels[WorkerDrop::JournalFailing.index()],
            "journal-failing"
        );
        assert_eq!(labels[WorkerDrop::InboxFull.index()], "inbox-full");
        assert_eq!(labels[WorkerDrop::ReplyTooLate.index()], "reply-too-late");
        assert_eq!(labels.len(), DropReason::ALL.len() + 5);
    }
}
