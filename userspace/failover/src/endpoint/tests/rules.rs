//! Connections, messages and the rules a partner may break.

use super::pair::{PRIMARY, Pair, SECONDARY};
use super::*;
use crate::connect::Greeting;
use crate::event::Received;
use ServerState as S;
use wire::failover::{Body, ServerFlags, State};

fn message(body: Body<'_>, id: u32, at: AbsTime) -> Received<'_> {
    Received {
        transaction_id: TransactionId::new(id),
        sent_time: at.0,
        at,
        body,
    }
}

/// A secondary with a connection at a given phase, and the connection.
fn secondary() -> (Endpoint, ConnectionId, Now) {
    let now = Now {
        mono: Monotonic(0),
        wall: START,
    };
    let mut endpoint = Endpoint::new(config(Role::Secondary), None, now).unwrap();
    let connection = ConnectionId(1);
    let connect = Greeting::connect(&config(Role::Primary));
    let received = message(Body::Connect(connect.body()), 9, START);
    let effects = endpoint.handle(Event::Message(connection, received), now);
    assert_eq!(sent(&effects), ["CONNECTREPLY", "STATE"], "{effects:?}");
    (endpoint, connection, now)
}

fn sent(effects: &[Effect]) -> Vec<String> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Send {
            message,
            transaction_id,
            ..
        } => {
            let mut frame = [0; crate::message::FRAME_LEN_MAX];
            let len = message.write(&mut frame, *transaction_id).unwrap();
            let message = wire::failover::FailoverMessage::parse(&frame[2..len]).unwrap();
            Some(message.msg_type.to_string())
        }
        _ => None,
    });
    messages.collect()
}

fn violation(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Note(Note::Ended(Ending::Violation(violation))) => Some(violation.to_string()),
        _ => None,
    })
}

fn state(server_state: S) -> State {
    State {
        server_state: Some(server_state),
        flags: Some(ServerFlags(0)),
        start_time_of_state: Some(START.0),
        partner_down_time: None,
    }
}

#[test]
fn rfc8156_6_1_only_state_follows_the_set_up() {
    for body in [
        Body::Contact,
        Body::Updreq,
        Body::Upddone,
        Body::Poolreq,
        Body::Poolresp,
        Body::Updreqall,
    ] {
        let (mut endpoint, connection, now) = secondary();
        assert!(!endpoint.takes_bindings(connection));
        let event = Event::Message(connection, message(body, 10, START));
        let effects = endpoint.handle(event, now);
        let broken = violation(&effects).unwrap();
        assert!(broken.contains("waiting for STATE"), "{broken}");
        assert_eq!(sent(&effects), ["DISCONNECT"]);
        assert!(effects.contains(&Effect::Close(connection)));
    }
}

#[test]
fn rfc8156_6_3_a_state_is_complete_and_never_startup() {
    let cases = [
        (
            State {
                server_state: None,
                ..state(S::Normal)
            },
            "OPTION_F_SERVER_STATE",
        ),
        (
            State {
                flags: None,
                ..state(S::Normal)
            },
            "OPTION_F_SERVER_FLAGS",
        ),
        (
            State {
                start_time_of_state: None,
                ..state(S::Normal)
            },
            "OPTION_F_START_TIME_OF_STATE",
        ),
        (state(S::Startup), "STARTUP"),
    ];
    for (state, named) in cases {
        let (mut endpoint, connection, now) = secondary();
        let body = message(Body::State(state), 10, START);
        let effects = endpoint.handle(Event::Message(connection, body), now);
        let broken = violation(&effects).unwrap();
        assert!(broken.contains(named), "{broken}");
        assert_eq!(endpoint.state(), S::Startup, "nothing was taken over");
    }
}

#[test]
fn messages_that_only_the_other_role_sends_break_the_protocol() {
    let (mut endpoint, connection, now) = secondary();
    let first = message(Body::State(state(S::Recover)), 10, START);
    let effects = endpoint.handle(Event::Message(connection, first), now);
    assert_eq!(violation(&effects), None);
    assert!(endpoint.takes_bindings(connection));
    let effects = endpoint.handle(
        Event::Message(connection, message(Body::Poolreq, 11, START)),
        now,
    );
    assert!(violation(&effects).unwrap().contains("POOLREQ"));
    assert_eq!(endpoint.state(), S::Recover);
}

#[test]
fn too_many_requests_or_updates_end_the_connection() {
    let (mut endpoint, connection, now) = secondary();
    let first = message(Body::State(state(S::Recover)), 10, START);
    let _ = endpoint.handle(Event::Message(connection, first), now);
    for id in 0..4 {
        let request = message(Body::Updreq, 20 + id, START);
        let effects = endpoint.handle(Event::Message(connection, request), now);
        assert_eq!(violation(&effects), None);
    }
    let request = message(Body::Updreqall, 30, START);
    let effects = endpoint.handle(Event::Message(connection, request), now);
    assert!(violation(&effects).is_some());

    let (mut endpoint, connection, now) = secondary();
    let first = message(Body::State(state(S::Recover)), 10, START);
    let _ = endpoint.handle(Event::Message(connection, first), now);
    let effects = endpoint.handle(Event::TooManyUnacked(connection, 257), now);
    assert!(violation(&effects).unwrap().contains("257"));
    assert!(!endpoint.takes_bindings(connection));
}

#[test]
fn rfc8156_5_4_answers_copy_the_transaction_id_and_ids_are_never_0() {
    let (mut endpoint, connection, now) = secondary();
    let first = message(Body::State(state(S::Recover)), 10, START);
    let _ = endpoint.handle(Event::Message(connection, first), now);
    let request = message(Body::Updreq, 77, START);
    let effects = endpoint.handle(Event::Message(connection, request), now);
    let Some(Effect::Owe(round, _)) = effects.last() else {
        panic!("the shards owe: {effects:?}");
    };
    let effects = endpoint.handle(Event::Answered(*round), now);
    assert!(matches!(
        effects[..],
        [Effect::Send { transaction_id, message: Message::UpdDone, .. }]
            if transaction_id.get() == 77
    ));
    // The UPDREQ this secondary sent in RECOVER is still outstanding.
    let outstanding = endpoint.asked[0];
    for _ in 0..2 * CONTROL_IDS_MAX {
        let id = endpoint.control_id();
        assert!(id.get() != 0 && id.get() <= CONTROL_IDS_MAX && id != outstanding);
    }
}

#[test]
fn answers_to_what_was_not_asked_are_ignored() {
    let (mut endpoint, connection, now) = secondary();
    let first = message(Body::State(state(S::Recover)), 10, START);
    let _ = endpoint.handle(Event::Message(connection, first), now);
    let done = message(Body::Upddone, 4_711, START);
    let effects = endpoint.handle(Event::Message(connection, done), now);
    assert!(matches!(
        effects[..],
        [Effect::Note(Note::UnknownTransaction(..))]
    ));
    assert_eq!(endpoint.state(), S::Recover);
}

#[test]
fn a_second_valid_connect_replaces_the_connection() {
    let (mut endpoint, old, now) = secondary();
    let first = message(Body::State(state(S::Recover)), 10, START);
    let _ = endpoint.handle(Event::Message(old, first), now);
    // One that does not validate changes nothing.
    let mut other = config(Role::Primary);
    other.name = "pair-b".into();
    let bad = Greeting::connect(&other);
    let intruder = ConnectionId(2);
    let received = message(Body::Connect(bad.body()), 1, START);
    let effects = endpoint.handle(Event::Message(intruder, received), now);
    assert_eq!(sent(&effects), ["CONNECTREPLY"]);
    assert!(effects.contains(&Effect::Close(intruder)));
    assert!(endpoint.takes_bindings(old));
    let good = Greeting::connect(&config(Role::Primary));
    let new = ConnectionId(3);
    let received = message(Body::Connect(good.body()), 1, START);
    let effects = endpoint.handle(Event::Message(new, received), now);
    assert_eq!(effects[0], Effect::Close(old));
    assert!(effects.contains(&Effect::Forget));
    assert_eq!(sent(&effects), ["CONNECTREPLY", "STATE"]);
    // What still comes on the old one is nobody's.
    let late = message(Body::State(state(S::Normal)), 12, START);
    assert_eq!(endpoint.handle(Event::Message(old, late), now), []);
}

#[test]
fn a_second_connect_on_the_same_connection_breaks_the_protocol() {
    let (mut endpoint, connection, now) = secondary();
    let connect = Greeting::connect(&config(Role::Primary));
    let again = message(Body::Connect(connect.body()), 2, START);
    let effects = endpoint.handle(Event::Message(connection, again), now);
    assert!(violation(&effects).is_some());
}

#[test]
fn rfc8156_6_6_contact_when_nothing_else_is_sent_and_death_by_silence() {
    let mut pair = Pair::normal();
    pair.run(120);
    assert_eq!(pair.states(), [S::Normal; 2]);
    let contacts = pair.sent.iter().filter(|m| m.ends_with("CONTACT")).count();
    assert_eq!(contacts, 2 * 120 / 15);
    // Half open: the primary's words do not arrive any more, and nobody says so.
    pair.is_cut = true;
    pair.run(44);
    assert_eq!(pair.states(), [S::Normal; 2]);
    pair.run(17);
    assert_eq!(pair.states(), [S::CommunicationsInterrupted; 2]);
}

#[test]
fn rfc8156_7_5_1_clocks_that_drift_apart_end_the_connection() {
    for (ahead, lost) in [(4, false), (6, true)] {
        let mut pair = Pair::normal();
        pair.servers[SECONDARY].clock_ahead_secs = ahead;
        pair.run(300);
        let interrupted = pair.states() == [S::CommunicationsInterrupted; 2];
        assert_eq!(interrupted, lost, "{ahead} s");
        // The primary goes on trying, and is refused for its clock.
        if lost {
            let notes = pair.servers[SECONDARY].notes.join("\n");
            assert!(notes.contains("clocks differ"), "{notes}");
            pair.servers[SECONDARY].clock_ahead_secs = 0;
            pair.run(60);
            assert_eq!(pair.states(), [S::Normal; 2]);
        }
    }
}

#[test]
fn rfc8156_6_1_a_primary_never_gives_up_and_is_slower_after_rejections() {
    let mut other = config(Role::Secondary);
    other.name = "pair-b".into();
    let mut pair = Pair::of(config(Role::Primary), other);
    pair.start(SECONDARY);
    pair.start(PRIMARY);
    pair.run(600);
    let connects = pair.sent.iter().filter(|m| *m == "P CONNECT").count();
    // After 5, 10, 20, 40 seconds and then every minute.
    assert_eq!(connects, 13);
    let notes = pair.servers[PRIMARY].notes.join("\n");
    assert!(notes.contains("ConfigurationConflict"), "{notes}");
}

#[test]
fn rfc8156_8_5_2_updates_that_do_not_come_end_the_connection() {
    let mut pair = Pair::normal();
    pair.crash(SECONDARY);
    pair.servers[SECONDARY].disk = None;
    pair.servers[PRIMARY].holds_answers = true;
    pair.start(SECONDARY);
    pair.run(30);
    assert_eq!(pair.endpoint(SECONDARY).state(), S::Recover);
    let (connection, _) = pair.endpoint(SECONDARY).window().unwrap();
    let now = pair.now(SECONDARY).wall;
    pair.tell(
        SECONDARY,
        Event::Bindings {
            connection,
            updates: 1,
            sent_time: now.0,
            at: now,
        },
    );
    pair.run(40);
    assert!(pair.endpoint(SECONDARY).takes_bindings(connection));
    pair.run(25);
    assert!(!pair.endpoint(SECONDARY).takes_bindings(connection));
    pair.release_answers(PRIMARY);
    pair.run(10);
    assert_eq!(pair.endpoint(SECONDARY).state(), S::RecoverWait);
}

#[test]
fn rfc8156_8_8_2_a_partner_that_does_not_answer_is_given_up() {
    let mut pair = Pair::normal();
    let (connection, window) = pair.endpoint(PRIMARY).window().unwrap();
    assert_eq!(window, 256);
    pair.tell(PRIMARY, Event::RepliesOverdue(connection));
    assert_eq!(
        pair.servers[PRIMARY].states[0],
        S::CommunicationsInterrupted
    );
    assert_eq!(pair.states(), [S::Normal; 2], "and connected anew");
}

#[test]
fn mclt_of_the_primary_is_adopted_kept_and_told() {
    let mut secondary = config(Role::Secondary);
    secondary.mclt_secs = 60;
    let mut pair = Pair::of(config(Role::Primary), secondary).into_normal();
    let cap = lease::LifetimeCap::Mclt { mclt_secs: MCLT };
    assert_eq!(pair.servers[SECONDARY].leeway.cap, cap);
    pair.crash(PRIMARY);
    pair.crash(SECONDARY);
    pair.start(SECONDARY);
    pair.run(20);
    assert_eq!(pair.servers[SECONDARY].leeway.cap, cap);
    assert_eq!(pair.servers[SECONDARY].leeway.mclt_secs, MCLT);
}

#[test]
fn other_pools_are_a_warning_and_no_reason_to_part() {
    let mut secondary = config(Role::Secondary);
    secondary
        .digest
        .add_link(lease::LinkKey(1), wire::ClientKey::Duid);
    let mut pair = Pair::of(config(Role::Primary), secondary);
    pair.start(PRIMARY);
    pair.start(SECONDARY);
    pair.run(10);
    assert_eq!(pair.states(), [S::Normal; 2]);
    for server in &pair.servers {
        let differs = server
            .notes
            .iter()
            .filter(|n| n.contains("has other links"));
        assert_eq!(differs.count(), 1);
    }
}

#[test]
fn a_stored_state_of_the_other_role_is_refused() {
    let record = EndpointRecord::initial(Role::Primary, START);
    let now = Now {
        mono: Monotonic(0),
        wall: START,
    };
    let refused = Endpoint::new(config(Role::Secondary), Some(record), now);
    assert!(matches!(refused, Err(RestoreError::Role { .. })));
}

#[test]
fn rfc8156_8_3_1_state_in_startup_has_the_flag_and_the_recorded_state() {
    let now = Now {
        mono: Monotonic(0),
        wall: START,
    };
    let mut record = EndpointRecord::initial(Role::Secondary, START);
    record.state = S::Normal;
    record.communicated = true;
    let mut endpoint = Endpoint::new(config(Role::Secondary), Some(record), now).unwrap();
    let connect = Greeting::connect(&config(Role::Primary));
    let connect = message(Body::Connect(connect.body()), 9, START);
    let effects = endpoint.handle(Event::Message(ConnectionId(1), connect), now);
    let told = effects.iter().find_map(|effect| match effect {
        Effect::Send {
            message: Message::State(state),
            ..
        } => Some(*state),
        _ => None,
    });
    let expected = State {
        server_state: Some(S::Normal),
        flags: Some(ServerFlags(
            ServerFlags::STARTUP.0 | ServerFlags::COMMUNICATED.0,
        )),
        start_time_of_state: Some(START.0),
        partner_down_time: None,
    };
    assert_eq!(told, Some(expected));
    assert_eq!(endpoint.state(), S::Startup);
}

#[test]
fn rfc8156_8_9_8_11_two_changes_are_alarms() {
    use crate::note::{Cause, Severity};
    for from in S::ALL {
        for to in S::ALL {
            let cause = Cause::CommunicationsFailed;
            let alarm = Note::State { from, to, cause }.severity() == Severity::Alarm;
            let expected = (from, to) == (S::Normal, S::CommunicationsInterrupted)
                || to == S::ResolutionInterrupted;
            assert_eq!(alarm, expected, "{from} {to}");
            let cause = Cause::Shutdown;
            let told = Note::State { from, to, cause }.severity();
            assert_eq!(told, Severity::Info, "a server that is stopped, {from}");
        }
    }
}
