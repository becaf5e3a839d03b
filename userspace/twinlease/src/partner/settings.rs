//! From `[[failover]]` to what endpoint and session take.

use super::tls::{Identity, TlsError};
use super::{Partner, Security, Timing};
use crate::config::model::{self, Config};
use engine::{Model, ReservationKey};
use failover::ConfigDigest;
use failover::balance::PrefixShare;
use lease::{LinkKey, Role};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// BNDUPDs that the partner may send without an answer: some megabytes at most, and enough that a
/// commit of the journal is shared by thousands.
const MAX_UNACKED: u32 = 4_096;

/// What the endpoint takes.
pub fn endpoint(failover: &model::Failover, config: &Config, model: &Model) -> failover::Config {
    failover::Config {
        name: failover.name.clone(),
        role: role(failover.role),
        mclt_secs: failover.mclt.0,
        keepalive_secs: failover.keepalive.0,
        max_unacked: MAX_UNACKED,
        startup_secs: failover.startup.0,
        auto_partner_down_secs: failover.auto_partner_down.map(|secs| secs.0),
        serve_without_partner: failover.without_partner == model::WithoutPartner::Serve,
        connect_retry_secs: failover.connect_retry.0,
        longest_valid_secs: longest_valid_secs(failover, config),
        digest: digest(failover, config, model),
    }
}

/// Which of the two servers this one is.
pub fn role(role: model::Role) -> Role {
    match role {
        model::Role::Primary => Role::Primary,
        model::Role::Secondary => Role::Secondary,
    }
}

/// The secondary's share of the delegable prefixes.
pub fn prefix_share(failover: &model::Failover) -> PrefixShare {
    PrefixShare::of_thousand((failover.prefix_share * 1_000.0).round() as u16)
}

/// How long the session waits.
pub fn timing(failover: &model::Failover) -> Timing {
    Timing {
        retry: Duration::from_secs(failover.connect_retry.0.into()),
        ..Timing::default()
    }
}

/// The other server.
///
/// # Errors
/// Its certificates cannot be used.
pub fn partner(failover: &model::Failover) -> Result<Partner, TlsError> {
    let security = match &failover.tls {
        None => Security::Insecure,
        Some(files) => {
            let ip = IpAddr::V6(*failover.partner.ip());
            Security::Tls(Arc::new(Identity::load(files, ip)?))
        }
    };
    Ok(Partner {
        address: failover.partner.into(),
        security,
    })
}

fn longest_valid_secs(failover: &model::Failover, config: &Config) -> u32 {
    let links = failover.links.iter().map(|link| &config.links[*link]);
    let all = links.flat_map(|link| {
        let pools = link.pools.iter().map(|pool| pool.lifetimes);
        pools.chain([link.lifetimes])
    });
    // Those of other links' reservations count as well: it is a bound.
    let reserved = config.reservations.iter();
    let reserved = reserved.filter_map(|r| Some(r.terms.lifetimes?.valid_secs));
    let all = all.map(|lifetimes| lifetimes.valid.0).chain(reserved);
    all.max().unwrap_or(0)
}

fn digest(failover: &model::Failover, config: &Config, model: &Model) -> ConfigDigest {
    let mut digest = ConfigDigest::default();
    for &index in &failover.links {
        let key = model.links()[index].key();
        digest.add_link(key, model.links()[index].client_key());
        let pools = model.pools().iter();
        for served in pools.filter(|served| served.link().index() == index) {
            digest.add_pool(key, served.pool().spec());
        }
    }
    let links = failover.links.iter().map(|index| &model.links()[*index]);
    let keys: BTreeMap<&str, LinkKey> = links.map(|link| (link.name(), link.key())).collect();
    for reserved in config.reservations.iter() {
        let Some(link) = keys.get(reserved.link) else {
            continue;
        };
        match reserved.key {
            ReservationKey::Duid(duid) => digest.add_reservation(*link, reserved.lease, duid),
            key => digest.add_reservation(*link, reserved.lease, key.to_string().as_bytes()),
        }
    }
    digest
}
