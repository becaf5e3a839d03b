//! STARTUP (RFC 8156 §8.3): the server looks for its partner before it serves anybody.
//!
//! It is left by the procedure of §8.3.2, which the endpoint carries out, and by no input. A STATE
//! sent meanwhile names the state recorded before, with the STARTUP flag (§8.3.1).

use super::{ByRole, Next, OnPartner, Order, Row};
use lease::Answers;

pub(super) const ROW: Row = Row {
    partner: ByRole::both(OnPartner::always(Next::Stay)),
    failed: Next::Stay,
    // After a short while it is left by itself, into a state that obeys or says why not.
    order: Order::Refused,
    timer: None,
    update_done: ByRole::both(Next::Stay),
    answers: ByRole::both(Answers::Nothing),
    may_allocate: false,
    capped: true,
    replicates: false,
};
