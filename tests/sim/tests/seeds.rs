//! Whatever goes wrong between them, no two clients have one lease and the servers come to agree: as
//! many seeds as a test run has time for. `cargo xtask sim` runs more.

const SEEDS: u64 = 200;
const FAULTS: u32 = 120;

#[test]
fn no_seed_violates_anything() {
    let mut faults = 0;
    for seed in 1..=SEEDS {
        match sim::run(seed, FAULTS, None) {
            Ok(tally) => faults += tally.faults,
            Err(violation) => panic!(
                "{}\nseed {seed}: {}",
                violation.story.join("\n"),
                violation.what
            ),
        }
    }
    assert_eq!(faults, SEEDS * u64::from(FAULTS));
}
