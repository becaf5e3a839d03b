//! Two relationships over loopback, with workers and disks that do as a test says.

mod fixture;

use super::*;
use crate::partner::exchange::{FromWorker, ToWorker};
use failover::ServerState;
use fixture::{Pair, offer, offers};

#[tokio::test]
async fn two_new_servers_reach_normal_and_updates_flow_both_ways() {
    let pair = Pair::start().await;
    pair.both(ServerState::Normal).await;
    for (from, to) in [(0, 1), (1, 0)] {
        let servers = [&pair.servers[from], &pair.servers[to]];
        let connection = servers[0].credited();
        servers[0].said(1, FromWorker::Offers(offers(connection, 0..50)));
        servers[0]
            .sees("50 answers", |server| server.answers().len() == 50)
            .await;
        let answers = servers[0].answers();
        let ids: std::collections::BTreeSet<_> = answers.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), 50, "each with a transaction-id of its own");
        assert!(
            ids.iter()
                .all(|id| *id > failover::endpoint::CONTROL_IDS_MAX)
        );
        let wanted: Vec<_> = (0..50).map(|n| offer(n).0).collect();
        let mut offers: Vec<_> = answers.into_iter().map(|(offer, _)| offer).collect();
        offers.sort_by_key(|offer| offer.id);
        assert_eq!(offers, wanted);
        let received = servers[1].handle.report().counters.updates_received;
        assert!(
            (50..=51).contains(&received),
            "and one about a block of prefixes"
        );
        assert_eq!(servers[0].handle.report().unacked, 0);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_interrupts_and_comes_back() {
    let pair = Pair::start().await;
    pair.both(ServerState::Normal).await;
    pair.cut();
    pair.both(ServerState::CommunicationsInterrupted).await;
    for server in &pair.servers {
        let forgotten = |mail: &ToWorker| matches!(mail, ToWorker::Forget);
        assert!(server.mail().iter().flatten().any(forgotten));
    }
    pair.mend();
    pair.both(ServerState::Normal).await;
}

/// The worker is told to forget them and offers them again: sent now they would be told twice, and take
/// room in the window that no credit was given for.
#[tokio::test]
async fn what_was_offered_on_a_connection_that_broke_is_not_sent_on_the_next_one() {
    let pair = Pair::start().await;
    pair.both(ServerState::Normal).await;
    let primary = &pair.servers[0];
    let broken = primary.credited();
    pair.cut();
    pair.both(ServerState::CommunicationsInterrupted).await;
    pair.mend();
    pair.both(ServerState::Normal).await;
    primary
        .sees("new credit", |server| server.credited() > broken)
        .await;
    primary.said(0, FromWorker::Offers(offers(broken, 0..3)));
    let present = primary.credited();
    primary.said(0, FromWorker::Offers(offers(present, 3..4)));
    primary
        .sees("an answer", |server| !server.answers().is_empty())
        .await;
    let answered = primary.answers().into_iter().map(|(offer, _)| offer);
    assert_eq!(answered.collect::<Vec<_>>(), [offer(3).0]);
}

#[tokio::test]
async fn rfc8156_6_3_a_state_is_sent_only_when_its_record_is_on_disk() {
    let pair = Pair::with_slow_disk(0).await;
    pair.servers[0].disk.commit_all();
    pair.servers[0]
        .sees("a connection", |s| s.connections() > 0)
        .await;
    // The primary's own record stands before its STATE, so nobody gets past STARTUP.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(pair.servers[0].disk.is_behind());
    assert!(!pair.servers[1].handle.report().communications_ok);
    pair.servers[0].disk.commit_from_now_on();
    pair.both(ServerState::Normal).await;
}

#[tokio::test]
async fn leases_that_other_shards_hold_are_asked_of_all_workers_and_the_update_comes_again() {
    let pair = Pair::start().await;
    pair.both(ServerState::Normal).await;
    let (primary, secondary) = (&pair.servers[0], &pair.servers[1]);
    secondary.workers_say_elsewhere();
    let connection = primary.credited();
    primary.said(0, FromWorker::Offers(offers(connection, 7..8)));
    primary
        .sees("the answer", |server| server.answers().len() == 1)
        .await;
    let yields = secondary.mail();
    let yields = yields.iter().flatten();
    let yields = yields.filter(|mail| matches!(mail, ToWorker::Yield(..)));
    assert_eq!(yields.count(), fixture::WORKERS);
    let again = secondary.received_again();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].yielded.len(), 1, "one worker gave it up");
}

#[tokio::test]
async fn a_server_that_steps_aside_tells_its_partner_even_if_its_disk_is_stuck() {
    let pair = Pair::start().await;
    pair.both(ServerState::Normal).await;
    pair.servers[1].disk.stop();
    pair.servers[1]
        .handle
        .health(Some("its journal cannot write"));
    pair.servers[0]
        .sees("the interruption", |server| {
            server.handle.report().state == ServerState::CommunicationsInterrupted.name()
        })
        .await;
    let told = pair.servers[1].leeway();
    assert_eq!(told.answers, lease::Answers::Nothing);
    pair.servers[1].disk.commit_from_now_on();
    pair.servers[1].handle.health(None);
    pair.both(ServerState::Normal).await;
}

#[tokio::test]
async fn prefixes_are_shared_and_the_order_partner_down_is_obeyed() {
    let pair = Pair::start().await;
    pair.both(ServerState::Normal).await;
    for server in &pair.servers {
        server
            .sees("half of the prefixes each", |server| {
                let prefixes = server.handle.report().prefixes;
                (prefixes.primary, prefixes.secondary) == (128, 128)
            })
            .await;
    }
    let tomorrow = AbsTime(crate::worker::now().0 + 86_400);
    let refused = pair.servers[0].handle.partner_down(Some(tomorrow), false);
    assert!(refused.is_err(), "that time has not come");
    assert_eq!(pair.servers[0].handle.report().state, "NORMAL");
    pair.cut();
    pair.both(ServerState::CommunicationsInterrupted).await;
    let state = pair.servers[0].handle.partner_down(None, false);
    assert_eq!(state, Ok(ServerState::PartnerDown));
}

/// What changed sides in the model that is about to be replaced would be lost with it.
#[tokio::test]
async fn no_block_changes_sides_while_a_reload_is_under_way() {
    let pair = Pair::start().await;
    let secondary = &pair.servers[1];
    let reload = secondary.changing.lock().await;
    pair.both(ServerState::Normal).await;
    pair.servers[0]
        .sees("that it gave half", |server| {
            server.handle.report().prefixes.secondary == 128
        })
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(secondary.handle.report().prefixes.secondary, 0);
    drop(reload);
    // The primary says it again on the next connection, if not before.
    pair.cut();
    pair.both(ServerState::CommunicationsInterrupted).await;
    pair.mend();
    secondary
        .sees("what it was given", |server| {
            server.handle.report().prefixes.secondary == 128
        })
        .await;
}
