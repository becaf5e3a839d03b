//! A rule that is broken on purpose is found, and within a few seeds.

use sim::Mutation;

/// Seeds that each mutation is given.
const SEEDS: u64 = 60;
const FAULTS: u32 = 120;

/// The first seed that a mutation fails and the servers as they are pass.
fn caught(mutation: Mutation) -> Option<String> {
    (1..=SEEDS).find_map(|seed| {
        let found = sim::run(seed, FAULTS, Some(mutation)).err()?;
        sim::run(seed, FAULTS, None).ok()?;
        Some(found.what)
    })
}

fn check(mutation: Mutation, expected: &str) {
    let what = caught(mutation).expect("a rule is broken and nobody notices");
    assert!(what.contains(expected), "{mutation:?}: {what}");
}

#[test]
fn an_acknowledgement_that_outlives_its_client_is_caught() {
    check(Mutation::SkipReset, "promises");
}

#[test]
fn an_answer_before_the_commit_is_caught() {
    check(
        Mutation::AnswerBeforeCommit,
        "a crash lost what was acknowledged",
    );
}

#[test]
fn a_lifetime_beyond_mclt_is_caught() {
    check(Mutation::IgnoreMclt, "promises");
}

#[test]
fn a_lease_of_the_partners_half_is_caught() {
    check(Mutation::UsePartnersHalf, "is client");
}

#[test]
fn a_bndreply_before_the_commit_is_caught() {
    check(
        Mutation::AckBeforeStore,
        "a crash lost what was acknowledged",
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    let once = sim::run(7, FAULTS, Some(Mutation::IgnoreMclt));
    let again = sim::run(7, FAULTS, Some(Mutation::IgnoreMclt));
    assert_eq!(once, again);
    assert!(once.is_err_and(|violation| !violation.story.is_empty()));
}
