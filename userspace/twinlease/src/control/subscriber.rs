//! Subscribers as operators read and write them: `remote-id 00:00:0d:e9:6c:69:6e:65`,
//! `interface-id 67:65:30 behind 2001:db8:1::1`, `subscriber-id digest 0f:…` of one that is too
//! long to be kept.

use super::view::{hex, readable as shown};
use crate::config::value::parse_hex;
use std::net::Ipv6Addr;
use wire::{ClientKey, Duid, SubscriberView};

const DIGEST: &str = "digest";
const BEHIND: &str = "behind";

/// The words for a subscriber's key; empty if it is none.
pub fn word(key: &[u8]) -> String {
    let Some(view) = Duid::new(key).and_then(SubscriberView::new) else {
        return String::new();
    };
    let mut words = vec![view.by.as_str().to_owned()];
    if view.is_digest {
        words.push(DIGEST.to_owned());
    }
    words.push(hex(view.identity));
    if view.by == ClientKey::InterfaceId {
        let link_address = Ipv6Addr::from_bits(view.link_address);
        words.extend([BEHIND.to_owned(), link_address.to_string()]);
    }
    words.join(" ")
}

/// A subscriber's key for people: what is text as text, and the enterprise number of a Remote-Id apart,
/// as in `remote-id "olt-3/1/7" of enterprise 3561`; [`word`] where that does not say it.
pub fn readable(key: &[u8]) -> String {
    let Some(view) = Duid::new(key).and_then(SubscriberView::new) else {
        return String::new();
    };
    let by = view.by.as_str();
    match (view.by, view.identity.split_first_chunk()) {
        _ if view.is_digest => word(key),
        (ClientKey::RemoteId, Some((enterprise, id))) if !id.is_empty() => {
            let enterprise = u32::from_be_bytes(*enterprise);
            format!("{by} {} of enterprise {enterprise}", shown(id))
        }
        (ClientKey::InterfaceId, _) => {
            let link_address = Ipv6Addr::from_bits(view.link_address);
            format!("{by} {} {BEHIND} {link_address}", shown(view.identity))
        }
        _ => format!("{by} {}", shown(view.identity)),
    }
}

/// The key that these words are for.
///
/// # Errors
/// They are for none; in words for who wrote them.
pub fn parse(text: &str) -> Result<Box<[u8]>, String> {
    let key = || {
        let mut words = text.split_ascii_whitespace().peekable();
        let by = words.next()?;
        let by = ClientKey::ALL.into_iter().find(|key| key.as_str() == by)?;
        let is_digest = words.next_if_eq(&DIGEST).is_some();
        let identity = parse_hex(words.next()?)?;
        let link_address: Ipv6Addr = match by {
            ClientKey::InterfaceId => {
                words.next_if_eq(&BEHIND)?;
                words.next()?.parse().ok()?
            }
            _ => Ipv6Addr::UNSPECIFIED,
        };
        let view = SubscriberView {
            by,
            link_address: link_address.to_bits(),
            identity: &identity,
            is_digest,
        };
        let key = view.key().filter(|_| words.next().is_none())?;
        Some(key.duid().octets().into())
    };
    key().ok_or_else(|| {
        format!(
            "{text:?} is no subscriber; write for instance \"remote-id 00:00:0d:e9:6c:69:6e:65\" or \
             \"interface-id 67:65:30 behind 2001:db8:1::1\""
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "remote-id 00:00:0d:e9:6c:69:6e:65",
            "subscriber-id 31",
            "subscriber-id digest 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f",
            "interface-id 67:65:30 behind 2001:db8:1::1",
            "interface-id 67:65:30 behind ::",
        ] {
            assert_eq!(word(&parse(text).unwrap()), text);
        }
        for text in [
            "",
            "duid 00:01",
            "remote-id",
            "remote-id xyz",
            "remote-id 01 behind ::1",
            "interface-id 01",
            "interface-id 01 behind",
            "interface-id 01 behind here",
            "subscriber-id 01 02",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(word(&[0, 3, 0, 1]), "");
    }

    #[test]
    fn what_is_text_is_shown_as_text() {
        for (written, shown) in [
            (
                "remote-id 00:00:0d:e9:6c:69:6e:65:20:37",
                "remote-id \"line 7\" of enterprise 3561",
            ),
            (
                "remote-id 00:00:0d:e9:6c:01",
                "remote-id 6c:01 of enterprise 3561",
            ),
            ("remote-id 00:00:0d", "remote-id 00:00:0d"),
            ("subscriber-id 31", "subscriber-id \"1\""),
            (
                "subscriber-id digest 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f",
                "subscriber-id digest 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f",
            ),
            (
                "interface-id 67:65:30 behind 2001:db8:1::1",
                "interface-id \"ge0\" behind 2001:db8:1::1",
            ),
        ] {
            assert_eq!(readable(&parse(written).unwrap()), shown);
        }
        assert_eq!(readable(&[0, 3, 0, 1]), "");
    }
}
