//! RECOVER-WAIT (RFC 8156 §8.6): leases that this server gave before it failed, and that its
//! partner never heard of, are waited out for MCLT from the failure.

use super::Next::Stay;
use super::{ByRole, OnPartner, Order, Row, ServerState};
use lease::Answers;

pub(super) const ROW: Row = Row {
    // Also with a partner in POTENTIAL-CONFLICT and its like, of which the RFC says nothing: the
    // wait is what makes this server safe to meet, and RECOVER-DONE follows them.
    partner: ByRole::both(OnPartner::always(Stay)),
    failed: Stay,
    // It ends by itself, and to cut it short is to take the risk that it exists for.
    order: Order::Refused,
    // Also while communications are not OK (§8.6.2).
    timer: Some(ServerState::RecoverDone),
    update_done: ByRole::both(Stay),
    answers: ByRole::both(Answers::Nothing),
    may_allocate: false,
    capped: true,
    replicates: false,
};
