//! Tokens of HTTP headers (RFC 9110, section 5.6.2).
//!
//! Called where the names of header fields are checked.

/// Whether a token may contain `byte`.
pub fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
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
