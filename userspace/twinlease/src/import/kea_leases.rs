//! Kea's lease file for DHCPv6, `kea-leases6.csv`: one line for each change of a lease.

use super::rows::Row;
use crate::control::view::{BindingView, Moment, kind_word, status_word};
use anyhow::Context as _;
use lease::{AbsTime, BindingStatus};
use std::collections::BTreeMap;
use wire::IaKind;

/// An infinite lifetime (RFC 9915 §7.7).
const INFINITY_SECS: u32 = u32::MAX;

/// Where in a line what is needed stands: later versions of Kea have more columns.
#[derive(Debug)]
pub(super) struct KeaColumns {
    address: usize,
    duid: usize,
    valid_lifetime: usize,
    expire: usize,
    pref_lifetime: usize,
    lease_type: usize,
    iaid: usize,
    prefix_len: usize,
    subnet_id: Option<usize>,
    state: Option<usize>,
    hostname: Option<usize>,
    user_context: Option<usize>,
}

impl KeaColumns {
    /// # Errors
    /// A column that is needed is not there.
    pub(super) fn of_header(header: &str) -> anyhow::Result<Self> {
        let names: Vec<&str> = header.split(',').collect();
        let find = |name: &str| names.iter().position(|column| *column == name);
        let need = |name: &str| find(name).with_context(|| format!("there is no column {name}"));
        Ok(Self {
            address: need("address")?,
            duid: need("duid")?,
            valid_lifetime: need("valid_lifetime")?,
            expire: need("expire")?,
            pref_lifetime: need("pref_lifetime")?,
            lease_type: need("lease_type")?,
            iaid: need("iaid")?,
            prefix_len: need("prefix_len")?,
            subnet_id: find("subnet_id"),
            state: find("state"),
            hostname: find("hostname"),
            user_context: find("user_context"),
        })
    }

    /// What a line says. Kea writes no quotes: commas inside a value are `&#x2c`.
    pub(super) fn row(&self, line: &str, left_out: &mut BTreeMap<&'static str, u64>) -> Row {
        let cells: Vec<&str> = line.split(',').collect();
        match self.view(&cells) {
            Ok(view) => {
                self.count_left_out(&cells, left_out);
                Row::Lease(Box::new(view))
            }
            Err(why) => Row::Skipped {
                what: cell(&cells, self.address).to_owned(),
                why,
            },
        }
    }

    fn count_left_out(&self, cells: &[&str], left_out: &mut BTreeMap<&'static str, u64>) {
        let has = |column: Option<usize>| column.is_some_and(|c| !cell(cells, c).is_empty());
        let mut count = |what| *left_out.entry(what).or_insert(0) += 1;
        if has(self.hostname) {
            count("hostname: this server makes no DNS updates");
        }
        if has(self.user_context) {
            count("user_context, relay data among it: the next Renew brings that again");
        }
    }

    fn view(&self, cells: &[&str]) -> Result<BindingView, String> {
        let number = |column: usize, name: &str| -> Result<u64, String> {
            let text = cell(cells, column);
            let wrong = |_| format!("{name} {text:?} is not a number");
            text.parse().map_err(wrong)
        };
        let secs = |column: usize, name: &str| -> Result<u32, String> {
            let secs = number(column, name)?;
            u32::try_from(secs).map_err(|_| format!("{name} {secs} is too large"))
        };
        let kind = match cell(cells, self.lease_type) {
            "0" => IaKind::Na,
            "2" => IaKind::Pd,
            "1" => return Err("IA_TA is obsolete (RFC 9915 §25)".into()),
            other => return Err(format!("lease_type {other:?} is not known")),
        };
        let valid_secs = secs(self.valid_lifetime, "valid_lifetime")?;
        let expire = number(self.expire, "expire")?;
        let ends = AbsTime::from_unix_secs(expire);
        let begins = AbsTime::from_unix_secs(expire.saturating_sub(u64::from(valid_secs)));
        let expires = match valid_secs {
            INFINITY_SECS => AbsTime::NEVER,
            _ => ends,
        };
        let status = match self.state.map_or("0", |column| cell(cells, column)) {
            // A lease that is deleted is written once more, without lifetime.
            "0" if valid_secs == 0 => BindingStatus::Released,
            "0" => BindingStatus::Active,
            "1" => BindingStatus::Abandoned,
            "2" => BindingStatus::Expired,
            "3" => BindingStatus::Released,
            "4" => return Err("registered by its client (RFC 9686), not leased".into()),
            other => return Err(format!("state {other:?} is not known")),
        };
        let lease = match kind {
            IaKind::Na => cell(cells, self.address).to_owned(),
            IaKind::Pd => format!(
                "{}/{}",
                cell(cells, self.address),
                secs(self.prefix_len, "prefix_len")?
            ),
        };
        let subnet = self.subnet_id.map_or("", |column| cell(cells, column));
        Ok(BindingView {
            lease,
            kind: kind_word(kind).into(),
            duid: cell(cells, self.duid).to_owned(),
            iaid: secs(self.iaid, "iaid")?,
            subscriber: String::new(),
            subscriber_ia: 0,
            // As the links of an imported config are named, if the lease's place does not say.
            link: format!("subnet-{subnet}"),
            pool: String::new(),
            reserved: String::new(),
            status: status_word(status).into(),
            preferred_secs: secs(self.pref_lifetime, "pref_lifetime")?.min(valid_secs),
            valid_secs,
            cltt: begins.into(),
            status_since: begins.into(),
            expires: Moment::from(expires),
            partner: None,
            accepts_reconfigure: false,
            via: String::new(),
        })
    }
}

fn cell<'l>(cells: &[&'l str], column: usize) -> &'l str {
    cells.get(column).copied().unwrap_or_default().trim()
}
