//! RESOLUTION-INTERRUPTED (RFC 8156 §8.11): communications failed in POTENTIAL-CONFLICT, where
//! nobody serves. Somebody must.

use super::Next::{Go, Stay};
use super::ServerState::PotentialConflict;
use super::{ByRole, OnPartner, Order, Row};
use lease::Answers;

pub(super) const ROW: Row = Row {
    partner: ByRole::both(OnPartner::always(Go(PotentialConflict))),
    failed: Stay,
    order: Order::Obeyed,
    timer: None,
    update_done: ByRole::both(Stay),
    answers: ByRole::both(Answers::All),
    may_allocate: true,
    capped: true,
    replicates: false,
};
