//! WebSocket frames: building them once, and counting those that arrive without
//! copying their payload.

use flate2::{Compress, Compression, FlushCompress};

/// Opcode of a text frame.
pub const TEXT: u8 = 1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 8;

/// The bit of a compressed message, beside the opcode.
pub const RSV1: u8 = 0x40;

/// Any key but zero: the server is to do the work of unmasking.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Writes a frame header. `mask` is added by clients only.
pub fn push_header(out: &mut Vec<u8>, opcode: u8, len: usize, mask: Option<[u8; 4]>) {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    out.push(0x80 | opcode);
    if len < 126 {
        out.push(bit | len as u8);
    } else if len <= 0xffff {
        out.push(bit | 126);
        out.extend_from_slice(&(len as u16).to_be_bytes());
    } else {
        out.push(bit | 127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
    out.extend_from_slice(&mask.unwrap_or_default()[..if mask.is_some() { 4 } else { 0 }]);
}

/// Undoes or applies a mask; the same key serves both.
pub fn apply_mask(data: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3],
    ]);
    let mut words = data.chunks_exact_mut(8);
    for word in &mut words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// A whole frame as a client (masked) or a server sends it.
pub fn build(opcode: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    push_header(&mut out, opcode, payload.len(), masked.then_some(KEY));
    let start = out.len();
    out.extend_from_slice(payload);
    if masked {
        apply_mask(&mut out[start..], KEY);
    }
    out
}

/// A payload of `size` bytes: JSON for text, noise otherwise.
pub fn payload(size: usize, text: bool) -> Vec<u8> {
    if !text {
        let mut state = 0x9e37_79b9_u32;
        return (0..size)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
    }
    let mut out =
        br#"{"type":"quote","id":184467,"symbol":"OXWS","bid":101.25,"ask":101.5,"#.to_vec();
    out.extend_from_slice(br#""venue":"loopback","note":""#);
    let end = br#""}"#;
    out.resize(size.max(out.len() + end.len()) - end.len(), b'n');
    out.extend_from_slice(end);
    out
}

/// About `size` bytes of JSON with as much repetition as records have.
pub fn records(size: usize) -> Vec<u8> {
    let noise = payload(size, false);
    let mut out = b"[".to_vec();
    for (index, four) in noise.chunks_exact(4).enumerate() {
        let price = u32::from(four[0]) * 100 + u32::from(four[1]);
        let record = format!(
            r#"{{"id":{index},"symbol":"OX{:03}","bid":{price},"size":{}}},"#,
            four[2], four[3]
        );
        if out.len() + record.len() > size {
            break;
        }
        out.extend_from_slice(record.as_bytes());
    }
    out.pop();
    out.push(b']');
    out
}

/// The payload of a compressed message (RFC 7692, section 7.2.1) that refers to
/// no other.
pub fn deflate(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / 8 + 64);
    let mut stream = Compress::new(Compression::default(), false);
    let done = stream.compress_vec(data, &mut out, FlushCompress::Sync);
    assert!(done.is_ok() && stream.total_in() == data.len() as u64);
    out.truncate(out.len() - 4);
    out
}

/// `frame` repeated until there are at least `bytes` of it.
pub fn repeat(frame: &[u8], bytes: usize) -> Vec<u8> {
    frame.repeat(bytes.div_ceil(frame.len()).max(1))
}

/// What a frame header says.
#[derive(Clone, Copy)]
pub struct Header {
    pub fin: bool,
    pub opcode: u8,
    pub mask: Option<[u8; 4]>,
    pub len: u64,
    /// Bytes of the header itself.
    pub size: usize,
}

impl Header {
    /// Reads a header, or returns `None` when `bytes` holds only part of one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (len, after) = match second & 0x7f {
            126 => (
                u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
                4,
            ),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let (mask, size) = if second & 0x80 != 0 {
            (
                Some(bytes.get(after..after + 4)?.try_into().ok()?),
                after + 4,
            )
        } else {
            (None, after)
        };
        Some(Self {
            fin: first & 0x80 != 0,
            opcode: first & 0x0f,
            mask,
            len,
            size,
        })
    }
}

/// Follows the frames of one stream, looking at nothing but their headers.
#[derive(Default)]
pub struct Counter {
    /// Bytes of the current frame's payload still to come.
    skip: u64,
    /// The current frame completes a message when its payload is over.
    completes: bool,
    /// A header cut in two by the end of a chunk.
    partial: [u8; 14],
    held: usize,
    /// A close frame has begun.
    pub closed: bool,
}

impl Counter {
    /// Takes the next bytes; returns how many messages they completed.
    pub fn feed(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0;
        loop {
            if self.skip > 0 {
                let step = self.skip.min(bytes.len() as u64);
                self.skip -= step;
                bytes = &bytes[step as usize..];
                if self.skip > 0 {
                    return messages;
                }
                messages += u64::from(self.completes);
            }
            if bytes.is_empty() {
                return messages;
            }
            let header = if self.held == 0 {
                Header::read(bytes)
            } else {
                let more = bytes.len().min(14 - self.held);
                self.partial[self.held..self.held + more].copy_from_slice(&bytes[..more]);
                Header::read(&self.partial[..self.held + more])
            };
            let Some(header) = header else {
                // Fewer than 14 bytes are left: a longer rest holds a header.
                if self.held == 0 {
                    self.partial[..bytes.len()].copy_from_slice(bytes);
                }
                self.held += bytes.len();
                return messages;
            };
            bytes = &bytes[header.size - self.held..];
            self.held = 0;
            self.completes = header.fin && header.opcode < CLOSE;
            self.closed |= header.opcode == CLOSE;
            self.skip = header.len;
            if self.skip == 0 {
                messages += u64::from(self.completes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_same_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        for size in [0, 1, 125, 126, 300, 70_000] {
            stream.extend(build(BINARY, &payload(size, false), size % 2 == 0));
        }
        stream.extend(build(CLOSE, &[], false));
        for step in [1, 2, 3, 7, 13, 64, 1_000, stream.len()] {
            let mut counter = Counter::default();
            let total: u64 = stream.chunks(step).map(|chunk| counter.feed(chunk)).sum();
            assert_eq!(total, 6, "in steps of {step}");
            assert!(counter.closed);
        }
    }

    #[test]
    fn payloads_have_the_size_asked_for() {
        assert_eq!(payload(256, true).len(), 256);
        assert_eq!(payload(64, false).len(), 64);
        assert!((950..=1024).contains(&records(1024).len()));
    }

    #[test]
    fn masking_twice_gives_the_data_back() {
        let data = payload(29, false);
        let mut copy = data.clone();
        apply_mask(&mut copy, KEY);
        assert_ne!(copy, data);
        apply_mask(&mut copy, KEY);
        assert_eq!(copy, data);
    }
}
