//! When which client is sent a Reconfigure (RFC 9915 §18.3.11), as a function of the time that it
//! is told.

use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

/// Clients that wait for an answer at the same time.
pub const IN_FLIGHT_MAX: usize = 100_000;
/// What was not sent because nobody came to ask may be made up for at once, but no more.
const CATCH_UP_MAX: Duration = Duration::from_millis(100);

/// How long a client is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// REC_TIMEOUT: from the first transmission to the second; every further wait is twice as long.
    pub timeout: Duration,
    /// REC_MAX_RC: transmissions.
    pub attempts: u8,
}

impl Default for Patience {
    /// As RFC 9915 §7.6 has it.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            attempts: 8,
        }
    }
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<C> {
    /// Send this client its message: with it, so many transmissions.
    Send(u32, C, u8),
    /// It has not answered and is to be waited for no longer.
    GiveUp(u32, C),
}

/// The clients of one order, each at its transmission, and a pace for all of them together. Times
/// are counted from the beginning of the order.
#[derive(Debug)]
pub struct Schedule<C> {
    patience: Patience,
    /// Between two transmissions.
    gap: Duration,
    /// When the next one may leave.
    free_at: Duration,
    clients: HashMap<u32, Waiting<C>>,
    due: BTreeSet<(Duration, u32)>,
    next: u32,
}

#[derive(Debug)]
struct Waiting<C> {
    client: C,
    sent: u8,
    due: Duration,
}

impl<C: Clone> Schedule<C> {
    /// Without clients, for at most so many transmissions a second.
    pub fn new(per_second: NonZeroU32, patience: Patience) -> Self {
        Self {
            patience,
            gap: Duration::from_secs(1) / per_second.get(),
            free_at: Duration::ZERO,
            clients: HashMap::new(),
            due: BTreeSet::new(),
            next: 0,
        }
    }

    /// Whether one more client would be sent its message at once: nobody waits to be sent one, the
    /// pace allows it, and there are not too many that have not answered.
    pub fn has_room(&self, now: Duration) -> bool {
        let none_is_due = self.due.first().is_none_or(|(due, _)| *due > now);
        none_is_due && self.free_at <= now && self.clients.len() < IN_FLIGHT_MAX
    }

    /// One more client; its number.
    pub fn add(&mut self, client: C, now: Duration) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let waiting = Waiting {
            client,
            sent: 0,
            due: now,
        };
        self.due.insert((now, number));
        self.clients.insert(number, waiting);
        number
    }

    /// What is to be done now, the most overdue first; `None` until [`wake_at`](Self::wake_at).
    pub fn next(&mut self, now: Duration) -> Option<Next<C>> {
        let (due, number) = *self.due.first()?;
        if due > now {
            return None;
        }
        let waiting = self.clients.get_mut(&number)?;
        if waiting.sent >= self.patience.attempts {
            let (client, _) = self.remove(number)?;
            return Some(Next::GiveUp(number, client));
        }
        if self.free_at > now {
            return None;
        }
        self.free_at = self.free_at.max(now.saturating_sub(CATCH_UP_MAX)) + self.gap;
        let wait = self.patience.timeout * (1 << u32::from(waiting.sent).min(16));
        waiting.sent += 1;
        // From when it is sent and not from when it should have been.
        waiting.due = now + wait;
        self.due.remove(&(due, number));
        self.due.insert((waiting.due, number));
        Some(Next::Send(number, waiting.client.clone(), waiting.sent))
    }

    /// Forgets a client that has answered or cannot be reached; gives it, and its transmissions.
    pub fn remove(&mut self, number: u32) -> Option<(C, u8)> {
        let waiting = self.clients.remove(&number)?;
        self.due.remove(&(waiting.due, number));
        Some((waiting.client, waiting.sent))
    }

    /// When there will be something to do; `None` without clients.
    pub fn wake_at(&self) -> Option<Duration> {
        let (due, _) = self.due.first()?;
        Some((*due).max(self.free_at))
    }

    /// Clients that have not answered.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether nobody is waited for.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(per_second: u32) -> Schedule<&'static str> {
        Schedule::new(NonZeroU32::new(per_second).unwrap(), Patience::default())
    }

    /// Every step with its time, in milliseconds, until nobody waits.
    fn run(schedule: &mut Schedule<&'static str>) -> Vec<(u128, Next<&'static str>)> {
        let mut steps = Vec::new();
        while let Some(at) = schedule.wake_at() {
            while let Some(next) = schedule.next(at) {
                steps.push((at.as_millis(), next));
            }
        }
        steps
    }

    #[test]
    fn rfc9915_18_3_11_the_wait_doubles_from_2_s_and_ends_after_8_transmissions() {
        let mut schedule = schedule(100);
        let number = schedule.add("a", Duration::ZERO);
        let mut steps = run(&mut schedule);
        assert_eq!(steps.pop(), Some((510_000, Next::GiveUp(number, "a"))));
        let at: Vec<u128> = steps.iter().map(|(at, _)| *at).collect();
        assert_eq!(at, [0, 2, 6, 14, 30, 62, 126, 254].map(|secs| secs * 1000));
        for (count, (_, step)) in (1..).zip(steps) {
            assert_eq!(step, Next::Send(number, "a", count));
        }
        assert!(schedule.is_empty());
    }

    #[test]
    fn whoever_has_answered_is_sent_nothing_more() {
        let mut schedule = schedule(100);
        let number = schedule.add("a", Duration::ZERO);
        assert_eq!(
            schedule.next(Duration::ZERO),
            Some(Next::Send(number, "a", 1))
        );
        assert_eq!(schedule.remove(number), Some(("a", 1)));
        assert_eq!(schedule.remove(number), None, "an answer may come twice");
        assert_eq!(run(&mut schedule), []);
    }

    #[test]
    fn no_second_has_more_transmissions_than_the_pace_and_its_catching_up() {
        let mut schedule = schedule(10);
        let mut sent = Vec::new();
        for step in 0..2_000 {
            // Asked at odd moments, and after a pause of seconds.
            let now = Duration::from_millis(step * 37 + if step > 700 { 5_000 } else { 0 });
            if schedule.has_room(now) && step < 1_000 {
                schedule.add("a", now);
            }
            while let Some(next) = schedule.next(now) {
                if matches!(next, Next::Send(..)) {
                    sent.push(now);
                }
            }
        }
        assert!(sent.len() > 400, "the pace is used: {}", sent.len());
        for (index, from) in sent.iter().enumerate() {
            let within = |at: &&Duration| **at < *from + Duration::from_secs(1);
            let count = sent[index..].iter().take_while(within).count();
            assert!(count <= 12, "{count} in the second from {from:?}");
        }
    }

    #[test]
    fn new_clients_wait_for_retransmissions_and_for_the_pace() {
        let mut schedule = schedule(1);
        let at = Duration::from_millis;
        assert!(schedule.has_room(at(0)));
        schedule.add("a", at(0));
        assert!(!schedule.has_room(at(0)), "one is due");
        assert!(matches!(schedule.next(at(0)), Some(Next::Send(..))));
        assert!(!schedule.has_room(at(500)), "a second for each");
        assert!(schedule.has_room(at(1_000)));
        assert!(!schedule.has_room(at(2_000)), "the first is due again");
    }
}
