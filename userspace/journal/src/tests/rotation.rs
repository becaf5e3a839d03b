//! Segments that follow each other, are prepared ahead and are used again.

use super::disk::MemoryDisk;
use super::{SMALL, is_prefix, load, put, wait, wakers};
use crate::{Appender, Apply, Health, Journal, Storage, Ticket, recover_from};
use lease::BindingDelta;
use std::sync::Arc;

/// Addresses that are written again and again.
const ADDRS: u128 = 500;
/// Records that fill more than a segment of [`SMALL`].
const ROUND: u128 = 40_000;

/// A round of changes to the same leases.
fn append_round(appender: &mut Appender) {
    for _ in 0..ROUND / ADDRS {
        append(appender, 0..ADDRS);
    }
}

fn append(appender: &mut Appender, addrs: std::ops::Range<u128>) {
    for addr in addrs {
        if !appender.has_room() {
            wait("room", || {
                appender.submit();
                appender.has_room()
            });
        }
        appender.append(&put(&(addr as u64).to_be_bytes(), addr, 1));
    }
    wait("commit", || {
        appender.submit();
        appender.committed() == appender.ticket()
    });
}

/// Snapshots what `append` made of addresses 0 to `end`; false if the disk failed.
fn snapshot(journal: &Journal, end: u128, ticket: Ticket) -> bool {
    let mut feed = journal.begin_snapshot().expect("no other").remove(0);
    for addr in 0..end {
        if !feed.has_room() {
            wait("room", || {
                feed.has_room() || !journal.stats().snapshot.running
            });
            if !journal.stats().snapshot.running {
                break;
            }
        }
        feed.push(&put(&(addr as u64).to_be_bytes(), addr, 1));
    }
    wait("finish", || {
        feed.finish(ticket) || !journal.stats().snapshot.running
    });
    wait("snapshot", || !journal.stats().snapshot.running);
    journal.stats().snapshot.error.is_none()
}

/// The disk of a journal over several segments and snapshots.
fn written_over(rounds: u32) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (_, recovered) = load(&disk).expect("an empty disk");
    let (journal, mut appenders) = Journal::start(recovered, SMALL, wakers(1)).expect("a start");
    for _ in 0..rounds {
        append_round(&mut appenders[0]);
        assert!(snapshot(&journal, ADDRS, appenders[0].ticket()));
    }
    assert_eq!(journal.close(), Health::Ok);
    disk
}

fn last_segment(disk: &MemoryDisk) -> String {
    let begun = disk.names().into_iter().filter(|name| {
        name.starts_with("segment-") && disk.octets(name)[..4096].iter().any(|&octet| octet != 0)
    });
    begun.max().expect("a segment")
}

#[test]
fn recycled_segments_hold_what_is_written_and_nothing_older() {
    let disk = written_over(4);
    let (table, recovered) = load(&disk).expect("recovery");
    assert!(is_prefix(&table) && table.len() as u128 == ADDRS);
    assert!(recovered.report.is_empty(), "{:?}", recovered.report);
    let segments = disk.names();
    let segments = segments.iter().filter(|name| name.starts_with("segment-"));
    assert!(segments.count() < 20, "what two snapshots hold is trimmed");

    // A few more batches on a segment with an earlier life, the last of them torn anywhere.
    let (journal, mut appenders) = Journal::start(recovered, SMALL, wakers(1)).expect("a start");
    append(&mut appenders[0], ADDRS..ADDRS + 3);
    append(&mut appenders[0], ADDRS + 3..ADDRS + 6);
    assert_eq!(journal.close(), Health::Ok);
    let name = last_segment(&disk);
    let mut whole = disk.octets(&name);
    // Whether this one was recycled is the background thread's choice: give it an earlier life.
    let first = disk
        .names()
        .into_iter()
        .find(|name| name.starts_with("segment-"));
    let stale = disk.octets(&first.expect("a segment"));
    assert!(
        stale[4 * 4096..]
            .iter()
            .filter(|&&octet| octet != 0)
            .count()
            > 1000
    );
    let end = whole.len().min(stale.len());
    whole[4 * 4096..end].copy_from_slice(&stale[4 * 4096..end]);
    let blank_behind = whole[3 * 4096..4 * 4096].iter().all(|&octet| octet == 0);
    assert!(blank_behind, "the log ends blank");
    for cut in (0..360).step_by(3) {
        let mut octets = whole.clone();
        // What the file held before the torn write is an earlier life's, not zeros.
        octets.copy_within(8 * 4096 + cut..9 * 4096, 2 * 4096 + cut);
        disk.set(&name, octets);
        let (table, recovered) = load(&disk).expect("a torn tail is no error");
        assert!(!recovered.damaged, "cut at {cut}: {:?}", recovered.report);
        let left = table.len() as u128;
        assert!(
            is_prefix(&table) && (left == ADDRS + 3 || left == ADDRS + 6),
            "cut at {cut}: {left}"
        );
    }
}

#[test]
fn a_prepared_segment_is_used_later_and_a_lost_beginning_is_said() {
    let disk = written_over(1);
    let blank = |name: &str| disk.octets(name)[..8192].iter().all(|&octet| octet == 0);
    let (_, recovered) = load(&disk).expect("recovery");
    let (journal, mut appenders) = Journal::start(recovered, SMALL, wakers(1)).expect("a start");
    append(&mut appenders[0], ADDRS..ADDRS + 1);
    append(&mut appenders[0], ADDRS + 1..ADDRS + 2);
    wait("prepared", || {
        let names = disk.names();
        names
            .iter()
            .any(|name| name.starts_with("segment-") && blank(name))
    });
    drop(journal);
    let (table, recovered) = load(&disk).expect("a blank segment is none");
    assert!(recovered.report.is_empty(), "{:?}", recovered.report);
    assert_eq!(table.len() as u128, ADDRS + 2);
    drop(recovered);

    let name = last_segment(&disk);
    let mut octets = disk.octets(&name);
    octets[..8192].fill(0);
    disk.set(&name, octets);
    let (_, recovered) = load(&disk).expect("the snapshot is whole");
    assert!(recovered.damaged, "{:?}", recovered.report);
}

#[test]
fn a_crash_at_any_step_of_a_snapshot_loses_nothing() {
    for step in 0.. {
        let disk = MemoryDisk::default();
        let (_, recovered) = load(&disk).expect("an empty disk");
        let (journal, mut appenders) =
            Journal::start(recovered, SMALL, wakers(1)).expect("a start");
        for _ in 0..2 {
            append_round(&mut appenders[0]);
            assert!(snapshot(&journal, ADDRS, appenders[0].ticket()));
        }
        let end = ADDRS + 5;
        append(&mut appenders[0], ADDRS..end);
        disk.crash_after(step);
        let whole = snapshot(&journal, end, appenders[0].ticket());
        drop(journal);
        disk.restart();
        let (table, recovered) = load(&disk).expect("recovery");
        assert!(!recovered.damaged, "step {step}: {:?}", recovered.report);
        assert!(
            is_prefix(&table) && table.len() as u128 == end,
            "step {step}"
        );
        if whole && step > 2 {
            return;
        }
    }
}

/// What a recovery announces.
#[derive(Default)]
struct Announced(Vec<u64>);

impl Apply for Announced {
    fn apply(&mut self, _: &BindingDelta<'_>) {}

    fn expect(&mut self, bindings: u64) {
        self.0.push(bindings);
    }
}

fn announced(disk: &MemoryDisk) -> Vec<Announced> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let appliers = vec![Announced::default(), Announced::default()];
    let owner = |shard: wire::ShardId| usize::from(shard.0 % 2);
    let (appliers, _) = recover_from(storage, false, appliers, &owner).expect("recovery");
    appliers
}

#[test]
fn every_applier_hears_how_many_bindings_a_snapshot_has() {
    let disk = written_over(2);
    for applier in announced(&disk) {
        assert_eq!(applier.0, [ADDRS as u64]);
    }
    let names = disk.names();
    let newest = names.iter().filter(|name| name.starts_with("snapshot-"));
    let newest = newest.max().expect("a snapshot");
    let mut octets = disk.octets(newest);
    let footer = octets.len() - 4096;
    octets[footer + 24] ^= 1;
    disk.set(newest, octets);
    for applier in announced(&disk) {
        assert_eq!(applier.0, [ADDRS as u64], "only of the one that is whole");
    }
}
