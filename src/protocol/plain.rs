//! The plain message: whole, in one frame that is not compressed, of up to
//! 64 KiB, and allowed. Nearly all messages are like that.
//!
//! Looked for by the receiver before it goes through its stages, which get
//! whatever is different, or wrong. Knows nothing of what came before.

use super::event::{Event, Payload};
use super::frame::{Opcode, FIN, LENGTH_16, MASK};

const TEXT: u8 = FIN | Opcode::Text as u8;
const BINARY: u8 = FIN | Opcode::Binary as u8;

/// What is plain to a receiver.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    /// The bit of the second byte that says whether there is a mask.
    mask: u8,
    key_len: usize,
    max_length: usize,
}

/// A message at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Text; otherwise binary data.
    pub text: bool,
    /// All zeros when there is no mask.
    pub key: [u8; 4],
    /// Where the payload begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl Found {
    /// What to tell the sink, in whose room the payload is.
    pub fn event(&self) -> Event<'static> {
        Event::Message {
            payload: Payload::Reserved(self.end - self.start),
            binary: !self.text,
            fragments: &[],
        }
    }
}

impl Plain {
    /// As a server sees it, or a client; with payloads of at most `max` bytes,
    /// 0 for any number.
    pub fn new(is_server: bool, max: u64) -> Self {
        let (mask, key_len) = if is_server { (MASK, 4) } else { (0, 0) };
        Self {
            mask,
            key_len,
            max_length: match max {
                0 => usize::MAX,
                max => usize::try_from(max).unwrap_or(usize::MAX),
            },
        }
    }

    /// The message with which `bytes` begin.
    #[inline]
    pub fn find(self, bytes: &[u8]) -> Option<Found> {
        let [first @ (TEXT | BINARY), second, ..] = *bytes else {
            return None;
        };
        // With a mask that must not be there, or without the one that must,
        // this is too large for a length.
        let (length, start): (usize, usize) = match (second ^ self.mask, bytes) {
            (length @ ..LENGTH_16, _) => (length.into(), 2 + self.key_len),
            (LENGTH_16, [_, _, high, low, ..]) => {
                let length = u16::from_be_bytes([*high, *low]);
                (length.into(), 4 + self.key_len)
            }
            _ => return None,
        };
        let end = start + length;
        if length > self.max_length || end > bytes.len() {
            return None;
        }
        let key = match bytes[..start].last_chunk() {
            Some(key) if self.key_len > 0 => *key,
            _ => [0; 4],
        };
        Some(Found {
            text: first == TEXT,
            key,
            start,
            end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: bool, key: [u8; 4], start: usize, end: usize) -> Option<Found> {
        Some(Found {
            text,
            key,
            start,
            end,
        })
    }

    #[test]
    fn a_whole_message_is_found_by_its_frame() {
        let (server, client) = (Plain::new(true, 0), Plain::new(false, 0));
        let key = [1, 2, 3, 4];
        assert_eq!(
            server.find(&[0x81, 0x81, 1, 2, 3, 4, 9]),
            found(true, key, 6, 7)
        );
        assert_eq!(client.find(&[0x82, 0, 0x82]), found(false, [0; 4], 2, 2));
        let mut long = vec![0x82, 126, 1, 0];
        long.resize(4 + 256, 0);
        assert_eq!(client.find(&long), found(false, [0; 4], 4, 260));
        assert_eq!(client.find(&long[..259]), None, "not whole");
    }

    #[test]
    fn all_else_is_not_plain() {
        let (server, client) = (Plain::new(true, 2), Plain::new(false, 2));
        for bytes in [
            &[][..],
            &[0x81],
            &[0x81, 126],
            &[0x81, 126, 0],
            &[0x01, 0],
            &[0xc1, 0],
            &[0x80, 0],
            &[0x89, 0],
            &[0x81, 127, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x81, 3, 1, 2, 3],
            &[0x81, 0x80, 1, 2, 3, 4],
        ] {
            assert_eq!(client.find(bytes), None, "{bytes:?}");
        }
        for bytes in [
            &[0x81, 0][..],
            &[0x81, 0x80, 1, 2, 3],
            &[0x81, 0xfe, 0, 0, 1, 2, 3],
            &[0x81, 0x83, 1, 2, 3, 4, 5, 6, 7],
        ] {
            assert_eq!(server.find(bytes), None, "{bytes:?}");
        }
    }
}
