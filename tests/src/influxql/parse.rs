//! The grammar.

use super::lexer::{Token, tokens};
use anyhow::{Context, Result, bail, ensure};

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// `SELECT …`
    Select(Select),
    /// `SHOW TAG VALUES …`
    TagValues {
        /// Of which measurement.
        measurement: String,
        /// Of which tag.
        key: String,
        /// Of which series.
        condition: Option<Condition>,
    },
}

/// A `SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// Columns: what, and as what.
    pub items: Vec<(Expression, String)>,
    /// The database, where it is named.
    pub database: Option<String>,
    /// The measurement.
    pub measurement: String,
    /// Which points.
    pub condition: Option<Condition>,
    /// Whether by time, in steps of `$__interval`.
    pub by_time: bool,
    /// The tags it is grouped by.
    pub by_tags: Vec<String>,
    /// Newest first.
    pub newest_first: bool,
    /// At most so many rows a series.
    pub limit: Option<usize>,
}

/// Something with a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A constant.
    Number(f64),
    /// A length of time in ns.
    Duration(i64),
    /// A field, or a tag.
    Name(String),
    /// A function of something.
    Call(String, Vec<Expression>),
    /// `+ - * /`
    Binary(Box<Expression>, char, Box<Expression>),
}

/// What a point must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Within the dashboard's time.
    TimeFilter,
    /// Not longer ago than so many ns.
    Since(i64),
    /// A tag or a text.
    Is(String, String),
    /// A number: field, sign, constant.
    Compare(String, String, f64),
    /// Both.
    And(Box<Condition>, Box<Condition>),
    /// One of them.
    Or(Box<Condition>, Box<Condition>),
}

/// Reads a query.
pub fn parse(text: &str) -> Result<Query> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let query = parser.query().with_context(|| format!("in {text:?}, at word {}", parser.at))?;
    ensure!(parser.at == parser.tokens.len(), "in {text:?}: what is {:?}?", parser.tokens[parser.at]);
    Ok(query)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Result<Token> {
        let token = self.tokens.get(self.at).context("it ends too early")?.clone();
        self.at += 1;
        Ok(token)
    }

    /// Takes these words, in either case, if they come next.
    fn took(&mut self, words: &str) -> bool {
        let words: Vec<&str> = words.split(' ').collect();
        let there = self.tokens.get(self.at..self.at + words.len());
        let same = there.is_some_and(|there| {
            there.iter().zip(&words).all(|(token, word)| match token {
                Token::Word(text) => text.eq_ignore_ascii_case(word),
                Token::Sign(text) => text == word,
                _ => false,
            })
        });
        self.at += if same { words.len() } else { 0 };
        same
    }

    fn expect(&mut self, words: &str) -> Result<()> {
        ensure!(self.took(words), "expected {words}");
        Ok(())
    }

    fn name(&mut self) -> Result<String> {
        match self.next()? {
            Token::Name(name) => Ok(name),
            other => bail!("{other:?} is no name in double quotes"),
        }
    }

    fn query(&mut self) -> Result<Query> {
        if self.took("SHOW TAG VALUES FROM") {
            let measurement = self.name()?;
            self.expect("WITH KEY =")?;
            let key = self.name()?;
            let condition = if self.took("WHERE") { Some(self.either()?) } else { None };
            return Ok(Query::TagValues { measurement, key, condition });
        }
        self.expect("SELECT")?;
        let mut items = vec![self.item()?];
        while self.took(",") {
            items.push(self.item()?);
        }
        self.expect("FROM")?;
        let mut measurement = self.name()?;
        let mut database = None;
        if self.took("..") {
            database = Some(std::mem::replace(&mut measurement, self.name()?));
        }
        let condition = if self.took("WHERE") { Some(self.either()?) } else { None };
        let (mut by_time, mut by_tags) = (false, Vec::new());
        if self.took("GROUP BY") {
            loop {
                if self.took("time ( $__interval )") {
                    by_time = true;
                } else {
                    by_tags.push(self.name()?);
                }
                if !self.took(",") {
                    break;
                }
            }
        }
        // Rows of nothing are never wanted.
        ensure!(self.took("fill ( none )") == by_time, "fill(none) belongs to GROUP BY time");
        let newest_first = self.took("ORDER BY time DESC");
        let limit = match self.took("LIMIT").then(|| self.next()).transpose()? {
            Some(Token::Number(number)) => Some(number as usize),
            Some(other) => bail!("LIMIT {other:?}"),
            None => None,
        };
        Ok(Query::Select(Select {
            items,
            database,
            measurement,
            condition,
            by_time,
            by_tags,
            newest_first,
            limit,
        }))
    }

    fn item(&mut self) -> Result<(Expression, String)> {
        let expression = self.sum()?;
        let alias = match (&expression, self.took("AS")) {
            (_, true) => self.name()?,
            (Expression::Name(name), false) => name.clone(),
            _ => bail!("a column that is calculated needs a name"),
        };
        Ok((expression, alias))
    }

    fn sum(&mut self) -> Result<Expression> {
        let mut left = self.product()?;
        loop {
            let sign = if self.took("+") {
                '+'
            } else if self.took("-") {
                '-'
            } else {
                return Ok(left);
            };
            left = Expression::Binary(Box::new(left), sign, Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Expression> {
        let mut left = self.atom()?;
        loop {
            let sign = if self.took("*") {
                '*'
            } else if self.took("/") {
                '/'
            } else {
                return Ok(left);
            };
            left = Expression::Binary(Box::new(left), sign, Box::new(self.atom()?));
        }
    }

    fn atom(&mut self) -> Result<Expression> {
        match self.next()? {
            Token::Number(number) => Ok(Expression::Number(number)),
            Token::Duration(ns) => Ok(Expression::Duration(ns)),
            Token::Name(name) => Ok(Expression::Name(name)),
            Token::Sign(sign) if sign == "(" => {
                let inner = self.sum()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Word(function) => {
                self.expect("(")?;
                let mut arguments = vec![self.sum()?];
                while self.took(",") {
                    arguments.push(self.sum()?);
                }
                self.expect(")")?;
                Ok(Expression::Call(function, arguments))
            }
            other => bail!("{other:?} has no value"),
        }
    }

    fn either(&mut self) -> Result<Condition> {
        let mut left = self.both()?;
        while self.took("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Condition> {
        let mut left = self.condition()?;
        while self.took("AND") {
            left = Condition::And(Box::new(left), Box::new(self.condition()?));
        }
        Ok(left)
    }

    fn condition(&mut self) -> Result<Condition> {
        if self.took("$timeFilter") {
            return Ok(Condition::TimeFilter);
        }
        if self.took("time > now ( ) -") {
            return match self.next()? {
                Token::Duration(ns) => Ok(Condition::Since(ns)),
                other => bail!("now() - {other:?}"),
            };
        }
        if self.took("(") {
            let inner = self.either()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let name = self.name()?;
        let Token::Sign(sign) = self.next()? else { bail!("{name} must be compared") };
        match (sign.as_str(), self.next()?) {
            ("=", Token::Text(text)) => Ok(Condition::Is(name, text)),
            ("=" | "<" | ">" | "<=" | ">=", Token::Number(number)) => {
                Ok(Condition::Compare(name, sign, number))
            }
            (sign, other) => bail!("{name} {sign} {other:?}: such a comparison is not understood here"),
        }
    }
}
