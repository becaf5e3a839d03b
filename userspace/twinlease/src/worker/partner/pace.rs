//! When a worker tells the partner: what changes within a millisecond is told together.
//!
//! To tell it wakes the control thread, and then the partner's threads and disk: under a load of ten
//! thousand exchanges a second, for each of them. The partner is not waited for by anybody, so a
//! millisecond is nothing to it.

use std::time::{Duration, Instant};

/// Between the moment at which everything has been told and the next BNDUPD.
pub const PAUSE: Duration = Duration::from_millis(1);

/// See the module. Without [`begin_turn`](Self::begin_turn) nothing is held back.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the present turn of the worker's loop began.
    turn: Option<Instant>,
    /// In which turn everything was told.
    told: Option<Instant>,
    waits: bool,
}

impl Pace {
    /// A turn of the worker's loop begins.
    pub fn begin_turn(&mut self, at: Instant) {
        self.turn = Some(at);
        self.waits = false;
    }

    /// There is something to tell: whether later.
    pub fn is_to_wait(&mut self) -> bool {
        let since = self.turn.zip(self.told);
        self.waits = since.is_some_and(|(turn, told)| turn.duration_since(told) < PAUSE);
        self.waits
    }

    /// Nothing is left to tell. A backlog does not come here before it is through, so that it is not
    /// held back.
    pub fn all_is_told(&mut self) {
        self.told = self.turn;
    }

    /// Whether something waits for its time, so that the worker may not sleep longer than
    /// [`PAUSE`].
    pub fn waits(&self) -> bool {
        self.waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_within_a_millisecond_waits_and_a_backlog_does_not() {
        let begin = Instant::now();
        let mut pace = Pace::default();
        assert!(!pace.is_to_wait(), "nobody holds turns");
        pace.begin_turn(begin);
        assert!(!pace.is_to_wait());
        // Not all of it: the next turn goes on.
        pace.begin_turn(begin + PAUSE / 10);
        assert!(!pace.is_to_wait());
        pace.all_is_told();
        for (after, waits) in [(2, true), (10, true), (11, false)] {
            pace.begin_turn(begin + PAUSE / 10 * after);
            assert!(!pace.waits(), "nothing to tell yet");
            assert_eq!(pace.is_to_wait(), waits, "{after}");
            assert_eq!(pace.waits(), waits);
        }
    }
}
