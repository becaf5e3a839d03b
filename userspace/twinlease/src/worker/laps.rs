//! Where a worker's time goes, stage by stage of its loop.
//!
//! Reading the clock between all stages would cost a few percent, so one pass in [`SAMPLE`] is
//! looked at, and counts for all of them.

use crate::counters::{Stage, Stages};
use std::time::Instant;

/// Of so many passes one is looked at. Prime, so that it keeps step with nothing.
const SAMPLE: u32 = 13;

/// The stages of one pass.
pub struct Laps {
    passes: u32,
    /// When the last stage ended, in a pass that is looked at.
    last: Option<Instant>,
    ns: [u64; Stage::COUNT],
}

impl Laps {
    pub fn new() -> Self {
        Self {
            passes: 0,
            last: None,
            ns: [0; Stage::COUNT],
        }
    }

    /// A pass begins.
    #[inline]
    pub fn begin(&mut self, now: Instant) {
        self.passes = (self.passes + 1) % SAMPLE;
        self.last = (self.passes == 0).then_some(now);
        self.ns = [0; Stage::COUNT];
    }

    /// What was done since the last call, or since the beginning, was this.
    #[inline]
    pub fn end(&mut self, stage: Stage) {
        if let Some(last) = &mut self.last {
            let now = Instant::now();
            self.ns[stage as usize] += now.duration_since(*last).as_nanos() as u64;
            *last = now;
        }
    }

    /// The pass found work: its stages count.
    #[inline]
    pub fn count(&self, stages: &Stages) {
        if self.last.is_some() {
            stages.add(self.ns.map(|ns| ns * u64::from(SAMPLE)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_of_many_counts_for_all() {
        let (mut laps, stages) = (Laps::new(), Stages::default());
        for pass in 1..=SAMPLE {
            laps.begin(Instant::now());
            laps.end(Stage::Receive);
            std::thread::sleep(std::time::Duration::from_millis(1));
            laps.end(Stage::Send);
            laps.count(&stages);
            assert_eq!(stages.snapshot()["send"] > 0, pass == SAMPLE);
        }
        let counted = stages.snapshot();
        assert!(counted["send"] >= u64::from(SAMPLE) * 1_000_000);
        assert!(counted["receive"] < counted["send"]);
    }
}
