//! The `Sec-WebSocket-Protocol` header (RFC 6455, section 11.3.4).
//!
//! Called by the handshake and by the binding. Which protocol is chosen is not
//! decided here.

use std::collections::BTreeSet;

use super::token::{is_space, Token};

pub use super::token::HeaderError;

/// Parses a header value into its protocols, in order and each at most once.
pub fn parse(header: &str) -> Result<Vec<String>, HeaderError> {
    let mut protocols = Vec::new();
    let mut seen = BTreeSet::new();
    let mut token = Token::default();

    let mut add = |name: String| {
        if !seen.insert(name.clone()) {
            return Err(HeaderError::DuplicateProtocol(name));
        }
        protocols.push(name);
        Ok(())
    };

    for (index, byte) in header.bytes().enumerate() {
        if token.push(byte) {
            continue;
        }

        if byte == b',' {
            match token.take() {
                Some(name) => add(name)?,
                None => return Err(HeaderError::UnexpectedCharacter(index)),
            }
        } else if is_space(byte) && index > 0 {
            token.close();
        } else {
            return Err(HeaderError::UnexpectedCharacter(index));
        }
    }

    // Whitespace at the end is not trimmed: it is as if a comma were missing.
    if token.is_closed() {
        return Err(HeaderError::UnexpectedEnd);
    }

    add(token.take().ok_or(HeaderError::UnexpectedEnd)?)?;
    Ok(protocols)
}

/// Formats a header value.
pub fn format<S: AsRef<str>>(protocols: &[S]) -> String {
    let names: Vec<&str> = protocols.iter().map(AsRef::as_ref).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_list() {
        assert_eq!(parse("foo").unwrap(), ["foo"]);
        assert_eq!(parse("foo,bar,b").unwrap(), ["foo", "bar", "b"]);
        assert_eq!(parse("foo , bar\t,\tb").unwrap(), ["foo", "bar", "b"]);
        assert_eq!(parse("foo,  bar").unwrap(), ["foo", "bar"]);
    }

    #[test]
    fn says_what_is_wrong_with_a_list() {
        use HeaderError::*;

        let cases = [
            ("", UnexpectedEnd),
            ("foo ", UnexpectedEnd),
            ("foo,", UnexpectedEnd),
            ("foo, ", UnexpectedEnd),
            (" foo", UnexpectedCharacter(0)),
            (",foo", UnexpectedCharacter(0)),
            ("foo,,bar", UnexpectedCharacter(4)),
            ("foo bar", UnexpectedCharacter(4)),
            ("f\u{e9}", UnexpectedCharacter(1)),
            ("foo;bar", UnexpectedCharacter(3)),
            ("foo,bar,foo", DuplicateProtocol("foo".into())),
            ("foo,foo,,", DuplicateProtocol("foo".into())),
        ];

        for (header, error) in cases {
            assert_eq!(parse(header), Err(error), "{header:?}");
        }
    }

    #[test]
    fn names_the_duplicate() {
        let error = parse("foo,foo").unwrap_err();
        assert_eq!(error.to_string(), "The \"foo\" subprotocol is duplicated");
    }

    #[test]
    fn formats_a_list_without_spaces() {
        assert_eq!(format(&["foo", "bar"]), "foo,bar");
        assert_eq!(format::<&str>(&[]), "");
    }
}
