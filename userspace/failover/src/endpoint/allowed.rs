//! What the state lets workers do for clients (RFC 8156 §8, the operation of each state).

use super::Endpoint;
use crate::event::Effect;
use crate::state::{ServerState, row};
use crate::time::{Monotonic, Now};
use lease::{AbsTime, Answers, Leeway, LifetimeCap, Prefixes};

/// Seconds between records of the time until which this server serves.
const HEARTBEAT_SECS: u32 = 5;

/// How many seconds ahead that time lies. A server that crashes may be taken to have served for so
/// long after it did: the difference makes POTENTIAL-CONFLICT out of RECOVER, so it is small.
const HEARTBEAT_AHEAD_SECS: u32 = 10;

impl Endpoint {
    /// What workers may do now.
    pub fn leeway(&self, now: Now) -> Leeway {
        let role = self.config.role;
        let row = row(self.state());
        let mclt_secs = self.wait_secs(now.wall);
        let lead_secs = self.lead_secs();
        let answers = match row.answers.of(role) {
            _ if self.aside => Answers::Nothing,
            Answers::RenewOnly if !self.may_renew() => Answers::Nothing,
            answers => answers,
        };
        let partner_down_since = self
            .record
            .partner_down_since
            .filter(|_| self.startup.is_none());
        let beyond_wait = partner_down_since.is_some() && self.partners_pool_at.is_none();
        Leeway {
            partnered: true,
            answers,
            cap: match row.capped {
                true => LifetimeCap::Mclt {
                    mclt_secs: lead_secs,
                },
                false => LifetimeCap::None,
            },
            addresses: role.addresses(),
            prefixes: match beyond_wait {
                true => Prefixes::OwnThenPartners(role),
                false => Prefixes::Own(role),
            },
            may_allocate: row.may_allocate && !self.aside,
            partner_down_since,
            mclt_secs,
            replicate: row.replicates && self.link.is_up() && !self.is_partner_starting(),
        }
    }

    /// In RECOVER-DONE a renewal is only safe while the partner is heard and does not stand alone:
    /// one that is, or may have become, PARTNER-DOWN waits for what it knows of plus MCLT, and a
    /// second renewal that it does not hear of would outlast that.
    fn may_renew(&self) -> bool {
        let stands_alone = |state| state == ServerState::PartnerDown;
        self.link.is_up() && self.record.partner.is_some_and(|p| !stands_alone(p.state))
    }

    /// Publishes what workers may do if that has changed. That this server serves is on disk
    /// before it does.
    pub(super) fn publish(&mut self, now: Now) {
        let leeway = self.leeway(now);
        let serves = leeway.answers != Answers::Nothing;
        let served = self
            .published
            .is_some_and(|leeway| leeway.answers != Answers::Nothing);
        if served && !serves {
            self.record.operating_until = Some(now.wall);
        }
        let ahead = now.wall.plus(HEARTBEAT_SECS)..=now.wall.plus(HEARTBEAT_AHEAD_SECS);
        let is_ahead = |until: AbsTime| ahead.contains(&until);
        let is_due = self.heartbeat_due <= now.mono;
        if serves && (is_due || !self.record.operating_until.is_some_and(is_ahead)) {
            self.record.operating_until = Some(now.wall.plus(HEARTBEAT_AHEAD_SECS));
            self.heartbeat_due = now.mono.plus_secs(HEARTBEAT_SECS);
            self.store();
        }
        if self.published != Some(leeway) {
            self.published = Some(leeway);
            self.out.push(Effect::Publish(leeway));
        }
        if served && !serves {
            self.store();
        }
    }

    /// When the record of serving is to be renewed.
    pub(super) fn heartbeat_at(&self) -> Option<Monotonic> {
        self.published
            .filter(|leeway| leeway.answers != Answers::Nothing)
            .map(|_| self.heartbeat_due)
    }

    /// The MCLT that bounds what clients are promised, seconds.
    pub(super) fn lead_secs(&self) -> u32 {
        let configured = self.config.mclt_secs;
        self.record.mclt.lead_secs(configured, self.is_primary())
    }

    /// The MCLT that is waited for, seconds.
    pub(super) fn wait_secs(&self, now: AbsTime) -> u32 {
        let configured = self.config.mclt_secs;
        let is_primary = self.is_primary();
        self.record.mclt.wait_secs(configured, is_primary, now)
    }
}
