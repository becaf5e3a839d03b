//! When the next commit may begin.
//!
//! A commit costs some 40 µs of processor time, a block of the disk and a wake-up of every worker
//! in it, however few its records are. Where records come faster than the disk takes commits one after
//! the other, waiting a little puts more of them into each. Somebody who is alone waits for nothing.

use std::time::{Duration, Instant};

/// Least time between the beginnings of two commits under load: little more than one write of a
/// fast disk, so that what arrives just after a commit began is not long behind the next.
const SPACING: Duration = Duration::from_micros(200);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    next_at: Option<Instant>,
}

impl Pace {
    /// How long to go on gathering, at `now`, before the next commit; zero for one that nothing
    /// was submitted beside.
    pub fn left(&self, now: Instant) -> Duration {
        self.next_at
            .map(|at| at.saturating_duration_since(now))
            .unwrap_or_default()
    }

    /// A commit is over that began then; `waiting` says whether records were submitted meanwhile.
    pub fn committed(&mut self, began: Instant, waiting: bool) {
        self.next_at = waiting.then(|| began + SPACING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_commit_beside_which_nothing_came_holds_nobody_up() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        assert_eq!(pace.left(began), Duration::ZERO);
        pace.committed(began, false);
        assert_eq!(pace.left(began + after(100)), Duration::ZERO);
    }

    #[test]
    fn what_came_during_a_commit_waits_for_more_until_the_spacing_is_over() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        pace.committed(began, true);
        assert_eq!(pace.left(began + after(100)), SPACING - after(100));
        assert_eq!(pace.left(began + SPACING), Duration::ZERO);
        assert_eq!(pace.left(began + after(5_000)), Duration::ZERO);
        pace.committed(began + SPACING, false);
        assert_eq!(pace.left(began + SPACING + after(1)), Duration::ZERO);
    }
}
