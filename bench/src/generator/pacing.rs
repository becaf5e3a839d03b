//! When each exchange is to begin, whatever the server does: an open loop.
//!
//! Latencies count from these times and not from when a frame really left, so that a generator or
//! a server that stalls is charged for everything that should have happened meanwhile (no
//! "coordinated omission").

/// Exchanges at a set rate from a time on; times in nanoseconds of the run's clock.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    begin_ns: u64,
    per_second: f64,
    total: u64,
    begun: u64,
}

impl Schedule {
    /// `total` exchanges at `per_second` from `begin_ns` on.
    ///
    /// # Panics
    /// If the rate is not positive.
    pub fn new(begin_ns: u64, per_second: f64, total: u64) -> Self {
        assert!(per_second > 0.0, "a rate of {per_second}");
        Self {
            begin_ns,
            per_second,
            total,
            begun: 0,
        }
    }

    /// The same from another time on.
    pub fn beginning_at(self, begin_ns: u64) -> Self {
        Self { begin_ns, ..self }
    }

    /// The next exchange that is due at `now_ns`: its index and its time. Asks to be called again.
    pub fn next_due(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        if self.begun == self.total {
            return None;
        }
        let at = self.time_of(self.begun);
        (at <= now_ns).then(|| {
            self.begun += 1;
            (self.begun - 1, at)
        })
    }

    /// How far the generator is behind at `now_ns`: exchanges that are due and not begun.
    pub fn behind(&self, now_ns: u64) -> u64 {
        let elapsed = now_ns.saturating_sub(self.begin_ns) as f64;
        let due = (elapsed * self.per_second / 1e9) as u64;
        due.min(self.total).saturating_sub(self.begun)
    }

    /// Whether every exchange has begun.
    pub fn is_done(&self) -> bool {
        self.begun == self.total
    }

    /// Nothing more is due.
    pub fn end_now(&mut self) {
        self.total = self.begun;
    }

    /// Exchanges begun.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    fn time_of(&self, index: u64) -> u64 {
        self.begin_ns + (index as f64 * 1e9 / self.per_second) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_are_due_at_their_times_and_not_before() {
        let mut schedule = Schedule::new(1_000, 1e6, 3);
        assert_eq!(schedule.next_due(999), None);
        assert_eq!(schedule.next_due(1_000), Some((0, 1_000)));
        assert_eq!(schedule.next_due(1_999), None);
        assert_eq!(schedule.next_due(5_000), Some((1, 2_000)));
        assert_eq!(schedule.next_due(5_000), Some((2, 3_000)));
        assert_eq!(schedule.next_due(u64::MAX / 2), None);
        assert!(schedule.is_done());
    }

    #[test]
    fn a_stall_does_not_move_the_times() {
        let mut schedule = Schedule::new(0, 1e3, 100);
        assert_eq!(schedule.behind(10_000_000), 10);
        let late = schedule.next_due(10_000_000).unwrap();
        assert_eq!(late, (0, 0), "the time is the intended one");
        assert_eq!(schedule.behind(10_000_000), 9);
        assert_eq!(
            schedule.behind(10_000_000_000),
            99,
            "no more than there are"
        );
    }
}
