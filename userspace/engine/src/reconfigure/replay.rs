//! Replay detection values (RFC 9915 §20.3): they only grow, over restarts too.

use core::sync::atomic::{AtomicU64, Ordering};
use lease::AbsTime;

/// Seconds by which the values that may be drawn are ahead of the time. After a crash values begin
/// behind all that might have been drawn, so this far ahead of the clock at most.
const AHEAD_SECS: u64 = 60;

/// The source of a server's values for RDM 0: the seconds since 1970 in the upper half, so that two
/// partners with synchronised clocks grow together, and in the lower half a count.
///
/// Values up to a limit may be drawn, which is to be on disk: see
/// [`wants_limit`](Self::wants_limit). Shared by all threads that send.
#[derive(Debug)]
pub struct Replay {
    last: AtomicU64,
    limit: AtomicU64,
}

impl Replay {
    /// Goes on behind `retained`, the limit that was on disk last; 0 for a server that has never
    /// sent a value. Nothing can be drawn before a limit is set.
    pub fn new(retained: u64) -> Self {
        Self {
            last: AtomicU64::new(retained),
            limit: AtomicU64::new(retained),
        }
    }

    /// A value greater than all before; `None` when the limit is reached.
    pub fn draw(&self, now: AbsTime) -> Option<u64> {
        let limit = self.limit.load(Ordering::Acquire);
        let next = |last: u64| Some(least(last, now)).filter(|next| *next <= limit);
        // The order between values is all that counts.
        let drawn = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        drawn.ok().map(|last| least(last, now))
    }

    /// The limit to write to disk and then to [`set`](Self::set_limit), if half of what was ahead
    /// is used up. To be asked every few seconds.
    pub fn wants_limit(&self, now: AbsTime) -> Option<u64> {
        let next = least(self.last.load(Ordering::Relaxed), now);
        let left = self.limit.load(Ordering::Relaxed).saturating_sub(next);
        let ahead = AHEAD_SECS << 32;
        (left < ahead / 2).then(|| next.saturating_add(ahead))
    }

    /// Allows values up to `limit`, which is on disk.
    pub fn set_limit(&self, limit: u64) {
        self.limit.fetch_max(limit, Ordering::Release);
    }

    /// The last value drawn: what an orderly stop leaves on disk.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }
}

/// The least value behind `last` that the time allows.
fn least(last: u64, now: AbsTime) -> u64 {
    last.saturating_add(1).max(now.unix_secs() << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: AbsTime = AbsTime(800_000_000);

    fn started(retained: u64) -> Replay {
        let replay = Replay::new(retained);
        replay.set_limit(replay.wants_limit(NOW).unwrap());
        replay
    }

    #[test]
    fn values_grow_within_a_second_and_when_the_clock_is_set_back() {
        let replay = started(0);
        let first = replay.draw(NOW).unwrap();
        assert_eq!(first, NOW.unix_secs() << 32);
        assert_eq!(replay.draw(NOW), Some(first + 1));
        assert_eq!(replay.draw(AbsTime(NOW.0 - 1_000)), Some(first + 2));
        assert!(replay.draw(AbsTime(NOW.0 + 1)).unwrap() > first + 2);
    }

    #[test]
    fn nothing_is_drawn_that_a_restart_could_repeat() {
        let replay = Replay::new(0);
        assert_eq!(replay.draw(NOW), None, "nothing is on disk");
        let limit = replay.wants_limit(NOW).unwrap();
        replay.set_limit(limit);
        assert_eq!(replay.wants_limit(NOW), None, "enough for a while");
        let late = AbsTime(NOW.0 + AHEAD_SECS as u32);
        let last = replay.draw(late).unwrap();
        assert!(last <= limit);
        assert_eq!(replay.draw(AbsTime(late.0 + 1)), None);
        // After a crash only the limit is known, and the clock may have been set back by hours.
        let early = AbsTime(NOW.0 - 10_000);
        let again = Replay::new(limit);
        again.set_limit(again.wants_limit(early).unwrap());
        assert!(again.draw(early).unwrap() > last);
    }

    #[test]
    fn threads_never_draw_the_same() {
        let replay = started(0);
        let draw = || {
            (0..2_000)
                .map(|_| replay.draw(NOW).unwrap())
                .collect::<Vec<_>>()
        };
        let mut drawn = std::thread::scope(|scope| {
            let other = scope.spawn(draw);
            [draw(), other.join().unwrap()].concat()
        });
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 4_000);
    }
}
