//! Numbers as JavaScript reads them from a string.
//!
//! Called where `ws` converts a header value with the unary plus, so that the
//! same values are accepted.

/// What `+text` is in JavaScript, without infinities: those are NaN here, as no
/// caller accepts either.
pub(super) fn from_js(text: &str) -> f64 {
    let text = text.trim();

    if text.is_empty() {
        return 0.0;
    }

    let radix = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => 16,
        [b'0', b'o' | b'O', ..] => 8,
        [b'0', b'b' | b'B', ..] => 2,
        _ => 10,
    };

    if radix != 10 {
        let digits = &text[2..];
        // Parsing would accept a sign.
        let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let value = u32::from_str_radix(digits, radix).ok();
        return value.filter(|_| plain).map_or(f64::NAN, f64::from);
    }

    // Rust also knows "inf", "nan" and the like.
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));

    text.parse().ok().filter(|_| plain).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::from_js;

    #[test]
    fn reads_what_javascript_reads() {
        let cases = [
            ("13", 13.0),
            (" 13\t", 13.0),
            ("\u{a0}13", 13.0),
            ("+13", 13.0),
            ("13.", 13.0),
            ("013", 13.0),
            ("1.3e1", 13.0),
            ("0xd", 13.0),
            ("0XD", 13.0),
            ("0o15", 13.0),
            ("0b1101", 13.0),
            ("", 0.0),
            ("-1", -1.0),
            (".5", 0.5),
        ];

        for (text, expected) in cases {
            assert_eq!(from_js(text), expected, "{text}");
        }
    }

    #[test]
    fn is_not_a_number_where_javascript_says_so() {
        for text in [
            "x", "13x", "1_3", "13 8", "13, 8", "nan", "inf", "0x", "0x+d", "-0xd", "1e", ".",
        ] {
            assert!(from_js(text).is_nan(), "{text}");
        }
    }
}
