//! The search for the highest rate that a server bears.

/// Raises the rate until it is too much, then halves the gap until it is narrow.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    rate: f64,
    good: Option<f64>,
    bad: Option<f64>,
    second_try: bool,
    /// Ratio of the lowest bad to the highest good rate at which the search ends.
    precision: f64,
}

/// Factor of each raise.
const RAISE: f64 = 1.6;
/// A rate below this is not searched for.
const RATE_MIN: f64 = 1.0;

impl Search {
    /// Begins at `rate` exchanges a second.
    pub fn new(rate: f64, precision: f64) -> Self {
        Self {
            rate,
            good: None,
            bad: None,
            second_try: false,
            precision,
        }
    }

    /// The rate to try; `None` at the end of the search.
    pub fn next_rate(&self) -> Option<f64> {
        let narrow = match (self.good, self.bad) {
            (Some(good), Some(bad)) => bad / good <= self.precision,
            (None, Some(bad)) => bad <= RATE_MIN,
            _ => false,
        };
        (!narrow).then_some(self.rate)
    }

    /// Whether the rate was borne. A rate counts as too much when it failed twice: a single stall
    /// of a shared machine must not end the search below what the server bears.
    pub fn tried(&mut self, borne: bool) {
        let rate = self.rate;
        if !borne && !self.second_try {
            self.second_try = true;
            return;
        }
        self.second_try = false;
        let slot = if borne { &mut self.good } else { &mut self.bad };
        *slot = Some(rate);
        self.rate = match (self.good, self.bad) {
            (Some(good), Some(bad)) => (good * bad).sqrt(),
            (Some(good), None) => good * RAISE,
            (None, Some(bad)) => bad / RAISE / RAISE,
            (None, None) => rate,
        };
    }

    /// The highest rate that was borne.
    pub fn best(&self) -> Option<f64> {
        self.good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(from: f64, limit: f64) -> (f64, usize) {
        let mut search = Search::new(from, 1.03);
        let mut tries = 0;
        while let Some(rate) = search.next_rate() {
            search.tried(rate <= limit);
            tries += 1;
        }
        (search.best().unwrap_or(0.0), tries)
    }

    #[test]
    fn the_limit_is_found_from_below_and_from_above() {
        for (from, limit) in [(1_000.0, 250_000.0), (1e6, 9_500.0), (100_000.0, 100_000.0)] {
            let (found, tries) = searched(from, limit);
            assert!(found <= limit && found > limit / 1.03, "{found} of {limit}");
            assert!(tries < 30, "{tries}");
        }
    }

    #[test]
    fn a_server_that_bears_nothing_ends_the_search() {
        let (found, tries) = searched(1e5, 0.0);
        assert_eq!(found, 0.0);
        assert!(tries < 40, "{tries}");
    }

    #[test]
    fn one_stall_does_not_end_the_search() {
        let mut search = Search::new(100.0, 1.03);
        let mut stalled = false;
        while let Some(rate) = search.next_rate() {
            let stall = rate > 900.0 && !std::mem::replace(&mut stalled, rate > 900.0);
            search.tried(rate <= 2_000.0 && !stall);
        }
        assert!(search.best().unwrap() > 1_940.0);
    }
}
