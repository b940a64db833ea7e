//! permessage-deflate's decompression (RFC 7692, section 7.2.2).
//!
//! Called by the receiver. Knows messages and their fragments, no frames, and
//! nothing of the negotiation but its outcome: a window size and whether the
//! context is kept.

use flate2::{Decompress, FlushDecompress, Status};

use super::error::{InflateError, ProtocolError};

/// What a sync flush ends with; left out on the wire at the end of a message
/// and put back before decompression.
pub(super) const TRAILER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The size of the steps in which Node's zlib hands out decompressed data. The
/// limit is looked at after each step, so the step decides which error a
/// message gets that is both too long and corrupt.
const STEP: usize = 16 * 1024;

/// How much room is offered at a time at the most, since it must be zeroed.
const ROOM: usize = 256 * 1024;

/// zlib has no window of 256 bytes for raw streams and takes the next larger
/// one instead; so does Node. A decompressor with a larger window understands
/// a stream made for a smaller one.
pub(super) fn supported_window(bits: u8) -> u8 {
    bits.clamp(9, 15)
}

/// An error with the message that zlib would give. zlib-rs has the same ones,
/// but when its fast loop (enough input, enough room) finds something invalid,
/// it goes on to a state that replaces the message. That loop's usual complaint
/// is put in its place.
fn inflate_error(message: Option<&str>) -> ProtocolError {
    let message = match message {
        Some("repeated call with bad state") => "invalid distance too far back",
        Some(message) => message,
        None => "Zlib error",
    };

    ProtocolError::Inflate(InflateError::new(message))
}

/// How far the decompression of a fragment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All of it is decompressed.
    Done,
    /// Much has been put out, so this is a good time for something else. The data
    /// has been used up to here, and the rest is to come next.
    At(usize),
}

/// Decompresses the messages of one connection.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    window_bits: u8,
    no_context_takeover: bool,
    /// A final block has been seen: nothing more can come out of this stream.
    ended: bool,
    /// Bytes put out since the last whole step.
    in_step: usize,
}

impl Inflater {
    /// A decompressor for a peer that uses a window of `window_bits` (8 to 15).
    pub fn new(window_bits: u8, no_context_takeover: bool) -> Self {
        let window_bits = supported_window(window_bits);

        Self {
            stream: Decompress::new_with_window_bits(false, window_bits),
            window_bits,
            no_context_takeover,
            ended: false,
            in_step: 0,
        }
    }

    /// Decompresses one fragment and appends the result to `out`, which holds
    /// the message's earlier fragments. `fin` says that the fragment is the
    /// last one. A `limit` other than 0 is the most that `out` may come to;
    /// what would exceed it is not decompressed to the end. When `enough` bytes
    /// have been appended it stops: then the rest of the fragment is to come next.
    ///
    /// After an error the decompressor must not be used again.
    pub fn decompress(
        &mut self,
        data: &[u8],
        fin: bool,
        limit: u64,
        enough: usize,
        out: &mut Vec<u8>,
    ) -> Result<Progress, ProtocolError> {
        let limit = match limit {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let end = out.len().saturating_add(enough);
        let used = self.run(data, limit, end, out)?;
        let mut left = self.ended && used < data.len();

        if out.len() >= end && !self.ended {
            return Ok(Progress::At(used));
        }
        if fin {
            // Next to nothing comes of that.
            let used = self.run(&TRAILER, limit, usize::MAX, out)?;
            left |= self.ended && used < TRAILER.len();
        }

        // Data after a final block (section 7.2.3.4 allows such a block) is
        // dropped, and the next fragment starts a stream of its own.
        if left {
            self.restart();
        } else if fin && self.no_context_takeover {
            self.stream.reset(false);
            self.ended = false;
        }

        Ok(Progress::Done)
    }

    /// Decompresses `data` until the stream ends, or `out` has `end` bytes. Tells
    /// how much was used; in the latter case that may be all although there is
    /// more output.
    fn run(
        &mut self,
        data: &[u8],
        limit: usize,
        end: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, ProtocolError> {
        let mut used = 0;

        while !self.ended && out.len() < end {
            let len = out.len();
            if len == out.capacity() {
                let room = self.room(data.len() - used, len, limit);
                out.reserve_exact(room);
            }
            out.resize(out.capacity().min(end).min(len + ROOM), 0);
            let room = out.len() - len;

            let (consumed, produced) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(&data[used..], &mut out[len..], FlushDecompress::None)
                .map_err(|error| inflate_error(error.message()))?;
            let consumed = (self.stream.total_in() - consumed) as usize;
            let produced = (self.stream.total_out() - produced) as usize;

            used += consumed;
            out.truncate(len + produced);
            self.in_step = (self.in_step + produced) % STEP;
            self.ended = status == Status::StreamEnd;

            if out.len() > limit {
                return Err(ProtocolError::UnsupportedMessageLength);
            }

            // Room to spare means that all input has been used; a full buffer
            // may hide more output.
            let stuck = consumed == 0 && produced == 0;
            if stuck || (used == data.len() && produced < room) {
                break;
            }
        }

        Ok(used)
    }

    /// How much room to make for the output of `input` more bytes when `len`
    /// have been put out: a guess at first, then as much again, but up to the
    /// limit exactly and from there to the end of the step.
    fn room(&self, input: usize, len: usize, limit: usize) -> usize {
        let wanted = input.saturating_mul(4).clamp(64, STEP).max(len);

        match limit.saturating_sub(len) {
            0 => STEP - self.in_step,
            left => wanted.min(left),
        }
    }

    fn restart(&mut self) {
        self.stream = Decompress::new_with_window_bits(false, self.window_bits);
        self.ended = false;
        self.in_step = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = usize::MAX;

    fn inflate(inflater: &mut Inflater, data: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        let mut out = Vec::new();
        inflater.decompress(data, true, 0, MAX, &mut out)?;
        Ok(out)
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // Section 7.2.3.1 to 7.2.3.6.
        let mut inflater = Inflater::new(15, false);
        let hello = b"Hello".to_vec();
        let fixed = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflate(&mut inflater, &fixed), Ok(hello.clone()));
        let shared = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflate(&mut inflater, &shared), Ok(hello.clone()));
        let stored = [
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ];
        assert_eq!(inflate(&mut inflater, &stored), Ok(hello.clone()));
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(inflate(&mut inflater, &last), Ok(hello.clone()));
        let two = [
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ];
        assert_eq!(inflate(&mut inflater, &two), Ok(hello));
        assert_eq!(inflate(&mut inflater, &[0x00]), Ok(vec![]));
    }

    #[test]
    fn a_final_block_ends_the_context_and_what_follows_it_is_dropped() {
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let shared = [0xf2, 0x00, 0x11, 0x00, 0x00];

        for garbage in [&b""[..], b"\0", b"\xff\xff\xff\xff"] {
            let mut inflater = Inflater::new(15, false);
            let message = [&last[..], garbage].concat();
            assert_eq!(inflate(&mut inflater, &message), Ok(b"Hello".to_vec()));
            // The window is gone with the stream.
            assert_eq!(
                inflate(&mut inflater, &shared).unwrap_err().message(),
                "invalid distance too far back"
            );
        }
    }

    #[test]
    fn a_final_block_at_the_end_of_a_fragment_swallows_the_next_one() {
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let mut inflater = Inflater::new(15, false);
        let mut out = Vec::new();
        inflater.decompress(&last, false, 0, MAX, &mut out).unwrap();
        inflater.decompress(&[], false, 0, MAX, &mut out).unwrap();
        inflater.decompress(&last, false, 0, MAX, &mut out).unwrap();
        assert_eq!(out, b"Hello");
        inflater.decompress(&last, true, 0, MAX, &mut out).unwrap();
        assert_eq!(out, b"HelloHello");
    }

    #[test]
    fn a_final_block_that_ends_with_the_message_is_forgotten_without_a_context() {
        // Of the final block only the header is there; the trailer is its content.
        let last = [0x01];
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

        for (no_context_takeover, expected) in [(true, &b"Hello"[..]), (false, b"")] {
            let mut inflater = Inflater::new(15, no_context_takeover);
            assert_eq!(inflate(&mut inflater, &last), Ok(vec![]));
            assert_eq!(inflate(&mut inflater, &hello), Ok(expected.to_vec()));
            assert_eq!(inflate(&mut inflater, &hello), Ok(b"Hello".to_vec()));
        }
    }

    #[test]
    fn the_errors_are_zlibs() {
        let cases: [(&[u8], &str); 11] = [
            (&[0x06], "invalid block type"),
            (&[0x00, 1, 2, 3, 4], "invalid stored block lengths"),
            (&[0xfc, 0, 0], "too many length or distance symbols"),
            (&[0x04, 0, 0xfe, 0xff], "invalid code lengths set"),
            (&[0x04, 0, 0x24, 0x49, 0], "invalid bit length repeat"),
            (
                &[0x04, 0, 0x24, 0xe9, 0xff, 0x6d],
                "invalid code -- missing end-of-block",
            ),
            (
                b"\x04\x80\x49\x92\x24\x49\x92\x24\x71\xff\xff\x93\x11\0",
                "invalid literal/lengths set",
            ),
            (
                b"\x04\x80\x49\x92\x24\x49\x92\x24\x0f\xb4\xff\xff\xc3\x84",
                "invalid distances set",
            ),
            (&[0x1a, 0x07, 0x8f], "invalid literal/length code"),
            (&[0x02, 0x7e, 0xff, 0xff], "invalid distance code"),
            (&[0x82, 0x9a, 0x6e], "invalid distance too far back"),
        ];

        for (data, expected) in cases {
            let mut inflater = Inflater::new(15, false);
            let message = inflate(&mut inflater, data).unwrap_err().message();
            assert_eq!(message, expected, "{data:x?}");
        }
    }

    #[test]
    fn the_error_of_the_fast_loop_is_zlibs_too() {
        // A match of distance 5 at the start, and enough input for that loop.
        let mut data = vec![0x02, 0x07, 0x00];
        data.resize(400, 0x55);
        assert_eq!(
            inflate(&mut Inflater::new(15, false), &data),
            Err(inflate_error(Some("invalid distance too far back")))
        );
    }
}
