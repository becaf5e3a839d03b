//! `twinlease why`: what a message said, which link that meant, and what came of it.
//!
//! Worked out when it is asked, from the octets that the worker kept and the model in use.

use engine::{DropReason, Ingress, InterfaceId, Membership, Model, Parsed, ServedPool};
use lease::Lease;
use serde::{Deserialize, Serialize};
use wire::{
    Ia, IaIndex, IaKind, Message, MessageIndex, MessageType, OptionCode, Options, RelayForward,
    StatusCode,
};

use super::command::KeptDecision;
use super::line::Line;
use super::subscriber;
use super::view::{Moment, OUTSIDE, hex, range_of, readable, reserved_by};
use crate::worker::WorkerDrop;

/// Octets of the fixed fields of a relay message (RFC 9915 §9).
const RELAY_HEADER_LEN: usize = 34;

/// One decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DecisionView {
    /// When it was made.
    pub at: Moment,
    /// The message's type in the RFC's words, or its number.
    pub message: String,
    /// The client, in hexadecimal with colons; empty if the message does not say.
    pub duid: String,
    /// The interface that it came in on, by its place in the config, and from which address.
    pub from: String,
    /// Each relay, the one nearest to the server first: its link-address and what it added.
    pub relays: Vec<String>,
    /// What the client asked for: each IA with the leases it named.
    pub asked: Vec<String>,
    /// The link by the config in force now, and how it is found.
    pub link: String,
    /// Whose the leases are, where the link gives them to the subscriber that a relay names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subscriber: String,
    /// The classes of the client by the config in force now, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The link's pools for what the client asked of which it may draw nothing, or there is
    /// nothing left now, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<String>,
    /// What was answered, or why nothing was.
    pub outcome: String,
    /// Each IA of the answer: leases with their pool, and status.
    pub answer: Vec<String>,
}

impl DecisionView {
    /// Works a decision out.
    pub fn new(kept: &KeptDecision, model: &Model) -> Self {
        let mut view = Self {
            at: kept.at.into(),
            from: format!("interface {}, {}", kept.interface, kept.source),
            outcome: outcome(kept),
            ..Self::default()
        };
        match engine::parse(&ingress(kept)) {
            Ok(parsed) => view.read(&parsed, model),
            Err(reason) => {
                view.message = format!(
                    "{} octets that cannot be read: {reason}",
                    kept.message.len()
                );
            }
        }
        view.answer = answer(&kept.answer, model);
        view
    }

    fn read(&mut self, parsed: &Parsed<'_>, model: &Model) {
        self.message = type_name(parsed.msg_type());
        self.duid = parsed
            .client_id()
            .map_or_else(String::new, |duid| hex(duid.octets()));
        self.relays = parsed.relays().iter().map(relay).collect();
        self.asked = parsed.ias().iter().map(|ia| show_ia(ia, None)).collect();
        let how = match parsed.link_address() {
            Some(address) => format!("by link-address {}", std::net::Ipv6Addr::from_bits(address)),
            None => "by interface".to_owned(),
        };
        if let Ok(Some(key)) = parsed.subscriber(model) {
            self.subscriber = subscriber::readable(key.duid().octets());
        }
        let membership = model.membership(parsed);
        self.classes = model.class_names(membership.of).map(Into::into).collect();
        let kinds: Vec<IaKind> = parsed.ias().iter().map(|ia| ia.kind).collect();
        let pools = model.link_of(parsed).map(|link| model.pools_of(link));
        let asked = pools
            .into_iter()
            .flatten()
            .filter(|served| kinds.contains(&served.pool().spec().kind));
        self.passed_over = asked
            .filter_map(|served| passed_over(served, model, membership))
            .collect();
        self.link = match model.link_of(parsed) {
            Some(link) => format!("{}, {how}", link.name()),
            None => format!("none, {how}"),
        };
    }
}

fn ingress(kept: &KeptDecision) -> Ingress<'_> {
    Ingress {
        payload: &kept.message,
        interface: InterfaceId(kept.interface),
        source: kept.source,
        // Only what was not sent to one address only was looked at any further.
        destination: std::net::Ipv6Addr::from_bits(0xff02 << 112 | 0x1_0002),
    }
}

/// Whether the message came from this line.
pub fn is_from(kept: &KeptDecision, line: &Line) -> bool {
    engine::parse(&ingress(kept)).is_ok_and(|parsed| line.sent(&parsed))
}

fn outcome(kept: &KeptDecision) -> String {
    let Some(reason) = kept.drop else {
        return match message_in(&kept.answer) {
            Some(message) => type_name(message.msg_type),
            None => "an answer that cannot be read".to_owned(),
        };
    };
    let reason = usize::from(reason);
    match DropReason::ALL.get(reason) {
        Some(known) => format!("no answer: {known}:{}", known.meaning()),
        None => {
            let label = WorkerDrop::labels().nth(reason);
            format!("no answer: {}", label.unwrap_or("a reason without a name"))
        }
    }
}

/// The IAs of an answer.
fn answer(octets: &[u8], model: &Model) -> Vec<String> {
    let Some(index) = message_in(octets).and_then(|m| MessageIndex::new(&m).ok()) else {
        return Vec::new();
    };
    index
        .ias
        .iter()
        .map(|ia| show_ia(ia, Some(model)))
        .collect()
}

/// The message inside all Relay-reply layers.
fn message_in(mut octets: &[u8]) -> Option<Message<'_>> {
    while octets.first().copied().map(MessageType) == Some(MessageType::RELAY_REPL) {
        let options = Options::new(octets.get(RELAY_HEADER_LEN..)?, 0);
        octets = options.find(OptionCode::RELAY_MSG)?.data;
    }
    Message::parse(octets, 0, OptionCode(0)).ok()
}

fn type_name(msg_type: MessageType) -> String {
    let name = msg_type.name();
    name.map_or_else(|| format!("type {}", msg_type.0), str::to_owned)
}

/// One IA with its leases; with a model, where each comes from and for how long.
fn show_ia(ia: &Ia<'_>, model: Option<&Model>) -> String {
    let name = match ia.kind {
        IaKind::Na => "IA_NA",
        IaKind::Pd => "IA_PD",
    };
    let mut text = format!("{name} {:08x}", ia.iaid.0);
    let Ok(inside) = IaIndex::new(ia) else {
        return text + ": cannot be read";
    };
    let addresses = inside.addresses.iter().map(|a| (a.address, 128, a.valid));
    let prefixes = inside
        .prefixes
        .iter()
        .map(|p| (p.prefix, p.prefix_len, p.valid));
    for (addr, len, valid_secs) in addresses.chain(prefixes) {
        let lease = Lease { addr, len };
        text += &match model {
            None => format!(" {lease}"),
            Some(model) => format!(" {lease} for {valid_secs} s from {}", source(lease, model)),
        };
    }
    if let Some(status) = inside.status {
        let code = status.code;
        let name = code
            .name()
            .map_or_else(|| code.0.to_string(), str::to_owned);
        if code != StatusCode::SUCCESS {
            text += &format!(
                " status {name}: {}",
                String::from_utf8_lossy(status.message)
            );
        }
    }
    text
}

/// Why the client draws nothing from a pool, if so.
fn passed_over(served: &ServedPool, model: &Model, membership: Membership) -> Option<String> {
    let pool = format!("pool {}", range_of(served.pool().spec()));
    if !served.classes().admits(membership.of) {
        let names: Vec<&str> = model.class_names(served.classes()).collect();
        let kept = match served.classes().admits(membership.not_refuted) {
            true => "; a lease held there is kept, for the message does not refute that",
            false => "",
        };
        return Some(format!("{pool}: only for class {}{kept}", names.join(", ")));
    }
    let spec = served.pool().spec();
    match (served.pool().shortest_free(), spec.lengths) {
        (None, _) => Some(format!("{pool}: no lease is free now")),
        (Some(len), Some(lengths)) if len > lengths.shortest => {
            Some(format!("{pool}: nothing shorter than /{len} is free now"))
        }
        (Some(_), _) => None,
    }
}

/// Where a lease comes from, by the config in force now.
fn source(lease: Lease, model: &Model) -> String {
    if let Some(reserved) = reserved_by(lease, model) {
        return format!("a reservation {reserved}");
    }
    match model.pool_of(lease) {
        Some(served) => format!("pool {}", range_of(served.pool().spec())),
        None => OUTSIDE.to_owned(),
    }
}

/// What a relay said: its link-address, then what tells one subscriber from another.
fn relay(layer: &RelayForward<'_>) -> String {
    let mut text = format!(
        "link-address {}, peer-address {}",
        std::net::Ipv6Addr::from_bits(layer.link_address),
        std::net::Ipv6Addr::from_bits(layer.peer_address)
    );
    for (code, name) in [
        (OptionCode::INTERFACE_ID, "interface-id"),
        (OptionCode::REMOTE_ID, "remote-id"),
        (OptionCode::SUBSCRIBER_ID, "subscriber-id"),
        (OptionCode::RELAY_ID, "relay-id"),
        (OptionCode::CLIENT_LINKLAYER_ADDR, "link-layer address"),
    ] {
        if let Some(option) = layer.options.find(code) {
            text += &format!(", {name} {}", readable(option.data));
        }
    }
    text
}
