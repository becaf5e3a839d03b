//! All ports of one worker.

use core::time::Duration;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::counters::IoCounters;
use crate::rx::Rx;
use crate::tx::Tx;
use crate::waker::Waker;

/// The ports of one worker; receiving and sending are apart so that an answer can be written while
/// a received frame is borrowed.
pub struct WorkerIo {
    /// Datagrams in.
    pub rx: Rx,
    /// Answers out.
    pub tx: Tx,
    pub(crate) waker: Waker,
    pub(crate) counters: Arc<IoCounters>,
}

impl WorkerIo {
    /// What wakes this worker from [`wait`](Self::wait).
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// What the ports count.
    pub fn counters(&self) -> &Arc<IoCounters> {
        &self.counters
    }

    /// Does what this worker owes the others although it has nothing to do itself: their frames go
    /// back to the rings that it owns. Call it in every turn of the loop.
    pub fn settle(&mut self) {
        self.rx.bring_home();
        self.tx.flush();
    }

    /// Sleeps until a datagram arrives, [`Waker::wake`] is called, or `timeout` is over. Returns at
    /// once if `has_work` says so after the sleep has been announced: ask there for everything
    /// whose arrival calls the waker.
    pub fn wait(&mut self, timeout: Duration, has_work: impl FnOnce() -> bool) {
        self.waker.announce_sleep();
        if !has_work() && !self.rx.has_work() && !self.tx.has_work() {
            self.sleep(timeout);
            self.rx.read_kernels_next();
        }
        self.waker.awake();
    }

    fn sleep(&self, timeout: Duration) {
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let fds: Vec<BorrowedFd<'_>> = self.rx.fds().chain([self.waker.event()]).collect();
        let mut polled: Vec<PollFd<'_>> = fds
            .iter()
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        // Interrupted by a signal is as good as awake.
        let _ = poll(&mut polled, Some(&timeout));
    }
}
