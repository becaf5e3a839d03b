//! How long a lease is promised: configured lifetimes, T1 and T2, and what failover allows.

use lease::LifetimeCap;

/// An infinite lifetime on the wire (RFC 9915 §7.7).
pub const INFINITY_SECS: u32 = u32::MAX;

/// Preferred and valid lifetime of a lease (RFC 9915 §21.6, §21.22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lifetimes {
    /// Preferred lifetime in seconds; [`INFINITY_SECS`] never ends. At most `valid_secs`.
    pub preferred_secs: u32,
    /// Valid lifetime in seconds; [`INFINITY_SECS`] never ends. Not 0.
    pub valid_secs: u32,
}

impl Lifetimes {
    /// Both 0: the client must stop using the lease (RFC 9915 §18.3.4, §18.3.5).
    pub const ENDED: Self = Self {
        preferred_secs: 0,
        valid_secs: 0,
    };

    /// Whether a server may be configured with them: a valid lifetime that is not 0 and a
    /// preferred one that is not longer.
    pub fn are_possible(self) -> bool {
        self.valid_secs > 0 && self.preferred_secs <= self.valid_secs
    }

    /// What of these lifetimes may be promised under `cap`; the preferred lifetime shrinks in
    /// proportion to the valid one. `acked_secs`: see [`LifetimeCap::limit`].
    pub fn capped(self, cap: LifetimeCap, acked_secs: u32) -> Self {
        let valid_secs = cap.limit(self.valid_secs, acked_secs);
        if valid_secs == self.valid_secs {
            return self;
        }
        let share = u64::from(self.preferred_secs) * u64::from(valid_secs);
        Self {
            preferred_secs: (share / u64::from(self.valid_secs)) as u32,
            valid_secs,
        }
    }
}

/// T1 and T2 of every IA of one message (RFC 9915 §14.2, §18.3.2: equal in all of them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timers {
    /// When the client is to renew, seconds from now; 0 leaves it to the client.
    pub(crate) t1_secs: u32,
    /// When the client is to rebind, seconds from now; 0 leaves it to the client.
    pub(crate) t2_secs: u32,
}

impl Timers {
    /// 0.5 and 0.8 of the shortest preferred lifetime in the message (RFC 9915 §21.4).
    pub(crate) fn of_shortest(preferred_secs: u32) -> Self {
        if preferred_secs == INFINITY_SECS {
            return Self {
                t1_secs: INFINITY_SECS,
                t2_secs: INFINITY_SECS,
            };
        }
        Self {
            t1_secs: preferred_secs / 2,
            t2_secs: (u64::from(preferred_secs) * 4 / 5) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_SECS: u32 = 86_400;

    #[test]
    fn preferred_shrinks_with_valid() {
        let desired = Lifetimes {
            preferred_secs: 3 * DAY_SECS,
            valid_secs: 4 * DAY_SECS,
        };
        let capped = desired.capped(LifetimeCap::Mclt { mclt_secs: 3_600 }, 0);
        assert_eq!(capped.valid_secs, 3_600);
        assert_eq!(capped.preferred_secs, 2_700);
        assert_eq!(desired.capped(LifetimeCap::None, 0), desired);
    }

    #[test]
    fn rfc9915_21_4_t1_and_t2_are_half_and_four_fifths_of_the_shortest_preferred() {
        let timers = Timers::of_shortest(3_600);
        assert_eq!((timers.t1_secs, timers.t2_secs), (1_800, 2_880));
        let never = Timers::of_shortest(INFINITY_SECS);
        assert_eq!((never.t1_secs, never.t2_secs), (u32::MAX, u32::MAX));
        let long = Timers::of_shortest(u32::MAX - 1);
        assert!(long.t1_secs < long.t2_secs && long.t2_secs < u32::MAX - 1);
    }
}
