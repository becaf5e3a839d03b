//! The maximum client lead time while it changes (RFC 8156 §4.4, §6.1.2).
//!
//! The primary's configuration sets it, the secondary adopts it at CONNECT. Until both know a new
//! value, each must be safe against a partner that follows the old one; and leases given under a
//! greater one outlive it. So there are two answers: how far this server may go ahead (the
//! smallest that may count), and how long it must wait for a partner that went ahead (the
//! greatest).

use lease::AbsTime;

/// An older, greater MCLT under which leases may still be out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lingering {
    /// Its value in seconds.
    pub secs: u32,
    /// When the last lease given under it has ended.
    pub until: AbsTime,
}

/// What is known of MCLT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mclt {
    /// What both servers agreed on at the last CONNECT, seconds; `None` before the first.
    pub agreed_secs: Option<u32>,
    /// An older, greater one.
    pub lingering: Option<Lingering>,
}

impl Mclt {
    /// How far, in seconds, a client's lifetime may pass what the partner acknowledged.
    /// `configured_secs` is the primary's own configuration; what the secondary's says counts only
    /// before it has heard from the primary.
    pub fn lead_secs(&self, configured_secs: u32, is_primary: bool) -> u32 {
        match self.agreed_secs {
            Some(agreed) if is_primary => agreed.min(configured_secs),
            Some(agreed) => agreed,
            None => configured_secs,
        }
    }

    /// How long, in seconds, leases of the partner that this server has not heard of can outlive
    /// the partner.
    pub fn wait_secs(&self, configured_secs: u32, is_primary: bool, now: AbsTime) -> u32 {
        let own = match self.agreed_secs {
            Some(agreed) if is_primary => agreed.max(configured_secs),
            Some(agreed) => agreed,
            None => configured_secs,
        };
        match self.lingering {
            Some(old) if now < old.until => own.max(old.secs),
            _ => own,
        }
    }

    /// Both servers now follow `secs`. `longest_valid_secs` is the longest valid lifetime of the
    /// relationship's leases: one that the old value bounded ends within it, or within the old
    /// value if that is longer.
    pub fn agree(&mut self, secs: u32, longest_valid_secs: u32, now: AbsTime) {
        if let Some(old) = self.agreed_secs.filter(|&old| old > secs) {
            let until = now.plus(old.max(longest_valid_secs).min(u32::MAX - 1));
            self.lingering = Some(match self.lingering.filter(|older| now < older.until) {
                Some(older) => Lingering {
                    secs: older.secs.max(old),
                    until: older.until.max(until),
                },
                None => Lingering { secs: old, until },
            });
        }
        self.agreed_secs = Some(secs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: AbsTime = AbsTime(800_000_000);

    #[test]
    fn before_anything_is_agreed_the_configuration_counts() {
        let mclt = Mclt::default();
        assert_eq!(mclt.lead_secs(3_600, true), 3_600);
        assert_eq!(mclt.wait_secs(3_600, false, NOW), 3_600);
    }

    #[test]
    fn rfc8156_6_1_2_the_secondary_follows_what_was_adopted() {
        let mut mclt = Mclt::default();
        mclt.agree(1_800, 86_400, NOW);
        assert_eq!(mclt.lead_secs(3_600, false), 1_800);
        assert_eq!(mclt.wait_secs(3_600, false, NOW), 1_800);
    }

    #[test]
    fn a_primary_configured_anew_neither_runs_ahead_of_its_partner_nor_waits_less() {
        let mut mclt = Mclt::default();
        mclt.agree(1_800, 86_400, NOW);
        // Longer: not before the secondary knows. Shorter: at once, but waits as before.
        assert_eq!(mclt.lead_secs(3_600, true), 1_800);
        assert_eq!(mclt.wait_secs(3_600, true, NOW), 3_600);
        assert_eq!(mclt.lead_secs(600, true), 600);
        assert_eq!(mclt.wait_secs(600, true, NOW), 1_800);
    }

    #[test]
    fn a_greater_one_lingers_until_its_leases_have_ended() {
        let mut mclt = Mclt::default();
        mclt.agree(3_600, 86_400, NOW);
        mclt.agree(600, 86_400, NOW);
        assert_eq!(mclt.lead_secs(600, true), 600);
        assert_eq!(mclt.wait_secs(600, true, NOW.plus(86_399)), 3_600);
        assert_eq!(mclt.wait_secs(600, true, NOW.plus(86_400)), 600);
        mclt.agree(60, 86_400, NOW.plus(100));
        assert_eq!(mclt.wait_secs(60, true, NOW.plus(86_450)), 3_600);
    }
}
