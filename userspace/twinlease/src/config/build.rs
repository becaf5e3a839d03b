//! From the checked config to what engine and datapath take.

use datapath::{InterfaceSpec, IoMode};
use engine::{InterfaceId, LinkSpec, Model, ModelBuilder, ModelError, PoolConfig};
use lease::{AllocationKey, Lease, PoolSpec};
use std::sync::Arc;

use super::model::{self, Config, Io, Lifetimes};
use super::value::Prefix;

impl Config {
    /// The engine's model for a server with this DUID and allocation key.
    ///
    /// # Errors
    /// What the engine refuses although the config's own check did not.
    pub fn model(&self, server_duid: &[u8], key: [u8; 16]) -> Result<Model, ModelError> {
        self.builder(server_duid, key).build()
    }

    /// The model that is to follow `before`, which is in use.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub fn successor(
        &self,
        server_duid: &[u8],
        key: [u8; 16],
        before: &Model,
    ) -> Result<Model, ModelError> {
        self.builder(server_duid, key).build_successor(before)
    }

    fn builder(&self, server_duid: &[u8], key: [u8; 16]) -> ModelBuilder {
        let mut builder = ModelBuilder::new(server_duid, AllocationKey::new(key))
            .preference(self.preference)
            .rapid_commit(self.rapid_commit)
            .bind_on_renew(self.bind_on_renew)
            .lifetimes(lifetimes(self.lifetimes))
            .options(self.options.clone())
            .reservations(Arc::clone(&self.reservations));
        if let Some(quarantine) = self.quarantine {
            builder = builder.quarantine_secs(quarantine.0);
        }
        if let Some(addresses) = self.declines_per_client {
            builder = builder.declines_per_client(addresses);
        }
        if let Some(codes) = &self.relay_supplied_options {
            builder = builder.relay_supplied_options(codes.clone());
        }
        let builder = (self.classes.iter().cloned()).fold(builder, ModelBuilder::class);
        let links = self.links.iter().enumerate();
        let links = links.map(|(index, link)| self.link_spec(index, link));
        links.fold(builder, ModelBuilder::link)
    }

    fn link_spec(&self, index: usize, link: &model::Link) -> LinkSpec {
        let interface = link.interface.and_then(|index| u16::try_from(index).ok());
        LinkSpec {
            name: link.name.clone(),
            interface: interface.map(InterfaceId),
            link_addresses: link.link_addresses.iter().copied().map(lease).collect(),
            lifetimes: Some(lifetimes(link.lifetimes)),
            shared_network: link.shared_network.clone(),
            options: link.options.clone(),
            pools: link.pools.iter().map(pool).collect(),
            relationship: self.relationship_of(index),
            clients: link.clients,
        }
    }

    /// The failover relationship that a link belongs to.
    fn relationship_of(&self, link: usize) -> Option<engine::Relationship> {
        let mut relationships = self.failover.iter().enumerate();
        let (index, failover) = relationships.find(|(_, f)| f.links.contains(&link))?;
        Some(engine::Relationship {
            index: u16::try_from(index).ok()?,
            role: crate::partner::settings::role(failover.role),
            mclt_secs: failover.mclt.0,
        })
    }

    /// The interfaces as the datapath takes them, in the order of [`Config::interfaces`].
    pub fn interface_specs(&self) -> Vec<InterfaceSpec> {
        let spec = |interface: &model::Interface| InterfaceSpec {
            name: interface.name.clone(),
            io: match interface.io {
                Io::Auto => IoMode::Auto,
                Io::ZeroCopy => IoMode::ZeroCopy,
                Io::Copy => IoMode::Copy,
                Io::Generic => IoMode::Generic,
                Io::Socket => IoMode::Socket,
            },
            verify_checksums: match interface.verify_checksums {
                model::VerifyChecksums::Auto => datapath::VerifyChecksums::Auto,
                model::VerifyChecksums::On => datapath::VerifyChecksums::On,
                model::VerifyChecksums::Off => datapath::VerifyChecksums::Off,
            },
            addresses: interface.addresses.clone(),
            steer_by: interface.steer_by,
        };
        self.interfaces.iter().map(spec).collect()
    }
}

fn pool(pool: &model::Pool) -> PoolConfig {
    PoolConfig {
        spec: PoolSpec {
            kind: pool.kind,
            first: pool.first,
            count: pool.count,
            unit_len: pool.unit_len,
            lengths: pool.lengths,
            reserved: Vec::new(),
        },
        lifetimes: Some(lifetimes(pool.lifetimes)),
        options: pool.options.clone(),
        group: pool.group.clone(),
        classes: pool.classes.clone(),
        excluded_len: pool.excluded_len,
    }
}

/// A prefix as the engine has it.
pub(super) fn lease(prefix: Prefix) -> Lease {
    Lease {
        addr: prefix.first,
        len: prefix.len,
    }
}

/// Lifetimes as the engine has them.
pub fn lifetimes(lifetimes: Lifetimes) -> engine::Lifetimes {
    engine::Lifetimes {
        preferred_secs: lifetimes.preferred.0,
        valid_secs: lifetimes.valid.0,
    }
}
