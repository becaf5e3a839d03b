//! Leases that have ended and that no partner has to hear of any more: found by a slow walk over
//! the shards, because most are free at once, by the partner's answer, and the rest only in
//! PARTNER-DOWN (RFC 8156 §8.4.1), where minutes do not count.

use super::desk::Desk;
use lease::AbsTime;

/// Places looked at in one turn: some microseconds.
const SLICE: usize = 64;
/// Slices in a second: a million bindings of a worker take a minute, and a busy one does not notice.
const SLICES_PER_SECOND: u32 = 256;

/// How far the walk has come.
#[derive(Default)]
pub struct ReclaimWalk {
    second: AbsTime,
    slices: u32,
    shard: usize,
    cursor: u32,
}

impl Desk {
    /// Looks at the next slice of bindings, if this second's share is not used up.
    pub fn reclaim(&mut self, now: AbsTime) {
        if !self.model.has_relationships() || !self.appender.has_room() {
            return;
        }
        let walk = &mut self.reclaim_walk;
        if walk.second != now {
            walk.second = now;
            walk.slices = 0;
        }
        if walk.slices == SLICES_PER_SECOND {
            return;
        }
        walk.slices += 1;
        let Some(id) = self.shards.owned().get(walk.shard).copied() else {
            walk.shard = 0;
            return;
        };
        let slice = (walk.cursor, SLICE);
        let (shards, context, mut recorder) = self.deciding(now);
        let shard = shards.get_mut(id);
        let next = engine::reclaim(&context, shard, slice, &mut |delta| recorder.record(delta));
        let walk = &mut self.reclaim_walk;
        match next {
            Some(cursor) => walk.cursor = cursor,
            None => {
                walk.shard += 1;
                walk.cursor = 0;
            }
        }
    }
}
