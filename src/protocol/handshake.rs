//! The key of the opening handshake (RFC 6455, section 4).
//!
//! Called for connections that wait to be let in, and by the binding. What else
//! a request and a response must be is for [`upgrade`](super::upgrade), Node and
//! JavaScript to say.

use base64::prelude::{Engine, BASE64_STANDARD};
use sha1::{Digest, Sha1};

/// What the key is joined with before it is hashed (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that answers `key`.
pub fn accept_key(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    BASE64_STANDARD.encode(digest)
}

/// Whether `key` looks like 16 bytes in base64.
pub fn is_valid_key(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';

    match key.strip_suffix("==") {
        Some(digits) => digits.len() == 22 && digits.bytes().all(is_base64),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the example in section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn answers_the_key_of_the_rfc() {
        assert_eq!(accept_key(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn knows_a_key_when_it_sees_one() {
        assert!(is_valid_key(KEY));
        assert!(is_valid_key("++++++++++////////////=="));

        for key in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQA==",
            "dGhlIHNhbXBsZSBub25jZ-==",
            "dGhlIHNhbXBsZSBub25jZ\u{e9}==",
            " dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert!(!is_valid_key(key), "{key}");
        }
    }
}
