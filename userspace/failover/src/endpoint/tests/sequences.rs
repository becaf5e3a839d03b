//! The ways through the states that RFC 8156 draws (§8, Figures 7 to 9), between two endpoints.

use super::pair::{PRIMARY, Pair, SECONDARY};
use super::*;
use crate::event::Owed;
use ServerState as S;
use lease::{Answers, LifetimeCap};

/// What was sent, without signs of life.
fn said(pair: &Pair) -> Vec<&str> {
    let sent = pair.sent.iter().map(String::as_str);
    sent.filter(|message| !message.ends_with("CONTACT"))
        .collect()
}

#[test]
fn first_installation_reaches_normal_without_waiting_for_mclt() {
    let mut pair = Pair::new();
    pair.start(PRIMARY);
    pair.start(SECONDARY);
    // The first attempt to connect found nobody.
    pair.run(5);
    assert_eq!(pair.states(), [S::Normal; 2]);
    assert_eq!(pair.servers[PRIMARY].leeway.answers, Answers::All);
    let secondary = &pair.servers[SECONDARY];
    assert_eq!(secondary.leeway.answers, Answers::OwnServerIdOnly);
    for server in &pair.servers {
        assert!(server.disk.unwrap().communicated);
        // Nobody knows what the other had before: everything is told.
        assert_eq!(server.owed[0], Owed::All);
    }
    assert!(said(&pair).ends_with(&["S POOLREQ", "P POOLRESP"]));
    assert_eq!(pair.servers[PRIMARY].rebalances, 1);
}

#[test]
fn rfc8156_figure_8_a_link_that_flaps() {
    let mut pair = Pair::normal();
    pair.is_cut = true;
    pair.run(60);
    assert_eq!(pair.states(), [S::CommunicationsInterrupted; 2]);
    for server in &pair.servers {
        assert_eq!(server.leeway.answers, Answers::All);
        let cap = LifetimeCap::Mclt { mclt_secs: MCLT };
        assert_eq!(server.leeway.cap, cap);
        assert!(!server.leeway.replicate);
    }
    pair.sent.clear();
    pair.is_cut = false;
    pair.run(10);
    assert_eq!(pair.states(), [S::Normal; 2]);
    assert_eq!(
        said(&pair),
        [
            "P CONNECT",
            "S CONNECTREPLY",
            "S STATE",
            "P STATE",
            "P STATE",
            "S STATE",
            "S POOLREQ",
            "P POOLRESP"
        ]
    );
    for server in &pair.servers {
        assert_eq!(
            server.states,
            [S::CommunicationsInterrupted, S::Normal],
            "{:?}",
            server.notes
        );
        assert_eq!(server.owed, [Owed::Unacked]);
        assert!(server.leeway.replicate);
    }
}

#[test]
fn rfc8156_8_a_crash_and_a_return_while_the_partner_is_interrupted() {
    let mut pair = Pair::normal();
    pair.crash(PRIMARY);
    assert_eq!(
        pair.endpoint(SECONDARY).state(),
        S::CommunicationsInterrupted
    );
    assert_eq!(pair.servers[SECONDARY].leeway.answers, Answers::All);
    pair.run(100);
    pair.start(PRIMARY);
    assert_eq!(pair.states(), [S::Normal; 2]);
    assert_eq!(
        pair.servers[PRIMARY].states,
        [S::CommunicationsInterrupted, S::Normal]
    );
}

#[test]
fn rfc8156_figure_7_a_return_while_the_partner_is_in_partner_down() {
    for (down, up) in [(PRIMARY, SECONDARY), (SECONDARY, PRIMARY)] {
        let mut pair = Pair::normal();
        pair.crash(down);
        pair.run(100);
        pair.order_partner_down(up);
        assert_eq!(pair.servers[up].leeway.cap, LifetimeCap::None);
        pair.run(1_000);
        pair.sent.clear();
        pair.servers[up].owed.clear();
        pair.start(down);
        pair.run(5);
        assert_eq!(pair.endpoint(down).state(), S::RecoverWait);
        assert_eq!(pair.endpoint(up).state(), S::PartnerDown);
        assert!(pair.servers[up].leeway.replicate);
        assert_eq!(pair.servers[down].leeway.answers, Answers::Nothing);
        assert_eq!(pair.servers[up].owed, [Owed::Unacked]);
        // MCLT from the failure, which was 1100 s ago.
        pair.run(u64::from(MCLT) - 1_100 - 20);
        assert_eq!(pair.endpoint(down).state(), S::RecoverWait);
        pair.run(30);
        assert_eq!(pair.states(), [S::Normal; 2]);
        assert_eq!(
            pair.servers[down].states,
            [S::Recover, S::RecoverWait, S::RecoverDone, S::Normal]
        );
        assert_eq!(
            pair.servers[up].states,
            [S::CommunicationsInterrupted, S::PartnerDown, S::Normal]
        );
    }
}

#[test]
fn a_lost_disk_is_noticed_and_everything_is_fetched() {
    for (lost, up) in [(PRIMARY, SECONDARY), (SECONDARY, PRIMARY)] {
        let mut pair = Pair::normal();
        pair.crash(lost);
        pair.servers[lost].disk = None;
        pair.run(10);
        pair.sent.clear();
        pair.start(lost);
        pair.run(5);
        let name = ["P", "S"][lost];
        assert!(said(&pair).contains(&format!("{name} UPDREQALL").as_str()));
        assert_eq!(pair.servers[up].owed, [Owed::All]);
        assert_eq!(pair.endpoint(lost).state(), S::RecoverWait);
        assert_eq!(pair.endpoint(up).state(), S::CommunicationsInterrupted);
        assert_eq!(pair.servers[up].leeway.answers, Answers::All);
        // The time of the failure is lost too: MCLT from the start.
        pair.run(u64::from(MCLT) - 20);
        assert_eq!(pair.endpoint(lost).state(), S::RecoverWait);
        pair.run(30);
        assert_eq!(pair.states(), [S::Normal; 2]);
    }
}

#[test]
fn a_full_resync_that_breaks_half_way_is_a_full_one_again() {
    let mut pair = Pair::normal();
    pair.crash(SECONDARY);
    pair.servers[SECONDARY].disk = None;
    pair.servers[PRIMARY].holds_answers = true;
    pair.start(SECONDARY);
    pair.run(5);
    assert_eq!(pair.endpoint(SECONDARY).state(), S::Recover);
    assert!(pair.servers[SECONDARY].disk.unwrap().needs_all);
    assert!(pair.servers[PRIMARY].disk.unwrap().owes_all);
    // Nothing unasked, so that no end comes before what the partner may have promised.
    assert!(!pair.servers[PRIMARY].leeway.replicate);
    // Both lose everything but their disks.
    pair.crash(SECONDARY);
    pair.crash(PRIMARY);
    pair.servers[PRIMARY].holds_answers = false;
    pair.servers[PRIMARY].owed.clear();
    pair.start(SECONDARY);
    pair.start(PRIMARY);
    pair.run(20);
    assert_eq!(pair.endpoint(SECONDARY).state(), S::RecoverWait);
    assert_eq!(pair.servers[PRIMARY].owed, [Owed::All]);
    for server in &pair.servers {
        let disk = server.disk.unwrap();
        assert!(!disk.needs_all && !disk.owes_all);
    }
}

#[test]
fn rfc8156_figure_9_two_servers_in_partner_down_meet() {
    let mut pair = Pair::normal();
    pair.is_cut = true;
    pair.run(100);
    pair.order_partner_down(PRIMARY);
    pair.order_partner_down(SECONDARY);
    pair.run(100);
    assert_eq!(pair.states(), [S::PartnerDown; 2]);
    for server in &mut pair.servers {
        server.states.clear();
        server.renounced = 0;
        server.owed.clear();
        server.holds_answers = true;
    }
    pair.sent.clear();
    pair.is_cut = false;
    pair.run(20);
    assert_eq!(pair.states(), [S::PotentialConflict; 2]);
    assert_eq!(pair.servers.each_ref().map(|s| s.renounced.min(1)), [0, 1]);
    for server in &pair.servers {
        assert_eq!(server.leeway.answers, Answers::Nothing);
        assert!(!server.leeway.may_allocate);
    }
    pair.release_answers(SECONDARY);
    assert_eq!(pair.states(), [S::ConflictDone, S::PotentialConflict]);
    assert_eq!(pair.servers[PRIMARY].leeway.answers, Answers::All);
    pair.release_answers(PRIMARY);
    assert_eq!(pair.states(), [S::Normal; 2]);
    assert_eq!(
        pair.servers[PRIMARY].states,
        [S::PotentialConflict, S::ConflictDone, S::Normal]
    );
    assert_eq!(
        pair.servers[SECONDARY].states,
        [S::PotentialConflict, S::Normal]
    );
    let requests: Vec<_> = said(&pair)
        .into_iter()
        .filter(|m| m.contains("UPD") || m.contains("POOL"))
        .collect();
    assert_eq!(
        requests,
        [
            "P UPDREQ",
            "S UPDDONE",
            "S UPDREQ",
            "P UPDDONE",
            "S POOLREQ",
            "P POOLRESP"
        ]
    );
}

#[test]
fn rfc8156_8_11_a_conflict_whose_resolution_is_interrupted() {
    let mut pair = Pair::normal();
    pair.is_cut = true;
    pair.run(100);
    pair.order_partner_down(PRIMARY);
    for server in &mut pair.servers {
        server.holds_answers = true;
    }
    pair.is_cut = false;
    pair.run(20);
    assert_eq!(pair.states(), [S::PotentialConflict; 2]);
    pair.is_cut = true;
    pair.run(60);
    assert_eq!(pair.states(), [S::ResolutionInterrupted; 2]);
    for server in &pair.servers {
        assert_eq!(server.leeway.answers, Answers::All);
        let cap = LifetimeCap::Mclt { mclt_secs: MCLT };
        assert_eq!(server.leeway.cap, cap);
    }
    // The secondary is lost once more when the primary has all it needs.
    pair.servers[SECONDARY].holds_answers = false;
    pair.is_cut = false;
    pair.run(20);
    assert_eq!(pair.states(), [S::ConflictDone, S::PotentialConflict]);
    pair.is_cut = true;
    pair.run(60);
    assert_eq!(pair.states(), [S::ConflictDone, S::ResolutionInterrupted]);
    pair.servers[PRIMARY].holds_answers = false;
    pair.is_cut = false;
    pair.run(20);
    assert_eq!(pair.states(), [S::Normal; 2]);
}

#[test]
fn a_server_that_crashed_while_its_partner_already_stood_alone_meets_it_in_conflict() {
    let mut pair = Pair::normal();
    pair.is_cut = true;
    pair.run(100);
    // The operator is wrong: the primary serves on, and crashes later.
    pair.order_partner_down(SECONDARY);
    pair.run(100);
    pair.crash(PRIMARY);
    pair.is_cut = false;
    pair.run(50);
    pair.start(PRIMARY);
    pair.run(5);
    assert_eq!(pair.servers[PRIMARY].states[1], S::PotentialConflict);
    assert_eq!(pair.states(), [S::Normal; 2]);
}

#[test]
fn both_restart_at_once_in_every_pair_of_states_and_come_together() {
    let stored = [
        S::Normal,
        S::CommunicationsInterrupted,
        S::PartnerDown,
        S::PotentialConflict,
        S::Recover,
        S::RecoverWait,
        S::RecoverDone,
        S::ResolutionInterrupted,
        S::ConflictDone,
    ];
    for mine in stored {
        for partners in stored {
            // CONFLICT-DONE is of the primary only.
            if partners == S::ConflictDone {
                continue;
            }
            let mut pair = Pair::new();
            pair.millis = 1_000_000_000;
            for (who, state) in [(PRIMARY, mine), (SECONDARY, partners)] {
                let now = pair.now(who).wall;
                let mut record = EndpointRecord::initial(pair.servers[who].config.role, now);
                record.state = state;
                record.since = AbsTime(now.0 - 500);
                record.communicated = true;
                record.operating_until = Some(AbsTime(now.0 - 100 * who as u32));
                record.mclt.agreed_secs = Some(MCLT);
                if state == S::PartnerDown {
                    record.partner_down_since = Some(record.since);
                }
                pair.servers[who].disk = Some(record);
            }
            pair.start(PRIMARY);
            pair.start(SECONDARY);
            pair.run(u64::from(MCLT) + 100);
            let notes: Vec<_> = pair.servers.iter().map(|s| &s.notes).collect();
            assert_eq!(
                pair.states(),
                [S::Normal; 2],
                "{mine}, {partners}: {notes:#?}"
            );
        }
    }
}

/// What a server gave while it stood alone, its partner must know before it gives anything.
#[test]
fn partner_down_ends_when_the_partner_has_heard_of_all_that_was_done_in_it() {
    for (down, up) in [(PRIMARY, SECONDARY), (SECONDARY, PRIMARY)] {
        let mut pair = Pair::normal();
        pair.crash(down);
        pair.run(100);
        pair.order_partner_down(up);
        pair.run(100);
        pair.start(down);
        pair.run(5);
        assert_eq!(pair.endpoint(down).state(), S::RecoverWait);
        pair.servers[up].holds_answers = true;
        pair.run(u64::from(MCLT));
        assert_eq!(pair.endpoint(down).state(), S::RecoverDone);
        assert_eq!(pair.endpoint(up).state(), S::PartnerDown);
        // A connection later it is asked for once more.
        pair.is_cut = true;
        pair.run(60);
        pair.is_cut = false;
        pair.run(20);
        assert_eq!(pair.endpoint(up).state(), S::PartnerDown);
        pair.release_answers(up);
        assert_eq!(pair.states(), [S::Normal; 2]);
    }
}

/// A conflict leads a server without its bindings past RECOVER-WAIT, into states that serve.
#[test]
fn a_server_that_lost_its_disk_serves_nobody_while_what_it_promised_may_hold() {
    let mut pair = Pair::normal();
    pair.is_cut = true;
    pair.run(100);
    pair.order_partner_down(SECONDARY);
    for server in &mut pair.servers {
        server.holds_answers = true;
    }
    pair.is_cut = false;
    pair.run(20);
    pair.is_cut = true;
    pair.run(60);
    assert_eq!(pair.states(), [S::ResolutionInterrupted; 2]);
    pair.crash(PRIMARY);
    pair.servers[PRIMARY].disk = None;
    pair.is_cut = false;
    pair.start(PRIMARY);
    pair.run(20);
    assert_eq!(pair.states(), [S::PotentialConflict; 2]);
    pair.is_cut = true;
    pair.run(60);
    assert_eq!(pair.states(), [S::ResolutionInterrupted; 2]);
    let answers = |pair: &Pair| pair.servers.each_ref().map(|server| server.leeway.answers);
    assert_eq!(answers(&pair), [Answers::Nothing, Answers::All]);
    pair.servers[SECONDARY].holds_answers = false;
    pair.is_cut = false;
    pair.run(20);
    assert_eq!(pair.endpoint(PRIMARY).state(), S::ConflictDone);
    assert_eq!(pair.servers[PRIMARY].leeway.answers, Answers::Nothing);
    assert!(pair.servers[PRIMARY].disk.unwrap().lost_promises);
    pair.run(u64::from(MCLT));
    assert_eq!(pair.servers[PRIMARY].leeway.answers, Answers::All);
    assert!(!pair.servers[PRIMARY].disk.unwrap().lost_promises);
}

/// What ended before a server came back, it gives to nobody until the partner has heard of it.
#[test]
fn a_server_knows_since_when_it_has_served_all_the_time() {
    let mut pair = Pair::normal();
    let begun = pair.servers[PRIMARY].leeway.serving_since;
    assert_ne!(begun, AbsTime(0));
    pair.is_cut = true;
    pair.run(100);
    assert_eq!(pair.servers[PRIMARY].leeway.serving_since, begun);
    pair.crash(PRIMARY);
    pair.is_cut = false;
    pair.run(10);
    pair.start(PRIMARY);
    pair.run(5);
    assert_eq!(pair.states(), [S::Normal; 2]);
    assert!(pair.servers[PRIMARY].leeway.serving_since > begun.plus(100));
}
