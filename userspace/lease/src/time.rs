//! Absolute time as RFC 8156 §3 defines it.

/// Seconds between the Unix epoch and 2000-01-01T00:00:00Z.
pub const UNIX_SECS_OF_2000: u64 = 946_684_800;

/// Whole seconds since 2000-01-01T00:00:00Z (RFC 8156 §3, "absolute time"); wraps in 2136.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsTime(pub u32);

impl AbsTime {
    /// The end of an infinite lifetime (RFC 9915 §7.7): later than every real time.
    pub const NEVER: Self = Self(u32::MAX);

    /// From seconds since the Unix epoch; times before 2000 become 2000.
    pub fn from_unix_secs(secs: u64) -> Self {
        Self(
            secs.saturating_sub(UNIX_SECS_OF_2000)
                .min(u64::from(u32::MAX - 1)) as u32,
        )
    }

    /// Seconds since the Unix epoch.
    pub fn unix_secs(self) -> u64 {
        u64::from(self.0) + UNIX_SECS_OF_2000
    }

    /// This time plus a lifetime in seconds; an infinite lifetime (`u32::MAX`) never ends.
    pub fn plus(self, lifetime_secs: u32) -> Self {
        if lifetime_secs == u32::MAX {
            return Self::NEVER;
        }
        Self(self.0.saturating_add(lifetime_secs))
    }

    /// Seconds from `self` until `later`; 0 if that is past.
    pub fn secs_until(self, later: Self) -> u32 {
        later.0.saturating_sub(self.0)
    }
}
