use std::time::Instant;

/// Prints facts with the time since the beginning.
pub(super) struct Teller {
    start: Instant,
}

impl Teller {
    pub(super) fn new() -> Teller {
        Teller {
            start: Instant::now(),
        }
    }

    /// Something that was checked.
    pub(super) fn fact(&self, text: &str) {
        println!("✓ {:5.1} s  {text}", self.start.elapsed().as_secs_f64());
    }

    /// What belongs to the fact before.
    pub(super) fn remark(&self, text: &str) {
        println!("          {text}");
    }
}
