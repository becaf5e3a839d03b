//! PARTNER-DOWN (RFC 8156 §8.4): this server serves alone, the other one must not be running.
//!
//! Whoever it meets again while that one was, or may have been, serving is met in
//! POTENTIAL-CONFLICT. A partner in RECOVER or RECOVER-WAIT has not served and is being given what
//! it lacks. A partner's STATE with the STARTUP flag is not acted upon (§8.4.2), as in all states.

use super::Next::{Go, Stay};
use super::ServerState::{Normal, PotentialConflict};
use super::{ByRole, OnPartner, Order, Row};
use lease::Answers;

pub(super) const ROW: Row = Row {
    partner: ByRole::both(OnPartner {
        normal: Go(PotentialConflict),
        communications_interrupted: Go(PotentialConflict),
        partner_down: Go(PotentialConflict),
        potential_conflict: Go(PotentialConflict),
        recover: Stay,
        recover_wait: Stay,
        recover_done: Go(Normal),
        resolution_interrupted: Go(PotentialConflict),
        conflict_done: Go(PotentialConflict),
    }),
    failed: Stay,
    order: Order::Refused,
    timer: None,
    update_done: ByRole::both(Stay),
    answers: ByRole::both(Answers::All),
    may_allocate: true,
    capped: false,
    // Whoever recovers from this server goes to NORMAL later; until then leases are given without
    // the bound of MCLT, so what it has not heard of by then must be next to nothing.
    replicates: true,
};
