//! Messages to the engine, from a datagram's octets to the reply's.

use anyhow::{Result, ensure};
use network::{BATCH, Network, Path, Size, Sort};

use super::Work;

/// Few, because callgrind is slow and counts the same instructions with many.
const SIZE: Size = Size {
    bindings: 8_192,
    spare: 1_024,
    waiting: 2_048,
};
/// Messages of a kind.
const MESSAGES: u64 = 1_024;

const KINDS: [(&str, Path, Sort); 10] = [
    ("engine/solicit", Path::Direct, Sort::Solicit),
    ("engine/solicit-bound", Path::Direct, Sort::SolicitBound),
    ("engine/request", Path::Direct, Sort::Request),
    ("engine/renew", Path::Direct, Sort::Renew),
    (
        "engine/information-request",
        Path::Direct,
        Sort::InformationRequest,
    ),
    ("engine/solicit-relayed", Path::Relayed, Sort::Solicit),
    (
        "engine/solicit-bound-relayed",
        Path::Relayed,
        Sort::SolicitBound,
    ),
    ("engine/request-relayed", Path::Relayed, Sort::Request),
    ("engine/renew-relayed", Path::Relayed, Sort::Renew),
    (
        "engine/information-request-relayed",
        Path::Relayed,
        Sort::InformationRequest,
    ),
];

pub fn run(work: &Work<'_>) -> Result<()> {
    let mut network = Network::new(SIZE)?;
    for (name, path, sort) in KINDS {
        network.answer(path, sort, MESSAGES, &mut |batch| {
            work.of(name, BATCH as u64, batch);
        });
    }
    let tally = network.tally();
    ensure!(
        tally.answered == tally.messages,
        "{} of {} messages were answered",
        tally.answered,
        tally.messages
    );
    Ok(())
}
