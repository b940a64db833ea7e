//! permessage-deflate's compression and decompression (RFC 7692, section 7.2).
//!
//! Called by the receiver (inflate) and by whoever sends (deflate). Knows
//! messages and their fragments, no frames, and nothing of the negotiation but
//! its outcome: a window size and whether the context is kept.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::{InflateError, ProtocolError};

/// What a sync flush ends with; left out on the wire at the end of a message
/// and put back before decompression (sections 7.2.1 and 7.2.2).
const TRAILER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The size of the steps in which Node's zlib hands out decompressed data. The
/// limit is looked at after each step, so the step decides which error a
/// message gets that is both too long and corrupt.
const STEP: usize = 16 * 1024;

/// zlib has no window of 256 bytes for raw streams and takes the next larger
/// one instead; so does Node. A decompressor with a larger window understands
/// a stream made for a smaller one.
fn supported_window(bits: u8) -> u8 {
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
    /// what would exceed it is not decompressed to the end.
    ///
    /// After an error the decompressor must not be used again.
    pub fn decompress(
        &mut self,
        data: &[u8],
        fin: bool,
        limit: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        let mut left = self.run(data, limit, out)?;

        if fin {
            left |= self.run(&TRAILER, limit, out)?;
        }

        // Data after a final block (section 7.2.3.4 allows such a block) is
        // dropped, and the next fragment starts a stream of its own.
        if left {
            self.restart();
        } else if fin && self.no_context_takeover {
            self.stream.reset(false);
        }

        Ok(())
    }

    /// Decompresses `data`; tells whether some of it is left because the
    /// stream has ended.
    fn run(&mut self, data: &[u8], limit: u64, out: &mut Vec<u8>) -> Result<bool, ProtocolError> {
        let limit = match limit {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let mut rest = data;

        while !self.ended {
            if out.len() == out.capacity() {
                let room = self.room(rest.len(), out.len(), limit);
                out.reserve_exact(room);
            }

            let (consumed, produced) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress_vec(rest, out, FlushDecompress::None)
                .map_err(|error| inflate_error(error.message()))?;
            let consumed = (self.stream.total_in() - consumed) as usize;
            let produced = (self.stream.total_out() - produced) as usize;

            rest = &rest[consumed..];
            self.in_step = (self.in_step + produced) % STEP;
            self.ended = status == Status::StreamEnd;

            if out.len() > limit {
                return Err(ProtocolError::UnsupportedMessageLength);
            }

            // Room to spare means that all input has been used; a full buffer
            // may hide more output.
            let stuck = consumed == 0 && produced == 0;
            if stuck || (rest.is_empty() && out.len() < out.capacity()) {
                break;
            }
        }

        Ok(self.ended && !rest.is_empty())
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

/// Compresses the messages of one connection.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
    no_context_takeover: bool,
}

impl Deflater {
    /// A compressor of the given level (0 to 9) with a window of `window_bits`
    /// (8 to 15).
    pub fn new(level: u32, window_bits: u8, no_context_takeover: bool) -> Self {
        let level = Compression::new(level.min(9));
        let window_bits = supported_window(window_bits);

        Self {
            stream: Compress::new_with_window_bits(level, false, window_bits),
            no_context_takeover,
        }
    }

    /// Compresses one fragment and appends the result to `out`. `fin` says
    /// that the fragment is the message's last one.
    pub fn compress(&mut self, data: &[u8], fin: bool, out: &mut Vec<u8>) {
        let start = out.len();

        self.run(data, FlushCompress::None, out);
        self.run(&[], FlushCompress::Sync, out);

        if fin {
            if out[start..].ends_with(&TRAILER) {
                out.truncate(out.len() - TRAILER.len());
            }
            if self.no_context_takeover {
                self.stream.reset();
            }
        }
    }

    fn run(&mut self, data: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        let mut rest = data;

        loop {
            if out.capacity() - out.len() < 64 {
                out.reserve((rest.len() / 2).max(256));
            }

            let consumed = self.stream.total_in();
            // The only error is a call in a state that can't occur here: a
            // stream that has been finished. Nothing is written then.
            let status = self.stream.compress_vec(rest, out, flush);
            rest = &rest[(self.stream.total_in() - consumed) as usize..];

            let more = !rest.is_empty() || out.len() == out.capacity();
            if !more || !matches!(status, Ok(Status::Ok)) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(deflater: &mut Deflater, data: &[u8], fin: bool) -> Vec<u8> {
        let mut out = Vec::new();
        deflater.compress(data, fin, &mut out);
        out
    }

    fn inflate(inflater: &mut Inflater, data: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        let mut out = Vec::new();
        inflater.decompress(data, true, 0, &mut out)?;
        Ok(out)
    }

    /// Text that compresses somewhat.
    fn text(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut text = Vec::new();

        while text.len() < len {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(format!("{} ", state >> 22).as_bytes());
        }

        text.truncate(len);
        text
    }

    #[test]
    fn every_level_and_window_comes_back() {
        for level in 0..=9 {
            for bits in 8..=15 {
                for no_context_takeover in [false, true] {
                    let mut deflater = Deflater::new(level, bits, no_context_takeover);
                    let mut inflater = Inflater::new(bits, no_context_takeover);

                    for len in [0, 1, 0, 5, 300, 5_000, 0] {
                        let data = text(len);
                        let compressed = compress(&mut deflater, &data, true);
                        assert!(!compressed.is_empty());
                        assert_eq!(inflate(&mut inflater, &compressed), Ok(data));
                    }
                }
            }
        }
    }

    #[test]
    fn values_out_of_range_are_brought_into_it() {
        let mut deflater = Deflater::new(100, 200, false);
        let mut inflater = Inflater::new(0, false);
        let compressed = compress(&mut deflater, b"abc", true);
        assert_eq!(inflate(&mut inflater, &compressed), Ok(b"abc".to_vec()));
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
    fn an_empty_message_is_one_byte_every_time() {
        let mut deflater = Deflater::new(6, 15, false);
        assert_eq!(compress(&mut deflater, b"", true), [0x00]);
        assert_eq!(compress(&mut deflater, b"", true), [0x00]);
        compress(&mut deflater, b"hello", true);
        assert_eq!(compress(&mut deflater, b"", true), [0x00]);
        assert_eq!(
            compress(&mut deflater, b"", false),
            [0x00, 0x00, 0x00, 0xff, 0xff]
        );
        assert_eq!(compress(&mut deflater, b"", true), [0x00]);
    }

    #[test]
    fn a_message_in_fragments_comes_back() {
        let data = text(10_000);
        let mut deflater = Deflater::new(6, 15, false);
        let mut inflater = Inflater::new(15, false);
        let mut out = Vec::new();
        let mut pieces = data.chunks(999).peekable();

        while let Some(piece) = pieces.next() {
            let fin = pieces.peek().is_none();
            let compressed = compress(&mut deflater, piece, fin);
            assert_eq!(compressed.ends_with(&TRAILER), !fin);
            inflater.decompress(&compressed, fin, 0, &mut out).unwrap();
        }

        assert_eq!(out, data);
    }

    #[test]
    fn the_context_is_kept_or_not_as_agreed() {
        let data = text(500);

        for no_context_takeover in [false, true] {
            let mut deflater = Deflater::new(6, 15, no_context_takeover);
            let first = compress(&mut deflater, &data, true);
            let second = compress(&mut deflater, &data, true);
            assert_eq!(second.len() < 20, !no_context_takeover);

            let mut inflater = Inflater::new(15, no_context_takeover);
            assert_eq!(inflate(&mut inflater, &first), Ok(data.clone()));
            assert_eq!(inflate(&mut inflater, &second), Ok(data.clone()));
        }
    }

    #[test]
    fn a_peer_that_goes_on_with_a_context_it_promised_to_drop_is_refused() {
        let data = text(500);
        let mut deflater = Deflater::new(6, 15, false);
        let mut inflater = Inflater::new(15, true);
        inflate(&mut inflater, &compress(&mut deflater, &data, true)).unwrap();
        assert_eq!(
            inflate(&mut inflater, &compress(&mut deflater, &data, true)),
            Err(ProtocolError::Inflate(InflateError::new(
                "invalid distance too far back"
            )))
        );
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
        inflater.decompress(&last, false, 0, &mut out).unwrap();
        inflater.decompress(&[], false, 0, &mut out).unwrap();
        inflater.decompress(&last, false, 0, &mut out).unwrap();
        assert_eq!(out, b"Hello");
        inflater.decompress(&last, true, 0, &mut out).unwrap();
        assert_eq!(out, b"HelloHello");
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

    #[test]
    fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
        let data = text(100_000);
        let compressed = compress(&mut Deflater::new(6, 15, false), &data, true);

        for (limit, fits) in [(100_000, true), (99_999, false), (1, false)] {
            let mut out = Vec::new();
            let mut inflater = Inflater::new(15, false);
            let result = inflater.decompress(&compressed, true, limit, &mut out);

            if fits {
                assert_eq!((result, &out), (Ok(()), &data));
            } else {
                assert_eq!(result, Err(ProtocolError::UnsupportedMessageLength));
            }
        }
    }

    #[test]
    fn a_bomb_is_stopped_soon_after_the_limit() {
        let zeros = vec![0; 8 << 20];
        let bomb = compress(&mut Deflater::new(9, 15, false), &zeros, true);
        assert!(bomb.len() < 10_000);

        for limit in [1, 1000, 100_000, 1 << 20] {
            let mut out = Vec::new();
            let mut inflater = Inflater::new(15, false);
            let result = inflater.decompress(&bomb, true, limit, &mut out);
            assert_eq!(result, Err(ProtocolError::UnsupportedMessageLength));
            assert!(out.capacity() <= limit as usize + STEP);
        }
    }

    #[test]
    fn the_limit_counts_earlier_fragments() {
        let mut deflater = Deflater::new(6, 15, false);
        let mut inflater = Inflater::new(15, false);
        let mut out = Vec::new();
        let first = compress(&mut deflater, b"hello", false);
        let second = compress(&mut deflater, b"world", true);
        inflater.decompress(&first, false, 9, &mut out).unwrap();
        assert_eq!(
            inflater.decompress(&second, true, 9, &mut out),
            Err(ProtocolError::UnsupportedMessageLength)
        );
    }
}
