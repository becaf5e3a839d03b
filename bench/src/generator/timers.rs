//! A million timers of a millisecond's grain: one list for each millisecond, threaded through an
//! array with a place for each client. A client has at most one timer.

/// Milliseconds that a timer may be ahead; later ones fire at the horizon, to be set again.
const HORIZON_MS: usize = 1 << 17;
const NONE: u32 = u32::MAX;

/// The timers of clients 0, 1, …
#[derive(Debug)]
pub struct Timers {
    heads: Vec<u32>,
    next: Vec<u32>,
    now_ms: u64,
}

impl Timers {
    /// No timer for any of so many clients.
    pub fn new(clients: usize) -> Self {
        Self {
            heads: vec![NONE; HORIZON_MS],
            next: vec![NONE; clients],
            now_ms: 0,
        }
    }

    /// Sets a client's timer, which must have fired or never have been set.
    pub fn set(&mut self, client: u32, due_ms: u64) {
        let due_ms = due_ms.clamp(self.now_ms, self.now_ms + HORIZON_MS as u64 - 1);
        let slot = due_ms as usize % HORIZON_MS;
        self.next[client as usize] = std::mem::replace(&mut self.heads[slot], client);
    }

    /// A client whose timer is due at `now_ms`, which is forgotten. Asks to be called again.
    pub fn pop(&mut self, now_ms: u64) -> Option<u32> {
        while self.now_ms <= now_ms {
            let slot = self.now_ms as usize % HORIZON_MS;
            let client = self.heads[slot];
            if client != NONE {
                self.heads[slot] = self.next[client as usize];
                return Some(client);
            }
            if self.now_ms == now_ms {
                break;
            }
            self.now_ms += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_once() {
        let mut timers = Timers::new(4);
        timers.set(0, 30);
        timers.set(1, 10);
        timers.set(2, 10);
        assert_eq!(timers.pop(9), None);
        let mut both = [timers.pop(10).unwrap(), timers.pop(10).unwrap()];
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
        assert_eq!(timers.pop(29), None);
        assert_eq!(timers.pop(500_000), Some(0));
        assert_eq!(timers.pop(500_000), None);
    }

    #[test]
    fn a_timer_set_while_its_millisecond_runs_fires_in_it() {
        let mut timers = Timers::new(2);
        assert_eq!(timers.pop(10), None);
        timers.set(0, 10);
        timers.set(1, 3);
        assert!(timers.pop(10).is_some() && timers.pop(10).is_some());
    }

    #[test]
    fn a_timer_beyond_the_horizon_fires_at_it() {
        let mut timers = Timers::new(1);
        timers.set(0, u64::MAX / 2);
        assert_eq!(timers.pop(HORIZON_MS as u64 - 2), None);
        assert_eq!(timers.pop(HORIZON_MS as u64 - 1), Some(0));
    }
}
