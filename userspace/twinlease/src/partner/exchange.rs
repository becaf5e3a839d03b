//! What the control thread and the workers say to each other about bindings: BNDUPDs and BNDREPLYs
//! as whole messages, each decided by the worker that owns the shard.
//!
//! To a worker by its inbox, in batches; from the workers by one bounded channel, in which what one
//! worker sends keeps its order. Nothing a worker sends is waited for by its packets.

use bytes::Bytes;
use failover::reconcile::Rejection;
use failover::updates::Offer;
use failover::{ConnectionId, Owed, Round};
use lease::Lease;
use tokio::sync::mpsc;

/// Messages of all workers that the control thread has not taken yet; a worker keeps the others and
/// offers nothing more meanwhile.
const CAPACITY: usize = 1_024;

/// Acknowledgements that are worth waking a worker.
const ANSWERS_WAKE: usize = 64;

/// A BNDUPD of the partner that is being decided: the connection it came on and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdateKey {
    /// Its connection.
    pub connection: ConnectionId,
    /// Which message on it, counted from 0.
    pub number: u64,
}

/// A BNDUPD for a worker's shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerUpdate {
    /// Which one.
    pub key: UpdateKey,
    /// The whole message, from its type on, without the size in front of it.
    pub message: Bytes,
    /// Leases in it that another shard has given up for it. They are nobody's until the update has
    /// been received once more: it must be, whatever becomes of its connection.
    pub yielded: Vec<Lease>,
    /// Leases in it that another shard keeps, and why.
    pub refused: Vec<(Lease, Rejection)>,
}

/// To a worker.
#[derive(Debug)]
pub enum ToWorker {
    /// BNDUPDs of clients in its shards; each is answered by [`FromWorker::Replies`] or
    /// [`FromWorker::Elsewhere`].
    Updates(Vec<PartnerUpdate>),
    /// BNDREPLYs to its offers, without the size in front of them.
    Answers(Vec<(Offer, Bytes)>),
    /// Give up these leases of the update in all shards, if the rules say so; answered by
    /// [`FromWorker::Yielded`]. To all workers, the one that said [`FromWorker::Elsewhere`] too: the
    /// client's own shard is not the only one there.
    Yield(PartnerUpdate, Vec<Lease>),
    /// Send so many offers more than so far on this connection. Nothing is offered without.
    Credit(ConnectionId, u32),
    /// Have these acknowledged; answered by [`FromWorker::Answered`].
    Owe(Round, Owed),
    /// The partner will answer nothing any more: all that was sent is unsent, no round is owed, and
    /// all credit is gone.
    Forget,
    /// Offer again what the partner rejected.
    RetryRejected,
}

impl ToWorker {
    /// Whether nobody loses by it if the worker finds it when it wakes for something else, a quarter
    /// of a second later at most: few acknowledgements.
    pub fn can_wait(&self) -> bool {
        matches!(self, Self::Answers(answers) if answers.len() < ANSWERS_WAKE)
    }
}

/// BNDUPDs to be sent on one connection: what is in flight on another one is unsent again.
#[derive(Debug)]
pub struct Offers {
    /// The connection that the credit was given for.
    pub connection: ConnectionId,
    /// What each is about, and the length of its frame.
    offers: Vec<(Offer, usize)>,
    /// The frames one behind the other, with the size in front, their transaction-ids still 0.
    frames: Vec<u8>,
}

impl Offers {
    /// None yet, for that connection.
    pub fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            offers: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Adds one with its frame.
    pub fn push(&mut self, offer: Offer, frame: &[u8]) {
        self.offers.push((offer, frame.len()));
        self.frames.extend_from_slice(frame);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.offers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }

    /// The one at a place, counted from 0, whose frame begins at `at`.
    pub fn get(&self, place: usize, at: usize) -> Option<(Offer, &[u8])> {
        let (offer, len) = *self.offers.get(place)?;
        Some((offer, self.frames.get(at..at + len)?))
    }

    /// All, each with its frame.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = (Offer, &[u8])> {
        let mut at = 0;
        (0..self.len()).map_while(move |place| {
            let (offer, frame) = self.get(place, at)?;
            at += frame.len();
            Some((offer, frame))
        })
    }
}

/// BNDREPLYs on one connection: all they say is durable.
#[derive(Debug)]
pub struct Replies {
    /// The connection that the BNDUPDs came on.
    pub connection: ConnectionId,
    /// How many they are.
    pub count: u32,
    /// The frames one behind the other, with the size in front; the BNDUPDs' transaction-ids are in
    /// them.
    pub frames: Vec<u8>,
    /// What was not taken over, to be shown to the operator.
    pub rejected: Vec<(Lease, Rejection)>,
}

/// From a worker.
#[derive(Debug)]
pub enum FromWorker {
    /// BNDUPDs to be sent.
    Offers(Offers),
    /// BNDREPLYs to be sent.
    Replies(Replies),
    /// Other shards hold these leases of the update; nothing was done.
    Elsewhere(PartnerUpdate, Vec<Lease>),
    /// What a worker's shards say of [`ToWorker::Yield`]; what they gave up is durable.
    Yielded {
        /// Of which BNDUPD.
        key: UpdateKey,
        /// Given up.
        given: Vec<Lease>,
        /// Kept, and why. Those in neither list are in none of the worker's shards.
        refused: Vec<(Lease, Rejection)>,
    },
    /// Everything of this round has had an answer in all shards of this worker.
    Answered(Round),
}

/// A worker's end of the channel, with the worker's index.
pub type ToControl = mpsc::Sender<(usize, FromWorker)>;

/// The control thread's end.
pub type FromWorkers = mpsc::Receiver<(usize, FromWorker)>;

/// The channel that all workers send into.
pub fn channel() -> (ToControl, FromWorkers) {
    mpsc::channel(CAPACITY)
}
