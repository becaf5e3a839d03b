//! The two clocks that every decision is given: none is ever read here.

use lease::AbsTime;

/// Milliseconds on a clock that never jumps, from an arbitrary beginning. Timers run on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// This many seconds later.
    pub fn plus_secs(self, secs: u32) -> Self {
        Self(self.0.saturating_add(u64::from(secs) * 1_000))
    }

    /// Milliseconds from `earlier` to `self`; 0 if that is later.
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One moment on both clocks: monotonic for timers, absolute for what servers tell each other and
/// keep over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time.
    pub mono: Monotonic,
    /// Wall clock, seconds since 2000.
    pub wall: AbsTime,
}
