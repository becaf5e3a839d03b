//! What the control plane asks of a worker, and the answers: messages into the worker's inbox.
//!
//! Bindings belong to the worker that owns their shard, so nobody else reads them. Each command is
//! a bounded piece of work between two batches of packets: a page holds at most [`PAGE_MAX`].

use super::line::Line;
use datapath::InterfaceId;
use engine::reconfigure::{RequestedMessage, Unreachable};
use engine::{Imported, NotImported};
use lease::{AbsTime, BindingRecord, BindingStatus, Lease, LinkKey, PartnerTimes, SubscriberIa};
use std::net::Ipv6Addr;
use tokio::sync::oneshot;
use wire::{Duid, IaKind, Iaid, SHARDS, ShardId};

/// Most bindings that one [`Command::ListLeases`] looks at, so that a list over millions never
/// delays a packet by more than some tens of microseconds.
pub const PAGE_MAX: usize = 512;

/// One request to a worker. The worker answers by `reply`; a closed `reply` means that the asker
/// went away and is no error.
#[derive(Debug)]
pub enum Command {
    /// One page of one shard's bindings.
    ListLeases(ListLeases),
    /// Who holds this lease, in any shard of this worker.
    ShowLease(ShowLease),
    /// What this worker decided last for a client.
    Decisions(Decisions),
    /// An operator releases or resets a lease.
    EndLease(EndLease),
    /// Leases of this worker's parts of sparse pools are taken for clients of other workers.
    TakeLeases(TakeLeases),
    /// Bindings of this worker's clients are brought in.
    ImportLeases(ImportLeases),
    /// Clients of this worker are sent Reconfigure messages.
    Reconfigure(ReconfigureClients),
}

/// See [`Command::ListLeases`].
#[derive(Debug)]
pub struct ListLeases {
    /// The shard; it belongs to the worker asked.
    pub shard: ShardId,
    /// Where to begin: 0, or `next` of the page before.
    pub from: u32,
    /// What to leave out.
    pub filter: Filter,
    /// How many bindings to look at, matching or not; at most [`PAGE_MAX`].
    pub max: usize,
    /// Takes the page.
    pub reply: oneshot::Sender<Page>,
}

/// See [`Command::ShowLease`].
#[derive(Debug)]
pub struct ShowLease {
    /// The address or delegated prefix.
    pub lease: Lease,
    /// Takes the binding, or `None` if no shard of this worker has one.
    pub reply: oneshot::Sender<Option<OwnedBinding>>,
}

/// See [`Command::Decisions`].
#[derive(Debug)]
pub struct Decisions {
    /// Whose.
    pub of: DecisionsOf,
    /// Where to begin: 0, or `next` of the page before.
    pub from: usize,
    /// Takes the page.
    pub reply: oneshot::Sender<DecisionPage>,
}

/// Which decisions are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionsOf {
    /// All.
    Everybody,
    /// Of the client with this DUID.
    Client(Box<[u8]>),
    /// Of messages or answers in which these octets stand: an address, a prefix, a relay's word.
    Octets(Box<[u8]>),
}

/// What [`Command::Decisions`] found.
#[derive(Debug, Default)]
pub struct DecisionPage {
    /// The decisions, oldest first.
    pub kept: Vec<KeptDecision>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<usize>,
}

/// A decision as its worker kept it.
#[derive(Clone, Debug)]
pub struct KeptDecision {
    /// When it was made.
    pub at: AbsTime,
    /// Why there was no answer, as an index of [`WorkerDrop::labels`](crate::worker::WorkerDrop);
    /// `None`: there was one.
    pub drop: Option<u8>,
    /// The interface, by its position in the config.
    pub interface: u16,
    /// Where the message came from.
    pub source: Ipv6Addr,
    /// The UDP payload that came.
    pub message: Box<[u8]>,
    /// The UDP payload that was answered; empty if none.
    pub answer: Box<[u8]>,
}

/// See [`Command::EndLease`].
#[derive(Debug)]
pub struct EndLease {
    /// The address or delegated prefix.
    pub lease: Lease,
    /// The status that its binding must have.
    pub status: BindingStatus,
    /// Told when the end is on disk, or why there is none.
    pub reply: oneshot::Sender<Ended>,
}

/// What came of [`Command::EndLease`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The lease is free.
    Done,
    /// No shard of this worker has a binding of it.
    NotHere,
    /// The binding has another status.
    Otherwise(BindingStatus),
    /// The journal takes nothing now.
    Failing,
}

/// See [`Command::TakeLeases`].
#[derive(Debug)]
pub struct TakeLeases {
    /// At most [`PAGE_MAX`].
    pub leases: Vec<TakeLease>,
    /// Takes which of them were free; if it is closed, all are given back.
    pub reply: oneshot::Sender<Vec<bool>>,
}

/// One lease of [`TakeLeases`].
#[derive(Clone, Copy, Debug)]
pub struct TakeLease {
    /// The lease.
    pub lease: Lease,
    /// The shard in whose part of its pool it is; it belongs to the worker asked.
    pub owner: ShardId,
    /// The client's shard.
    pub client: ShardId,
}

/// See [`Command::ImportLeases`].
#[derive(Debug)]
pub struct ImportLeases {
    /// At most [`PAGE_MAX`] bindings, all of shards of the worker asked, and whether
    /// [`Command::TakeLeases`] took their leases.
    pub bindings: Vec<(OwnedBinding, bool)>,
    /// Told when all that is taken in is on disk, in the order of `bindings`; shorter if the
    /// journal had no room for the rest.
    pub reply: oneshot::Sender<Vec<Result<Imported, NotImported>>>,
}

/// See [`Command::Reconfigure`].
#[derive(Debug)]
pub struct ReconfigureClients {
    /// What they are to send.
    pub requested: RequestedMessage,
    /// Who is sent a message now; at most [`PAGE_MAX`].
    pub clients: Vec<ToReconfigure>,
    /// DUIDs of clients that are waited for no longer.
    pub forget: Vec<Box<[u8]>>,
    /// The first command of an order: nobody is waited for any more from an earlier one.
    pub begins: bool,
    /// Takes what came of it.
    pub reply: oneshot::Sender<Reconfigured>,
}

/// One client of [`ReconfigureClients`].
#[derive(Clone, Debug)]
pub struct ToReconfigure {
    /// Its number in the order.
    pub number: u32,
    /// Who it is.
    pub duid: Box<[u8]>,
    /// The shard of its bindings.
    pub shard: ShardId,
    /// The lease whose binding says how it is reached.
    pub lease: Lease,
    /// The interface by which its relay is reached; `None`: it has none, and that of its link is
    /// meant.
    pub interface: Option<InterfaceId>,
}

/// What came of [`ReconfigureClients`].
#[derive(Debug, Default)]
pub struct Reconfigured {
    /// For each client of the order, in the same order.
    pub sent: Vec<Result<(), NotSent>>,
    /// The numbers of clients that have answered since the last command.
    pub answered: Vec<u32>,
}

/// Why a client was sent no Reconfigure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// It cannot be.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// No interface leads there.
    #[error("no interface leads to it")]
    NoRoute,
    /// The kernel refused the packet.
    #[error("not sent: {0}")]
    Failed(String),
}

impl NotSent {
    /// Short label, stable over versions.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(why) => why.label(),
            Self::NoRoute => "no-route",
            Self::Failed(_) => "send-failed",
        }
    }
}

/// What [`Command::ListLeases`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The bindings that matched.
    pub bindings: Vec<OwnedBinding>,
    /// Where the next page of this shard begins; `None` at its end.
    pub next: Option<u32>,
}

/// The inbox was full: the worker is overloaded, and the command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker's inbox is full")]
pub struct Busy;

/// The way into one worker: its inbox and whatever wakes it.
pub trait WorkerHandle: Send + Sync {
    /// Puts a command into the inbox and wakes the worker.
    ///
    /// # Errors
    /// [`Busy`] at once, without waiting, when the inbox is full.
    fn send(&self, command: Command) -> Result<(), Busy>;
}

/// All workers, and which of them owns which shard.
pub struct Workers {
    handles: Vec<Box<dyn WorkerHandle>>,
    owner: [u8; SHARDS],
}

impl Workers {
    /// # Panics
    /// If `owner` names a worker that is not among `handles`.
    pub fn new(handles: Vec<Box<dyn WorkerHandle>>, owner: [u8; SHARDS]) -> Self {
        assert!(
            owner.iter().all(|w| usize::from(*w) < handles.len()),
            "every shard belongs to an existing worker"
        );
        Self { handles, owner }
    }

    /// The number of the worker that owns `shard`.
    pub fn owner(&self, shard: ShardId) -> usize {
        usize::from(self.owner[usize::from(shard.0)])
    }

    /// The worker that owns `shard`.
    pub fn of(&self, shard: ShardId) -> &dyn WorkerHandle {
        &*self.handles[usize::from(self.owner[usize::from(shard.0)])]
    }

    /// Every worker.
    pub fn all(&self) -> impl Iterator<Item = &dyn WorkerHandle> {
        self.handles.iter().map(|handle| &**handle)
    }
}

/// Which bindings a list shows; an empty filter shows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this client's.
    pub duid: Option<Box<[u8]>>,
    /// Only those of this link.
    pub link: Option<LinkKey>,
    /// Only leases that lie inside this prefix (or are this address, length 128).
    pub within: Option<Lease>,
    /// Only those with this status.
    pub status: Option<BindingStatus>,
    /// Only those of this line.
    pub line: Option<Line>,
}

impl Filter {
    /// Whether a list shows this binding.
    pub fn matches(&self, record: &BindingRecord<'_>) -> bool {
        self.duid
            .as_deref()
            .is_none_or(|d| d == record.duid.octets())
            && self.link.is_none_or(|link| link == record.link)
            && self.status.is_none_or(|status| status == record.status)
            && self.line.as_ref().is_none_or(|line| line.has(record))
            && self
                .within
                .is_none_or(|outer| contains(outer, record.lease))
    }
}

fn contains(outer: Lease, inner: Lease) -> bool {
    let host_bits = 128 - u32::from(outer.len.min(128));
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    outer.len <= inner.len && outer.addr & mask == inner.addr & mask
}

/// A [`BindingRecord`] that owns its octets and so can leave its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedBinding {
    /// The client's DUID.
    pub duid: Box<[u8]>,
    /// Address or prefix delegation.
    pub kind: IaKind,
    /// Which of the client's IAs.
    pub iaid: Iaid,
    /// Key of the subscriber and number of its IA; see [`BindingRecord::subscriber`].
    pub subscriber: Option<(Box<[u8]>, Iaid)>,
    /// The address or delegated prefix.
    pub lease: Lease,
    /// The link it was given on.
    pub link: LinkKey,
    /// Where it is in its life cycle.
    pub status: BindingStatus,
    /// Preferred lifetime, seconds.
    pub preferred_secs: u32,
    /// Valid lifetime, seconds.
    pub valid_secs: u32,
    /// Client-last-transaction-time.
    pub cltt: AbsTime,
    /// Since when `status` holds.
    pub status_since: AbsTime,
    /// When `status` ends by itself.
    pub expires: AbsTime,
    /// What the failover partner was told of it and has told.
    pub partner: PartnerTimes,
    /// Whether the client takes Reconfigure messages.
    pub accepts_reconfigure: bool,
    /// How the client is reached; see [`BindingRecord::via`].
    pub via: Box<[u8]>,
}

impl OwnedBinding {
    /// The shard it belongs into.
    pub fn shard(&self) -> ShardId {
        let key = self.subscriber.as_ref().map_or(&self.duid, |(key, _)| key);
        Duid::new(key).map_or(ShardId(0), Duid::shard)
    }

    /// The record it was made from; `None` if its DUID or its subscriber's key is none.
    pub fn record(&self) -> Option<BindingRecord<'_>> {
        let subscriber = match &self.subscriber {
            Some((key, number)) => Some(SubscriberIa {
                key: Duid::new(key)?,
                number: *number,
            }),
            None => None,
        };
        Some(BindingRecord {
            duid: Duid::new(&self.duid)?,
            kind: self.kind,
            iaid: self.iaid,
            subscriber,
            lease: self.lease,
            link: self.link,
            status: self.status,
            preferred_secs: self.preferred_secs,
            valid_secs: self.valid_secs,
            cltt: self.cltt,
            status_since: self.status_since,
            expires: self.expires,
            partner: self.partner,
            accepts_reconfigure: self.accepts_reconfigure,
            via: &self.via,
        })
    }
}

impl From<BindingRecord<'_>> for OwnedBinding {
    fn from(record: BindingRecord<'_>) -> Self {
        Self {
            duid: record.duid.octets().into(),
            kind: record.kind,
            iaid: record.iaid,
            subscriber: record
                .subscriber
                .map(|subscriber| (subscriber.key.octets().into(), subscriber.number)),
            lease: record.lease,
            link: record.link,
            status: record.status,
            preferred_secs: record.preferred_secs,
            valid_secs: record.valid_secs,
            cltt: record.cltt,
            status_since: record.status_since,
            expires: record.expires,
            partner: record.partner,
            accepts_reconfigure: record.accepts_reconfigure,
            via: record.via.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_contains_what_lies_inside_and_nothing_longer_than_itself() {
        let lease = |text: &str, len| Lease {
            addr: text.parse::<std::net::Ipv6Addr>().unwrap().to_bits(),
            len,
        };
        assert!(contains(lease("2001:db8::", 32), lease("2001:db8:1::", 56)));
        assert!(contains(lease("::", 0), lease("2001:db8:1::", 56)));
        assert!(contains(
            lease("2001:db8::5", 128),
            lease("2001:db8::5", 128)
        ));
        assert!(!contains(
            lease("2001:db8::5", 128),
            lease("2001:db8::4", 128)
        ));
        assert!(!contains(
            lease("2001:db8:1::", 64),
            lease("2001:db8:1::", 56)
        ));
        assert!(!contains(
            lease("2001:db9::", 32),
            lease("2001:db8:1::", 56)
        ));
    }
}
