//! POTENTIAL-CONFLICT (RFC 8156 §8.10): both may have leased the same. Nobody is served until the
//! primary has heard everything from the secondary, and then the other way round.

use super::Next::{Go, Request, Stay};
use super::ServerState::{ConflictDone, Normal, ResolutionInterrupted};
use super::{ByRole, OnPartner, Order, Row};
use lease::Answers;

pub(super) const ROW: Row = Row {
    partner: ByRole {
        // At once: the secondary hears of this state before it hears the request.
        primary: OnPartner::always(Request),
        secondary: OnPartner {
            conflict_done: Request,
            ..OnPartner::always(Stay)
        },
    },
    failed: Go(ResolutionInterrupted),
    // The partner is in contact.
    order: Order::Refused,
    timer: None,
    update_done: ByRole {
        primary: Go(ConflictDone),
        secondary: Go(Normal),
    },
    answers: ByRole::both(Answers::Nothing),
    may_allocate: false,
    capped: true,
    replicates: false,
};
