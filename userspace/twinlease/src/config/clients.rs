//! How a link tells its clients apart: `client-key`, `subscriber-ias`, `takeover-after`.

use engine::{Clients, SUBSCRIBER_IAS_MAX};
use toml::de::DeValue;
use wire::ClientKey;

use super::fault::Findings;
use super::file::{self, Maybe, words};
use super::read::{Placed, Reader};
use super::value::{FromToml, Secs, Within, Wrong, word};

/// Those keys, as a link has them.
#[derive(Debug)]
pub struct ClientKeys {
    client_key: Maybe<ClientKey>,
    subscriber_ias: Maybe<Within<1, { SUBSCRIBER_IAS_MAX as u64 }>>,
    takeover_after: Maybe<Secs>,
}

words!(ClientKey, "\"duid\", \"remote-id\", \"interface-id\" or \"subscriber-id\"",
    "duid" => Self::Duid,
    "remote-id" => Self::RemoteId,
    "interface-id" => Self::InterfaceId,
    "subscriber-id" => Self::SubscriberId,
);

impl ClientKeys {
    /// `client-key`.
    pub(super) fn key(&self) -> Option<&Placed<ClientKey>> {
        self.client_key.as_ref()
    }

    pub(super) fn read(t: &mut Reader<'_, '_>) -> Self {
        Self {
            client_key: t.get("client-key"),
            subscriber_ias: t.get("subscriber-ias"),
            takeover_after: t.get("takeover-after"),
        }
    }
}

/// What the keys come to; says what of the link does not go with them.
pub(super) fn check(link: &file::Link, findings: &mut Findings) -> Clients {
    let keys = &link.clients;
    let mut clients = Clients::default();
    let Some(by) = &keys.client_key else {
        return without_subscribers(keys, clients, findings);
    };
    clients.key = by.value;
    if by.value == ClientKey::Duid {
        return without_subscribers(keys, clients, findings);
    }
    if let Some(ias) = &keys.subscriber_ias {
        clients.subscriber_ias = ias.value.0 as u8;
    }
    if let Some(after) = &keys.takeover_after {
        clients.takeover_after_secs = after.value.0;
    }
    if let Some(interface) = &link.interface {
        findings.warn(
            &interface.place,
            format!(
                "clients without a relay in front get no leases here: nobody adds their {}",
                by.value.as_str()
            ),
            "move them to a link of their own with client-key = \"duid\"",
        );
    }
    for reservation in &link.reservations {
        let key = &reservation.key;
        if key.duid.is_some() || key.link_layer_address.is_some() {
            findings.warn(
                &reservation.place,
                "reserved for a device, on a link whose leases belong to lines: another device on \
                 the line gets other leases",
                "reserve by what the link's client-key says, or drop the reservation: a line keeps \
                 its leases anyway",
            );
        }
    }
    clients
}

fn without_subscribers(keys: &ClientKeys, clients: Clients, findings: &mut Findings) -> Clients {
    let ias = keys.subscriber_ias.as_ref().map(|ias| &ias.place);
    let after = keys.takeover_after.as_ref().map(|after| &after.place);
    for place in ias.into_iter().chain(after) {
        findings.warn(
            place,
            "says nothing without subscribers",
            "add client-key = \"remote-id\" or another relay option, or drop it",
        );
    }
    clients
}
