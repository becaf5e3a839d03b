//! Whether what the partner says of a lease is taken over: the conflict resolution of RFC 8156
//! §7.5.4, Figure 4, as a table.
//!
//! The RFC compares two times, and calls those within five seconds of each other the same. Its
//! table says "accept if later", which equal times are not; here they accept, as an update that is
//! sent once more because its answer was lost must. (Otherwise what the partner may rely on would
//! stand still.)

use crate::keepalive::SKEW_MAX_SECS;
use lease::{AbsTime, BindingRecord, BindingStatus, PartnerTimes, Role};
use wire::StatusCode;

/// What this server knows of a lease that it has a record of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mine {
    /// Binding-status.
    pub status: BindingStatus,
    /// Client-last-transaction-time; `None`: this server never talked to the client. Of an EXPIRED
    /// lease the last that either server is known to have had with it: that a clock has gone on is
    /// no news of the client.
    pub cltt: Option<AbsTime>,
    /// Start-time-of-state.
    pub status_since: AbsTime,
    /// State-expiration-time.
    pub ends: AbsTime,
    /// How far the partner's knowledge goes.
    pub known: Known,
    /// Whether the client or its IA is another than the partner's.
    pub client_differs: bool,
}

/// Who wrote a record last, and whether the other knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It holds a change of this server's that the partner has not acknowledged.
    OwnChange,
    /// The partner knows it as it is. Whatever it says later it says in knowledge of it: one
    /// connection keeps the order, and what was sent on an earlier one is not acknowledged.
    ToBoth,
    /// No partner ever heard of it: a lease from before the relationship.
    ToNobodyElse,
}

/// What the partner says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theirs {
    /// Binding-status.
    pub status: BindingStatus,
    /// Client-last-transaction-time, if the partner talked to the client.
    pub cltt: Option<AbsTime>,
    /// Start-time-of-state.
    pub status_since: AbsTime,
}

/// Why an update is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rejection {
    /// This server knows better.
    Outdated,
    /// Another client, or another IA, holds the lease here.
    AddressInUse,
    /// The lease is not of this relationship.
    NotOfRelationship,
    /// The update lacks what is needed.
    Missing,
}

impl Rejection {
    /// The status to reject with (§5.6).
    pub fn status(self) -> StatusCode {
        match self {
            Self::Outdated => StatusCode::OUTDATED_BINDING_INFORMATION,
            Self::AddressInUse => StatusCode::ADDRESS_IN_USE,
            Self::NotOfRelationship => StatusCode::CONFIGURATION_CONFLICT,
            Self::Missing => StatusCode::MISSING_BINDING_INFORMATION,
        }
    }

    /// What the partner's operator reads.
    pub fn text(self) -> &'static str {
        match self {
            Self::Outdated => "newer binding held",
            Self::AddressInUse => "held by another client here",
            Self::NotOfRelationship => "not a lease of this relationship here",
            Self::Missing => "an option that must be there is missing",
        }
    }
}

/// A cell of Figure 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// By the times of both.
    Accept,
    /// time(1): if this server's lease has ended.
    Ended,
    /// time(2): if the client was heard after this server's status began.
    HeardSince,
    /// accept(3): the same client by the times; another by time(2), or if this is the secondary.
    SameClientOrSecondary,
}

/// The cell for a status here (rows) and a status received (columns). PENDING-FREE, which need not
/// be sent, is as good as FREE in either place.
pub fn rule(mine: BindingStatus, theirs: BindingStatus) -> Rule {
    use BindingStatus as S;
    match (mine, theirs) {
        (S::Active, S::Active) => Rule::SameClientOrSecondary,
        (S::Active, S::Expired | S::Free | S::FreeBackup | S::PendingFree) => Rule::Ended,
        (S::Reset, S::Active) => Rule::HeardSince,
        _ => Rule::Accept,
    }
}

/// Whether a server of this role takes over what its partner says. `mine` is `None` for a lease
/// without record, which is available.
///
/// # Errors
/// [`Rejection::Outdated`] or [`Rejection::AddressInUse`].
pub fn decide(
    role: Role,
    mine: Option<&Mine>,
    theirs: &Theirs,
    now: AbsTime,
) -> Result<(), Rejection> {
    let Some(mine) = mine else {
        return Ok(());
    };
    if has_ended(mine.status) && has_ended(theirs.status) {
        return Ok(());
    }
    let heard_since = theirs.cltt.is_some_and(|cltt| cltt > mine.status_since);
    match rule(mine.status, theirs.status) {
        // What was promised may have reached its client late, too.
        Rule::Ended => accept_if(now > mine.ends.plus(SKEW_MAX_SECS), Rejection::Outdated),
        Rule::HeardSince => accept_if(heard_since, Rejection::Outdated),
        Rule::SameClientOrSecondary if mine.client_differs => accept_if(
            heard_since || role == Role::Secondary,
            Rejection::AddressInUse,
        ),
        Rule::SameClientOrSecondary | Rule::Accept => by_times(mine, theirs),
    }
}

/// Whether nobody holds the lease any more. Of two ends neither is outdated, whatever each server
/// has heard when: if both rejected the other's, the lease would never be free again.
pub(crate) fn has_ended(status: BindingStatus) -> bool {
    !matches!(status, BindingStatus::Active | BindingStatus::Abandoned)
}

fn accept_if(holds: bool, rejection: Rejection) -> Result<(), Rejection> {
    match holds {
        true => Ok(()),
        false => Err(rejection),
    }
}

fn by_times(mine: &Mine, theirs: &Theirs) -> Result<(), Rejection> {
    if mine.known == Known::ToBoth {
        return Ok(());
    }
    let (update, database) = (theirs.time(), mine.cltt.unwrap_or(mine.status_since));
    if update.plus(SKEW_MAX_SECS) < database {
        return Err(Rejection::Outdated);
    }
    let same = update <= database.plus(SKEW_MAX_SECS);
    accept_if(!(same && is_safer_kept(mine, theirs)), Rejection::Outdated)
}

/// Of two things learnt at once the safer is believed, if the partner has yet to hear of it: that
/// an address is in use somewhere, and that a client has just been promised a lease that it also
/// gave back. Kept wrongly, a lease is idle for a while; given up wrongly, it has two holders.
fn is_safer_kept(mine: &Mine, theirs: &Theirs) -> bool {
    use BindingStatus as S;
    mine.known == Known::OwnChange
        && match mine.status {
            S::Abandoned => !matches!(theirs.status, S::Reset | S::Abandoned),
            S::Active => matches!(theirs.status, S::Released | S::Reset),
            _ => false,
        }
}

impl Theirs {
    /// The update's time (§7.5.4).
    fn time(&self) -> AbsTime {
        use BindingStatus as S;
        match (self.status, self.cltt) {
            (_, None) => self.status_since,
            (S::Active | S::Expired | S::Released, Some(cltt)) => cltt,
            (_, Some(cltt)) => cltt.max(self.status_since),
        }
    }
}

impl Mine {
    /// Of a record.
    pub fn of(record: &BindingRecord<'_>, client_differs: bool) -> Self {
        let PartnerTimes { unacked, .. } = record.partner;
        let heard_of = PartnerTimes {
            unacked: false,
            ..record.partner
        } != PartnerTimes::NONE;
        let heard = match record.status {
            BindingStatus::Expired => record.cltt.max(record.partner.partner_raw_cltt),
            _ => record.cltt,
        };
        Self {
            status: record.status,
            cltt: (heard != AbsTime(0)).then_some(heard),
            status_since: record.status_since,
            ends: record.expires,
            known: match (unacked, heard_of) {
                (true, _) => Known::OwnChange,
                (false, true) => Known::ToBoth,
                (false, false) => Known::ToNobodyElse,
            },
            client_differs,
        }
    }
}

#[cfg(test)]
mod tests;
