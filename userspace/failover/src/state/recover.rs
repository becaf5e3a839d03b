//! RECOVER (RFC 8156 §8.5): this server fetches from its partner what it lost or missed.

use super::Next::{Go, Request, Stay};
use super::ServerState::{PotentialConflict, RecoverWait};
use super::{ByRole, OnPartner, Order, Row};
use lease::Answers;

pub(super) const ROW: Row = Row {
    partner: ByRole::both(OnPartner {
        normal: Request,
        communications_interrupted: Request,
        partner_down: Request,
        potential_conflict: Go(PotentialConflict),
        recover: Request,
        recover_wait: Request,
        recover_done: Request,
        resolution_interrupted: Go(PotentialConflict),
        conflict_done: Go(PotentialConflict),
    }),
    // Asked again when communications are restored (§8.5.2).
    failed: Stay,
    // The RFC gives the operator no way out; without one, losing the partner for good while
    // recovering would leave nobody to serve.
    order: Order::Forced,
    timer: None,
    update_done: ByRole::both(Go(RecoverWait)),
    answers: ByRole::both(Answers::Nothing),
    may_allocate: false,
    capped: true,
    replicates: false,
};
