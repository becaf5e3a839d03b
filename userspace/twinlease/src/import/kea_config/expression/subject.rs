//! What conditions look at, and the matches that say the same.

use super::super::toml::quoted;
use super::lexer::Token;

/// One condition of a class: the key, and its values of which any counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Match {
    /// The key in `[[class]]`.
    pub(in super::super) key: &'static str,
    /// At least one.
    pub(in super::super) values: Vec<Value>,
}

/// One value; neither enterprise number nor octets: whatever is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Value {
    enterprise: Option<u32>,
    octets: Option<Octets>,
}

/// Octets with anything before or behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Octets {
    octets: Vec<u8>,
    open_start: bool,
    open_end: bool,
}

/// An option that is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject {
    /// The key in `[[class]]`.
    pub(super) key: &'static str,
    /// Kea's expression is of a string inside the option, not of the option's data.
    pub(super) is_item: bool,
    /// Only with this enterprise number.
    pub(super) enterprise: Option<u32>,
    /// What stands in the option's data in front of the octets that a class looks at.
    head: Head,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Nothing.
    Nothing,
    /// An enterprise number.
    Enterprise,
    /// The length of a string.
    Len,
    /// An enterprise number and the length of a string.
    EnterpriseAndLen,
    /// A hardware type.
    Hardware,
}

impl Head {
    fn len(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Len | Self::Hardware => 2,
            Self::Enterprise => 4,
            Self::EnterpriseAndLen => 6,
        }
    }
}

/// Some of the data of an option, or all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    subject: Subject,
    /// From the end if it is negative.
    pub(super) start: i64,
    /// `None`: to the end.
    pub(super) len: Option<i64>,
}

/// Options by code and by name in Kea.
const OF_CLIENT: [(i64, &str, &str, Head); 5] = [
    (1, "clientid", "duid", Head::Nothing),
    (15, "user-class", "user-class", Head::Len),
    (16, "vendor-class", "vendor-class", Head::EnterpriseAndLen),
    (17, "vendor-opts", "vendor-opts", Head::Enterprise),
    (61, "client-arch-type", "architecture", Head::Nothing),
];
const OF_RELAY: [(i64, &str, &str, Head); 5] = [
    (18, "interface-id", "interface-id", Head::Nothing),
    (37, "remote-id", "remote-id", Head::Enterprise),
    (38, "subscriber-id", "subscriber-id", Head::Nothing),
    (53, "relay-id", "relay-id", Head::Nothing),
    (
        79,
        "client-linklayer-addr",
        "link-layer-address",
        Head::Hardware,
    ),
];

impl Subject {
    pub(super) fn of_client(option: &Token) -> Result<Self, String> {
        Self::find(option, &OF_CLIENT, "of a client")
    }

    /// Kea counts relays from the server on; the one nearest to the client is -1, and 0 if it is alone.
    pub(super) fn of_relay(place: &Token, option: &Token) -> Result<Self, String> {
        match place {
            Token::Number(-1 | 0) => Self::find(option, &OF_RELAY, "of a relay"),
            _ => Err(
                "the relay nearest to the client is looked at here, not one by its place"
                    .to_owned(),
            ),
        }
    }

    pub(super) fn of_vendor(is_class: bool, enterprise: Option<u32>) -> Self {
        Self {
            key: if is_class {
                "vendor-class"
            } else {
                "vendor-opts"
            },
            is_item: true,
            enterprise,
            head: Head::Nothing,
        }
    }

    fn find(
        option: &Token,
        known: &[(i64, &str, &'static str, Head)],
        whose: &str,
    ) -> Result<Self, String> {
        let found = known.iter().find(|(code, name, ..)| match option {
            Token::Number(number) => number == code,
            Token::Word(word) => word == name,
            _ => false,
        });
        let (.., key, head) = found
            .ok_or_else(|| format!("option {option} {whose} is not looked at by classes here"))?;
        Ok(Self {
            key,
            is_item: false,
            enterprise: None,
            head: *head,
        })
    }

    pub(super) fn with_enterprise(self, number: u32) -> Self {
        Self {
            enterprise: Some(number),
            ..self
        }
    }

    pub(super) fn whole(self) -> Said {
        Said {
            subject: self,
            start: 0,
            len: None,
        }
    }

    fn is(&self, value: Value) -> Match {
        Match {
            key: self.key,
            values: vec![value],
        }
    }
}

/// It is there.
pub(super) fn exists(subject: &Subject) -> Result<Match, String> {
    match (subject.key, subject.enterprise) {
        ("vendor-opts", None) => {
            Err("vendor options are looked at by their enterprise number here".to_owned())
        }
        ("architecture", _) => Err("architectures are looked at one by one here".to_owned()),
        (_, enterprise) => Ok(subject.is(Value {
            enterprise,
            octets: None,
        })),
    }
}

/// It is equal to these octets.
pub(super) fn compare(said: &Said, octets: &[u8]) -> Result<Match, String> {
    let subject = &said.subject;
    if octets.is_empty() {
        return Err("a comparison with nothing".to_owned());
    }
    if let Some(len) = said.len
        && usize::try_from(len) != Ok(octets.len())
    {
        let wanted = octets.len();
        return Err(format!("{len} octets are compared with {wanted}"));
    }
    if subject.key == "vendor-opts" {
        return Err("of vendor options only the enterprise number is looked at here".to_owned());
    }
    let begin = usize::try_from(said.start).ok();
    let Some(begin) = begin else {
        let is_end = said
            .start
            .checked_neg()
            .and_then(|len| usize::try_from(len).ok());
        if is_end != Some(octets.len()) || subject.key == "architecture" {
            return Err(MIDDLE.to_owned());
        }
        return Ok(subject.is(Value {
            enterprise: subject.enterprise,
            octets: Some(Octets {
                octets: octets.to_vec(),
                open_start: true,
                open_end: false,
            }),
        }));
    };
    let open_end = said.len.is_some();
    let head = subject.head;
    if begin == head.len() {
        let value = Value {
            enterprise: subject.enterprise,
            octets: Some(Octets {
                octets: octets.to_vec(),
                open_start: false,
                open_end,
            }),
        };
        if subject.key == "architecture" && octets.len() != 2 {
            return Err("an architecture has two octets".to_owned());
        }
        return Ok(subject.is(value));
    }
    match begin {
        0 => with_head(subject, octets, open_end),
        _ => Err(MIDDLE.to_owned()),
    }
}

const MIDDLE: &str = "it looks into the middle of an option; a match is open at an end only";

/// Octets from the first of the option on.
fn with_head(subject: &Subject, octets: &[u8], open_end: bool) -> Result<Match, String> {
    let cut = || "it ends within what stands in front of the value in the option".to_owned();
    let (enterprise, rest) = match subject.head {
        Head::Enterprise | Head::EnterpriseAndLen => {
            let (enterprise, rest) = octets.split_first_chunk().ok_or_else(cut)?;
            (Some(u32::from_be_bytes(*enterprise)), rest)
        }
        _ => (None, octets),
    };
    if rest.is_empty() {
        // A value of no octets is none, so the option is longer.
        return exists(&Subject {
            enterprise,
            ..*subject
        });
    }
    let (rest, open_end) = match subject.head {
        Head::Len | Head::EnterpriseAndLen => {
            let (len, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            if usize::from(u16::from_be_bytes(*len)) != rest.len() {
                return Err("it compares with several strings, or with a part of one".to_owned());
            }
            (rest, false)
        }
        Head::Hardware => {
            let (hardware, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            if *hardware != [0, 1] {
                return Err("link-layer addresses are looked at without hardware type".to_owned());
            }
            (rest, open_end)
        }
        _ => (rest, open_end),
    };
    if rest.is_empty() {
        return Err(cut());
    }
    Ok(subject.is(Value {
        enterprise,
        octets: Some(Octets {
            octets: rest.to_vec(),
            open_start: false,
            open_end,
        }),
    }))
}

impl Match {
    /// That one must hold as well.
    pub(super) fn narrow(&mut self, other: &Self) -> Result<(), String> {
        if let ([one], [other]) = (&mut self.values[..], &other.values[..]) {
            let agree = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
            if agree(one.enterprise, other.enterprise)
                && (one.octets.is_none() || other.octets.is_none() || one.octets == other.octets)
            {
                one.enterprise = one.enterprise.or(other.enterprise);
                one.octets = one.octets.take().or_else(|| other.octets.clone());
                return Ok(());
            }
        }
        match self.values == other.values {
            true => Ok(()),
            false => Err(format!(
                "two conditions on {} must both hold; of the values of a match any does",
                self.key
            )),
        }
    }

    /// The line in `[[class]]`.
    pub(in super::super) fn toml(&self) -> String {
        let values: Vec<String> = self.values.iter().map(|v| v.toml(self.key)).collect();
        format!("{} = [{}]", self.key, values.join(", "))
    }
}

impl Value {
    fn toml(&self, key: &str) -> String {
        let Some(octets) = &self.octets else {
            return self
                .enterprise
                .map_or_else(|| quoted("*"), |number| number.to_string());
        };
        match (key, self.enterprise) {
            ("architecture", _) => {
                let number = octets
                    .octets
                    .iter()
                    .fold(0_u32, |n, o| n << 8 | u32::from(*o));
                number.to_string()
            }
            ("duid" | "link-layer-address" | "relay-id", _) => quoted(&octets.hex()),
            (_, Some(enterprise)) => match octets.text() {
                Some(text) => format!("{{ enterprise = {enterprise}, text = {} }}", quoted(&text)),
                None => {
                    let hex = quoted(&octets.hex());
                    format!("{{ enterprise = {enterprise}, hex = {hex} }}")
                }
            },
            (_, None) => match octets.text() {
                Some(text) => quoted(&text),
                None => format!("{{ hex = {} }}", quoted(&octets.hex())),
            },
        }
    }
}

impl Octets {
    /// `None` if it cannot be written as text with asterisks.
    fn text(&self) -> Option<String> {
        let is_plain = |octet: &u8| matches!(octet, b' '..=b'~') && *octet != b'*';
        let text = std::str::from_utf8(&self.octets).ok();
        let text = text.filter(|text| text.bytes().all(|octet| is_plain(&octet)))?;
        Some(self.with_asterisks(text, ""))
    }

    fn hex(&self) -> String {
        let octets: Vec<String> = self
            .octets
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        self.with_asterisks(&octets.join(":"), ":")
    }

    fn with_asterisks(&self, inner: &str, between: &str) -> String {
        let (mut before, mut behind) = (String::new(), String::new());
        if self.open_start {
            before = format!("*{between}");
        }
        if self.open_end {
            behind = format!("{between}*");
        }
        format!("{before}{inner}{behind}")
    }
}
