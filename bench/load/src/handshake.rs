//! Opening handshakes, reduced to what a benchmark needs.

use base64::{engine::general_purpose::STANDARD, Engine};
use sha1::{Digest, Sha1};
use std::io::{self, Read};

/// What a client sends, in one write.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: 127.0.0.1\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: b3h3cyBiZW5jaCBrZXkuLg==\r\n\r\n";

/// The same with an offer of permessage-deflate (RFC 7692).
pub const DEFLATE_REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: 127.0.0.1\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: b3h3cyBiZW5jaCBrZXkuLg==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// The GUID of RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Heads longer than this are refused.
const LONGEST: usize = 16 * 1024;

/// Where the head of a request or response ends, if it is complete.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Fails unless the response switches protocols.
pub fn check_response(head: &[u8]) -> io::Result<()> {
    if head.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    Err(io::Error::other(format!("handshake refused: {line}")))
}

/// Reads a head from a blocking stream; also returns the bytes after it.
pub fn read_head(stream: &mut impl Read) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 || bytes.len() > LONGEST {
            return Err(io::Error::other("no complete handshake"));
        }
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(end) = head_end(&bytes) {
            let rest = bytes.split_off(end);
            return Ok((bytes, rest));
        }
    }
}

/// The response to a client's request.
pub fn response(head: &[u8]) -> io::Result<Vec<u8>> {
    let head = String::from_utf8_lossy(head);
    let key = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .map(|(_, value)| value.trim())
        .ok_or_else(|| io::Error::other("request without Sec-WebSocket-Key"))?;
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        STANDARD.encode(digest)
    )
    .into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_the_example_of_the_rfc() {
        let request = b"GET /chat HTTP/1.1\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let text = String::from_utf8(response(request).unwrap()).unwrap();
        assert!(text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(check_response(text.as_bytes()).is_ok());
        assert!(check_response(b"HTTP/1.1 400 Bad Request\r\n").is_err());
    }
}
