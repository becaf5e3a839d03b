//! What a worker does with a turn that found no work.

use crate::config::Idle;
use datapath::WorkerIo;
use std::time::{Duration, Instant};

/// How long `adaptive` spins before it sleeps: longer than a commit, so that a busy worker never
/// sleeps while a reply is about to become due, and short enough that an idle box is idle.
const SPIN: Duration = Duration::from_micros(300);
/// When the last work was, and what that means now.
pub struct Rest {
    mode: Idle,
    last_work: Instant,
}

impl Rest {
    /// Starts as if work had just been done.
    pub fn new(mode: Idle) -> Self {
        Self {
            mode,
            last_work: Instant::now(),
        }
    }

    /// A turn did something.
    pub fn worked(&mut self, now: Instant) {
        self.last_work = now;
    }

    /// A turn did nothing: spin or sleep until something arrives.
    pub fn idle(
        &mut self,
        io: &mut WorkerIo,
        at_most: Duration,
        has_work: impl FnOnce() -> bool,
        now: Instant,
    ) {
        let spin = match self.mode {
            Idle::BusyPoll => true,
            Idle::Adaptive => now.duration_since(self.last_work) < SPIN,
            Idle::Sleep => false,
        };
        if spin {
            std::hint::spin_loop();
        } else {
            io.wait(at_most, has_work);
        }
    }
}
