//! The codes of close frames (RFC 6455, section 7.4).
//!
//! Called by the receiver. What a close frame leads to is not decided here.

/// The code that stands for a close frame without one (section 7.4.1).
pub const NO_STATUS: u16 = 1005;

/// Whether a close frame may carry `code`.
pub fn is_valid_close_code(code: u16) -> bool {
    match code {
        1004..=1006 => false,
        1000..=1014 | 3000..=4999 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_codes_that_may_be_sent() {
        for code in 0..=u16::MAX {
            let expected = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            assert_eq!(is_valid_close_code(code), expected, "{code}");
        }
    }
}
