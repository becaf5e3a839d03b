//! Configured options, encoded once when the model is built.
//!
//! An option more is a field of [`OptionValues`] and a line in [`OptionValues::encode`]; the packet
//! path knows only codes and octets.

use core::net::Ipv6Addr;
use thiserror::Error;
use wire::OptionCode;
use wire::options::dns::{NameError, encode_name};

/// Options as configured at one level; `None` takes the value of the level above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionValues {
    /// DNS recursive name servers, in order of preference (RFC 3646 §3); empty: do not send.
    pub dns_servers: Option<Vec<Ipv6Addr>>,
    /// Domain search list, in order (RFC 3646 §4); empty: do not send.
    pub domain_search: Option<Vec<String>>,
}

/// Why an option's value cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionError {
    /// Not a domain name (RFC 1035 §2.3.4).
    #[error("`{0}` is not a domain name: {1}")]
    DomainName(String, NameError),
    /// More than 65,535 octets.
    #[error("{0} is longer than an option can be; give fewer values")]
    TooLong(OptionCode),
}

impl OptionValues {
    /// These values, and those of `above` where there are none.
    pub(super) fn or(&self, above: &Self) -> Self {
        Self {
            dns_servers: self
                .dns_servers
                .clone()
                .or_else(|| above.dns_servers.clone()),
            domain_search: self
                .domain_search
                .clone()
                .or_else(|| above.domain_search.clone()),
        }
    }

    pub(super) fn encode(&self) -> Result<EncodedOptions, OptionError> {
        let mut encoded = Vec::new();
        if let Some(servers) = self.dns_servers.as_deref()
            && !servers.is_empty()
        {
            let data: Vec<u8> = servers.iter().flat_map(Ipv6Addr::octets).collect();
            encoded.push((OptionCode::DNS_SERVERS, data));
        }
        if let Some(domains) = self.domain_search.as_deref()
            && !domains.is_empty()
        {
            let mut data = Vec::new();
            for name in domains {
                let name = encode_name(name)
                    .map_err(|error| OptionError::DomainName(name.clone(), error))?;
                data.extend_from_slice(&name);
            }
            encoded.push((OptionCode::DOMAIN_LIST, data));
        }
        if let Some((code, _)) = encoded
            .iter()
            .find(|(_, data)| u16::try_from(data.len()).is_err())
        {
            return Err(OptionError::TooLong(*code));
        }
        Ok(EncodedOptions(
            encoded
                .into_iter()
                .map(|(code, data)| (code, data.into_boxed_slice()))
                .collect(),
        ))
    }
}

/// What a link's clients can ask for, ready to be copied into a message.
#[derive(Debug, Default)]
pub(crate) struct EncodedOptions(Box<[(OptionCode, Box<[u8]>)]>);

impl EncodedOptions {
    /// Code and data of each, in the order in which they are sent.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (OptionCode, &[u8])> {
        self.0.iter().map(|(code, data)| (*code, &**data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(values: &OptionValues) -> Vec<(u16, Vec<u8>)> {
        let encoded = values.encode().unwrap();
        encoded
            .iter()
            .map(|(code, data)| (code.0, data.to_vec()))
            .collect()
    }

    #[test]
    fn rfc3646_values_are_encoded_in_order() {
        let values = OptionValues {
            dns_servers: Some(vec!["2001:db8::53".parse().unwrap(), Ipv6Addr::LOCALHOST]),
            domain_search: Some(vec!["a.bc".to_owned(), "d.".to_owned()]),
        };
        let all = encoded(&values);
        assert_eq!(all[0].0, 23);
        assert_eq!(all[0].1.len(), 32);
        assert_eq!(all[0].1[31], 1);
        assert_eq!(all[1], (24, b"\x01a\x02bc\0\x01d\0".to_vec()));
    }

    #[test]
    fn an_empty_list_silences_the_level_above() {
        let global = OptionValues {
            dns_servers: Some(vec![Ipv6Addr::LOCALHOST]),
            domain_search: Some(vec!["a".to_owned()]),
        };
        let link = OptionValues {
            dns_servers: Some(vec![]),
            domain_search: None,
        };
        assert_eq!(encoded(&link.or(&global)), [(24, b"\x01a\0".to_vec())]);
    }

    #[test]
    fn what_is_no_domain_name_is_refused() {
        for name in ["", ".", "a..b", &"x".repeat(64), &"ab.".repeat(90)] {
            let values = OptionValues {
                domain_search: Some(vec![name.to_owned()]),
                ..OptionValues::default()
            };
            assert!(
                matches!(values.encode(), Err(OptionError::DomainName(wrong, _)) if wrong == name)
            );
        }
    }
}
