//! BNDUPDs that wait for their BNDREPLY (RFC 8156 §6.1, MAX_UNACKED_BNDUPD; §5.4).

use crate::endpoint::CONTROL_IDS_MAX;
use crate::time::Monotonic;
use std::collections::VecDeque;
use wire::failover::TransactionId;

/// Seconds that the oldest BNDUPD waits for its answer before the partner is taken to be stuck
/// (§8.8.2).
pub const REPLY_SECS_MAX: u32 = 30;

const FIRST_ID: u32 = CONTROL_IDS_MAX + 1;
const IDS: u32 = (1 << 24) - FIRST_ID;

/// The BNDUPDs of one connection that have no answer yet, each with what the sender wants to know
/// when it comes.
///
/// Transaction-ids are given one after the other from those above [`CONTROL_IDS_MAX`], so the
/// oldest is in front and an answer is found by its distance from it. As no more ids are
/// outstanding than the window is wide, none is given twice.
#[derive(Debug)]
pub struct Window<T> {
    width: u32,
    /// Distance of the front's id from the first id.
    front: u32,
    sent: VecDeque<Option<Sent<T>>>,
    outstanding: u32,
}

#[derive(Debug)]
struct Sent<T> {
    at: Monotonic,
    what: T,
}

impl<T> Window<T> {
    /// For a new connection whose partner takes `width` BNDUPDs.
    pub fn new(width: u32) -> Self {
        Self {
            width: width.min(IDS / 2),
            front: 0,
            sent: VecDeque::new(),
            outstanding: 0,
        }
    }

    /// How many more may be sent now.
    pub fn room(&self) -> u32 {
        // Answers may come out of order: what is spanned counts too, so that ids stay unique.
        let span = self.sent.len() as u32;
        let by_span = (IDS / 2).saturating_sub(span);
        self.width.saturating_sub(self.outstanding).min(by_span)
    }

    /// How many wait for an answer.
    pub fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// The transaction-id of the next BNDUPD, which is sent now; `what` comes back with its
    /// answer.
    ///
    /// # Errors
    /// `what`, if there is no room.
    pub fn send(&mut self, what: T, now: Monotonic) -> Result<TransactionId, T> {
        if self.room() == 0 {
            return Err(what);
        }
        let id = id_at(self.front.wrapping_add(self.sent.len() as u32));
        self.sent.push_back(Some(Sent { at: now, what }));
        self.outstanding += 1;
        Ok(id)
    }

    /// The answer to `id` has come: what it was about. `None`: nothing of that id is outstanding.
    pub fn answer(&mut self, id: TransactionId) -> Option<T> {
        let distance = id.get().checked_sub(FIRST_ID)?;
        let index = (distance + IDS - self.front % IDS) % IDS;
        let sent = self.sent.get_mut(index as usize)?.take()?;
        self.outstanding -= 1;
        while let Some(None) = self.sent.front() {
            self.sent.pop_front();
            self.front = (self.front + 1) % IDS;
        }
        Some(sent.what)
    }

    /// When the oldest without an answer was sent.
    pub fn oldest(&self) -> Option<Monotonic> {
        self.sent.front()?.as_ref().map(|sent| sent.at)
    }

    /// Whether the oldest has waited longer than [`REPLY_SECS_MAX`].
    pub fn is_overdue(&self, now: Monotonic) -> bool {
        self.oldest()
            .is_some_and(|at| at.plus_secs(REPLY_SECS_MAX) <= now)
    }
}

fn id_at(distance: u32) -> TransactionId {
    TransactionId::new(FIRST_ID + distance % IDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc8156_6_1_no_more_than_the_partner_takes() {
        let mut window = Window::new(2);
        let one = window.send('a', Monotonic(1)).unwrap();
        window.send('b', Monotonic(2)).unwrap();
        assert_eq!(window.send('c', Monotonic(3)), Err('c'));
        assert_eq!(window.answer(one), Some('a'));
        assert_eq!(window.answer(one), None);
        assert_eq!(window.oldest(), Some(Monotonic(2)));
        assert!(window.send('c', Monotonic(3)).is_ok());
    }

    #[test]
    fn rfc8156_5_4_ids_wrap_without_meeting_those_of_control_exchanges() {
        let mut window = Window::new(3);
        window.front = IDS - 2;
        let ids: Vec<_> = (0..3)
            .map(|n| window.send(n, Monotonic(n)).unwrap().get())
            .collect();
        assert_eq!(ids, [0xff_fffe, 0xff_ffff, 0x1_0000]);
        for (n, id) in ids.into_iter().enumerate().rev() {
            assert_eq!(window.answer(TransactionId::new(id)), Some(n as u64));
        }
        assert_eq!(window.outstanding(), 0);
        assert_eq!(window.send(9, Monotonic(9)).unwrap().get(), 0x1_0001);
        assert_eq!(window.answer(TransactionId::new(7)), None);
    }

    #[test]
    fn an_answer_that_does_not_come_is_noticed() {
        let mut window = Window::new(4);
        let id = window.send((), Monotonic(0)).unwrap();
        assert!(!window.is_overdue(Monotonic(29_999)));
        assert!(window.is_overdue(Monotonic(30_000)));
        window.answer(id);
        assert!(!window.is_overdue(Monotonic(30_000)));
    }

    proptest! {
        #[test]
        fn every_answer_finds_what_it_was_about(order in proptest::collection::vec(any::<u16>(), 1..200)) {
            let mut window = Window::new(16);
            window.front = IDS - 50;
            let mut open: Vec<(TransactionId, usize)> = Vec::new();
            for (n, pick) in order.into_iter().enumerate() {
                match window.send(n, Monotonic(n as u64)) {
                    Ok(id) => {
                        prop_assert!(open.iter().all(|(other, _)| *other != id));
                        prop_assert!(id.get() > CONTROL_IDS_MAX);
                        open.push((id, n));
                    }
                    Err(_) => {
                        let (id, n) = open.swap_remove(usize::from(pick) % open.len());
                        prop_assert_eq!(window.answer(id), Some(n));
                    }
                }
                prop_assert_eq!(window.outstanding() as usize, open.len());
            }
        }
    }
}
