//! What the failover endpoints let workers do: published whole by the control thread, read by each
//! worker once in a turn without a lock.

use arc_swap::{ArcSwap, Cache};
use lease::Leeway;
use std::sync::Arc;

/// The leeways of all relationships, in the order of the configuration.
#[derive(Clone, Debug)]
pub struct Leeways(Arc<ArcSwap<Vec<Leeway>>>);

/// One worker's view of them.
pub type LeewaysSeen = Cache<Arc<ArcSwap<Vec<Leeway>>>, Arc<Vec<Leeway>>>;

impl Leeways {
    /// Those of relationships whose endpoints have said nothing yet.
    pub fn new(initial: impl IntoIterator<Item = Leeway>) -> Self {
        let initial = ArcSwap::from_pointee(initial.into_iter().collect());
        Self(Arc::new(initial))
    }

    /// Replaces the leeway of one relationship; from their next turn on workers obey it.
    pub fn publish(&self, relationship: usize, leeway: Leeway) {
        self.0.rcu(|before| {
            let mut all = Vec::clone(before);
            if let Some(place) = all.get_mut(relationship) {
                *place = leeway;
            }
            all
        });
    }

    /// A worker's view.
    pub fn seen(&self) -> LeewaysSeen {
        Cache::new(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lease::Role;

    #[test]
    fn a_worker_sees_what_was_published_last_and_the_other_relationships_unchanged() {
        let startup = Leeway::startup(Role::Primary, 600);
        let leeways = Leeways::new([startup, startup]);
        let mut seen = leeways.seen();
        assert_eq!(seen.load().as_slice(), [startup, startup]);
        leeways.publish(1, Leeway::ALONE);
        assert_eq!(seen.load().as_slice(), [startup, Leeway::ALONE]);
        leeways.publish(2, Leeway::ALONE);
        assert_eq!(seen.load().len(), 2, "there is no third relationship");
    }
}
