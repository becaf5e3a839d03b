//! Bindings into the state directory of a server that is not running: before the first packet.

use super::{ImportAnswer, Sink, binding_of};
use crate::config::Config;
use crate::control::view::BindingView;
use crate::recovery;
use crate::state_dir::StateDir;
use anyhow::Context as _;
use engine::{Context, Model};
use journal::{Appender, Disk, Health, Journal};
use lease::{AbsTime, BindingDelta, Shard};
use std::sync::Arc;
use std::time::Duration;

/// Pause while the journal writes what it has.
const PAUSE: Duration = Duration::from_micros(200);

/// A state directory that this process has to itself.
pub struct Offline {
    model: Arc<Model>,
    shards: Vec<Shard>,
    appender: Appender,
    journal: Journal,
    now: AbsTime,
}

impl Offline {
    /// Takes the state directory of `config` and brings back what is in it.
    ///
    /// # Errors
    /// A server runs on it, it cannot be read, or it is damaged.
    pub fn open(config: &Config, now: AbsTime) -> anyhow::Result<Self> {
        let state_dir = StateDir::open(&config.state_dir)?;
        let model = Arc::new(crate::run::identity(config, &state_dir)?.model);
        let disk = Disk::open(&state_dir.path().join("journal"))?;
        let restored = recovery::restore(disk, false, &model, &recovery::owners(1), 1)?;
        let wakers: Vec<Arc<dyn journal::Wake>> = vec![Arc::new(Nobody)];
        let options = journal::Options::default();
        let (journal, mut appenders) = Journal::start(restored.journal, options, wakers)?;
        let mut appender = appenders.pop().context("the journal gave no appender")?;
        for (shard, lease) in restored.conflicting {
            appender.append(&BindingDelta::Remove { shard, lease });
        }
        let mut shards: Vec<Shard> = restored.shards.into_iter().flatten().collect();
        shards.sort_by_key(Shard::id);
        Ok(Self {
            model,
            shards,
            appender,
            journal,
            now,
        })
    }

    /// Writes all to disk and leaves the directory.
    ///
    /// # Errors
    /// It cannot be written: bindings are missing.
    pub fn close(mut self) -> anyhow::Result<()> {
        while self.appender.committed() < self.appender.ticket() {
            self.fail_with_the_journal()?;
            self.appender.submit();
            std::thread::sleep(PAUSE);
        }
        drop(self.appender);
        match self.journal.close() {
            Health::Ok => Ok(()),
            Health::Failing { error, .. } => anyhow::bail!("bindings are not written: {error}"),
        }
    }

    fn fail_with_the_journal(&self) -> anyhow::Result<()> {
        match self.journal.health() {
            Health::Ok => Ok(()),
            Health::Failing { error, .. } => anyhow::bail!("the journal cannot write: {error}"),
        }
    }

    fn take_one(&mut self, view: &BindingView, index: usize, answer: &mut ImportAnswer) {
        let binding = match binding_of(view, &self.model) {
            Ok(binding) => binding,
            Err(why) => return answer.refuse(index, why),
        };
        let Some(record) = binding.record() else {
            return answer.refuse(index, "its DUID is none".into());
        };
        let client = binding.shard();
        let taken =
            engine::foreign_owner(&self.model, client, binding.lease).is_some_and(|owner| {
                let owner = &self.shards[usize::from(owner.0)];
                engine::take_for_import(&self.model, owner, client, binding.lease)
            });
        let (model, appender) = (&self.model, &mut self.appender);
        let context = Context::alone(model, self.now);
        let outcome = engine::import(
            &context,
            &mut self.shards[usize::from(client.0)],
            &record,
            taken,
            &mut |delta| {
                appender.append(delta);
                // One appender keeps the order, so that a lease can be given on at once.
                if let BindingDelta::Remove { lease, .. } = delta {
                    model.release(*lease);
                }
            },
        );
        if outcome.is_err() && taken {
            model.release(binding.lease);
        }
        answer.count(index, outcome);
    }
}

impl Sink for Offline {
    async fn take(&mut self, batch: &[BindingView]) -> anyhow::Result<ImportAnswer> {
        let mut answer = ImportAnswer::default();
        for (index, view) in batch.iter().enumerate() {
            while !self.appender.has_room() {
                self.fail_with_the_journal()?;
                self.appender.submit();
                std::thread::sleep(PAUSE);
            }
            self.take_one(view, index, &mut answer);
        }
        Ok(answer)
    }
}

struct Nobody;

impl journal::Wake for Nobody {
    fn wake(&self) {}
}
