//! Messages to the engine, from a datagram's octets to the reply's.

use anyhow::{Result, ensure};
use network::{BATCH, Kind, Network, Size};

use super::Work;

/// Few, because callgrind is slow and counts the same instructions with many.
const SIZE: Size = Size {
    bindings: 8_192,
    spare: 1_024,
    waiting: 2_048,
};
/// Messages of a kind.
const MESSAGES: u64 = 1_024;

pub fn run(work: &Work<'_>) -> Result<()> {
    let mut network = Network::new(SIZE)?;
    for (name, kind) in Kind::all() {
        let name = format!("engine/{name}");
        network.answer(kind.path, kind.sort, MESSAGES, &mut |batch| {
            work.of(&name, BATCH as u64, batch);
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
