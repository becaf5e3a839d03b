//! RECOVER-DONE (RFC 8156 §8.7): recovered; waits for the partner so that both become NORMAL.

use super::Next::{Go, Stay};
use super::ServerState::{CommunicationsInterrupted, Normal, PotentialConflict};
use super::{ByRole, OnPartner, Order, Row};
use lease::Answers;

pub(super) const ROW: Row = Row {
    partner: ByRole::both(OnPartner {
        normal: Go(Normal),
        // These two become NORMAL when they hear of RECOVER-DONE.
        communications_interrupted: Stay,
        partner_down: Stay,
        potential_conflict: Go(PotentialConflict),
        recover: Go(CommunicationsInterrupted),
        recover_wait: Go(CommunicationsInterrupted),
        recover_done: Go(Normal),
        // The RFC is silent. Either one meets only servers in POTENTIAL-CONFLICT.
        resolution_interrupted: Go(PotentialConflict),
        conflict_done: Go(PotentialConflict),
    }),
    failed: Stay,
    order: Order::Forced,
    timer: None,
    update_done: ByRole::both(Stay),
    answers: ByRole::both(Answers::RenewOnly),
    may_allocate: false,
    capped: true,
    replicates: false,
};
