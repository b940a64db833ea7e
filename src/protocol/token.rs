//! Tokens in header values (RFC 7230, section 3.2.6) and what is said of a
//! value that breaks their grammar.
//!
//! Called by the parsers of the two negotiation headers.

use std::fmt;

/// Why a header value could not be parsed. JavaScript sees a `SyntaxError`
/// with the text that [`Display`](fmt::Display) gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The character at this index can't come there.
    UnexpectedCharacter(usize),
    /// The value ends too early.
    UnexpectedEnd,
    /// A subprotocol is listed twice.
    DuplicateProtocol(String),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedCharacter(index) => {
                write!(f, "Unexpected character at index {index}")
            }
            Self::UnexpectedEnd => f.write_str("Unexpected end of input"),
            Self::DuplicateProtocol(name) => {
                write!(f, "The \"{name}\" subprotocol is duplicated")
            }
        }
    }
}

impl std::error::Error for HeaderError {}

/// Whether a token may contain `byte`.
pub fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `byte` is optional whitespace (RFC 7230, section 3.2.3).
pub(super) fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// A token that is being read.
#[derive(Debug, Default)]
pub(super) struct Token {
    text: String,
    /// It can't go on: whitespace or a closing quote came after it.
    closed: bool,
}

impl Token {
    /// Adds `byte` if it can be part of the token.
    pub fn push(&mut self, byte: u8) -> bool {
        let fits = !self.closed && is_token_char(byte);

        if fits {
            self.text.push(byte.into());
        }
        fits
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Ends the token, if it has begun.
    pub fn close(&mut self) {
        self.closed = !self.is_empty();
    }

    /// Takes the token out, unless it is empty.
    pub fn take(&mut self) -> Option<String> {
        let token = std::mem::take(self);
        (!token.is_empty()).then_some(token.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_characters_of_a_token() {
        let separators = b"(),/:;<=>?@[\\]{}\" \t";

        for byte in 0..=255_u8 {
            let expected = byte.is_ascii_graphic() && !separators.contains(&byte);
            assert_eq!(is_token_char(byte), expected, "{byte}");
        }
    }
}
