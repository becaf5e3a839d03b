//! Kea's `test` expressions, as far as a table of matches says the same.
//!
//! A table says: all of these must hold, and of each any of its values. So an expression is taken
//! over if it is an `and` of conditions, each of them an `or` of values of one and the same thing; and a
//! value is equal to all, the beginning or the end of what a message says.

mod lexer;
mod subject;
#[cfg(test)]
mod tests;

use self::lexer::{Token, tokens};
pub(super) use self::subject::{Match, Value};
use self::subject::{Subject, compare, exists};

/// Deepest parentheses that are followed.
const DEPTH_MAX: usize = 32;

/// The matches that say the same; none: every client is meant. `member` knows those of classes that
/// were taken over before.
///
/// # Errors
/// Why no table says the same; in words for the operator.
pub(super) fn matches(
    test: &str,
    member: &dyn Fn(&str) -> Option<Vec<Match>>,
) -> Result<Vec<Match>, String> {
    let tokens = tokens(test)?;
    let mut parser = Parser {
        tokens: &tokens,
        member,
    };
    let matches = parser.any(0)?;
    match parser.tokens.first() {
        None => Ok(matches),
        Some(token) => Err(format!("{token} stands where nothing can follow")),
    }
}

struct Parser<'p> {
    tokens: &'p [Token],
    member: &'p dyn Fn(&str) -> Option<Vec<Match>>,
}

impl Parser<'_> {
    /// `… or …`: of what all of it says of one thing.
    fn any(&mut self, depth: usize) -> Result<Vec<Match>, String> {
        let mut matches = self.all(depth)?;
        while self.next_if(&Token::Word("or".to_owned())) {
            let other = self.all(depth)?;
            let ([one], [other]) = (&mut matches[..], &other[..]) else {
                return Err("`or` between groups of conditions: make a class of each".to_owned());
            };
            if one.key != other.key {
                let (one, other) = (one.key, other.key);
                return Err(format!(
                    "`or` between {one} and {other}: make a class of each"
                ));
            }
            let new = other.values.iter();
            let new: Vec<Value> = new.filter(|v| !one.values.contains(v)).cloned().collect();
            one.values.extend(new);
        }
        Ok(matches)
    }

    /// `… and …`.
    fn all(&mut self, depth: usize) -> Result<Vec<Match>, String> {
        let mut matches = self.one(depth)?;
        while self.next_if(&Token::Word("and".to_owned())) {
            for new in self.one(depth)? {
                match matches.iter_mut().find(|known| known.key == new.key) {
                    None => matches.push(new),
                    Some(known) => known.narrow(&new)?,
                }
            }
        }
        Ok(matches)
    }

    fn one(&mut self, depth: usize) -> Result<Vec<Match>, String> {
        if depth >= DEPTH_MAX {
            return Err("its parentheses are too deep".to_owned());
        }
        match self.tokens.split_first() {
            Some((Token::Word(word), _)) if word == "not" => {
                Err("`not` cannot be said by a table of matches".to_owned())
            }
            Some((Token::Word(word), rest)) if word == "member" => {
                self.tokens = rest;
                self.expect('(')?;
                let name = self.text()?;
                self.expect(')')?;
                if name == "ALL" {
                    return Ok(Vec::new());
                }
                let known = (self.member)(&name);
                known.ok_or_else(|| format!("class \"{name}\" that it looks at is not taken over"))
            }
            Some((Token::Sign('('), rest)) => {
                self.tokens = rest;
                let inner = self.any(depth + 1)?;
                self.expect(')')?;
                Ok(inner)
            }
            _ => self.condition().map(|one| vec![one]),
        }
    }

    /// `… == …`, or `….exists`.
    fn condition(&mut self) -> Result<Match, String> {
        let left = self.operand(0)?;
        if let Operand::Exists(subject) = left {
            return exists(&subject);
        }
        if !self.next_if(&Token::Equal) {
            return Err(match self.tokens.first() {
                Some(token) => format!("{token} stands where == is expected"),
                None => "it ends where == is expected".to_owned(),
            });
        }
        match (left, self.operand(0)?) {
            (Operand::Said(said), Operand::Octets(octets))
            | (Operand::Octets(octets), Operand::Said(said)) => compare(&said, &octets),
            (Operand::Enterprise(subject), Operand::Number(number))
            | (Operand::Number(number), Operand::Enterprise(subject)) => {
                exists(&subject.with_enterprise(enterprise(number)?))
            }
            _ => Err("it compares other things than an option and a constant".to_owned()),
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, String> {
        let Some((first, rest)) = self.tokens.split_first() else {
            return Err("it ends in the middle of a condition".to_owned());
        };
        self.tokens = rest;
        match first {
            Token::Text(text) => Ok(Operand::Octets(text.clone().into_bytes())),
            Token::Hex(octets) => Ok(Operand::Octets(octets.clone())),
            Token::Number(number) => Ok(Operand::Number(*number)),
            Token::Word(word) => match word.as_str() {
                "substring" if depth == 0 => self.substring(),
                "option" => {
                    let subject = Subject::of_client(&self.index()?)?;
                    self.member_of(subject)
                }
                "relay6" => {
                    let place = self.index()?;
                    self.expect('.')?;
                    self.word(
                        "option",
                        "only options of relays are looked at by classes here",
                    )?;
                    let subject = Subject::of_relay(&place, &self.index()?)?;
                    self.member_of(subject)
                }
                "vendor-class" | "vendor" => {
                    let enterprise = match self.tokens.first() {
                        Some(Token::Sign('[')) => match self.index()? {
                            Token::Number(number) => Some(enterprise(number)?),
                            _ => None,
                        },
                        _ => None,
                    };
                    self.member_of(Subject::of_vendor(word == "vendor-class", enterprise))
                }
                other => Err(format!("`{other}` cannot be said by a table of matches")),
            },
            token => Err(format!("{token} stands where an option is expected")),
        }
    }

    /// What stands behind the dot.
    fn member_of(&mut self, subject: Subject) -> Result<Operand, String> {
        self.expect('.')?;
        let Some((Token::Word(word), rest)) = self.tokens.split_first() else {
            return Err("it does not say what of an option is looked at".to_owned());
        };
        self.tokens = rest;
        match word.as_str() {
            "exists" => Ok(Operand::Exists(subject)),
            "hex" | "text" if !subject.is_item => Ok(Operand::Said(subject.whole())),
            "enterprise" if subject.is_item => Ok(Operand::Enterprise(subject)),
            "data" if subject.is_item && subject.key == "vendor-class" => {
                if let Some(Token::Sign('[')) = self.tokens.first()
                    && self.index()? != Token::Number(0)
                {
                    return Err(
                        "any string of a vendor class counts here, not one by its place".to_owned(),
                    );
                }
                Ok(Operand::Said(subject.whole()))
            }
            "option" => Err("classes do not look inside of options here".to_owned()),
            other => Err(format!("`.{other}` of an option is not looked at here")),
        }
    }

    /// `substring(what, start, length)`.
    fn substring(&mut self) -> Result<Operand, String> {
        self.expect('(')?;
        let what = self.operand(1)?;
        self.expect(',')?;
        let start = self.number()?;
        self.expect(',')?;
        let len = match self.tokens.split_first() {
            Some((Token::Word(word), rest)) if word == "all" => {
                self.tokens = rest;
                None
            }
            _ => Some(self.number()?),
        };
        self.expect(')')?;
        match what {
            Operand::Said(mut said) => {
                (said.start, said.len) = (start, len);
                Ok(Operand::Said(said))
            }
            _ => Err("substring of something that is no option".to_owned()),
        }
    }

    /// `[…]`
    fn index(&mut self) -> Result<Token, String> {
        self.expect('[')?;
        let (index, rest) = self.tokens.split_first().ok_or("it ends behind [")?;
        self.tokens = rest;
        self.expect(']')?;
        Ok(index.clone())
    }

    fn number(&mut self) -> Result<i64, String> {
        match self.tokens.split_first() {
            Some((Token::Number(number), rest)) => {
                self.tokens = rest;
                Ok(*number)
            }
            _ => Err("a number is missing in substring".to_owned()),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        match self.tokens.split_first() {
            Some((Token::Text(text), rest)) => {
                self.tokens = rest;
                Ok(text.clone())
            }
            _ => Err("a text in quotes is missing".to_owned()),
        }
    }

    fn word(&mut self, word: &str, otherwise: &str) -> Result<(), String> {
        match self.next_if(&Token::Word(word.to_owned())) {
            true => Ok(()),
            false => Err(otherwise.to_owned()),
        }
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        match self.next_if(&Token::Sign(sign)) {
            true => Ok(()),
            false => Err(format!("{sign} is missing")),
        }
    }

    fn next_if(&mut self, wanted: &Token) -> bool {
        match self.tokens.split_first() {
            Some((token, rest)) if token == wanted => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}

fn enterprise(number: i64) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| "an enterprise number has 32 bits".to_owned())
}

enum Operand {
    Said(subject::Said),
    Exists(Subject),
    Enterprise(Subject),
    Octets(Vec<u8>),
    Number(i64),
}
