//! What is in a subnet: pools and reservations.

use super::Converter;
use super::classes::{CLASS_KEYS, PoolFor};
use super::json::array;
use super::toml::quoted;
use serde_json::{Map, Value};

/// A pool, and the subnet and shared network that it is in.
struct Pool<'k> {
    map: &'k Map<String, Value>,
    around: &'k [&'k Map<String, Value>],
    /// The table that is made of it.
    table: &'static str,
    lines: String,
    /// The keys that are in `lines`.
    used: &'k [&'k str],
}

impl Converter {
    pub(super) fn subnet(
        &mut self,
        place: &str,
        network: Option<&Map<String, Value>>,
        map: &Map<String, Value>,
    ) {
        let around: Vec<_> = network.into_iter().chain([map]).collect();
        for (index, pool) in array(map, "pools").iter().enumerate() {
            let place = format!("{place}pools[{index}].");
            let pool = pool.as_object();
            let Some((pool, range)) =
                pool.and_then(|pool| Some((pool, pool.get("pool")?.as_str()?)))
            else {
                self.leave(&place, "pool", "no range");
                continue;
            };
            let range: String = range.split_whitespace().collect();
            let pool = Pool {
                map: pool,
                around: &around,
                table: "link.address-pool",
                lines: format!("range = {}", quoted(&range)),
                used: &["pool", "pool-id"],
            };
            self.pool(&place, &pool);
        }
        for (index, pool) in array(map, "pd-pools").iter().enumerate() {
            let place = format!("{place}pd-pools[{index}].");
            let fields = pool.as_object().and_then(|pool| {
                let number = |key: &str| pool.get(key)?.as_u64();
                let prefix = pool.get("prefix")?.as_str()?;
                Some((
                    pool,
                    prefix,
                    number("prefix-len")?,
                    number("delegated-len")?,
                ))
            });
            let Some((pool, prefix, len, delegated)) = fields else {
                self.leave(&place, "prefix", "no prefix, prefix-len and delegated-len");
                continue;
            };
            let prefix = quoted(&format!("{prefix}/{len}"));
            let pool = Pool {
                map: pool,
                around: &around,
                table: "link.prefix-pool",
                lines: format!("prefix = {prefix}\ndelegated-length = {delegated}"),
                used: &["prefix", "prefix-len", "delegated-len", "pool-id"],
            };
            self.pool(&place, &pool);
        }
        for (index, reservation) in array(map, "reservations").iter().enumerate() {
            let place = format!("{place}reservations[{index}].");
            match reservation.as_object() {
                Some(reservation) => self.reservation(&place, reservation),
                None => self.leave(&place, "", "not an object"),
            }
        }
        self.required_classes(place, map);
        let used = [
            "id",
            "subnet",
            "pools",
            "pd-pools",
            "reservations",
            "relay",
            "interface",
            "option-data",
            "preferred-lifetime",
            "valid-lifetime",
            "rapid-commit",
        ];
        self.leave_rest(place, map, &[&used[..], &CLASS_KEYS].concat());
    }

    /// One pool; a comment, if it is for classes that are not taken over.
    fn pool(&mut self, place: &str, pool: &Pool<'_>) {
        let levels: Vec<_> = pool.around.iter().copied().chain([pool.map]).collect();
        let begins = self.toml.len();
        self.line(format!("\n[[{}]]\n{}", pool.table, pool.lines));
        let whose = self.pool_for(place, &levels);
        if let PoolFor::Classes(names) = &whose {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            self.line(format!("class = [{}]", names.join(", ")));
        }
        self.options(place, pool.map, &format!("[{}.options]", pool.table));
        if let PoolFor::Nobody = whose {
            let lines = self.toml.split_off(begins);
            for line in lines.lines() {
                match line.is_empty() {
                    true => self.line(""),
                    false => self.line(format!("# {line}")),
                }
            }
        } else {
            self.taken[1] += 1;
        }
        self.required_classes(place, pool.map);
        let used = [pool.used, &CLASS_KEYS, &["option-data"]].concat();
        self.leave_rest(place, pool.map, &used);
    }
}
