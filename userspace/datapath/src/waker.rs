//! Waking a worker that may be asleep in `poll(2)`, at the cost of a fence when it is not.
//!
//! The protocol is Dekker's. The sleeper announces, fences, and only then looks for work; the waker
//! publishes work, fences, and only then looks at the announcement. Whatever the interleaving, one
//! of the two sees the other, so no wake-up is lost.

use core::sync::atomic::{AtomicBool, Ordering, fence};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// A handle that wakes one worker; clones wake the same one.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    asleep: AtomicBool,
    event: OwnedFd,
}

impl Waker {
    /// A waker for one sleeper.
    ///
    /// # Errors
    /// What `eventfd(2)` says, for instance no more file descriptors.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let asleep = AtomicBool::new(false);
        Ok(Self {
            shared: Arc::new(Shared { asleep, event }),
        })
    }

    /// Makes the sleeper look for work again. Call after the work is visible to it.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::Relaxed)
            && self.shared.asleep.swap(false, Ordering::AcqRel)
        {
            // A full counter means that the sleeper is being woken already.
            let _ = rustix::io::write(&self.shared.event, &1_u64.to_ne_bytes());
        }
    }

    /// Announces sleep. The sleeper looks for work once more after this and before it blocks.
    pub(crate) fn announce_sleep(&self) {
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Takes the announcement back and eats a wake-up that came.
    pub(crate) fn awake(&self) {
        if !self.shared.asleep.swap(false, Ordering::AcqRel) {
            // Nothing to read when the waker is between its swap and its write: then the next
            // sleep ends at once, which does no harm.
            let _ = rustix::io::read(&self.shared.event, &mut [0; 8]);
        }
    }

    /// What to poll for reading while asleep.
    pub(crate) fn event(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::Waker;
    use core::sync::atomic::{AtomicU64, Ordering};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    const SECOND: Timespec = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };

    #[test]
    fn wake_before_sleep_costs_no_event_and_wake_during_sleep_ends_it() {
        let waker = Waker::new().unwrap();
        waker.wake();
        let no_wait = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let event = waker.event();
        assert_eq!(
            poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(&no_wait)),
            Ok(0)
        );
        waker.announce_sleep();
        waker.wake();
        assert_eq!(
            poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(&SECOND)),
            Ok(1)
        );
        waker.awake();
        assert_eq!(
            poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(&no_wait)),
            Ok(0)
        );
    }

    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        const ROUNDS: u64 = 20_000;
        let (ping, pong) = (Waker::new().unwrap(), Waker::new().unwrap());
        let (asked, answered) = (AtomicU64::new(0), AtomicU64::new(0));
        let wait_for = |waker: &Waker, counter: &AtomicU64, value: u64| {
            while counter.load(Ordering::Acquire) < value {
                waker.announce_sleep();
                if counter.load(Ordering::Acquire) < value {
                    let event = waker.event();
                    let woken = poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(&SECOND));
                    assert_eq!(woken, Ok(1), "a wake-up was lost");
                }
                waker.awake();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    wait_for(&ping, &asked, round);
                    answered.store(round, Ordering::Release);
                    pong.wake();
                }
            });
            for round in 1..=ROUNDS {
                asked.store(round, Ordering::Release);
                ping.wake();
                wait_for(&pong, &answered, round);
            }
        });
    }
}
