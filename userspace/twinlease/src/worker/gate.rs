//! Where workers meet, so that all begin to decide by a new model while none of them decides.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// All have come: each may pass.
const OPEN: u32 = u32::MAX;
/// One did not come in time: none passes.
const SHUT: u32 = u32::MAX - 1;
/// Looks at the gate before the core is given to another thread, which may be the one waited for.
const SPINS: u32 = 200;

/// For one meeting. It opens for all or for none.
#[derive(Debug)]
pub struct Gate {
    expected: u32,
    /// How many have come, or [`OPEN`], or [`SHUT`].
    state: AtomicU32,
}

impl Gate {
    /// A gate that opens when `expected` workers have come, at least one.
    pub fn new(expected: usize) -> Self {
        Self {
            expected: u32::try_from(expected).unwrap_or(SHUT - 1),
            state: AtomicU32::new(0),
        }
    }

    /// Comes to the gate and waits for the others, at most for `patience`. Whether it opened: then
    /// it opened for every other one too, and none of them has gone on before this one came.
    pub fn pass(&self, patience: Duration) -> bool {
        if !self.come() {
            return false;
        }
        let since = Instant::now();
        let mut spins = 0;
        loop {
            match self.state.load(Ordering::Acquire) {
                OPEN => return true,
                SHUT => return false,
                waiting if since.elapsed() > patience => {
                    let shut = self.state.compare_exchange(
                        waiting,
                        SHUT,
                        Ordering::AcqRel,
                        Ordering::Acquire,
                    );
                    if shut.is_ok() {
                        return false;
                    }
                }
                _ if spins < SPINS => {
                    spins += 1;
                    std::hint::spin_loop();
                }
                _ => std::thread::yield_now(),
            }
        }
    }

    /// Counts this worker in; `false` if the gate is shut already.
    fn come(&self) -> bool {
        let counted = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
                SHUT | OPEN => None,
                come if come + 1 == self.expected => Some(OPEN),
                come => Some(come + 1),
            });
        counted.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn nobody_passes_before_all_have_come() {
        for _ in 0..200 {
            let (gate, come) = (Arc::new(Gate::new(3)), Arc::new(AtomicUsize::new(0)));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (gate, come) = (Arc::clone(&gate), Arc::clone(&come));
                    thread::spawn(move || {
                        come.fetch_add(1, Ordering::SeqCst);
                        let passed = gate.pass(LONG);
                        (passed, come.load(Ordering::SeqCst))
                    })
                })
                .collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), (true, 3));
            }
        }
    }

    #[test]
    fn it_is_shut_for_all_once_one_has_given_up() {
        let gate = Gate::new(2);
        assert!(!gate.pass(Duration::ZERO));
        assert!(!gate.pass(LONG), "and nobody waits at a shut gate");
    }

    #[test]
    fn it_opens_for_all_or_for_none() {
        for round in 0..2000 {
            let gate = Arc::new(Gate::new(2));
            let other = {
                let gate = Arc::clone(&gate);
                thread::spawn(move || gate.pass(Duration::from_nanos(round)))
            };
            let own = gate.pass(Duration::from_nanos(round * 3));
            assert_eq!(own, other.join().unwrap());
        }
    }
}
