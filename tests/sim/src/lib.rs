#![forbid(unsafe_code)]
//! A pair of servers, its clients, disks, clocks and network in one process under one seed.
//!
//! What decides is the program's own: `engine`, `lease`, `failover`, the records of `journal`. What
//! is around it is simulated, so that the same seed makes the same run to the octet. Faults come
//! one after the other, then none any more, and the pair must come to agree. What must be true all
//! the while is in `oracle`.

mod client;
mod disk;
mod faults;
mod message;
mod mutation;
mod network;
mod oracle;
mod params;
mod rng;
mod server;
mod site;
mod world;

use server::clients as server_answers;

pub use mutation::Mutation;
pub use world::Tally;

use params::Params;
use rng::Rng;
use world::World;

/// A run that found something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The seed that finds it again.
    pub seed: u64,
    /// What was violated.
    pub what: String,
    /// The last that happened before, a line each, with the time in milliseconds.
    pub story: Vec<String>,
}

/// Lines of a story.
pub const STORY_LINES: usize = 400;

/// Runs one seed with so many faults.
///
/// # Errors
/// [`Violation`]: something that must be true was not.
pub fn run(seed: u64, faults: u32, mutation: Option<Mutation>) -> Result<Tally, Box<Violation>> {
    run_told(seed, faults, mutation, STORY_LINES)
}

/// [`run`] with a story of so many lines, if it comes to one.
///
/// # Errors
/// [`Violation`]: something that must be true was not.
pub fn run_told(
    seed: u64,
    faults: u32,
    mutation: Option<Mutation>,
    lines: usize,
) -> Result<Tally, Box<Violation>> {
    match play(seed, faults, mutation, 0) {
        (Ok(()), world) => Ok(world.tally),
        (Err(_), _) => {
            // The same again, told.
            let (again, world) = play(seed, faults, mutation, lines);
            Err(Box::new(Violation {
                seed,
                what: again
                    .err()
                    .unwrap_or_else(|| "a run that is not the same again".into()),
                story: world.story().map(str::to_owned).collect(),
            }))
        }
    }
}

fn play(
    seed: u64,
    faults: u32,
    mutation: Option<Mutation>,
    story: usize,
) -> (Result<(), String>, World) {
    let mut rng = Rng::new(seed);
    let params = Params::draw(&mut rng, mutation, story);
    let mut world = World::new(params, rng, faults);
    (world.run(), world)
}
