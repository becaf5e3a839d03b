//! What the state lets workers do for clients (RFC 8156 §8, the operation of each state).

use super::Endpoint;
use crate::event::Effect;
use crate::record::PartnerRecord;
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
            _ if self.aside || self.lacks_bindings() => Answers::Nothing,
            Answers::RenewOnly if !self.may_renew() => Answers::Nothing,
            answers => answers,
        };
        let partner_down_since = self
            .record
            .partner_down_since
            .filter(|_| self.startup.is_none());
        let beyond_wait = partner_down_since.is_some() && self.partners_pool_at.is_none();
        // A partner that is heard comes back, and counts on having its own.
        let may_use_partners = beyond_wait && !self.link.is_up();
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
            prefixes: match may_use_partners {
                true => Prefixes::OwnThenPartners(role),
                false => Prefixes::Own(role),
            },
            may_allocate: row.may_allocate && !self.aside && !self.lacks_bindings(),
            partner_down_since,
            mclt_secs,
            replicate: row.replicates && self.link.is_up() && self.takes_news(),
            serving_since: self.serving_since,
        }
    }

    /// Whether this server lost its bindings and either does not have the partner's yet, or has
    /// promised what may still hold. RECOVER and RECOVER-WAIT are for that; but a conflict with a
    /// partner that stood alone leads past them (§8.5.1, §8.10, §8.11), to states that serve. The
    /// operator who says that the partner is down has been asked.
    pub(super) fn lacks_bindings(&self) -> bool {
        let lacks = self.record.needs_all || self.promises_until.is_some();
        lacks && self.record.state != ServerState::PartnerDown
    }

    /// Whether the partner is told of changes unasked. One in RECOVER asks; before that nobody knows
    /// whether it has lost its bindings, and what it was promised must come before any end.
    fn takes_news(&self) -> bool {
        let recovers = |partner: PartnerRecord| partner.state == ServerState::Recover;
        !self.is_partner_starting() && !self.record.partner.is_some_and(recovers)
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
        let mut leeway = self.leeway(now);
        let is_full = |answers| matches!(answers, Answers::All | Answers::OwnServerIdOnly);
        let was_full = self.published.is_some_and(|before| is_full(before.answers));
        if is_full(leeway.answers) && !was_full {
            self.serving_since = now.wall;
            leeway.serving_since = now.wall;
            self.record.lost_promises = false;
        }
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
