//! Frame headers (RFC 6455, section 5.2): what is in them, and how they are
//! written.
//!
//! Called by whoever sends, and for its numbers by whoever reads. How headers are
//! read, and everything that can be wrong with one, is the receiver's business.

/// What a frame carries (RFC 6455, section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// Text, or its first fragment.
    Text = 1,
    /// Binary data, or its first fragment.
    Binary = 2,
    /// The start or the answer of a closing handshake.
    Close = 8,
    /// A ping.
    Ping = 9,
    /// A pong.
    Pong = 10,
}

impl Opcode {
    /// The opcode for the four bits of a header; `None` for the reserved ones.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    /// Whether this is a control frame's opcode.
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The longest header: two bytes, a 64-bit length, a masking key.
pub const MAX_HEADER: usize = 14;

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// Set in the first byte of a message's last frame.
pub(super) const FIN: u8 = 0x80;
/// Set in the first byte of a compressed message's first frame.
pub(super) const RSV1: u8 = 0x40;
/// Reserved bits that no extension of ours uses.
pub(super) const RSV23: u8 = 0x30;
/// Set in the second byte when a masking key follows.
pub(super) const MASK: u8 = 0x80;
/// The lengths that say that the real one follows in 16 or 64 bits.
pub(super) const LENGTH_16: u8 = 126;
pub(super) const LENGTH_64: u8 = 127;

/// A header to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether this is the message's last frame.
    pub fin: bool,
    /// Whether the message is compressed; only on its first frame.
    pub rsv1: bool,
    /// What the frame carries.
    pub opcode: Opcode,
    /// The key that the payload is masked with; clients must have one.
    pub mask: Option<[u8; 4]>,
    /// The payload's length.
    pub len: u64,
}

impl FrameHeader {
    /// How many bytes [`encode`](Self::encode) writes.
    pub const fn encoded_len(&self) -> usize {
        let length = match self.len {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };

        2 + length + if self.mask.is_some() { 4 } else { 0 }
    }

    /// Writes the header to the start of `out` and returns its length.
    ///
    /// # Panics
    ///
    /// If `out` is shorter than [`encoded_len`](Self::encoded_len);
    /// [`MAX_HEADER`] bytes are always enough.
    pub fn encode(&self, out: &mut [u8]) -> usize {
        let size = self.encoded_len();
        let out = &mut out[..size];

        out[0] = self.opcode as u8;
        if self.fin {
            out[0] |= FIN;
        }
        if self.rsv1 {
            out[0] |= RSV1;
        }

        match self.len {
            0..=125 => out[1] = self.len as u8,
            126..=0xffff => {
                out[1] = LENGTH_16;
                out[2..4].copy_from_slice(&(self.len as u16).to_be_bytes());
            }
            _ => {
                out[1] = LENGTH_64;
                out[2..10].copy_from_slice(&self.len.to_be_bytes());
            }
        }

        if let Some(key) = self.mask {
            out[1] |= MASK;
            out[size - 4..].copy_from_slice(&key);
        }

        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(header: FrameHeader) -> Vec<u8> {
        let mut out = [0xee; MAX_HEADER + 1];
        let len = header.encode(&mut out);
        assert_eq!(len, header.encoded_len());
        assert!(out[len..].iter().all(|byte| *byte == 0xee));
        out[..len].to_vec()
    }

    fn header(len: u64, mask: Option<[u8; 4]>) -> FrameHeader {
        FrameHeader {
            fin: true,
            rsv1: false,
            opcode: Opcode::Binary,
            mask,
            len,
        }
    }

    #[test]
    fn uses_the_shortest_form_of_the_length() {
        assert_eq!(encode(header(0, None)), [0x82, 0]);
        assert_eq!(encode(header(125, None)), [0x82, 125]);
        assert_eq!(encode(header(126, None)), [0x82, 126, 0, 126]);
        assert_eq!(encode(header(0xffff, None)), [0x82, 126, 0xff, 0xff]);
        assert_eq!(
            encode(header(0x1_0000, None)),
            [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]
        );
    }

    #[test]
    fn puts_the_masking_key_after_the_length() {
        let key = Some([1, 2, 3, 4]);
        assert_eq!(encode(header(5, key)), [0x82, 0x85, 1, 2, 3, 4]);
        assert_eq!(encode(header(300, key)), [0x82, 0xfe, 1, 0x2c, 1, 2, 3, 4]);
        assert_eq!(encode(header(1 << 20, key)).len(), MAX_HEADER);
    }

    #[test]
    fn sets_fin_and_rsv1_only_when_told() {
        let mut first = header(1, None);
        first.fin = false;
        first.rsv1 = true;
        first.opcode = Opcode::Text;
        assert_eq!(encode(first), [0x41, 1]);
        first.rsv1 = false;
        first.opcode = Opcode::Continuation;
        assert_eq!(encode(first), [0x00, 1]);
    }

    #[test]
    fn knows_the_opcodes() {
        for bits in 0..=255 {
            match Opcode::from_bits(bits) {
                Some(opcode) => {
                    assert_eq!(opcode as u8, bits);
                    assert_eq!(opcode.is_control(), bits >= 8);
                }
                None => assert!(!matches!(bits, 0..=2 | 8..=10)),
            }
        }
    }
}
