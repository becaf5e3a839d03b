//! Every state of an endpoint, with every state of its partner, on everything that can happen:
//! what the whole endpoint does is what the tables say, and some things hold whatever they say.

use super::*;
use crate::connect::Greeting;
use crate::event::Received;
use crate::state::{Input, Next, next, row};
use ServerState as S;
use lease::{Answers, LifetimeCap, Prefixes};
use wire::failover::{Body, ServerFlags, State};

const HERE: Now = Now {
    mono: Monotonic(5_000_000),
    wall: START,
};
const CONNECTION: ConnectionId = ConnectionId(3);

fn received(body: Body<'_>, id: u32) -> Received<'_> {
    Received {
        transaction_id: TransactionId::new(id),
        sent_time: START.0,
        at: START,
        body,
    }
}

fn state_of(partner: S, flags: u8) -> Body<'static> {
    Body::State(State {
        server_state: Some(partner),
        flags: Some(ServerFlags(flags)),
        start_time_of_state: Some(START.0 - 100),
        partner_down_time: None,
    })
}

/// An endpoint that has left STARTUP without contact and is put in `me`.
fn alone(role: Role, me: S) -> Endpoint {
    let mut endpoint = Endpoint::new(config(role), None, HERE).unwrap();
    let later = Now {
        mono: HERE.mono.plus_secs(11),
        ..HERE
    };
    let _ = endpoint.handle(Event::DialFailed, HERE);
    let _ = endpoint.handle(Event::Tick, later);
    assert_eq!(endpoint.state(), S::Recover);
    endpoint.record.communicated = true;
    endpoint.record.operating_until = Some(START);
    endpoint.enter(me, Cause::PartnerReached, later);
    endpoint.publish(later);
    endpoint.out.clear();
    endpoint
}

use crate::note::Cause;

/// The same, with the connection set up as far as the partner's STATE.
fn connected(role: Role, me: S) -> Endpoint {
    let mut endpoint = alone(role, me);
    let now = Now {
        mono: HERE.mono.plus_secs(30),
        ..HERE
    };
    let greeting = Greeting::connect(&config(role.partner()));
    match role {
        Role::Secondary => {
            let connect = received(Body::Connect(greeting.body()), 1);
            let _ = endpoint.handle(Event::Message(CONNECTION, connect), now);
        }
        Role::Primary => {
            let _ = endpoint.handle(Event::Tick, now);
            let effects = endpoint.handle(Event::Connected(CONNECTION), now);
            let [Effect::Send { transaction_id, .. }] = effects[..] else {
                panic!("a CONNECT: {effects:?}");
            };
            let reply = Body::Connectreply(greeting.body());
            let reply = received(reply, transaction_id.get());
            let _ = endpoint.handle(Event::Message(CONNECTION, reply), now);
        }
    }
    endpoint
}

fn at(secs: u32) -> Now {
    Now {
        mono: HERE.mono.plus_secs(secs),
        ..HERE
    }
}

/// What the tables make of a state, followed to its end, or to where the shards have to say that the
/// partner has heard of all there is.
fn expected(role: Role, me: S, partner: S) -> S {
    match next(role, me, Input::Partner(partner)) {
        Next::Go(S::Normal)
            if partner == S::RecoverDone
                && matches!(me, S::PartnerDown | S::CommunicationsInterrupted) =>
        {
            me
        }
        Next::Stay | Next::Request => me,
        Next::Go(state) => expected(role, state, partner),
        Next::Interrupted => expected(role, S::CommunicationsInterrupted, partner),
    }
}

/// States a role can be in.
fn states(role: Role) -> impl Iterator<Item = S> {
    S::ALL
        .into_iter()
        .filter(move |s| *s != S::Startup && !(*s == S::ConflictDone && role == Role::Secondary))
}

#[test]
fn every_state_meets_every_state_of_its_partner() {
    for role in [Role::Primary, Role::Secondary] {
        for me in states(role) {
            for partner in states(role.partner()) {
                let mut endpoint = connected(role, me);
                let state = received(state_of(partner, 1), 50);
                let effects = endpoint.handle(Event::Message(CONNECTION, state), at(30));
                let to = expected(role, me, partner);
                assert_eq!(endpoint.state(), to, "{role:?} {me} meets {partner}");
                check(&endpoint, &effects, me);
            }
        }
    }
}

#[test]
fn rfc8156_8_4_2_no_state_acts_on_a_partner_in_startup_until_it_has_left_it() {
    for role in [Role::Primary, Role::Secondary] {
        for me in states(role) {
            for partner in states(role.partner()) {
                let mut endpoint = connected(role, me);
                let flags = (ServerFlags::STARTUP.0) | 1;
                let state = received(state_of(partner, flags), 50);
                let _ = endpoint.handle(Event::Message(CONNECTION, state), at(30));
                assert_eq!(endpoint.state(), me, "{role:?} {me} meets {partner}");
                assert!(endpoint.takes_bindings(CONNECTION));
                let state = received(state_of(partner, 1), 51);
                let _ = endpoint.handle(Event::Message(CONNECTION, state), at(30));
                assert_eq!(endpoint.state(), expected(role, me, partner));
            }
        }
    }
}

#[test]
fn every_state_loses_its_partner_in_every_way() {
    for role in [Role::Primary, Role::Secondary] {
        for me in states(role) {
            for partner in states(role.partner()) {
                for way in 0..4 {
                    let mut endpoint = connected(role, me);
                    let state = received(state_of(partner, 1), 50);
                    let _ = endpoint.handle(Event::Message(CONNECTION, state), at(30));
                    let before = endpoint.state();
                    let effects = match way {
                        0 => endpoint.handle(Event::Lost(CONNECTION), at(30)),
                        1 => {
                            let disconnect = received(Body::Disconnect(None), 60);
                            endpoint.handle(Event::Message(CONNECTION, disconnect), at(30))
                        }
                        2 => endpoint.handle(Event::Tick, at(30 + 60)),
                        _ => endpoint.handle(Event::RepliesOverdue(CONNECTION), at(30)),
                    };
                    let to = match next(role, before, Input::CommunicationsFailed) {
                        Next::Go(state) => state,
                        _ => before,
                    };
                    assert_eq!(endpoint.state(), to, "{role:?} {before} loses {partner}");
                    assert!(effects.contains(&Effect::Forget));
                    check(&endpoint, &effects, before);
                }
            }
        }
    }
}

#[test]
fn every_state_hears_the_operator_with_and_without_communications() {
    for role in [Role::Primary, Role::Secondary] {
        for me in states(role) {
            for partner in [None].into_iter().chain(states(role.partner()).map(Some)) {
                for forced in [false, true] {
                    let mut endpoint = match partner {
                        None => alone(role, me),
                        Some(partner) => {
                            let mut endpoint = connected(role, me);
                            let state = received(state_of(partner, 1), 50);
                            let _ = endpoint.handle(Event::Message(CONNECTION, state), at(30));
                            endpoint
                        }
                    };
                    let before = endpoint.state();
                    let result = endpoint.partner_down(None, forced, at(40));
                    let obeyed = next(role, before, Input::PartnerDown { forced });
                    assert_eq!(
                        result.is_ok(),
                        obeyed == Next::Go(S::PartnerDown),
                        "{role:?} {before}, forced {forced}"
                    );
                    match (result, partner) {
                        (Err(_), _) => assert_eq!(endpoint.state(), before),
                        (Ok(effects), None) => {
                            assert_eq!(endpoint.state(), S::PartnerDown);
                            check(&endpoint, &effects, before);
                        }
                        // A partner that is heard is met at once by what PARTNER-DOWN makes of it.
                        (Ok(effects), Some(partner)) => {
                            let to = expected(role, S::PartnerDown, partner);
                            assert_eq!(endpoint.state(), to);
                            check(&endpoint, &effects, before);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_state_gets_its_updates() {
    for role in [Role::Primary, Role::Secondary] {
        for me in states(role) {
            for partner in states(role.partner()) {
                let mut endpoint = connected(role, me);
                let state = received(state_of(partner, 1), 50);
                let _ = endpoint.handle(Event::Message(CONNECTION, state), at(30));
                let before = endpoint.state();
                let asks = next(role, before, Input::Partner(partner)) == Next::Request;
                assert_eq!(endpoint.request.is_some(), asks, "{role:?} {before}");
                let Some(&id) = endpoint.asked.last().filter(|_| asks) else {
                    continue;
                };
                let done = received(Body::Upddone, id.get());
                let effects = endpoint.handle(Event::Message(CONNECTION, done), at(31));
                let Next::Go(state) = next(role, before, Input::UpdateDone) else {
                    panic!("{role:?} {before} asks and does not care");
                };
                assert_eq!(endpoint.state(), expected(role, state, partner));
                check(&endpoint, &effects, before);
            }
        }
    }
}

/// What holds after everything (RFC 8156 §8.1, §8.4.1, §4.4).
fn check(endpoint: &Endpoint, effects: &[Effect], before: S) {
    let leeway = endpoint.leeway(at(100));
    let state = endpoint.state();
    if leeway.cap == LifetimeCap::None {
        assert_eq!(state, S::PartnerDown, "only PARTNER-DOWN is not bounded");
    }
    if leeway.prefixes != Prefixes::Own(endpoint.config.role) {
        assert_eq!(state, S::PartnerDown);
    }
    assert_eq!(leeway.addresses, endpoint.config.role.addresses());
    if leeway.may_allocate {
        assert_ne!(leeway.answers, Answers::Nothing);
    }
    assert_eq!(leeway.may_allocate, row(state).may_allocate);
    assert_eq!(leeway.partner_down_since.is_some(), state == S::PartnerDown);
    // Every STATE is behind the store of what it says, and the last one says what is true.
    let mut stored = None;
    let mut said = None;
    for effect in effects {
        match effect {
            Effect::Store(record) => stored = Some(record.state),
            Effect::Send {
                message: Message::State(told),
                ..
            } => {
                said = told.server_state;
                if said != Some(before) {
                    assert_eq!(said, stored);
                }
            }
            _ => {}
        }
    }
    if state != before && endpoint.link.is_up() {
        assert_eq!(said, Some(state), "the partner is told of a change");
    }
    if state != before {
        assert_eq!(stored, Some(state));
    }
}
