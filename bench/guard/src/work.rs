//! What is counted: pieces of work, each many operations of one kind.

mod engine;
mod journal;
mod pools;
mod wire;

use anyhow::Result;

/// The function around what is counted, by the name that callgrind knows it by.
pub const WATCHED: &str = "guard::work::watched";

/// Calls the work. callgrind counts what happens inside of this function and nothing else.
#[inline(never)]
fn watched(work: &mut dyn FnMut()) {
    work();
    // Without anything behind it the call would be a jump, and callgrind would miss the end.
    std::hint::black_box(());
}

/// Does a piece of work and says which one it was, and of how many operations.
struct Work<'a> {
    say: &'a dyn Fn(&str, u64),
}

impl Work<'_> {
    fn of(&self, name: &str, operations: u64, mut work: impl FnMut()) {
        watched(&mut work);
        (self.say)(name, operations);
    }
}

/// Does all the work. `say` is told the name of each piece and how many operations it was, in
/// their order; a name may come again.
///
/// # Errors
/// Something does not do what is counted.
pub fn run(say: impl Fn(&str, u64)) -> Result<()> {
    let work = Work { say: &say };
    engine::run(&work)?;
    wire::run(&work)?;
    pools::run(&work)?;
    journal::run(&work)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    #[test]
    fn all_work_can_be_done() {
        let names = RefCell::new(BTreeSet::new());
        super::run(|name, operations| {
            assert!(operations > 0 && !name.contains(' '), "{name}");
            names.borrow_mut().insert(name.to_owned());
        })
        .unwrap();
        for part in ["engine/", "wire/", "pools/", "journal/"] {
            assert!(names.borrow().iter().any(|name| name.starts_with(part)));
        }
    }
}
