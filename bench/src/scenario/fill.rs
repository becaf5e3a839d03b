//! A state directory with so many bindings, as a server leaves it: a snapshot by the project's own
//! journal, in seconds and not by exchanges.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use engine::{LinkSpec, ModelBuilder};
use journal::{Apply, Health, Journal, Options, SnapshotFeed, Ticket, Wake, recover};
use lease::{
    AbsTime, AllocationKey, BindingDelta, BindingRecord, BindingStatus, Lease, LinkKey,
    PartnerTimes,
};
use wire::{Duid, IaKind, Iaid, shard_of};

use super::ground::{Ground, LINK, NA, POOL, POOL_LEN, ServerSpec};
use crate::generator::client::{Client, Numbering};
use crate::generator::message::Leases;
use crate::generator::oracle::Book;
use crate::generator::session::Session;

/// Odd, so that clients and positions of the pool are one to one; the golden ratio, so that the
/// bindings of any number of clients are spread evenly over it.
const STEP: u32 = 0x9e37_79b1;

struct Nothing;

impl Apply for Nothing {
    fn apply(&mut self, _: &BindingDelta<'_>) {}
}

impl Wake for Nothing {
    fn wake(&self) {}
}

/// What a filled client is bound to.
pub fn leases_of(Client(client): Client) -> Leases {
    let position = client.wrapping_mul(STEP) & (POOL_LEN - 1);
    Leases {
        address: POOL.to_bits() + u128::from(position),
        ..Leases::default()
    }
}

/// Direct clients 0 to `clients`, each with an address that the server will find in its state when it
/// is started as `spec` says.
///
/// # Errors
/// As [`fill`], or the generator's port cannot be had.
pub fn bound_clients(ground: &Ground, spec: &ServerSpec, clients: u32) -> Result<Session> {
    let mut session = ground.direct(NA, 1)?;
    fill(
        ground.state(),
        clients,
        Numbering { salt: 1, relays: 0 },
        spec.valid_secs,
        &mut session.book,
    )?;
    Ok(session)
}

/// Writes bindings of clients 0 to `clients`, an address each, into the state directory `dir`, where
/// nothing is yet; and into `book`.
///
/// # Errors
/// The journal cannot be written.
pub fn fill(
    dir: &Path,
    clients: u32,
    numbering: Numbering,
    valid_secs: u32,
    book: &mut Book,
) -> Result<()> {
    ensure!(
        clients <= POOL_LEN,
        "{clients} clients for {POOL_LEN} addresses"
    );
    let dir = dir.join("server/journal");
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let (_, recovered) = recover(&dir, false, vec![Nothing], &|_| 0)?;
    let wakers: Vec<Arc<dyn Wake>> = vec![Arc::new(Nothing)];
    let (journal, _appenders) = Journal::start(recovered, Options::default(), wakers)?;
    let feeds = journal.begin_snapshot().context("no snapshot can begin")?;
    let link = link_key()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = AbsTime::from_unix_secs(now.as_secs());
    for mut feed in feeds {
        for client in (0..clients).map(Client) {
            push(&mut feed, client, numbering, link, (now, valid_secs));
            book.grant(client, leases_of(client));
        }
        while !feed.finish(Ticket(0)) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    while journal.stats().snapshot.running {
        std::thread::sleep(Duration::from_millis(2));
    }
    let snapshot = journal.stats().snapshot;
    ensure!(
        snapshot.error.is_none(),
        "the snapshot failed: {:?}",
        snapshot.error
    );
    ensure!(journal.close() == Health::Ok, "the journal failed");
    Ok(())
}

fn push(
    feed: &mut SnapshotFeed,
    client: Client,
    numbering: Numbering,
    link: LinkKey,
    (now, valid_secs): (AbsTime, u32),
) {
    while !feed.has_room() {
        std::thread::sleep(Duration::from_micros(200));
    }
    let octets = numbering.duid(client);
    let duid = Duid::new(&octets).expect("a DUID-LL has ten octets");
    let address = leases_of(client).address;
    feed.push(&BindingDelta::Put {
        shard: shard_of(&octets),
        record: BindingRecord {
            duid,
            kind: IaKind::Na,
            iaid: Iaid(numbering.iaid(client)),
            subscriber: None,
            lease: Lease {
                addr: address,
                len: 128,
            },
            link,
            status: BindingStatus::Active,
            preferred_secs: valid_secs / 2,
            valid_secs,
            cltt: now,
            status_since: now,
            expires: now.plus(valid_secs),
            partner: PartnerTimes::NONE,
            accepts_reconfigure: false,
            via: &[],
        },
    });
}

/// The link's key as the server computes it from its name.
fn link_key() -> Result<LinkKey> {
    let link = LinkSpec {
        name: LINK.into(),
        ..LinkSpec::default()
    };
    let model = ModelBuilder::new(&[0, 3, 0], AllocationKey::new([0; 16])).link(link);
    let model = model.build()?;
    Ok(model.links()[0].key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_clients_are_filled_into_one_position() {
        let mut book = Book::default();
        for client in 0..50_000 {
            book.grant(Client(client), leases_of(Client(client)));
        }
        assert_eq!((book.held_twice(), book.held()), (0, 50_000));
        assert_eq!(leases_of(Client(0)).address, POOL.to_bits());
    }

    #[test]
    fn a_filled_journal_recovers_whole() {
        struct Count(u64);
        impl Apply for Count {
            fn apply(&mut self, delta: &BindingDelta<'_>) {
                assert!(matches!(delta, BindingDelta::Put { .. }));
                self.0 += 1;
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let numbering = Numbering { salt: 1, relays: 0 };
        fill(dir.path(), 3_000, numbering, 100, &mut Book::default()).unwrap();
        let journal = dir.path().join("server/journal");
        let (counts, recovered) = recover(&journal, false, vec![Count(0)], &|_| 0).unwrap();
        assert_eq!((counts[0].0, recovered.damaged), (3_000, false));
    }
}
