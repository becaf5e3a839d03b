//! The words of an expression.

use std::fmt;

/// One word or sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name.
    Word(String),
    /// In single quotes.
    Text(String),
    /// Behind `0x`.
    Hex(Vec<u8>),
    /// A number.
    Number(i64),
    /// `==`
    Equal,
    /// One of the other signs.
    Sign(char),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Hex(_) => f.write_str("a hexadecimal constant"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Equal => f.write_str("=="),
            Self::Sign(sign) => write!(f, "{sign}"),
        }
    }
}

/// All words.
///
/// # Errors
/// What is none.
pub(super) fn tokens(test: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = test;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return Ok(tokens);
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let word_len = |text: &str| text.find(|c| !is_word(c)).unwrap_or(text.len());
        let (token, len) = match first {
            '\'' => {
                let len = rest[1..].find('\'').ok_or("a quote is not closed")?;
                (Token::Text(rest[1..][..len].to_owned()), len + 2)
            }
            '=' if rest.starts_with("==") => (Token::Equal, 2),
            '0' if rest.starts_with("0x") || rest.starts_with("0X") => {
                let len = word_len(&rest[2..]);
                (Token::Hex(hex(&rest[2..][..len])?), len + 2)
            }
            '0'..='9' | '-' => {
                let len = word_len(rest);
                let number = rest[..len].parse();
                let number = number.map_err(|_| format!("{} is no number", &rest[..len]))?;
                (Token::Number(number), len)
            }
            'a'..='z' | 'A'..='Z' => {
                let len = word_len(rest);
                (Token::Word(rest[..len].to_owned()), len)
            }
            '(' | ')' | '[' | ']' | '.' | ',' | '*' | '+' => (Token::Sign(first), 1),
            other => return Err(format!("{other:?} is not understood in an expression")),
        };
        tokens.push(token);
        rest = &rest[len..];
    }
}

/// Kea puts a zero in front of an odd number of digits.
fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("0x{digits} is no hexadecimal constant");
    let digits = match digits.len() % 2 {
        0 => digits.to_owned(),
        _ => format!("0{digits}"),
    };
    let pairs = digits.as_bytes().chunks(2);
    let octets = pairs.map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    octets.collect::<Option<_>>().ok_or_else(wrong)
}
