//! What a new config changes, in words for the operator, and what of that only a restart can do.

use super::model::{Config, Interface, Lifetimes, Link, Pool};
use crate::control::view::kind_word;
use engine::{ClassSpec, Clients, ReservationChanges};
use std::collections::BTreeMap;
use std::fmt::Display;
use wire::ClientKey;

/// What differs and cannot be changed while clients are served.
pub fn needs_restart(before: &Config, after: &Config) -> Vec<String> {
    let fixed = [
        ("server.state-dir", before.state_dir == after.state_dir),
        ("server.duid", before.duid == after.duid),
        (
            "server.allocation-key",
            before.allocation_key == after.allocation_key,
        ),
        (
            "reconfigure.secret",
            before.reconfigure_secret == after.reconfigure_secret,
        ),
        ("workers.cores", before.cores == after.cores),
        ("workers.idle", before.idle == after.idle),
        (
            "interface",
            but_for_steering(before).eq(but_for_steering(after)),
        ),
        ("interface.steer-by", steer_by(before).eq(steer_by(after))),
        (
            "control.socket",
            before.control_socket == after.control_socket,
        ),
        ("control.metrics", before.metrics == after.metrics),
        ("failover", before.failover == after.failover),
    ];
    let changed = fixed.iter().filter(|(_, same)| !same);
    changed
        .map(|(key, _)| format!("{key} has changed; restart the server to apply that"))
        .collect()
}

/// The interfaces as they are but for what they steer by.
fn but_for_steering(config: &Config) -> impl Iterator<Item = Interface> {
    let interfaces = config.interfaces.iter().cloned();
    interfaces.map(|interface| Interface {
        steer_by: ClientKey::Duid,
        ..interface
    })
}

/// What each interface is steered by, where that is not the DUID.
fn steer_by(config: &Config) -> impl Iterator<Item = (&str, ClientKey)> {
    let interfaces = config.interfaces.iter();
    let steered = interfaces.map(|interface| (interface.name.as_str(), interface.steer_by));
    steered.filter(|(_, key)| *key != ClientKey::Duid)
}

/// What differs of what can be changed at any time, a line each.
pub fn changes(before: &Config, after: &Config) -> Vec<String> {
    let Config {
        text: _,
        state_dir: _,
        duid: _,
        allocation_key: _,
        preference,
        cores: _,
        idle: _,
        interfaces: _,
        rapid_commit,
        lifetimes,
        options,
        bind_on_renew,
        reconfigure,
        reconfigure_secret: _,
        quarantine,
        declines_per_client,
        relay_supplied_options,
        classes,
        links,
        reservations,
        reservations_file,
        failover: _,
        control_socket: _,
        metrics: _,
    } = after;
    let mut changes = Changes::default();
    changes.value("server.preference", &before.preference, preference);
    changes.value("lifetimes.rapid-commit", &before.rapid_commit, rapid_commit);
    changes.lifetimes("lifetimes", before.lifetimes, *lifetimes);
    changes.value(
        "lifetimes.bind-on-renew",
        &before.bind_on_renew,
        bind_on_renew,
    );
    changes.value("reconfigure.enabled", &before.reconfigure, reconfigure);
    let settings = [
        ("options", before.options == *options),
        ("decline.quarantine", before.quarantine == *quarantine),
        (
            "decline.per-client",
            before.declines_per_client == *declines_per_client,
        ),
        (
            "server.relay-supplied-options",
            before.relay_supplied_options == *relay_supplied_options,
        ),
    ];
    for (key, _) in settings.into_iter().filter(|(_, same)| !same) {
        changes.say(key, "changed");
    }
    changes.classes(&before.classes, classes);
    let old: BTreeMap<&str, &Link> = before.links.iter().map(|l| (l.name.as_str(), l)).collect();
    let new: BTreeMap<&str, &Link> = links.iter().map(|l| (l.name.as_str(), l)).collect();
    for (name, link) in &new {
        match old.get(name) {
            Some(former) => changes.link(former, link),
            None => changes.say(&of(name), format!("added, with {} pools", link.pools.len())),
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.say(&of(name), "removed; its leases run out by themselves");
    }
    if before.reservations_file != *reservations_file {
        changes.say("reservations.file", "changed");
    }
    let reserved = reservations.changes_since(&before.reservations);
    for (link, how) in reserved
        .into_iter()
        .filter(|(link, _)| new.contains_key(link))
    {
        let ReservationChanges {
            added,
            removed,
            changed,
        } = how;
        let how = format!("reservations: {added} added, {removed} removed, {changed} changed");
        changes.say(&of(link), how);
    }
    changes.0
}

#[derive(Default)]
struct Changes(Vec<String>);

impl Changes {
    fn say(&mut self, what: &str, how: impl Display) {
        self.0.push(format!("{what}: {how}"));
    }

    fn value<T: PartialEq + Display>(&mut self, what: &str, before: &T, after: &T) {
        if before != after {
            self.say(what, format_args!("{before} is now {after}"));
        }
    }

    fn lifetimes(&mut self, what: &str, before: Lifetimes, after: Lifetimes) {
        self.value(
            &format!("{what}.preferred"),
            &before.preferred,
            &after.preferred,
        );
        self.value(&format!("{what}.valid"), &before.valid, &after.valid);
    }

    fn classes(&mut self, before: &[ClassSpec], after: &[ClassSpec]) {
        let named = |all: &[ClassSpec], name: &str| -> Option<ClassSpec> {
            all.iter().find(|class| class.name == name).cloned()
        };
        for class in after {
            let what = format!("class \"{}\"", class.name);
            match named(before, &class.name) {
                None => self.say(&what, "added"),
                Some(former) if former != *class => self.say(&what, "changed"),
                Some(_) => {}
            }
        }
        for class in before.iter().filter(|c| named(after, &c.name).is_none()) {
            self.say(&format!("class \"{}\"", class.name), "removed");
        }
        let kept = |all: &[ClassSpec], others: &[ClassSpec]| -> Vec<String> {
            let names = all.iter().map(|class| class.name.clone());
            names.filter(|name| named(others, name).is_some()).collect()
        };
        if kept(before, after) != kept(after, before) {
            self.say("class", "the order has changed");
        }
    }

    fn link(&mut self, before: &Link, after: &Link) {
        let Link {
            name,
            interface,
            link_addresses,
            shared_network,
            clients,
            lifetimes,
            options,
            pools,
        } = after;
        let link = of(name);
        if before.interface != *interface {
            self.say(&link, "serves another interface");
        }
        if before.link_addresses != *link_addresses {
            self.say(&link, "link-addresses changed");
        }
        if before.shared_network != *shared_network {
            self.say(&link, "shares another network");
        }
        self.clients(&link, before.clients, *clients);
        self.lifetimes(&format!("{link}: lifetimes"), before.lifetimes, *lifetimes);
        if before.options != *options {
            self.say(&link, "options changed");
        }
        self.pools(&link, &before.pools, pools);
    }

    fn clients(&mut self, link: &str, before: Clients, after: Clients) {
        let Clients {
            key,
            subscriber_ias,
            takeover_after_secs,
        } = after;
        if before.key != key {
            let keys = (before.key.as_str(), key.as_str());
            let change = format!(
                "client-key from {} to {}: leases under the former run out by themselves",
                keys.0, keys.1
            );
            self.say(link, &change);
        }
        if before.subscriber_ias != subscriber_ias {
            self.say(link, "subscriber-ias changed");
        }
        if before.takeover_after_secs != takeover_after_secs {
            self.say(link, "takeover-after changed");
        }
    }

    fn pools(&mut self, link: &str, before: &[Pool], after: &[Pool]) {
        let keyed = |pools: &[Pool]| -> BTreeMap<_, Pool> {
            let key = |pool: &Pool| (pool.first, pool.count, pool.unit_len);
            pools.iter().map(|pool| (key(pool), pool.clone())).collect()
        };
        let (old, new) = (keyed(before), keyed(after));
        for (key, pool) in &new {
            let name = format!("{link}: {}", pool_name(pool));
            match old.get(key) {
                None => self.say(&name, "added"),
                Some(former) => {
                    self.lifetimes(
                        &format!("{name}: lifetimes"),
                        former.lifetimes,
                        pool.lifetimes,
                    );
                    if former.lengths != pool.lengths {
                        self.say(
                            &name,
                            "delegated lengths changed; leases of others run out by themselves",
                        );
                    }
                    let settled = Pool {
                        lifetimes: former.lifetimes,
                        lengths: former.lengths,
                        range: former.range.clone(),
                        ..pool.clone()
                    };
                    if settled != *former {
                        self.say(&name, "changed");
                    }
                }
            }
        }
        for (_, pool) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
            self.say(
                &format!("{link}: {}", pool_name(pool)),
                "removed; its leases run out by themselves",
            );
        }
        let kept = |pools: &[Pool], others: &BTreeMap<(u128, u128, u8), Pool>| -> Vec<u128> {
            let both = pools
                .iter()
                .filter(|pool| others.contains_key(&(pool.first, pool.count, pool.unit_len)));
            both.map(|pool| pool.first).collect()
        };
        if kept(before, &new) != kept(after, &old) {
            self.say(link, "its pools are tried in another order");
        }
    }
}

fn of(link: &str) -> String {
    format!("link \"{link}\"")
}

fn pool_name(pool: &Pool) -> String {
    match pool.unit_len {
        128 => format!("{} pool {}", kind_word(pool.kind), pool.range),
        len => {
            let shortest = pool
                .lengths
                .map(|lengths| format!("/{} to ", lengths.shortest));
            let (kind, shortest) = (kind_word(pool.kind), shortest.unwrap_or_default());
            format!("{kind} pool {} of {shortest}/{len}", pool.range)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const BEFORE: &str = r#"
[[interface]]
name = "eth0"
[[link]]
name = "a"
link-addresses = ["2001:db8:1::/64"]
[[link.address-pool]]
range = "2001:db8:1::1000-2001:db8:1::1fff"
[[link.prefix-pool]]
prefix = "2001:db8:8000::/40"
delegated-length = 56
[[link.reservation]]
duid = "00:03:00:01:52:54:00:12:34:56"
address = "2001:db8:1::10"
[[link]]
name = "b"
link-addresses = ["2001:db8:2::/64"]
[[link.address-pool]]
range = "2001:db8:2::/64"
"#;

    fn config(text: &str) -> Config {
        parse("test", text, &[0])
            .expect("a config without faults")
            .0
    }

    fn changed(pairs: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let text = pairs.iter().fold(BEFORE.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        let (before, after) = (config(BEFORE), config(&text));
        (needs_restart(&before, &after), changes(&before, &after))
    }

    #[test]
    fn nothing_changed_is_nothing_said() {
        assert_eq!(changed(&[]), (vec![], vec![]));
        assert_eq!(changed(&[("[[link]]", "# a comment\n[[link]]")]).1, [""; 0]);
    }

    #[test]
    fn every_change_is_said_once() {
        assert_eq!(
            changed(&[("delegated-length = 56", "delegated-length = 60")]).1,
            [
                "link \"a\": prefix pool 2001:db8:8000::/40 of /60: added",
                "link \"a\": prefix pool 2001:db8:8000::/40 of /56: removed; its leases run out by \
                 themselves",
            ]
        );
        assert_eq!(
            changed(&[("::10\"", "::11\"")]).1,
            ["link \"a\": reservations: 1 added, 1 removed, 0 changed"]
        );
        let options = "::10\"\noptions = { dns-servers = [\"2001:db8::53\"] }";
        assert_eq!(
            changed(&[("::10\"", options)]).1,
            ["link \"a\": reservations: 0 added, 0 removed, 1 changed"]
        );
        assert_eq!(
            changed(&[("name = \"b\"", "name = \"c\"")]).1,
            [
                "link \"c\": added, with 1 pools",
                "link \"b\": removed; its leases run out by themselves",
            ]
        );
        assert_eq!(
            changed(&[(
                "[[interface]]",
                "[lifetimes]\nvalid = \"10d\"\n[[interface]]"
            )])
            .1[0],
            "lifetimes.valid: 4d is now 10d"
        );
    }

    #[test]
    fn what_needs_a_restart_is_named() {
        assert_eq!(
            changed(&[("name = \"eth0\"", "name = \"eth1\"")]).0,
            ["interface has changed; restart the server to apply that"]
        );
        let steered = "name = \"eth0\"\nsteer-by = \"remote-id\"";
        assert_eq!(
            changed(&[("name = \"eth0\"", steered)]).0,
            ["interface.steer-by has changed; restart the server to apply that"]
        );
    }
}
