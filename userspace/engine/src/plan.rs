//! What an answer will hold, decided before anything is written or committed.
//!
//! T1 and T2 are the same in all IAs of a message (RFC 9915 §18.3.2), so all IAs are decided first;
//! and what does not fit into a packet must change nothing, so bindings change last.

use crate::drop_reason::DropReason;
use crate::lifetime::{Lifetimes, Timers};
use crate::model::{Model, PoolId};
use arrayvec::ArrayVec;
use lease::{AbsTime, Lease, LinkKey};
use wire::message::IA_MAX;
use wire::{IaKind, Iaid, StatusCode};

/// Leases in one answer: far more than fit into a packet that needs no fragments.
pub(crate) const LINES_MAX: usize = 64;

/// The IAs of an answer, in the order of the request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    ias: ArrayVec<PlannedIa, IA_MAX>,
    lines: ArrayVec<Line, LINES_MAX>,
}

#[derive(Clone, Copy, Debug)]
struct PlannedIa {
    kind: IaKind,
    iaid: Iaid,
    status: Option<StatusCode>,
    /// Its lines begin here and end where those of the next IA begin.
    lines_from: usize,
}

/// An IA as it will be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IaAnswer<'p> {
    pub(crate) kind: IaKind,
    pub(crate) iaid: Iaid,
    pub(crate) status: Option<StatusCode>,
    pub(crate) lines: &'p [Line],
}

/// A lease in an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) lease: Lease,
    pub(crate) lifetimes: Lifetimes,
    /// The valid lifetime that failover may have cut short, seconds.
    pub(crate) desired_secs: u32,
    pub(crate) hold: Hold,
    /// The link that gives it; `None` where nothing is given.
    pub(crate) link: Option<LinkKey>,
    /// The pool that it is one of.
    pub(crate) pool: Option<PoolId>,
}

impl Line {
    /// Whether the client is given the lease.
    pub(crate) fn is_granted(&self) -> bool {
        !matches!(self.hold, Hold::Refused | Hold::Replaced)
    }

    /// Gives the lease back to its pool if it was taken for the answer.
    pub(crate) fn give_back(&self, model: &Model) {
        match (self.hold, self.pool) {
            (Hold::Taken, Some(pool)) => model.pool(pool).pool.release(self.lease),
            (Hold::Claimed, _) => model.reservations().release(self.lease),
            _ => {}
        }
    }

    /// Whether the lease stands in the answer.
    pub(crate) fn is_told(&self) -> bool {
        self.hold != Hold::Replaced
    }
}

/// How the client comes to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It is bound to the IA, ACTIVE since then.
    Bound {
        /// Start of the ACTIVE status.
        since: AbsTime,
    },
    /// Taken from its pool for this answer, to be given back unless it is committed.
    Taken,
    /// Taken as a reservation that others could take as well, to be given back unless it is
    /// committed.
    Claimed,
    /// Free, and nothing was taken: only looked at for an Advertise, reserved by the client's DUID, or
    /// on record as its own until it ended a moment ago.
    Free,
    /// Told to the client with lifetimes of 0.
    Refused,
    /// Bound to the IA and given up for another lease that the client asked for; not told.
    Replaced,
}

impl Plan {
    /// Begins the answer to an IA; `false`, and nothing begun, if it was there before.
    pub(crate) fn begin_ia(&mut self, kind: IaKind, iaid: Iaid) -> Result<bool, DropReason> {
        if self.ias.iter().any(|ia| ia.kind == kind && ia.iaid == iaid) {
            return Ok(false);
        }
        let ia = PlannedIa {
            kind,
            iaid,
            status: None,
            lines_from: self.lines.len(),
        };
        self.ias
            .try_push(ia)
            .map_err(|_| DropReason::TooManyLeases)?;
        Ok(true)
    }

    /// Sets the status of the IA begun last.
    pub(crate) fn set_status(&mut self, status: StatusCode) {
        if let Some(ia) = self.ias.last_mut() {
            ia.status = Some(status);
        }
    }

    /// Gives every IA that has neither leases nor status this status.
    pub(crate) fn set_missing_statuses(&mut self, status: StatusCode) {
        let ends: ArrayVec<usize, IA_MAX> = self.ends().collect();
        for (ia, end) in self.ias.iter_mut().zip(ends) {
            if ia.lines_from == end {
                ia.status.get_or_insert(status);
            }
        }
    }

    /// Adds a lease to the IA begun last.
    pub(crate) fn push(&mut self, line: Line) -> Result<(), DropReason> {
        self.lines
            .try_push(line)
            .map_err(|_| DropReason::TooManyLeases)
    }

    /// Whether the lease stands in the answer already, in whichever IA.
    pub(crate) fn has(&self, lease: Lease) -> bool {
        self.lines.iter().any(|line| line.lease == lease)
    }

    /// What the IA begun last holds so far.
    pub(crate) fn current(&self) -> &[Line] {
        let from = self.ias.last().map_or(0, |ia| ia.lines_from);
        self.lines.get(from..).unwrap_or_default()
    }

    /// All leases of the answer.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether any IA has a lease or a status.
    pub(crate) fn says_anything(&self) -> bool {
        !self.lines.is_empty() || self.ias.iter().any(|ia| ia.status.is_some())
    }

    pub(crate) fn ias(&self) -> impl Iterator<Item = IaAnswer<'_>> {
        self.ias.iter().zip(self.ends()).map(|(ia, end)| IaAnswer {
            kind: ia.kind,
            iaid: ia.iaid,
            status: ia.status,
            lines: self.lines.get(ia.lines_from..end).unwrap_or_default(),
        })
    }

    /// T1 and T2 for all IAs: from the shortest preferred lifetime of what is granted.
    pub(crate) fn timers(&self) -> Timers {
        self.lines
            .iter()
            .filter(|line| line.is_granted())
            .map(|line| line.lifetimes.preferred_secs)
            .min()
            .map_or_else(Timers::default, Timers::of_shortest)
    }

    /// Gives back to the pools what was taken for an answer that is not committed.
    pub(crate) fn give_back(&self, model: &Model) {
        for line in &self.lines {
            line.give_back(model);
        }
    }

    fn ends(&self) -> impl Iterator<Item = usize> {
        let next = self.ias.iter().skip(1).map(|ia| ia.lines_from);
        next.chain([self.lines.len()])
    }
}
