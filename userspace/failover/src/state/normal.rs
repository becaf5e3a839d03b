//! NORMAL (RFC 8156 §8.8): both servers work together. The primary answers everybody, the
//! secondary those who name it.
//!
//! A partner in a state that cannot follow from NORMAL is met as if communications had just been
//! restored: by way of COMMUNICATIONS-INTERRUPTED (§8.8.2).

use super::Next::{Go, Interrupted, Stay};
use super::ServerState::CommunicationsInterrupted;
use super::{ByRole, OnPartner, Order, Row};
use lease::Answers;

const PRIMARY: OnPartner = OnPartner {
    normal: Stay,
    // It becomes NORMAL when it hears of this server's state: to go back and forth helps nobody.
    communications_interrupted: Stay,
    partner_down: Interrupted,
    potential_conflict: Interrupted,
    recover: Interrupted,
    recover_wait: Interrupted,
    // Likewise: it was RECOVER-DONE when this server became NORMAL.
    recover_done: Stay,
    resolution_interrupted: Interrupted,
    conflict_done: Interrupted,
};

pub(super) const ROW: Row = Row {
    partner: ByRole {
        primary: PRIMARY,
        secondary: OnPartner {
            // The primary waits in CONFLICT-DONE for this server to be NORMAL (§8.12.2).
            conflict_done: Stay,
            ..PRIMARY
        },
    },
    failed: Go(CommunicationsInterrupted),
    order: Order::Obeyed,
    timer: None,
    update_done: ByRole::both(Stay),
    answers: ByRole {
        primary: Answers::All,
        secondary: Answers::OwnServerIdOnly,
    },
    may_allocate: true,
    capped: true,
    replicates: true,
};
