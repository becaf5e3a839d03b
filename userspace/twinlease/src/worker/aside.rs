//! Steps aside for those who commit what this worker waits for.
//!
//! Where every core has a worker, the journal's thread, and the kernel's threads behind a write to a
//! disk, have to run on a core that a worker keeps busy. Woken while the worker has just begun a
//! slice they wait until a tick of the kernel's finds it used up, 4 ms later at 250 Hz, and a commit
//! has several such steps. Yielding does not help: it is only to others of the same group of tasks.
//! So a worker whose commit is overdue sleeps for a moment, which lets them run at once.
//!
//! A disk that is slow by itself gains nothing from it: the longer a commit takes, the rarer it is.

use super::TIMER_SLACK_NS;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// A commit that takes longer is overdue, and after as long again the worker steps aside again.
const PATIENCE: Duration = Duration::from_micros(300);
/// So long without a commit its patience begins to grow.
const SLOW: Duration = Duration::from_millis(2);
/// A sleep that is over before the kernel has taken the core away lets nobody run.
const MOMENT: Duration = Duration::from_micros(20);

/// See the module; time is given as since the last commit, or since nothing was waited for.
pub struct Aside {
    since: Instant,
    /// When to step aside next, after `since`.
    next: Duration,
}

impl Aside {
    /// Nothing is waited for.
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            next: PATIENCE,
        }
    }

    /// There was a commit, or nothing is waited for.
    pub fn begin_anew(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Something is waited for: sleeps for a moment if it is time to.
    pub fn look(&mut self, now: Instant) {
        if self.is_due(now) {
            sleep_for_a_moment();
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let waited = now.duration_since(self.since);
        if waited < self.next {
            return false;
        }
        self.next = match waited < SLOW {
            true => waited + PATIENCE,
            false => waited * 2,
        };
        true
    }
}

/// With the slack of a worker's other sleeps it would be one until the kernel's next tick.
fn sleep_for_a_moment() {
    if rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN)).is_ok() {
        std::thread::sleep(MOMENT);
        // What was allowed once is allowed again.
        let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a worker steps aside that looks every 10 µs for so long.
    fn steps(micros: u64) -> usize {
        let began = Instant::now();
        let mut aside = Aside::new(began);
        let looks = (0..micros).step_by(10).map(Duration::from_micros);
        looks.filter(|&at| aside.is_due(began + at)).count()
    }

    #[test]
    fn a_commit_in_time_is_waited_for_at_work() {
        assert_eq!(steps(300), 0);
    }

    #[test]
    fn an_overdue_commit_finds_the_core_free_several_times_in_a_tick() {
        assert_eq!(steps(320), 1);
        assert_eq!(steps(2_000), 6);
    }

    #[test]
    fn a_slow_disk_costs_little() {
        assert!(steps(1_000_000) < 20);
    }

    #[test]
    fn a_commit_begins_anew() {
        let began = Instant::now();
        let mut aside = Aside::new(began);
        assert!(aside.is_due(began + PATIENCE));
        aside.begin_anew(began + PATIENCE);
        assert!(!aside.is_due(began + PATIENCE * 3 / 2));
    }
}
