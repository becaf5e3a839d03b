//! What is counted in a run.

use hdrhistogram::Histogram;

use super::reply::Fault;

/// Latencies above this many nanoseconds are recorded as this.
const LATENCY_MAX_NS: u64 = 100_000_000_000;

/// The counts of one run. An exchange is one Solicit with all that follows, or one Renew, …; its
/// first stage is the first message of it and its second stage, if there is one, the Request.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Exchanges begun.
    pub begun: u64,
    /// How long after its intended time the last of them began, nanoseconds.
    pub last_late_ns: u64,
    /// Answers to first messages.
    pub first_answered: u64,
    /// Second messages sent.
    pub second_sent: u64,
    /// Exchanges that ended as they should, and in time.
    pub completed: u64,
    /// Messages sent, retransmissions included.
    pub sent: u64,
    /// Datagrams received, good and bad.
    pub received: u64,
    /// When the first of them ended, nanoseconds of the run's clock.
    pub first_completed_ns: Option<u64>,
    /// When the last of them did.
    pub last_completed_ns: Option<u64>,
    /// The longest time in which none ended, from the first one on, in nanoseconds.
    pub longest_silence_ns: u64,
    /// When another server than the one before first answered.
    pub other_server_ns: Option<u64>,
    /// By [`Fault`].
    faults: [u64; Fault::ALL.len()],
    /// From the intended time of an exchange to its end, in nanoseconds.
    pub latency: Histogram<u64>,
    /// From the sending of the second message to its answer, in nanoseconds.
    pub second_latency: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(100, LATENCY_MAX_NS, 3);
        let histogram = histogram.expect("the bounds are in order");
        Self {
            begun: 0,
            last_late_ns: 0,
            first_answered: 0,
            second_sent: 0,
            completed: 0,
            sent: 0,
            received: 0,
            first_completed_ns: None,
            last_completed_ns: None,
            longest_silence_ns: 0,
            other_server_ns: None,
            faults: [0; Fault::ALL.len()],
            latency: histogram.clone(),
            second_latency: histogram,
        }
    }
}

impl Tally {
    /// Counts an exchange that began at `begun_ns` and ends now as it should.
    pub fn complete(&mut self, begun_ns: u64, now_ns: u64) {
        self.completed += 1;
        self.first_completed_ns.get_or_insert(now_ns);
        self.silent_until(now_ns);
        self.last_completed_ns = Some(now_ns);
        record(&mut self.latency, now_ns - begun_ns);
    }

    /// No exchange has ended between the last one that did and now.
    pub fn silent_until(&mut self, now_ns: u64) {
        let silence = self.last_completed_ns.map_or(0, |last| now_ns - last);
        self.longest_silence_ns = self.longest_silence_ns.max(silence);
    }

    /// Counts a fault.
    pub fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// How often a fault was.
    #[cfg(test)]
    pub fn faults(&self, fault: Fault) -> u64 {
        self.faults[fault as usize]
    }

    /// The faults that were, with their counts.
    pub fn all_faults(&self) -> impl Iterator<Item = (Fault, u64)> {
        let all = Fault::ALL.into_iter().zip(self.faults);
        all.filter(|(_, count)| *count > 0)
    }

    /// Share of the exchanges that did not end in time.
    pub fn unanswered_ratio(&self) -> f64 {
        match self.begun {
            0 => 0.0,
            begun => (begun - self.completed) as f64 / begun as f64,
        }
    }

    /// First messages without an answer.
    pub fn lost_first(&self) -> u64 {
        self.begun - self.first_answered
    }

    /// Second messages without an answer in time.
    pub fn lost_second(&self) -> u64 {
        self.first_answered.saturating_sub(self.completed)
    }

    /// A latency of whole exchanges at a quantile, microseconds.
    pub fn latency_us(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// Records a latency.
pub fn record(histogram: &mut Histogram<u64>, ns: u64) {
    histogram.saturating_record(ns.min(LATENCY_MAX_NS));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_between_two_ends_or_the_last_one_and_the_end_of_the_run() {
        let mut tally = Tally::default();
        tally.silent_until(9_000);
        assert_eq!(tally.longest_silence_ns, 0, "nothing has ended yet");
        for end in [10_000, 12_000, 17_000, 18_000] {
            tally.complete(end - 1_000, end);
        }
        assert_eq!(tally.longest_silence_ns, 5_000);
        assert_eq!(tally.first_completed_ns, Some(10_000));
        tally.silent_until(30_000);
        assert_eq!(tally.longest_silence_ns, 12_000);
        assert_eq!(tally.completed, 4);
    }
}
