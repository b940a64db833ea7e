//! The `Sec-WebSocket-Extensions` header (RFC 6455, section 9.1).
//!
//! Called by the handshake and by the binding. Knows the grammar, and no
//! extension: what the parameters mean is for the negotiation to say.

use std::collections::BTreeMap;

use super::token::{is_space, is_token_char, Token};

pub use super::token::HeaderError;

/// Names with one or more values each, in the order of their first appearance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multimap<T> {
    entries: Vec<(String, Vec<T>)>,
    /// Where in `entries` a name is: a peer may send thousands of them.
    index: BTreeMap<String, usize>,
}

impl<T> Multimap<T> {
    /// Adds a value to those of `name`.
    pub fn push(&mut self, name: String, value: T) {
        match self.index.get(&name) {
            Some(at) => self.entries[*at].1.push(value),
            None => {
                self.index.insert(name.clone(), self.entries.len());
                self.entries.push((name, vec![value]));
            }
        }
    }

    /// The values of `name`.
    pub fn get(&self, name: &str) -> Option<&[T]> {
        let at = self.index.get(name)?;
        Some(&self.entries[*at].1)
    }

    /// All names with their values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[T])> {
        self.entries
            .iter()
            .map(|(name, values)| (name.as_str(), values.as_slice()))
    }
}

impl<T> Default for Multimap<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            index: BTreeMap::new(),
        }
    }
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The parameter's name stands alone.
    Flag,
    /// What comes after the equals sign, without quotes.
    Text(String),
}

/// The parameters of one offer.
pub type Params = Multimap<Value>;

/// The extensions of a header, each with one or more offers.
pub type Extensions = Multimap<Params>;

/// How far a quoted value has been read.
#[derive(PartialEq, Eq)]
enum Quotes {
    None,
    Inside,
    AfterBackslash,
}

/// A header that is being parsed.
struct Parser {
    extensions: Extensions,
    /// The extension whose parameters are being read.
    extension: Option<String>,
    params: Params,
    /// The parameter whose value is being read.
    param: Option<String>,
    token: Token,
    quotes: Quotes,
}

impl Parser {
    /// Reads a character that comes after `previous`, which is `None` at the
    /// start; false when it can't.
    fn read(&mut self, byte: u8, previous: Option<u8>) -> bool {
        if self.quotes != Quotes::None {
            return self.read_quoted(byte);
        }

        if self.token.push(byte) {
            return true;
        }

        match byte {
            b';' | b',' => self.end_of_token(byte == b','),
            b'=' => self.end_of_name(),
            b'"' if self.param.is_some() && previous == Some(b'=') => {
                self.quotes = Quotes::Inside;
                true
            }
            _ if is_space(byte) => {
                self.token.close();

                // Where whitespace may come before a token.
                if self.param.is_some() {
                    !self.token.is_empty()
                } else {
                    self.extension.is_some() || previous.is_some()
                }
            }
            _ => false,
        }
    }

    /// Reads a character within quotes. What they enclose must be a token once
    /// the backslashes are gone (section 9.1), so nothing else may be in there.
    fn read_quoted(&mut self, byte: u8) -> bool {
        match byte {
            _ if is_token_char(byte) => {
                self.quotes = Quotes::Inside;
                self.token.push(byte)
            }
            b'"' if self.quotes == Quotes::Inside && !self.token.is_empty() => {
                self.quotes = Quotes::None;
                self.token.close();
                true
            }
            b'\\' if self.quotes == Quotes::Inside => {
                self.quotes = Quotes::AfterBackslash;
                true
            }
            _ => false,
        }
    }

    /// Makes the token the name of a parameter that has a value.
    fn end_of_name(&mut self) -> bool {
        let expected = self.extension.is_some() && self.param.is_none();

        if expected && !self.token.is_closed() {
            self.param = self.token.take();
            self.param.is_some()
        } else {
            false
        }
    }

    /// Stores the token; `last` says that it is the last one of an offer.
    fn end_of_token(&mut self, last: bool) -> bool {
        let Some(token) = self.token.take() else {
            return false;
        };

        let extension = match (self.extension.take(), self.param.take()) {
            (Some(extension), Some(param)) => {
                self.params.push(param, Value::Text(token));
                extension
            }
            (Some(extension), None) => {
                self.params.push(token, Value::Flag);
                extension
            }
            (None, _) => token,
        };

        if last {
            let params = std::mem::take(&mut self.params);
            self.extensions.push(extension, params);
        } else {
            self.extension = Some(extension);
        }

        true
    }
}

/// Parses a header value.
pub fn parse(header: &str) -> Result<Extensions, HeaderError> {
    let mut parser = Parser {
        extensions: Extensions::default(),
        extension: None,
        params: Params::default(),
        param: None,
        token: Token::default(),
        quotes: Quotes::None,
    };
    let mut previous = None;

    for (index, byte) in header.bytes().enumerate() {
        if !parser.read(byte, previous) {
            return Err(HeaderError::UnexpectedCharacter(index));
        }
        previous = Some(byte);
    }

    let complete = parser.quotes == Quotes::None && !previous.is_some_and(is_space);

    if complete && parser.end_of_token(true) {
        Ok(parser.extensions)
    } else {
        Err(HeaderError::UnexpectedEnd)
    }
}

/// Formats a header value.
pub fn format(extensions: &Extensions) -> String {
    let mut offers = Vec::new();

    for (extension, configurations) in extensions.iter() {
        for params in configurations {
            let mut parts = vec![extension.to_owned()];

            for (name, values) in params.iter() {
                parts.extend(values.iter().map(|value| match value {
                    Value::Flag => name.to_owned(),
                    Value::Text(text) => format!("{name}={text}"),
                }));
            }

            offers.push(parts.join("; "));
        }
    }

    offers.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A compact rendering: `name{param=[values]}` per offer.
    fn shape(header: &str) -> String {
        match parse(header) {
            Ok(extensions) => format!(
                "{:?}",
                extensions
                    .iter()
                    .map(|(name, offers)| {
                        let offers: Vec<_> = offers
                            .iter()
                            .map(|params| {
                                params
                                    .iter()
                                    .map(|(name, values)| (name.to_owned(), values.to_vec()))
                                    .collect::<Vec<_>>()
                            })
                            .collect();
                        (name.to_owned(), offers)
                    })
                    .collect::<Vec<_>>()
            )
            .replace("Text", "")
            .replace(['"', '(', ')'], ""),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn parses_names_parameters_and_values() {
        let cases = [
            ("foo", "[foo, [[]]]"),
            ("foo,bar", "[foo, [[]], bar, [[]]]"),
            ("foo; bar", "[foo, [[bar, [Flag]]]]"),
            ("foo;bar=1;bar=2", "[foo, [[bar, [1, 2]]]]"),
            ("foo;a=1,foo;a", "[foo, [[a, [1]], [a, [Flag]]]]"),
            ("foo;bar=\"b\\a\\z\"", "[foo, [[bar, [baz]]]]"),
            ("foo;bar=\"\\baz\"", "[foo, [[bar, [baz]]]]"),
            ("foo , bar", "[foo, [[]], bar, [[]]]"),
            ("foo\t; bar\t=x", "Unexpected character at index 10"),
            (
                "foo; bar=x \t; z, y",
                "[foo, [[bar, [x], z, [Flag]]], y, [[]]]",
            ),
            ("foo;bar=\"x\" ;y", "[foo, [[bar, [x], y, [Flag]]]]"),
            (
                "foo;constructor;__proto__",
                "[foo, [[constructor, [Flag], __proto__, [Flag]]]]",
            ),
        ];

        for (header, expected) in cases {
            assert_eq!(shape(header), expected, "{header}");
        }
    }

    #[test]
    fn says_where_a_value_breaks_the_grammar() {
        let cases = [
            (" foo", 0),
            ("\tfoo", 0),
            ("f oo", 2),
            ("f\u{e9}", 1),
            (",foo", 0),
            ("foo,,bar", 4),
            ("foo;;bar", 4),
            ("foo;=", 4),
            ("foo;bar= x", 8),
            ("foo;bar=;", 8),
            ("foo;bar=\"\"", 9),
            ("foo;bar=\"x\"y", 11),
            ("foo;bar=\"x\"\"", 11),
            ("foo;bar=x\"", 9),
            ("foo;bar=\"x y\"", 10),
            ("foo;bar=\"x\\\"\"", 11),
            ("foo;bar=\"x\\\\\"", 11),
            ("foo=bar", 3),
            ("foo;bar=x=", 9),
            ("foo;bar x", 8),
        ];

        for (header, index) in cases {
            assert_eq!(
                parse(header),
                Err(HeaderError::UnexpectedCharacter(index)),
                "{header}"
            );
        }
    }

    #[test]
    fn says_when_a_value_ends_too_early() {
        for header in [
            "",
            "foo ",
            "foo\t",
            "foo,",
            "foo, ",
            "foo;",
            "foo;bar ",
            "foo;bar=",
            "foo;bar=x ",
            "foo;bar=\"",
            "foo;bar=\"x",
            "foo;bar=\"x\\",
            "foo;bar=\"x\" ",
        ] {
            let error = parse(header).unwrap_err();
            assert_eq!(error, HeaderError::UnexpectedEnd, "{header}");
            assert_eq!(error.to_string(), "Unexpected end of input");
        }
    }

    #[test]
    fn formats_what_it_parsed() {
        for header in [
            "foo",
            "foo, bar",
            "foo; bar; baz=1, foo; bar, qux",
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
        ] {
            assert_eq!(format(&parse(header).unwrap()), header);
        }
    }

    #[test]
    fn many_distinct_names_take_no_longer_than_their_number_suggests() {
        let header: Vec<String> = (0..20_000).map(|i| format!("a{i}")).collect();
        let extensions = parse(&header.join(",")).unwrap();
        assert_eq!(extensions.iter().len(), 20_000);
        assert!(extensions.get("a19999").is_some());
    }
}
