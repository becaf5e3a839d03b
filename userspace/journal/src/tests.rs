//! The whole journal on a disk that can be cut off, fail and be damaged.

mod control;
mod disk;
mod rotation;

use crate::{
    Apply, Health, Journal, JournalError, Options, Recovered, Storage, Ticket, Wake, decode,
    encode, recover, recover_from,
};
use disk::MemoryDisk;
use lease::{AbsTime, BindingDelta, BindingRecord, BindingStatus, Lease, LinkKey, PartnerTimes};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Duid, IaKind, Iaid, ShardId, SubscriberIa, shard_of};

const SMALL: Options = Options {
    segment_len: 2 << 20,
    snapshot_floor: 1 << 20,
};

#[derive(Default)]
struct Table(BTreeMap<u128, u32>);

impl Apply for Table {
    fn apply(&mut self, delta: &BindingDelta<'_>) {
        match delta {
            BindingDelta::Put { record, .. } => self.0.insert(record.lease.addr, record.iaid.0),
            BindingDelta::Remove { lease, .. } => self.0.remove(&lease.addr),
            BindingDelta::Acked { .. } => None,
        };
    }
}

struct NoWake;
impl Wake for NoWake {
    fn wake(&self) {}
}

fn wakers(count: usize) -> Vec<Arc<dyn Wake>> {
    (0..count)
        .map(|_| Arc::new(NoWake) as Arc<dyn Wake>)
        .collect()
}

fn put(duid: &[u8], addr: u128, iaid: u32) -> BindingDelta<'_> {
    BindingDelta::Put {
        shard: shard_of(duid),
        record: BindingRecord {
            duid: Duid::new(duid).expect("a DUID"),
            kind: IaKind::Na,
            iaid: Iaid(iaid),
            subscriber: None,
            lease: Lease { addr, len: 128 },
            link: LinkKey(7),
            status: BindingStatus::Active,
            preferred_secs: 10,
            valid_secs: 20,
            cltt: AbsTime(1),
            status_since: AbsTime(2),
            expires: AbsTime(3),
            partner: PartnerTimes::NONE,
            accepts_reconfigure: false,
            via: &[],
        },
    }
}

fn load(disk: &MemoryDisk) -> Result<(BTreeMap<u128, u32>, Recovered), JournalError> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let tables = vec![Table::default(), Table::default()];
    let (tables, recovered) =
        recover_from(storage, false, tables, &|shard| usize::from(shard.0 % 2))?;
    Ok((
        tables.into_iter().flat_map(|table| table.0).collect(),
        recovered,
    ))
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(8);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A journal of `batches` batches of three records each, closed; addresses count from 0.
fn written(batches: u128) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (_, recovered) = load(&disk).expect("an empty disk");
    let (journal, mut appenders) = Journal::start(recovered, SMALL, wakers(1)).expect("a start");
    for batch in 0..batches {
        for addr in 3 * batch..3 * batch + 3 {
            appenders[0].append(&put(&(addr as u64).to_be_bytes(), addr, 1));
        }
        appenders[0].submit();
        wait("commit", || {
            appenders[0].committed() == appenders[0].ticket()
        });
    }
    assert_eq!(journal.close(), Health::Ok);
    disk
}

/// Whether `table` is 0, 1, 2… without a gap.
fn is_prefix(table: &BTreeMap<u128, u32>) -> bool {
    table.keys().copied().eq(0..table.len() as u128)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn records_come_back_as_they_were(
        duid in prop::collection::vec(any::<u8>(), 3..=130),
        addr: u128, iaid: u32, len in 0u8..=128, kind in 0u8..4, status in 1u8..=8,
        via in prop::collection::vec(any::<u8>(), 0..=lease::VIA_LEN_MAX),
        times in prop::option::of(any::<[u32; 4]>()), unacked: bool, accepts_reconfigure: bool,
        subscriber in prop::option::of((prop::collection::vec(any::<u8>(), 1..=127), any::<u32>())),
    ) {
        let key = subscriber.map(|(identity, number)| {
            ([&[0xff, 0xff, 38], &identity[..]].concat(), Iaid(number))
        });
        let mut delta = put(&duid, addr, iaid);
        if let BindingDelta::Put { record, .. } = &mut delta {
            let [sent, acked, expiration, raw] = times.unwrap_or_default().map(AbsTime);
            record.partner = PartnerTimes {
                partner_lifetime: sent,
                acked_partner_lifetime: acked,
                expiration_time: expiration,
                partner_raw_cltt: raw,
                unacked,
            };
            record.accepts_reconfigure = accepts_reconfigure;
            record.via = &via;
            record.subscriber = key.as_ref().map(|(key, number)| SubscriberIa {
                key: Duid::new(key).expect("4 to 130 octets"),
                number: *number,
            });
            record.status = BindingStatus::from_wire(status).expect("a status");
            record.lease.len = len;
        }
        let (shard, lease) = (ShardId(9), Lease { addr, len });
        match kind {
            0 => delta = BindingDelta::Remove { shard, lease },
            1 => delta = BindingDelta::Acked { shard, lease, acked_partner_lifetime: AbsTime(iaid) },
            _ => {}
        }
        let mut octets = Vec::new();
        encode(&delta, &mut octets);
        prop_assert_eq!(decode(&octets), Ok((delta, octets.len())));
        prop_assert!(octets.len() <= crate::RECORD_LEN_MAX);
        for cut in 0..octets.len() {
            prop_assert!(decode(&octets[..cut]).is_err());
        }
    }

    #[test]
    fn a_subscriber_s_key_is_one_or_the_record_is_refused(
        key in prop::collection::vec(any::<u8>(), 0..=140),
    ) {
        let mut octets = Vec::new();
        encode(&put(b"duid", 1, 2), &mut octets);
        octets.extend([3, (4 + key.len()) as u8, 0, 0, 0, 0, 0]);
        octets.extend(&key);
        let len = (octets.len() - 2) as u16;
        octets[..2].copy_from_slice(&len.to_le_bytes());
        let is_key = Duid::new(&key).is_some_and(Duid::is_subscriber);
        prop_assert_eq!(decode(&octets).is_ok(), is_key);
    }

    #[test]
    fn any_octets_are_a_record_or_an_error(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((_, len)) = decode(&octets) {
            prop_assert!(len <= octets.len());
        }
    }
}

#[test]
fn a_crash_at_every_byte_of_the_tail_keeps_the_acknowledged_prefix() {
    let disk = written(3);
    let mut whole = disk.octets("segment-0000000000000001.log");
    whole.truncate(8 * 4096);
    // Header, then one block for each batch; the third is the one being written.
    let tail = 3 * 4096;
    for cut in 0..400 {
        let mut octets = whole.clone();
        octets[tail + cut..].fill(0);
        disk.set("segment-0000000000000001.log", octets);
        let (table, recovered) = load(&disk).expect("a torn tail is no error");
        assert!(is_prefix(&table), "cut at {cut}");
        assert!(
            table.len() == 6 || table.len() == 9,
            "cut at {cut}: {}",
            table.len()
        );
        assert!(!recovered.damaged, "cut at {cut}: {:?}", recovered.report);
        assert_eq!(
            table.len() == 6 && cut > 0,
            recovered.cut_bytes > 0,
            "cut at {cut}"
        );
    }
}

#[test]
fn a_flipped_bit_anywhere_is_reported_or_harmless() {
    let disk = written(3);
    let name = "segment-0000000000000001.log";
    let mut whole = disk.octets(name);
    whole.truncate(8 * 4096);
    for at in (0..4 * 4096).filter(|at| at % 4096 < 320) {
        let mut octets = whole.clone();
        octets[at] ^= 1 << (at % 8);
        disk.set(name, octets);
        match load(&disk) {
            Ok((table, recovered)) if recovered.report.is_empty() => {
                assert!(is_prefix(&table) && table.len() == 9, "silent loss at {at}");
            }
            Ok((table, _)) => assert!(table.len() >= 6, "one batch at most is lost at {at}"),
            Err(error) => assert!(at < 4096, "{at}: {error}"),
        }
    }
}

#[test]
fn damage_in_the_middle_is_said_and_the_rest_is_kept() {
    let disk = written(3);
    let name = "segment-0000000000000001.log";
    let mut octets = disk.octets(name);
    octets[2 * 4096 + 100] ^= 1;
    disk.set(name, octets);
    let (table, recovered) = load(&disk).expect("damage is reported");
    assert!(recovered.damaged);
    assert!(
        recovered.report[0].contains("3 records, LSN 4 to 6"),
        "{:?}",
        recovered.report
    );
    assert_eq!(table.into_keys().collect::<Vec<_>>(), [0, 1, 2, 6, 7, 8]);
}

#[test]
fn a_directory_with_nothing_readable_is_an_error() {
    let disk = written(1);
    let name = "segment-0000000000000001.log";
    let mut octets = disk.octets(name);
    octets[..4096].fill(0xff);
    disk.set(name, octets);
    assert!(matches!(load(&disk), Err(JournalError::Damaged(_))));
}

#[test]
fn another_format_version_is_refused_and_says_which_server_to_use() {
    let name = "segment-0000000000000001.log";
    for (version, remedy) in [(1, "the older server"), (3, "the newer server")] {
        let disk = written(1);
        let mut octets = disk.octets(name);
        octets[8] = version;
        let crc = crc32c::crc32c(&octets[..44]).to_le_bytes();
        octets[44..48].copy_from_slice(&crc);
        disk.set(name, octets);
        let error = load(&disk).map(drop).expect_err("another version");
        assert!(
            matches!(error, JournalError::Version { found, .. } if found == u32::from(version))
        );
        assert!(error.to_string().contains(remedy), "{error}");
    }
}

#[test]
fn a_failing_disk_acknowledges_nothing_and_loses_nothing() {
    for fault in [disk::Fault::Eio, disk::Fault::Full, disk::Fault::Short] {
        let disk = MemoryDisk::default();
        let (_, recovered) = load(&disk).expect("an empty disk");
        let (journal, mut appenders) =
            Journal::start(recovered, SMALL, wakers(1)).expect("a start");
        let appender = &mut appenders[0];
        appender.append(&put(&[1; 8], 0, 1));
        appender.submit();
        wait("commit", || appender.committed() == Ticket(1));
        disk.fail(Some(fault));
        appender.append(&put(&[2; 8], 1, 1));
        appender.submit();
        wait("failing", || appender.is_failing());
        assert_eq!(appender.committed(), Ticket(1));
        assert!(matches!(journal.health(), Health::Failing { .. }));
        disk.fail(None);
        wait("healed", || appender.committed() == Ticket(2));
        assert_eq!(journal.close(), Health::Ok);
        let (table, recovered) = load(&disk).expect("recovery");
        assert!(is_prefix(&table) && table.len() == 2 && !recovered.damaged);
    }
}

#[test]
fn four_workers_and_a_snapshot_while_they_write() {
    let disk = MemoryDisk::default();
    let (_, recovered) = load(&disk).expect("an empty disk");
    let (journal, appenders) = Journal::start(recovered, SMALL, wakers(4)).expect("a start");
    let feeds = journal.begin_snapshot().expect("no other is running");
    assert!(journal.begin_snapshot().is_none());
    std::thread::scope(|scope| {
        for (worker, (mut appender, mut feed)) in appenders.into_iter().zip(feeds).enumerate() {
            scope.spawn(move || {
                for index in 0..2000u128 {
                    let addr = 4 * index + worker as u128;
                    wait("room", || {
                        appender.submit();
                        appender.has_room()
                    });
                    appender.append(&put(&(addr as u64).to_be_bytes(), addr, 1));
                    if index % (7 + worker as u128) == 0 {
                        appender.submit();
                    }
                }
                wait("commit", || {
                    appender.submit();
                    appender.committed() == appender.ticket()
                });
                wait("finish", || feed.finish(appender.ticket()));
            });
        }
    });
    wait("snapshot", || !journal.stats().snapshot.running);
    assert_eq!(journal.stats().snapshot.error, None);
    assert_eq!(journal.close(), Health::Ok);
    let (table, recovered) = load(&disk).expect("recovery");
    assert!(
        is_prefix(&table) && table.len() == 8000,
        "{:?}",
        recovered.report
    );
    assert_eq!(recovered.next_lsn.0, 8001);
}

#[test]
fn a_damaged_snapshot_falls_back_to_the_log() {
    let disk = written(2);
    let (table, recovered) = load(&disk).expect("recovery");
    let (journal, _appenders) = Journal::start(recovered, SMALL, wakers(1)).expect("a start");
    let mut feed = journal.begin_snapshot().expect("feeds").remove(0);
    for (addr, iaid) in &table {
        feed.push(&put(&(*addr as u64).to_be_bytes(), *addr, *iaid));
    }
    assert!(feed.finish(Ticket(0)));
    wait("snapshot", || journal.stats().snapshot.completed.is_some());
    drop(journal);
    assert_eq!(load(&disk).expect("whole").0, table);
    let name = "snapshot-0000000000000007.snap";
    let whole = disk.octets(name);
    for at in [9000, 4096 + 80, 4096 + 8, 2 * 4096 + 30, 16] {
        let mut octets = whole.clone();
        octets.resize(octets.len().max(at + 1), 0);
        octets[at] ^= 4;
        disk.set(name, octets);
        assert_eq!(
            load(&disk).expect("the log is still whole").0,
            table,
            "flip at {at}"
        );
    }
}

#[test]
fn an_abandoned_snapshot_is_forgotten() {
    let disk = written(1);
    let (_, recovered) = load(&disk).expect("recovery");
    let (journal, _appenders) = Journal::start(recovered, SMALL, wakers(1)).expect("a start");
    drop(journal.begin_snapshot());
    wait("end", || journal.stats().snapshot.error.is_some());
    drop(journal);
    assert_eq!(load(&disk).expect("recovery").0.len(), 3);
}

#[test]
fn a_second_server_is_refused_with_the_pid_of_the_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || recover(dir.path(), false, vec![Table::default()], &|_| 0);
    let (_, first) = open().expect("the first");
    let Err(error) = open() else {
        panic!("the second was let in");
    };
    assert!(
        error
            .to_string()
            .contains(&format!("pid {}", std::process::id()))
    );
    let (journal, mut appenders) = Journal::start(first, SMALL, wakers(1)).expect("a start");
    appenders[0].append(&put(&[1; 14], 5, 6));
    appenders[0].submit();
    assert_eq!(journal.close(), Health::Ok);
    let (tables, recovered) = open().expect("after the first is gone");
    assert_eq!(tables[0].0, BTreeMap::from([(5, 6)]));
    assert!(recovered.report.is_empty());
}
