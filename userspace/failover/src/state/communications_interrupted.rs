//! COMMUNICATIONS-INTERRUPTED (RFC 8156 §8.9): the partner cannot be heard and may be serving.

use super::Next::{Go, Stay};
use super::ServerState::{Normal, PartnerDown, PotentialConflict};
use super::{ByRole, OnPartner, Order, Row};
use lease::Answers;

pub(super) const ROW: Row = Row {
    partner: ByRole::both(OnPartner {
        normal: Go(Normal),
        communications_interrupted: Go(Normal),
        partner_down: Go(PotentialConflict),
        potential_conflict: Go(PotentialConflict),
        recover: Stay,
        // Only in Figure 6.
        recover_wait: Stay,
        recover_done: Go(Normal),
        resolution_interrupted: Go(PotentialConflict),
        conflict_done: Go(PotentialConflict),
    }),
    failed: Stay,
    order: Order::Obeyed,
    // auto-partner-down, if configured (§8.9.2).
    timer: Some(PartnerDown),
    update_done: ByRole::both(Stay),
    answers: ByRole::both(Answers::All),
    may_allocate: true,
    capped: true,
    // To a partner that recovers meanwhile.
    replicates: true,
};
