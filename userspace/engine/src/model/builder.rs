//! From what is configured to what is served; refuses what cannot be served.

use super::class::{CLASSES_MAX, Class, ClassSpec, Classes};
use super::options::{EncodedOptions, OptionError, OptionValues};
use super::prefix_table::{PrefixTable, network_mask};
use super::reservation::{ReservationTable, Reservations, span};
use super::{Link, LinkId, Model, PoolId, Relationship, ServedPool, Sibling};
use crate::ingress::InterfaceId;
use crate::lifetime::Lifetimes;
use crate::subscriber::Clients;
use core::net::Ipv6Addr;
use lease::{AllocationKey, Lease, Leeway, LinkKey, Pool, PoolError, PoolSpec, Role};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use thiserror::Error;
use wire::{ClientKey, Duid, IaKind, OptionCode};

/// How long a declined address rests, unless configured: long enough for the other holder of the
/// address to be found.
const QUARANTINE_SECS_DEFAULT: u32 = 86_400;

/// Addresses that one client can keep in quarantine at a time, unless configured.
const DECLINES_PER_CLIENT_DEFAULT: u32 = 8;

/// Lifetimes unless configured: those of the configuration's documentation.
const LIFETIMES_DEFAULT: Lifetimes = Lifetimes {
    preferred_secs: 3 * 86_400,
    valid_secs: 4 * 86_400,
};

/// What is configured for one link.
#[derive(Clone, Debug, Default)]
pub struct LinkSpec {
    /// Unique name.
    pub name: String,
    /// The interface whose direct clients are on this link, if any.
    pub interface: Option<InterfaceId>,
    /// A relay's link-address inside one of these means this link.
    pub link_addresses: Vec<Lease>,
    /// Links of one name here lie on the same wire: a client on one of them may hold leases of
    /// all, and is given those of its own link first.
    pub shared_network: Option<String>,
    /// Overrides the server's lifetimes.
    pub lifetimes: Option<Lifetimes>,
    /// Overrides the server's options, each by itself.
    pub options: OptionValues,
    /// Address and prefix pools; those of one kind are tried in this order.
    pub pools: Vec<PoolConfig>,
    /// The failover relationship it belongs to, if any.
    pub relationship: Option<Relationship>,
    /// How it tells its clients apart.
    pub clients: Clients,
}

/// A pool of a link.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Its range. What `reserved` holds is kept, and the reservations of all links are added.
    pub spec: PoolSpec,
    /// Overrides the link's lifetimes.
    pub lifetimes: Option<Lifetimes>,
    /// Overrides the link's options for answers that give a lease of this pool.
    pub options: OptionValues,
    /// The pools of a link that have the same name here, or none, are one group: an IA gets one
    /// lease from each group (RFC 9915 §21.4), and within a group the pools are tried in order.
    pub group: Option<String>,
    /// The classes whose clients draw from the pool; none: all clients of the link.
    pub classes: Vec<String>,
    /// Length of the prefix that is excluded from each delegated one (RFC 6603), longer than it.
    pub excluded_len: Option<u8>,
}

impl PoolConfig {
    /// A pool that overrides nothing and excludes nothing.
    pub fn new(spec: PoolSpec) -> Self {
        Self {
            spec,
            lifetimes: None,
            options: OptionValues::default(),
            group: None,
            classes: Vec::new(),
            excluded_len: None,
        }
    }
}

/// Why there can be no such model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModelError {
    /// The server's or a reserved client's DUID has a length that no DUID has.
    #[error("`{0}` is not a DUID: it must have 3 to 130 octets")]
    Duid(String),
    /// Two links have the same name, or names with the same key.
    #[error("there are two links `{0}`")]
    LinkTwice(String),
    /// Two links on one interface.
    #[error("links `{0}` and `{1}` both serve the same interface")]
    InterfaceTwice(String, String),
    /// The same link-address prefix twice.
    #[error("links `{0}` and `{1}` both have link-address {2}")]
    LinkAddressTwice(String, String, Lease),
    /// A prefix longer than 128 bits or with bits behind its length.
    #[error("link `{0}`: {1} is not a prefix")]
    NotAPrefix(String, Lease),
    /// Valid lifetime 0, or shorter than the preferred one.
    #[error("{0}: the valid lifetime must not be 0 nor shorter than the preferred one")]
    Lifetimes(String),
    /// A pool's range cannot be served.
    #[error("link `{0}`: {1}")]
    Pool(String, PoolError),
    /// Two pools share leases.
    #[error("pools of link `{0}` and link `{1}` overlap at {2}")]
    PoolsOverlap(String, String, Ipv6Addr),
    /// Something is reserved on a link that is not there.
    #[error("there are reservations on link `{0}`, and no such link")]
    ReservedNowhere(String),
    /// More groups of pools than an IA can have leases from.
    #[error("link `{0}` draws from more than {GROUPS_MAX} groups of pools")]
    Groups(String),
    /// The excluded prefix is not inside every delegated one.
    #[error("link `{0}`: a /{1} cannot be excluded from a delegated /{2}")]
    ExcludedLength(String, u8, u8),
    /// Links of one shared network whose leases two servers would divide in different ways.
    #[error("links `{0}` and `{1}` share a network, but not a failover relationship")]
    NetworkOfTwoRelationships(String, String),
    /// Two classes have the same name.
    #[error("there are two classes `{0}`")]
    ClassTwice(String),
    /// More classes than there can be.
    #[error("there are more than {CLASSES_MAX} classes")]
    TooManyClasses,
    /// A class that every client, or none, would be in.
    #[error("class `{0}` must have matches, each with a value")]
    ClassWithoutMatch(String),
    /// A pool is for a class that there is not.
    #[error("link `{0}`: a pool is for class `{1}`, which there is not")]
    UnknownClass(String, String),
    /// An option's value cannot be sent.
    #[error("{0}: {1}")]
    Option(String, OptionError),
}

/// Most groups of pools of one kind that a link draws from: leases in one IA.
const GROUPS_MAX: usize = 8;

/// Collects what is configured and makes a [`Model`] of it.
#[derive(Debug)]
pub struct ModelBuilder {
    server_duid: Vec<u8>,
    key: AllocationKey,
    preference: u8,
    rapid_commit: bool,
    bind_on_renew: bool,
    quarantine_secs: u32,
    declines_per_client: u32,
    relay_supplied: Vec<OptionCode>,
    lifetimes: Lifetimes,
    options: OptionValues,
    classes: Vec<ClassSpec>,
    links: Vec<LinkSpec>,
    reservations: Arc<ReservationTable>,
}

impl ModelBuilder {
    /// A server with this DUID that chooses leases by this key and has no links.
    pub fn new(server_duid: &[u8], key: AllocationKey) -> Self {
        Self {
            server_duid: server_duid.to_vec(),
            key,
            preference: 0,
            rapid_commit: false,
            bind_on_renew: false,
            quarantine_secs: QUARANTINE_SECS_DEFAULT,
            declines_per_client: DECLINES_PER_CLIENT_DEFAULT,
            relay_supplied: vec![OptionCode::ERP_LOCAL_DOMAIN_NAME],
            lifetimes: LIFETIMES_DEFAULT,
            options: OptionValues::default(),
            classes: Vec::new(),
            links: Vec::new(),
            reservations: Arc::default(),
        }
    }

    /// Server preference in Advertise messages; 0, the default, is not sent (RFC 9915 §18.3.9).
    #[must_use]
    pub fn preference(mut self, preference: u8) -> Self {
        self.preference = preference;
        self
    }

    /// Whether a Solicit with Rapid Commit is answered with a Reply (RFC 9915 §18.3.1). Default: no.
    #[must_use]
    pub fn rapid_commit(mut self, enabled: bool) -> Self {
        self.rapid_commit = enabled;
        self
    }

    /// Whether a Renew for an IA that is not known creates a binding (RFC 9915 §18.3.4), and with
    /// rapid commit a Rebind too (§18.3.5); otherwise the answer is NoBinding. Default: no.
    #[must_use]
    pub fn bind_on_renew(mut self, enabled: bool) -> Self {
        self.bind_on_renew = enabled;
        self
    }

    /// How long a declined address is given to nobody, seconds (RFC 9915 §18.3.8). Default: a day.
    #[must_use]
    pub fn quarantine_secs(mut self, secs: u32) -> Self {
        self.quarantine_secs = secs;
        self
    }

    /// How many addresses one client can have in quarantine at a time; what it declines beyond that
    /// is free for others at once, so that a client which declines everything does not use up a
    /// pool. Default: 8.
    #[must_use]
    pub fn declines_per_client(mut self, addresses: u32) -> Self {
        self.declines_per_client = addresses;
        self
    }

    /// Which options relays may supply for their clients (RFC 6422 §6). Default: the only one that
    /// is enabled by its own RFC, OPTION_ERP_LOCAL_DOMAIN_NAME.
    #[must_use]
    pub fn relay_supplied_options(mut self, codes: Vec<OptionCode>) -> Self {
        self.relay_supplied = codes;
        self
    }

    /// Lifetimes wherever none are configured nearer. Default: 3 and 4 days.
    #[must_use]
    pub fn lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.lifetimes = lifetimes;
        self
    }

    /// Options wherever none are configured nearer.
    #[must_use]
    pub fn options(mut self, options: OptionValues) -> Self {
        self.options = options;
        self
    }

    /// One more client class; what an earlier one says counts before what a later one says.
    #[must_use]
    pub fn class(mut self, class: ClassSpec) -> Self {
        self.classes.push(class);
        self
    }

    /// One more link.
    #[must_use]
    pub fn link(mut self, link: LinkSpec) -> Self {
        self.links.push(link);
        self
    }

    /// Everything that is reserved on any link, inside or outside its pools. Default: nothing.
    #[must_use]
    pub fn reservations(mut self, reservations: Arc<ReservationTable>) -> Self {
        self.reservations = reservations;
        self
    }

    /// The model.
    ///
    /// # Errors
    /// [`ModelError`]: the first thing found that cannot be served.
    pub fn build(self) -> Result<Model, ModelError> {
        self.build_with(None)
    }

    /// A model that is to follow `before`. Pools and reservations that are the same in both are
    /// shared with it, so that what is bound in them stays bound; the others begin empty and are
    /// filled by a [`Handover`](crate::Handover) before the model is used.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_successor(self, before: &Model) -> Result<Model, ModelError> {
        self.build_with(Some(before))
    }

    fn build_with(self, before: Option<&Model>) -> Result<Model, ModelError> {
        check_duid(&self.server_duid)?;
        check_lifetimes("server", self.lifetimes)?;
        let shared_options = Arc::new(encode("server", &self.options)?);
        let reservations = self.held_reservations(before)?;
        let reserved = self.reservations.by_link();
        let mut model = Model {
            server_duid: self.server_duid.clone().into_boxed_slice(),
            preference: self.preference,
            rapid_commit: self.rapid_commit,
            bind_on_renew: self.bind_on_renew,
            quarantine_secs: self.quarantine_secs,
            declines_per_client: self.declines_per_client,
            relay_supplied: self.relay_supplied.clone().into_boxed_slice(),
            excludes: self
                .links
                .iter()
                .flat_map(|link| &link.pools)
                .any(|pool| pool.excluded_len.is_some()),
            classes: self.classes()?,
            links: Vec::with_capacity(self.links.len()),
            keys: HashMap::with_capacity(self.links.len()),
            interfaces: self.interfaces()?,
            relayed: self.link_addresses()?,
            pools: Vec::new(),
            ranges: Vec::new(),
            reservations_inherited: before
                .is_some_and(|before| Arc::ptr_eq(&before.reservations, &reservations)),
            reservations,
            relationship: None,
            rkap: None,
            has_subscribers: self
                .links
                .iter()
                .any(|link| link.clients.key != ClientKey::Duid),
        };
        let heirs = before.map(Heirs::new).unwrap_or_default();
        for (index, spec) in (0..).zip(&self.links) {
            let key = link_key(&spec.name);
            if model.keys.insert(key.0, LinkId(index)).is_some() {
                return Err(ModelError::LinkTwice(spec.name.clone()));
            }
            let lifetimes = spec.lifetimes.unwrap_or(self.lifetimes);
            check_lifetimes(&spec.name, lifetimes)?;
            let address_pools = self.add_pools(&mut model, index, IaKind::Na, &heirs)?;
            let prefix_pools = self.add_pools(&mut model, index, IaKind::Pd, &heirs)?;
            let options = if spec.options.is_empty() {
                Arc::clone(&shared_options)
            } else {
                Arc::new(encode(&spec.name, &spec.options.or(&self.options))?)
            };
            model.links.push(Link {
                name: spec.name.clone().into_boxed_str(),
                key,
                link_addresses: spec.link_addresses.clone().into_boxed_slice(),
                address_pools,
                prefix_pools,
                groups: [1; 2],
                siblings: Box::default(),
                on_link: spec.link_addresses.clone().into_boxed_slice(),
                reserved: reserved.get(&*spec.name).copied().unwrap_or_default(),
                lifetimes,
                options,
                relationship: spec.relationship,
                clients: spec.clients,
                leeway: spec.relationship.map_or(Leeway::ALONE, |relationship| {
                    Leeway::startup(relationship.role, relationship.mclt_secs)
                }),
            });
        }
        model.relationship = self.links.iter().find_map(|link| link.relationship);
        model.ranges = ranges(&model)?;
        self.share_networks(&mut model)?;
        self.group_pools(&mut model)?;
        Ok(model)
    }

    fn classes(&self) -> Result<Classes, ModelError> {
        if self.classes.len() > CLASSES_MAX {
            return Err(ModelError::TooManyClasses);
        }
        let mut classes = Vec::with_capacity(self.classes.len());
        for (at, spec) in self.classes.iter().enumerate() {
            let name = || spec.name.clone();
            if self.classes[..at]
                .iter()
                .any(|other| other.name == spec.name)
            {
                return Err(ModelError::ClassTwice(name()));
            }
            if spec.matches.is_empty() || spec.matches.iter().any(|m| m.values.is_empty()) {
                return Err(ModelError::ClassWithoutMatch(name()));
            }
            if let Some(lifetimes) = spec.lifetimes {
                check_lifetimes(&spec.name, lifetimes)?;
            }
            let options = encode_some(&spec.name, &spec.options)?;
            classes.push(Class::new(spec, options));
        }
        Ok(Classes::new(classes))
    }

    /// The link of each interface, by the interface's number.
    fn interfaces(&self) -> Result<Vec<Option<LinkId>>, ModelError> {
        let mut interfaces: Vec<Option<LinkId>> = Vec::new();
        for (index, link) in (0..).zip(&self.links) {
            let Some(interface) = link.interface.map(|id| usize::from(id.0)) else {
                continue;
            };
            if interfaces.len() <= interface {
                interfaces.resize(interface + 1, None);
            }
            if let Some(other) = interfaces[interface].replace(LinkId(index)) {
                let other = self.links[other.index()].name.clone();
                return Err(ModelError::InterfaceTwice(other, link.name.clone()));
            }
        }
        Ok(interfaces)
    }

    fn link_addresses(&self) -> Result<PrefixTable<LinkId>, ModelError> {
        let mut table = PrefixTable::new();
        for (index, link) in (0..).zip(&self.links) {
            for &prefix in &link.link_addresses {
                check_prefix(&link.name, prefix)?;
                if let Some(other) = table.insert(prefix, LinkId(index)) {
                    let other = self.links[other.index()].name.clone();
                    return Err(ModelError::LinkAddressTwice(
                        other,
                        link.name.clone(),
                        prefix,
                    ));
                }
            }
        }
        Ok(table)
    }

    fn add_pools(
        &self,
        model: &mut Model,
        link: u32,
        kind: IaKind,
        heirs: &Heirs<'_>,
    ) -> Result<Box<[PoolId]>, ModelError> {
        let spec = &self.links[link as usize];
        let mut ids = Vec::new();
        for config in spec.pools.iter().filter(|config| config.spec.kind == kind) {
            let lifetimes = config
                .lifetimes
                .or(spec.lifetimes)
                .unwrap_or(self.lifetimes);
            check_lifetimes(&spec.name, lifetimes)?;
            if let Some(len) = config.excluded_len
                && !(config.spec.unit_len + 1..=128).contains(&len)
            {
                let name = spec.name.clone();
                return Err(ModelError::ExcludedLength(name, len, config.spec.unit_len));
            }
            let classes = model
                .classes
                .named(&config.classes)
                .map_err(|class| ModelError::UnknownClass(spec.name.clone(), class.to_owned()))?;
            let mut pool_spec = config.spec.clone();
            let (first, last) = range(&pool_spec);
            let reserved = self.reservations.within(first, last);
            pool_spec.reserved.extend(reserved);
            // What outlives a restart and is the same on a partner: where the pool begins.
            let salt = fold(pool_spec.first) ^ u64::from(pool_spec.unit_len);
            let role = spec.relationship.map(|relationship| relationship.role);
            let inherited = heirs.pool(&pool_spec, &self.key, salt, role);
            let (pool, inherited) = match inherited {
                Some(pool) => (pool, true),
                None => {
                    let pool = Pool::new(pool_spec, &self.key, salt)
                        .and_then(|pool| match role {
                            Some(role) => pool.split_for(role),
                            None => Ok(pool),
                        })
                        .map_err(|error| ModelError::Pool(spec.name.clone(), error))?;
                    (Arc::new(pool), false)
                }
            };
            ids.push(PoolId(model.pools.len() as u32));
            model.pools.push(ServedPool {
                pool,
                inherited,
                link: LinkId(link),
                link_key: link_key(&spec.name),
                lifetimes,
                group: 0,
                classes,
                options: encode_some(&spec.name, &config.options)?,
                excluded_len: config.excluded_len,
            });
        }
        Ok(ids.into_boxed_slice())
    }

    /// Gives every link of a shared network the pools and link-addresses of all.
    fn share_networks(&self, model: &mut Model) -> Result<(), ModelError> {
        let mut networks: HashMap<&str, Vec<u32>> = HashMap::new();
        for (index, spec) in (0..).zip(&self.links) {
            if let Some(network) = &spec.shared_network {
                networks.entry(network).or_default().push(index);
            }
        }
        for members in networks.values().filter(|members| members.len() > 1) {
            let spec = |id: &u32| &self.links[*id as usize];
            let first = spec(&members[0]);
            let stranger = members.iter().map(spec);
            let mut stranger = stranger.filter(|link| link.relationship != first.relationship);
            if let Some(stranger) = stranger.next() {
                let names = (first.name.clone(), stranger.name.clone());
                return Err(ModelError::NetworkOfTwoRelationships(names.0, names.1));
            }
            let own = members.iter().map(|id| {
                let link = model.link(LinkId(*id));
                (
                    link.address_pools.clone(),
                    link.prefix_pools.clone(),
                    link.link_addresses.clone(),
                )
            });
            let own: Vec<_> = own.collect();
            for (at, id) in members.iter().enumerate() {
                // Its own first, then the others' in the order of the configuration.
                let order = || core::iter::once(at).chain((0..own.len()).filter(move |&i| i != at));
                let siblings = members
                    .iter()
                    .filter(|other| *other != id)
                    .map(|&other| Sibling {
                        id: LinkId(other),
                        key: model.link(LinkId(other)).key,
                    });
                let siblings = siblings.collect();
                let link = &mut model.links[*id as usize];
                link.siblings = siblings;
                link.address_pools = order().flat_map(|i| own[i].0.to_vec()).collect();
                link.prefix_pools = order().flat_map(|i| own[i].1.to_vec()).collect();
                link.on_link = order().flat_map(|i| own[i].2.to_vec()).collect();
            }
        }
        Ok(())
    }

    /// Numbers the groups of pools, alike in all links of a shared network.
    fn group_pools(&self, model: &mut Model) -> Result<(), ModelError> {
        for (index, spec) in self.links.iter().enumerate() {
            for (kind, count) in [(IaKind::Na, 0), (IaKind::Pd, 1)] {
                let mut names: Vec<Option<&str>> = Vec::new();
                let mut ids = model.links[index].pools(kind).to_vec();
                // In the order of the configuration, so that siblings count alike.
                ids.sort_by_key(|id| id.0);
                for id in ids {
                    let group = self
                        .config_of(model, id)
                        .and_then(|config| config.group.as_deref());
                    let number = names.iter().position(|name| *name == group);
                    let number = number.unwrap_or_else(|| {
                        names.push(group);
                        names.len() - 1
                    });
                    model.pools[id.0 as usize].group = number as u8;
                }
                if names.len() > GROUPS_MAX {
                    return Err(ModelError::Groups(spec.name.clone()));
                }
                model.links[index].groups[count] = names.len().max(1) as u8;
            }
        }
        Ok(())
    }

    /// What the pool was made from.
    fn config_of(&self, model: &Model, id: PoolId) -> Option<&PoolConfig> {
        let served = model.pool(id);
        let pools = &self.links[served.link.index()].pools;
        pools
            .iter()
            .find(|config| config.spec.first == served.pool.spec().first)
    }

    /// All reservations; those of the model before, with their holders, if they are the same.
    fn held_reservations(&self, before: Option<&Model>) -> Result<Arc<Reservations>, ModelError> {
        let names: HashSet<&str> = self.links.iter().map(|link| link.name.as_str()).collect();
        let by_link = self.reservations.by_link();
        if let Some(unknown) = by_link.keys().find(|name| !names.contains(**name)) {
            return Err(ModelError::ReservedNowhere((*unknown).to_owned()));
        }
        let of_lines = self.reserved_for_lines();
        let same =
            before.filter(|before| before.reservations.are_of(&self.reservations, &of_lines));
        Ok(match same {
            Some(before) => Arc::clone(&before.reservations),
            None => {
                let table = Arc::clone(&self.reservations);
                Arc::new(Reservations::new(table, of_lines))
            }
        })
    }

    /// The links with reservations that clients of a link whose leases belong to lines may ask for:
    /// its own, and those of its shared network.
    fn reserved_for_lines(&self) -> HashSet<LinkKey> {
        let by_link = self.reservations.by_link();
        let has_lines = |link: &LinkSpec| link.clients.key != ClientKey::Duid;
        let of_lines = self.links.iter().filter(|link| has_lines(link));
        let networks: HashSet<&str> = of_lines
            .filter_map(|link| link.shared_network.as_deref())
            .collect();
        let of_lines = self.links.iter().filter(|link| {
            let network = link.shared_network.as_deref();
            has_lines(link) || network.is_some_and(|network| networks.contains(network))
        });
        of_lines
            .filter(|link| by_link.contains_key(link.name.as_str()))
            .map(|link| link_key(&link.name))
            .collect()
    }
}

/// The pools of the model before, by where they begin.
#[derive(Default)]
struct Heirs<'m>(HashMap<(u128, u8), &'m Arc<Pool>>);

impl<'m> Heirs<'m> {
    fn new(before: &'m Model) -> Self {
        let pools = before.pools.iter().map(|served| {
            let spec = served.pool.spec();
            ((spec.first, spec.unit_len), &served.pool)
        });
        Self(pools.collect())
    }

    /// The pool that draws as one made of these would.
    fn pool(
        &self,
        spec: &PoolSpec,
        key: &AllocationKey,
        salt: u64,
        role: Option<Role>,
    ) -> Option<Arc<Pool>> {
        let pool = *self.0.get(&(spec.first, spec.unit_len))?;
        let side = role.filter(|_| spec.kind == IaKind::Pd);
        let is_same = pool.is_made_of(spec, key, salt) && pool.side() == side;
        is_same.then(|| Arc::clone(pool))
    }
}

/// First and last address of every pool in ascending order.
fn ranges(model: &Model) -> Result<Vec<(u128, u128, PoolId)>, ModelError> {
    let mut ranges: Vec<(u128, u128, PoolId)> = (0..)
        .zip(&model.pools)
        .map(|(id, served)| {
            let (first, last) = range(served.pool.spec());
            (first, last, PoolId(id))
        })
        .collect();
    ranges.sort_unstable_by_key(|(first, ..)| *first);
    if let Some(pair) = ranges.windows(2).find(|pair| pair[0].1 >= pair[1].0) {
        let name = |id: PoolId| model.link(model.pool(id).link).name().to_owned();
        return Err(ModelError::PoolsOverlap(
            name(pair[0].2),
            name(pair[1].2),
            Ipv6Addr::from_bits(pair[1].0),
        ));
    }
    Ok(ranges)
}

/// First and last address of a pool; saturates for one that goes past the end.
pub(super) fn range(spec: &PoolSpec) -> (u128, u128) {
    let unit = Lease {
        addr: 0,
        len: spec.unit_len,
    };
    let unit_span = span(unit).1;
    let shift = 128 - u32::from(spec.unit_len.min(128));
    let units_span = spec
        .count
        .saturating_sub(1)
        .checked_shl(shift)
        .unwrap_or(u128::MAX);
    (
        spec.first,
        spec.first
            .saturating_add(units_span)
            .saturating_add(unit_span),
    )
}

/// A hash of the name that is the same for ever, because bindings on disk hold it.
pub(super) fn link_key(name: &str) -> LinkKey {
    // FNV-1a: published, and nobody but the operator chooses names.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    LinkKey(hash)
}

fn fold(addr: u128) -> u64 {
    (addr >> 64) as u64 ^ (addr as u64).rotate_left(32)
}

fn encode(whose: &str, options: &OptionValues) -> Result<EncodedOptions, ModelError> {
    options
        .encode()
        .map_err(|error| ModelError::Option(whose.to_owned(), error))
}

/// `None` for a level that says nothing.
fn encode_some(whose: &str, options: &OptionValues) -> Result<Option<EncodedOptions>, ModelError> {
    match options.is_empty() {
        true => Ok(None),
        false => encode(whose, options).map(Some),
    }
}

fn check_duid(octets: &[u8]) -> Result<(), ModelError> {
    if Duid::new(octets).is_some() {
        return Ok(());
    }
    let hex: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    Err(ModelError::Duid(hex.join(":")))
}

fn check_prefix(link: &str, prefix: Lease) -> Result<(), ModelError> {
    if prefix.len <= 128 && prefix.addr & !network_mask(prefix.len) == 0 {
        return Ok(());
    }
    Err(ModelError::NotAPrefix(link.to_owned(), prefix))
}

fn check_lifetimes(whose: &str, lifetimes: Lifetimes) -> Result<(), ModelError> {
    if lifetimes.are_possible() {
        return Ok(());
    }
    Err(ModelError::Lifetimes(whose.to_owned()))
}
