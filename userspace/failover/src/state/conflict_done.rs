//! CONFLICT-DONE (RFC 8156 §8.12), of the primary only: it has heard everything from the
//! secondary, serves, and waits for the secondary to have heard everything too.

use super::Next::{Go, Stay};
use super::ServerState::Normal;
use super::{ByRole, OnPartner, Order, Row};
use lease::Answers;

pub(super) const ROW: Row = Row {
    partner: ByRole::both(OnPartner {
        normal: Go(Normal),
        ..OnPartner::always(Stay)
    }),
    failed: Stay,
    // The RFC gives no way out if the secondary never comes back. Nothing is lost by this one:
    // the server has all of the secondary's updates.
    order: Order::Obeyed,
    timer: None,
    update_done: ByRole::both(Stay),
    answers: ByRole::both(Answers::All),
    may_allocate: true,
    capped: true,
    replicates: true,
};
