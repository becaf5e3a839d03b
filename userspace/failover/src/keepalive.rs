//! Keep-alive of one connection (RFC 8156 §6.5, §6.6) and the difference between the two servers'
//! clocks (§7.1, §7.5.1).

use crate::time::Monotonic;
use lease::AbsTime;

/// CONTACTs sent in the partner's keep-alive time when nothing else is
/// (FO_CONTACT_PER_KEEPALIVE_TIME).
pub const CONTACT_PER_KEEPALIVE_TIME: u32 = 4;

/// Difference of clocks, in seconds, that is taken for none.
pub const SKEW_MAX_SECS: u32 = 5;

/// Messages looked at before a difference is believed: one that waited in a queue looks like one
/// from a slow clock.
const SKEW_SAMPLES: usize = 8;

/// FO_SEND_TIMER and FO_KEEPALIVE_TIMER of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    silence_millis_max: u64,
    send_millis: u64,
    heard: Monotonic,
    sent: Monotonic,
}

impl Keepalive {
    /// `own_secs` of silence end the connection; `partner_secs` is what the partner announced, and
    /// something is sent to it four times within.
    pub fn new(own_secs: u32, partner_secs: u32, now: Monotonic) -> Self {
        Self {
            silence_millis_max: u64::from(own_secs) * 1_000,
            send_millis: u64::from(partner_secs) * 1_000 / u64::from(CONTACT_PER_KEEPALIVE_TIME),
            heard: now,
            sent: now,
        }
    }

    /// A message came.
    pub fn heard(&mut self, now: Monotonic) {
        self.heard = now;
    }

    /// A message was sent.
    pub fn sent(&mut self, now: Monotonic) {
        self.sent = now;
    }

    /// When a CONTACT is due if nothing is sent before.
    pub fn contact_at(&self) -> Monotonic {
        Monotonic(self.sent.0.saturating_add(self.send_millis))
    }

    /// When the connection is dead if nothing is heard before.
    pub fn dead_at(&self) -> Monotonic {
        Monotonic(self.heard.0.saturating_add(self.silence_millis_max))
    }
}

/// How far the partner's clock is from this server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    samples: [i32; SKEW_SAMPLES],
    seen: usize,
}

impl Skew {
    /// Seconds by which a message, sent and received at these times, seems to have travelled.
    /// Negative: it came before it was sent.
    pub fn travel_secs(sent_time: u32, received: AbsTime) -> i32 {
        received.0.wrapping_sub(sent_time) as i32
    }

    /// Takes a message into account; the difference in seconds if it is more than
    /// [`SKEW_MAX_SECS`]. A message cannot come before it was sent, so that is believed at once;
    /// that it came late only if the quickest of the last eight did.
    pub fn observe(&mut self, sent_time: u32, received: AbsTime) -> Option<i32> {
        let travel = Self::travel_secs(sent_time, received);
        if let Some(sample) = self.samples.get_mut(self.seen % SKEW_SAMPLES) {
            *sample = travel;
        }
        self.seen = self.seen.saturating_add(1);
        let quickest = self.samples.iter().copied().min().unwrap_or(0);
        let sure = travel < 0 || self.seen >= SKEW_SAMPLES;
        let skew = if travel < 0 { travel } else { quickest };
        (sure && skew.unsigned_abs() > SKEW_MAX_SECS).then_some(skew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: AbsTime = AbsTime(800_000_000);

    #[test]
    fn rfc8156_6_6_contact_is_due_four_times_in_the_partners_time_and_silence_ends_in_ours() {
        let mut keepalive = Keepalive::new(60, 20, Monotonic(1_000));
        assert_eq!(keepalive.contact_at(), Monotonic(6_000));
        assert_eq!(keepalive.dead_at(), Monotonic(61_000));
        keepalive.sent(Monotonic(6_000));
        assert_eq!(keepalive.contact_at(), Monotonic(11_000));
        assert_eq!(keepalive.dead_at(), Monotonic(61_000));
        keepalive.heard(Monotonic(7_000));
        assert_eq!(keepalive.dead_at(), Monotonic(67_000));
    }

    #[test]
    fn rfc8156_7_5_1_four_seconds_are_none_and_six_are_too_many() {
        for (ahead, expected) in [(4, None), (5, None), (6, Some(-6))] {
            assert_eq!(Skew::default().observe(NOW.0 + ahead, NOW), expected);
        }
        let mut skew = Skew::default();
        let late: Vec<_> = (0..8).map(|_| skew.observe(NOW.0 - 6, NOW)).collect();
        assert_eq!(late[..7], [None; 7]);
        assert_eq!(late[7], Some(6));
    }

    #[test]
    fn one_message_that_was_not_held_up_proves_the_clocks_right() {
        let mut skew = Skew::default();
        assert_eq!(skew.observe(NOW.0, NOW), None);
        for _ in 0..7 {
            assert_eq!(skew.observe(NOW.0 - 60, NOW), None);
        }
        assert_eq!(skew.observe(NOW.0 - 60, NOW), Some(60));
    }

    #[test]
    fn times_that_wrap_are_near_each_other() {
        assert_eq!(Skew::travel_secs(u32::MAX, AbsTime(2)), 3);
    }
}
