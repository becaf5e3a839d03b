//! Questions of the control socket, each answered by a bounded look into the shards.

use super::desk::Desk;
use crate::control::command::{
    Command, DecisionPage, Decisions, DecisionsOf, ListLeases, PAGE_MAX, Page, ShowLease,
};
use lease::AbsTime;

/// Kept decisions looked at for one page: some microseconds.
const DECISIONS_MAX: usize = 128;

impl Desk {
    /// Answers one command. A reply that nobody waits for any more is no error.
    pub fn serve(&mut self, command: Command, now: AbsTime) {
        match command {
            Command::ListLeases(list) => {
                let page = self.page(&list);
                let _ = list.reply.send(page);
            }
            Command::Decisions(asked) => {
                let page = self.decisions(&asked);
                let _ = asked.reply.send(page);
            }
            Command::EndLease(order) => self.end_lease(order, now),
            Command::TakeLeases(order) => self.take_leases(order),
            Command::ImportLeases(order) => self.import_leases(order, now),
            // Needs the ports too, so `Worker` does not pass it on to here.
            Command::Reconfigure(_) => {}
            Command::ShowLease(ShowLease { lease, reply }) => {
                let found = self.shards.all().find_map(|shard| shard.by_lease(lease));
                let _ = reply.send(found.map(|(_, record)| record.into()));
            }
        }
    }

    fn decisions(&self, asked: &Decisions) -> DecisionPage {
        let mut page = DecisionPage::default();
        page.next = self.trace.walk(asked.from, DECISIONS_MAX, &mut |kept| {
            let matches = match &asked.of {
                DecisionsOf::Everybody => true,
                DecisionsOf::Client(duid) => kept.duid() == Some(duid),
                DecisionsOf::Octets(octets) => kept.holds(octets),
            };
            if matches {
                page.kept.push(kept.into());
            }
        });
        page
    }

    fn page(&self, list: &ListLeases) -> Page {
        let Some(shard) = self.shards.get(list.shard) else {
            return Page::default();
        };
        let (next, records) = shard.walk(list.from, list.max.min(PAGE_MAX));
        let bindings = records
            .filter(|record| list.filter.matches(record))
            .map(Into::into);
        Page {
            bindings: bindings.collect(),
            next,
        }
    }
}
