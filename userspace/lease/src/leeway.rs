//! What failover lets a server do for the clients of a link: the whole of what its endpoint tells
//! the engine and the workers (RFC 8156 §4.2, §4.4, §8).

use crate::{AbsTime, Positions, Share};

/// Which of the two servers of a relationship (RFC 8156 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The primary: answers everything in NORMAL and owns FREE prefixes and odd addresses.
    Primary,
    /// The secondary: owns FREE-BACKUP prefixes and even addresses.
    Secondary,
}

impl Role {
    /// The other server's role.
    pub fn partner(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }

    /// The addresses it allocates from: independent allocation (RFC 8156 §4.2.1).
    pub fn addresses(self) -> Positions {
        match self {
            Self::Primary => Positions::Odd,
            Self::Secondary => Positions::Even,
        }
    }
}

/// Which messages are answered: the responsiveness of the endpoint's state (RFC 8156 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Every message: the primary in NORMAL, and whoever may stand alone.
    All,
    /// Only what names this server: the secondary in NORMAL, "renew responsive" (§8.8).
    OwnServerIdOnly,
    /// Only what extends or ends a lease on record: RECOVER-DONE (§8.7).
    RenewOnly,
    /// Nothing: STARTUP, RECOVER, RECOVER-WAIT, POTENTIAL-CONFLICT.
    Nothing,
}

/// Which free prefixes may be delegated: proportional allocation (RFC 8156 §4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefixes {
    /// Every free one: a server without partner.
    All,
    /// Those of this server's own side.
    Own(Role),
    /// Those of its own side, and when it has none left the partner's: PARTNER-DOWN, from MCLT
    /// after its beginning on (§8.4.1).
    OwnThenPartners(Role),
}

/// What failover lets this server promise to a client (RFC 8156 §4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifetimeCap {
    /// No partner, or PARTNER-DOWN: as configured (RFC 8156 §8.4.1).
    #[default]
    None,
    /// The client's expiry may pass the one that the partner acknowledged by this much at most.
    Mclt {
        /// Maximum client lead time in seconds.
        mclt_secs: u32,
    },
}

impl LifetimeCap {
    /// The valid lifetime to give where `desired_secs` is configured: the smaller of it and the
    /// rest of the lifetime that the partner has acknowledged for this lease (`acked_secs`, from
    /// now on; 0 if never) plus MCLT (RFC 8156 §4.4).
    pub fn limit(self, desired_secs: u32, acked_secs: u32) -> u32 {
        match self {
            Self::None => desired_secs,
            Self::Mclt { mclt_secs } => desired_secs.min(acked_secs.saturating_add(mclt_secs)),
        }
    }
}

/// What one relationship lets this server do on its links. Small and whole, so that a worker reads
/// it once for a batch of messages and never sees half of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leeway {
    /// Whether there is a partner at all. If so, whatever changes is marked as not acknowledged,
    /// and what ends stays on record until the partner has acknowledged it (RFC 8156 §7.2).
    pub partnered: bool,
    /// Which messages are answered.
    pub answers: Answers,
    /// How long a lease may be promised.
    pub cap: LifetimeCap,
    /// Which addresses may be newly leased.
    pub addresses: Positions,
    /// Which prefixes may be newly delegated.
    pub prefixes: Prefixes,
    /// Whether anything may be newly leased; if not, only what is on record is extended.
    pub may_allocate: bool,
    /// Entry into PARTNER-DOWN, while in it: the waits of §8.4.1 count from it.
    pub partner_down_since: Option<AbsTime>,
    /// Maximum client lead time in seconds.
    pub mclt_secs: u32,
    /// Whether updates are to be sent to the partner now.
    pub replicate: bool,
    /// Since when this server has served all the time. What ended before, nobody was given here
    /// again until then, but the partner may have stood alone meanwhile and have given it to others.
    pub serving_since: AbsTime,
}

impl Leeway {
    /// A link of no relationship: everything is allowed and nobody is told.
    pub const ALONE: Self = Self {
        partnered: false,
        answers: Answers::All,
        cap: LifetimeCap::None,
        addresses: Positions::All,
        prefixes: Prefixes::All,
        may_allocate: true,
        partner_down_since: None,
        mclt_secs: 0,
        replicate: false,
        serving_since: AbsTime(0),
    };

    /// From which part of the pools leases are newly drawn.
    pub fn share(&self) -> Share {
        Share {
            addresses: self.addresses,
            prefixes: self.prefixes,
        }
    }

    /// A relationship before its endpoint has said anything (STARTUP, RFC 8156 §8.3): nothing is
    /// answered and nothing is leased.
    pub const fn startup(role: Role, mclt_secs: u32) -> Self {
        Self {
            partnered: true,
            answers: Answers::Nothing,
            cap: LifetimeCap::Mclt { mclt_secs },
            addresses: match role {
                Role::Primary => Positions::Odd,
                Role::Secondary => Positions::Even,
            },
            prefixes: Prefixes::Own(role),
            may_allocate: false,
            partner_down_since: None,
            mclt_secs,
            replicate: false,
            serving_since: AbsTime(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_SECS: u32 = 86_400;

    #[test]
    fn rfc8156_4_4_1_first_grant_is_mclt_and_renewal_is_what_was_desired() {
        let cap = LifetimeCap::Mclt { mclt_secs: 3_600 };
        assert_eq!(cap.limit(3 * DAY_SECS, 0), 3_600);
        assert_eq!(cap.limit(3 * DAY_SECS, 3 * DAY_SECS), 3 * DAY_SECS);
        assert_eq!(cap.limit(60, 0), 60);
    }

    #[test]
    fn rfc8156_8_4_1_without_cap_everything_may_be_promised() {
        assert_eq!(LifetimeCap::None.limit(u32::MAX, 0), u32::MAX);
    }

    #[test]
    fn an_infinite_lifetime_is_cut_and_an_infinite_acknowledgement_does_not_overflow() {
        let cap = LifetimeCap::Mclt { mclt_secs: 3_600 };
        assert_eq!(cap.limit(u32::MAX, 10), 3_610);
        assert_eq!(cap.limit(u32::MAX, u32::MAX - 1), u32::MAX);
    }
}
