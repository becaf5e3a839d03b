//! What is waited for, and how long: STARTUP, RECOVER-WAIT, PARTNER-DOWN, auto-partner-down.

use super::pair::{PRIMARY, Pair, SECONDARY};
use super::*;
use ServerState as S;
use lease::{Answers, LifetimeCap, Positions, Prefixes};

#[test]
fn rfc8156_8_3_startup_serves_nobody_and_ends() {
    let mut pair = Pair::normal();
    pair.crash(SECONDARY);
    pair.crash(PRIMARY);
    pair.start(PRIMARY);
    let leeway = pair.servers[PRIMARY].leeway;
    assert_eq!(leeway.answers, Answers::Nothing);
    assert!(!leeway.may_allocate);
    pair.run(9);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::Startup);
    pair.run(2);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::CommunicationsInterrupted);
    assert_eq!(pair.servers[PRIMARY].leeway.answers, Answers::All);
}

#[test]
fn rfc8156_8_3_2_step_1_without_a_record_nobody_is_served_unless_the_operator_wants_it() {
    for (serves, state) in [(false, S::Recover), (true, S::PartnerDown)] {
        let mut primary = config(Role::Primary);
        primary.serve_without_partner = serves;
        let mut pair = Pair::of(primary, config(Role::Secondary));
        pair.start(PRIMARY);
        pair.run(20);
        assert_eq!(pair.endpoint(PRIMARY).state(), state);
    }
    // Only a server that never had a partner: one that had may lack its leases.
    let mut primary = config(Role::Primary);
    primary.serve_without_partner = true;
    let mut pair = Pair::of(primary, config(Role::Secondary)).into_normal();
    pair.crash(SECONDARY);
    pair.crash(PRIMARY);
    let disk = pair.servers[PRIMARY].disk.as_mut().unwrap();
    disk.state = S::Recover;
    pair.start(PRIMARY);
    pair.run(20);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::Recover);
}

#[test]
fn rfc8156_8_9_auto_partner_down() {
    let mut primary = config(Role::Primary);
    primary.auto_partner_down_secs = Some(300);
    let mut pair = Pair::of(primary, config(Role::Secondary)).into_normal();
    pair.crash(SECONDARY);
    pair.run(299);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::CommunicationsInterrupted);
    pair.run(2);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::PartnerDown);
    assert_eq!(pair.servers[PRIMARY].leeway.cap, LifetimeCap::None);
}

#[test]
fn auto_partner_down_does_not_run_while_the_partner_recovers_in_contact() {
    let mut primary = config(Role::Primary);
    primary.auto_partner_down_secs = Some(300);
    let mut pair = Pair::of(primary, config(Role::Secondary)).into_normal();
    pair.crash(SECONDARY);
    pair.servers[SECONDARY].disk = None;
    pair.run(200);
    pair.start(SECONDARY);
    pair.run(500);
    assert_eq!(
        pair.states(),
        [S::CommunicationsInterrupted, S::RecoverWait]
    );
    pair.crash(SECONDARY);
    pair.run(299);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::CommunicationsInterrupted);
    pair.run(2);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::PartnerDown);
}

#[test]
fn rfc8156_8_4_1_the_partners_prefixes_after_mclt_and_its_addresses_never() {
    let mut pair = Pair::normal();
    pair.crash(SECONDARY);
    pair.run(30);
    pair.order_partner_down(PRIMARY);
    let own = Prefixes::Own(Role::Primary);
    assert_eq!(pair.servers[PRIMARY].leeway.prefixes, own);
    pair.run(u64::from(MCLT) - 1);
    assert_eq!(pair.servers[PRIMARY].leeway.prefixes, own);
    // The wait goes on over a restart.
    pair.crash(PRIMARY);
    pair.start(PRIMARY);
    pair.run(11);
    let leeway = pair.servers[PRIMARY].leeway;
    assert_eq!(pair.endpoint(PRIMARY).state(), S::PartnerDown);
    assert_eq!(leeway.prefixes, Prefixes::OwnThenPartners(Role::Primary));
    assert_eq!(leeway.addresses, Positions::Odd);
    // A partner that is heard is coming back for them.
    pair.servers[PRIMARY].holds_answers = true;
    pair.start(SECONDARY);
    pair.run(5);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::PartnerDown);
    assert_eq!(pair.servers[PRIMARY].leeway.prefixes, own);
}

#[test]
fn rfc8156_8_4_the_operator_may_know_since_when_but_not_better_than_the_wire() {
    let mut pair = Pair::normal();
    pair.crash(SECONDARY);
    pair.run(1_000);
    let now = pair.now(PRIMARY);
    let heard = pair.endpoint(PRIMARY).record().last_heard.unwrap();
    let endpoint = pair.servers[PRIMARY].endpoint.as_mut().unwrap();
    let too_early = AbsTime(heard.0 - 1);
    assert_eq!(
        endpoint.partner_down(Some(too_early), false, now),
        Err(OrderError::HeardLater(heard))
    );
    let future = now.wall.plus(1);
    assert_eq!(
        endpoint.partner_down(Some(future), false, now),
        Err(OrderError::Future)
    );
    let since = heard.plus(10);
    assert!(endpoint.partner_down(Some(since), false, now).is_ok());
    let leeway = endpoint.leeway(now);
    assert_eq!(leeway.partner_down_since, Some(since));
    // What the partner is told is when this server changed its state.
    assert_eq!(endpoint.record().since, now.wall);
    assert_eq!(
        endpoint.partner_down(None, true, now),
        Err(OrderError::Refused(S::PartnerDown))
    );
}

#[test]
fn the_operator_must_insist_where_bindings_may_be_missing() {
    let mut pair = Pair::new();
    pair.start(PRIMARY);
    pair.run(20);
    let now = pair.now(PRIMARY);
    let endpoint = pair.servers[PRIMARY].endpoint.as_mut().unwrap();
    assert_eq!(
        endpoint.partner_down(None, false, now),
        Err(OrderError::InsistOnly(S::Recover))
    );
    let effects = endpoint.partner_down(None, true, now).unwrap();
    assert_eq!(endpoint.state(), S::PartnerDown);
    let store = effects.iter().position(|e| matches!(e, Effect::Store(_)));
    let publish = effects.iter().position(|e| matches!(e, Effect::Publish(_)));
    assert!(
        store < publish,
        "what is stored comes before what is served"
    );
}

/// It lost its disk, and then its partner before that had told all.
#[test]
fn the_operator_must_insist_where_a_conflict_broke_before_all_bindings_were_there() {
    let mut pair = Pair::normal();
    pair.crash(PRIMARY);
    pair.crash(SECONDARY);
    let disk = pair.servers[SECONDARY].disk.as_mut().unwrap();
    disk.state = S::ResolutionInterrupted;
    disk.needs_all = true;
    pair.start(SECONDARY);
    pair.run(60);
    let now = pair.now(SECONDARY);
    let endpoint = pair.servers[SECONDARY].endpoint.as_mut().unwrap();
    assert_eq!(
        endpoint.partner_down(None, false, now),
        Err(OrderError::InsistOnly(S::ResolutionInterrupted))
    );
    assert!(endpoint.partner_down(None, true, now).is_ok());
    assert_eq!(endpoint.state(), S::PartnerDown);
}

#[test]
fn rfc8156_8_6_2_recover_wait_runs_on_without_the_partner() {
    let mut pair = Pair::normal();
    pair.crash(SECONDARY);
    pair.servers[SECONDARY].disk = None;
    pair.start(SECONDARY);
    pair.run(10);
    assert_eq!(pair.endpoint(SECONDARY).state(), S::RecoverWait);
    pair.crash(PRIMARY);
    pair.run(u64::from(MCLT));
    assert_eq!(pair.endpoint(SECONDARY).state(), S::RecoverDone);
    // Nothing is renewed while the partner may stand alone unheard.
    assert_eq!(pair.servers[SECONDARY].leeway.answers, Answers::Nothing);
}

#[test]
fn rfc8156_8_6_2_a_clock_set_back_does_not_make_the_wait_longer_than_mclt() {
    let mut pair = Pair::normal();
    pair.crash(SECONDARY);
    pair.run(10);
    pair.order_partner_down(PRIMARY);
    pair.run(100);
    let disk = pair.servers[SECONDARY].disk.as_mut().unwrap();
    disk.state = S::RecoverWait;
    // Written by a clock that was a day ahead.
    disk.operating_until = disk.operating_until.map(|until| until.plus(86_400));
    pair.crash(PRIMARY);
    pair.start(SECONDARY);
    pair.run(11);
    assert_eq!(pair.endpoint(SECONDARY).state(), S::RecoverWait);
    pair.run(u64::from(MCLT));
    assert_eq!(pair.endpoint(SECONDARY).state(), S::RecoverDone);
}

#[test]
fn a_server_with_bad_health_steps_aside_and_comes_back_through_startup() {
    let mut pair = Pair::normal();
    pair.tell(PRIMARY, Event::Health(Some("eth0 is down")));
    assert_eq!(pair.servers[PRIMARY].leeway.answers, Answers::Nothing);
    assert!(pair.sent.ends_with(&["P DISCONNECT".to_string()]));
    assert_eq!(
        pair.endpoint(SECONDARY).state(),
        S::CommunicationsInterrupted
    );
    assert!(
        pair.servers[SECONDARY]
            .notes
            .iter()
            .any(|note| note.contains("eth0 is down")),
        "the partner's operator reads why"
    );
    pair.run(200);
    assert_eq!(pair.servers[PRIMARY].leeway.answers, Answers::Nothing);
    assert_eq!(pair.servers[SECONDARY].leeway.answers, Answers::All);
    let now = pair.now(PRIMARY);
    let endpoint = pair.servers[PRIMARY].endpoint.as_mut().unwrap();
    assert_eq!(
        endpoint.partner_down(None, true, now),
        Err(OrderError::Aside)
    );
    // As good as down meanwhile: a partner that stood alone is recovered from.
    pair.order_partner_down(SECONDARY);
    pair.run(100);
    pair.tell(PRIMARY, Event::Health(None));
    pair.run(5);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::RecoverWait);
    pair.run(u64::from(MCLT));
    assert_eq!(pair.states(), [S::Normal; 2]);
}

#[test]
fn a_secondary_that_stepped_aside_rejects_the_primary() {
    let mut pair = Pair::normal();
    pair.tell(SECONDARY, Event::Health(Some("journal: no space left")));
    pair.run(30);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::CommunicationsInterrupted);
    assert!(pair.sent.contains(&"S CONNECTREPLY".to_string()));
    pair.tell(SECONDARY, Event::Health(None));
    pair.run(60);
    assert_eq!(pair.states(), [S::Normal; 2]);
}

#[test]
fn a_server_that_stops_says_so_and_knows_exactly_when_it_did() {
    let mut pair = Pair::normal();
    pair.run(3);
    pair.tell(PRIMARY, Event::Shutdown);
    let own = pair.servers[PRIMARY].notes.last().unwrap();
    assert!(own.contains("this server stops"), "{own}");
    let until = pair.servers[PRIMARY].disk.unwrap().operating_until;
    assert_eq!(until, Some(pair.now(PRIMARY).wall));
    let notes = &pair.servers[SECONDARY].notes;
    assert!(notes[0].contains("ServerShuttingDown"), "{notes:?}");
    pair.servers[PRIMARY].endpoint = None;
    pair.run(6);
    pair.order_partner_down(SECONDARY);
    pair.start(PRIMARY);
    pair.run(5);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::RecoverWait);
}
