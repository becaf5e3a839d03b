//! The loop of the generator: one thread that does nothing else, with the real clock.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::flow::{Load, Outgoing};
use super::port::Port;

/// Datagrams taken in one turn.
const RECEIVE_BATCH: usize = 64;
/// Messages sent in one turn: what one kick of an AF_XDP socket in copy mode takes.
const SEND_BATCH: usize = 32;
/// Between two looks of the observer.
const OBSERVE: Duration = Duration::from_millis(200);

/// How long a generator that sleeps does so when it has nothing to do.
const NAP: Duration = Duration::from_micros(20);

/// What the generator does while there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Keeps its core. Yielding instead costs milliseconds when another busy thread is there: the
    /// kernel takes it for a wish to wait a whole slice.
    Spin,
    /// Leaves its core to others for a moment: for a server that has threads on it as well.
    Sleep,
}

/// Runs the clock of a load.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the beginning.
    pub fn now_ns(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// Drives `load` through `port` until it is done or the observer, which is called a few times a
/// second, ends it by returning false.
pub fn drive<L: Load>(
    port: &mut dyn Port,
    load: &mut L,
    clock: Clock,
    idle: Idle,
    observer: &mut impl FnMut(&mut L, u64) -> bool,
) {
    // What came in while a reply could not be sent at once, and what found no room.
    let mut waiting: VecDeque<Outgoing> = VecDeque::with_capacity(RECEIVE_BATCH * 2);
    let mut observed = Instant::now();
    // Naps end when they should; where the kernel does not know it they are 50 µs longer.
    let _ = rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN));
    loop {
        port.receive(RECEIVE_BATCH, &mut |payload| {
            waiting.extend(load.take(clock.now_ns(), payload));
        });
        let now_ns = clock.now_ns();
        let mut room = true;
        let mut sent = 0;
        while sent < SEND_BATCH {
            let next = waiting.pop_front().or_else(|| load.next_due(now_ns));
            let Some(outgoing) = next else { break };
            let relay = load.relay(&outgoing);
            room = port.send(relay, &mut |buffer| load.write(&outgoing, buffer));
            if !room {
                waiting.push_front(outgoing);
                break;
            }
            sent += 1;
        }
        load.tally().sent += sent as u64;
        // A ring without room drains only by this.
        port.flush();
        if sent == 0 && room {
            if load.is_done(now_ns) {
                return;
            }
            match idle {
                Idle::Spin => std::hint::spin_loop(),
                Idle::Sleep => std::thread::sleep(NAP),
            }
        }
        if observed.elapsed() >= OBSERVE {
            observed = Instant::now();
            if !observer(load, now_ns) {
                return;
            }
        }
    }
}
