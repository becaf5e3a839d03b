//! When bindings end: a hierarchical timing wheel of 4 × 256 lists with a tick of one second.
//!
//! The lists run through the bindings themselves. A binding is on the level of the highest octet
//! in which its end differs from `cursor`, in the list of that octet's value; four levels cover
//! every [`AbsTime`]. Each level has a bitmap of its lists that are not empty, so that time jumps
//! from one of them to the next however far apart they are.
//!
//! ```text
//!  armed ──▶ level 3 ──▶ level 2 ──▶ level 1 ──▶ level 0 ──▶ due ──▶ handed out
//!                 └─ draining ┴─ draining ┴─ draining ┘
//! ```
//!
//! When `cursor` reaches a list of level 0, all of it is due. A list of level 1 to 3 becomes
//! *draining*: its bindings are put into place again a few at a time, as the caller's budget
//! allows, and `cursor` stays until none is left. When the clock went back, every list becomes
//! draining, under the earlier cursor.
//!
//! Invariants: nothing is handed out before its end by the `now` of that call. While nothing is
//! draining, no armed binding that is not `due` ends at or before `cursor`, and each lies in the
//! list that `cursor` and its end say.

use super::slab::{NIL, Slab};
use super::stored::Stored;
use crate::AbsTime;

const LEVELS: usize = 4;
const SLOTS: usize = 256;
const LISTS: usize = LEVELS * SLOTS;
/// Bindings whose end has come.
const DUE: usize = LISTS;
/// The draining lists follow the others, at the same distance for each, `DUE` included.
const DRAINING: usize = LISTS + 1;
/// In `prev`: this binding is the first of the list whose number is in the other bits.
const FIRST: u32 = 1 << 31;

/// See the module.
pub(super) struct Wheel {
    cursor: u32,
    /// The first binding of each list, or `NIL`.
    heads: Box<[u32; 2 * DRAINING]>,
    /// Which lists of each level are not empty.
    occupied: [Bits; LEVELS],
    /// Which of the draining lists may be not empty; `DUE`'s is beyond the levels.
    draining: [Bits; LEVELS],
    draining_due: bool,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            cursor: 0,
            heads: Box::new([NIL; 2 * DRAINING]),
            occupied: [Bits::default(); LEVELS],
            draining: [Bits::default(); LEVELS],
            draining_due: false,
        }
    }

    /// Puts a binding that is not armed into place; one that never ends stays unarmed.
    pub(super) fn arm(&mut self, slab: &mut Slab<Stored>, id: u32) {
        let end = slab[id].expires();
        if end == AbsTime::NEVER {
            return;
        }
        let list = if end.0 <= self.cursor {
            DUE
        } else {
            let level = (end.0 ^ self.cursor).ilog2() as usize / 8;
            let slot = digit(end.0, level);
            self.occupied[level].set(slot);
            level * SLOTS + slot
        };
        let head = self.heads[list];
        if head != NIL {
            slab[head].prev = id;
        }
        let binding = &mut slab[id];
        binding.next = head;
        binding.prev = FIRST | list as u32;
        self.heads[list] = id;
    }

    /// Takes a binding out of its list, if it is in one.
    pub(super) fn disarm(&mut self, slab: &mut Slab<Stored>, id: u32) {
        let (next, prev) = (slab[id].next, slab[id].prev);
        if prev == NIL {
            return;
        }
        if next != NIL {
            slab[next].prev = prev;
        }
        if prev & FIRST == 0 {
            slab[prev].next = next;
        } else {
            let list = (prev & !FIRST) as usize;
            self.heads[list] = next;
            if next == NIL {
                self.note_empty(list);
            }
        }
        let binding = &mut slab[id];
        binding.next = NIL;
        binding.prev = NIL;
    }

    /// One binding that has ended by `now`, still armed: disarm it before the next call. `None`
    /// when there is none or `budget`, lowered by one for each binding looked at, is used up.
    pub(super) fn next_due(
        &mut self,
        slab: &mut Slab<Stored>,
        now: AbsTime,
        budget: &mut usize,
    ) -> Option<u32> {
        while *budget > 0 {
            if let Some(id) = self.first_draining() {
                *budget -= 1;
                self.disarm(slab, id);
                self.arm(slab, id);
                continue;
            }
            if now.0 < self.cursor {
                self.turn_back(slab, now.0);
                continue;
            }
            let due = self.heads[DUE];
            if due != NIL {
                *budget -= 1;
                return Some(due);
            }
            match self.next_list() {
                Some((time, list)) if time <= now.0 => {
                    self.cursor = time;
                    if list < SLOTS {
                        self.splice(slab, list, DUE);
                    } else {
                        self.drain(slab, list);
                    }
                }
                _ => {
                    self.cursor = now.0;
                    return None;
                }
            }
        }
        None
    }

    /// When [`next_due`](Self::next_due) has something to do: never later than the first end.
    pub(super) fn next_wake(&self) -> Option<AbsTime> {
        if self.heads[DUE] != NIL || self.first_draining().is_some() {
            return Some(AbsTime(self.cursor));
        }
        self.next_list().map(|(time, _)| AbsTime(time))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.heads)
    }

    /// The list that `cursor` reaches first, and when.
    fn next_list(&self) -> Option<(u32, usize)> {
        (0..LEVELS).find_map(|level| {
            let slot = self.occupied[level].first_after(digit(self.cursor, level))?;
            let above = u32::MAX.checked_shl(8 * (level as u32 + 1)).unwrap_or(0);
            let time = self.cursor & above | (slot as u32) << (8 * level);
            Some((time, level * SLOTS + slot))
        })
    }

    /// Makes a list draining.
    fn drain(&mut self, slab: &mut Slab<Stored>, list: usize) {
        self.splice(slab, list, DRAINING + list);
        if list == DUE {
            self.draining_due = self.heads[DRAINING + DUE] != NIL;
        } else {
            self.draining[list / SLOTS].set(list % SLOTS);
        }
    }

    /// Moves all of a list to an empty one, in one step however long it is.
    fn splice(&mut self, slab: &mut Slab<Stored>, list: usize, to: usize) {
        let head = core::mem::replace(&mut self.heads[list], NIL);
        self.note_empty(list);
        self.heads[to] = head;
        if head != NIL {
            slab[head].prev = FIRST | to as u32;
        }
    }

    /// The clock went back: everything is put into place again as seen from `now`.
    fn turn_back(&mut self, slab: &mut Slab<Stored>, now: u32) {
        for level in 0..LEVELS {
            while let Some(slot) = self.occupied[level].first() {
                self.drain(slab, level * SLOTS + slot);
            }
        }
        self.drain(slab, DUE);
        self.cursor = now;
    }

    fn first_draining(&self) -> Option<u32> {
        let list = if self.draining_due {
            DUE
        } else {
            (0..LEVELS).find_map(|level| Some(level * SLOTS + self.draining[level].first()?))?
        };
        Some(self.heads[DRAINING + list])
    }

    fn note_empty(&mut self, list: usize) {
        match list.checked_sub(DRAINING) {
            Some(DUE) => self.draining_due = false,
            Some(list) => self.draining[list / SLOTS].clear(list % SLOTS),
            None if list == DUE => {}
            None => self.occupied[list / SLOTS].clear(list % SLOTS),
        }
    }
}

fn digit(time: u32, level: usize) -> usize {
    (time >> (8 * level)) as usize % SLOTS
}

/// 256 bits.
#[derive(Clone, Copy, Default)]
struct Bits([u64; 4]);

impl Bits {
    fn set(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    fn clear(&mut self, bit: usize) {
        self.0[bit / 64] &= !(1 << (bit % 64));
    }

    fn first(&self) -> Option<usize> {
        self.from(0)
    }

    fn first_after(&self, bit: usize) -> Option<usize> {
        self.from(bit + 1)
    }

    fn from(&self, from: usize) -> Option<usize> {
        let mut mask = u64::MAX << (from % 64);
        for word in from / 64..self.0.len() {
            let set = self.0[word] & mask;
            if set != 0 {
                return Some(word * 64 + set.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }
}
