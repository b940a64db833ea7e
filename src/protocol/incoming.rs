//! The frame that is being read: its header, and how much of its payload has
//! arrived.
//!
//! Kept by the receiver. Knows neither the bytes nor the message that they
//! belong to.

use super::frame::{FrameHeader, Opcode};

/// Memory for a whole message is allocated when one part in this many has
/// arrived: nobody gets it for mere promises, and little is copied.
const PART: u64 = 32;
/// The same for what exceeds [`LARGE`].
const PART_OF_EXCESS: u64 = 4;
const LARGE: u64 = 1 << 20;

/// The frame that is being read.
#[derive(Debug)]
pub(super) struct Frame {
    pub fin: bool,
    pub opcode: Opcode,
    pub masked: bool,
    /// All zeros when the frame is not masked.
    pub key: [u8; 4],
    pub length: u64,
    /// How much of the payload has been taken.
    pub taken: u64,
}

impl Frame {
    /// How much of the payload is still to come.
    pub fn left(&self) -> u64 {
        self.length - self.taken
    }

    /// How long its header is, if its length is written as briefly as can be.
    pub fn header_len(&self) -> u64 {
        let header = FrameHeader {
            fin: self.fin,
            rsv1: false,
            opcode: self.opcode,
            mask: self.masked.then_some(self.key),
            len: self.length,
        };

        header.encoded_len() as u64
    }

    /// How much of it must have arrived for memory to be had for all of it.
    pub fn enough(&self) -> u64 {
        let excess = self.length.saturating_sub(LARGE);
        self.length
            .div_ceil(PART)
            .max(excess.div_ceil(PART_OF_EXCESS))
    }

    /// Whether it takes these `len` bytes for that: so for one piece of each
    /// payload.
    pub fn fulfils_promise(&self, len: usize) -> bool {
        let enough = self.enough();
        self.taken < enough && self.taken + len as u64 >= enough
    }

    /// Where in the masking key the next byte of the payload is.
    pub fn phase(&self) -> usize {
        (self.taken & 3) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u64, masked: bool) -> Frame {
        Frame {
            fin: true,
            opcode: Opcode::Binary,
            masked,
            key: [1, 2, 3, 4],
            length,
            taken: 0,
        }
    }

    #[test]
    fn headers_are_as_long_as_their_lengths_and_keys_make_them() {
        for (length, size) in [(125, 2), (126, 4), (0xffff, 4), (0x10000, 10)] {
            assert_eq!(frame(length, false).header_len(), size);
            assert_eq!(frame(length, true).header_len(), size + 4);
        }
    }

    #[test]
    fn of_a_longer_payload_more_must_arrive() {
        for (length, enough) in [(0, 0), (1, 1), (320, 10), (1 << 20, 1 << 15)] {
            assert_eq!(frame(length, true).enough(), enough);
        }
        assert_eq!(frame(9 << 20, true).enough(), 2 << 20);
    }

    #[test]
    fn one_piece_of_a_payload_fulfils_its_promise() {
        let mut frame = frame(3200, true);
        let mut pieces = Vec::new();

        while frame.left() > 0 {
            pieces.push(frame.fulfils_promise(40));
            frame.taken += 40;
        }

        assert_eq!(pieces.iter().position(|fulfils| *fulfils), Some(2));
        assert_eq!(pieces.iter().filter(|fulfils| **fulfils).count(), 1);
        assert_eq!(frame.phase(), 0);
    }
}
