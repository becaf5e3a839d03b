//! Mail to the workers, kept in order while an inbox is full.

use crate::partner::exchange::ToWorker;
use std::collections::VecDeque;

/// The way to the workers' inboxes.
pub trait Post: Send {
    /// Leaves mail for a worker and wakes it, unless the mail can wait.
    ///
    /// # Errors
    /// The mail, when the inbox is full.
    fn offer(&self, worker: usize, mail: ToWorker) -> Result<(), Box<ToWorker>>;
}

/// Mail on its way, by worker.
pub struct Mailroom {
    post: Box<dyn Post>,
    waiting: Vec<VecDeque<ToWorker>>,
}

impl Mailroom {
    /// For so many workers.
    pub fn new(post: Box<dyn Post>, workers: usize) -> Self {
        Self {
            post,
            waiting: (0..workers).map(|_| VecDeque::new()).collect(),
        }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.waiting.len()
    }

    /// Sends to one worker, behind all that was sent to it before.
    pub fn send(&mut self, worker: usize, mail: ToWorker) {
        if let Some(waiting) = self.waiting.get_mut(worker) {
            waiting.push_back(mail);
        }
    }

    /// Sends to all.
    pub fn send_all(&mut self, mail: impl Fn() -> ToWorker) {
        for waiting in &mut self.waiting {
            waiting.push_back(mail());
        }
    }

    /// Delivers what the inboxes take; whether that was all.
    pub fn deliver(&mut self) -> bool {
        let mut is_all = true;
        for (worker, waiting) in self.waiting.iter_mut().enumerate() {
            while let Some(mail) = waiting.pop_front() {
                if let Err(refused) = self.post.offer(worker, mail) {
                    waiting.push_front(*refused);
                    is_all = false;
                    break;
                }
            }
        }
        is_all
    }
}
