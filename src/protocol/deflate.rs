//! permessage-deflate's compression (RFC 7692, section 7.2.1).
//!
//! Called by the binding. Knows fragments of messages, no frames, and nothing of
//! connections: one compressor, which is large, serves many, and is told what
//! has gone before unless that is what it compressed last.

use flate2::{Compress, Compression, FlushCompress};

use super::context::{Context, Mark};
use super::inflate::{supported_window, TRAILER};

/// Room in which a flush should not end: what marks its end would be repeated.
const FLUSH: usize = 16;

/// What an empty message becomes (RFC 7692, section 7.2.3.6).
const NOTHING: [u8; 1] = [0];

/// Compresses fragments of messages.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
    /// What the context was whose data it compressed last, after that.
    last: Option<Mark>,
}

impl Deflater {
    /// A compressor with zlib's `level` (0 to 9), for peers that expect a window
    /// of `window_bits` (8 to 15).
    pub fn new(level: u8, window_bits: u8) -> Self {
        let level = Compression::new(level.min(9).into());
        let window_bits = supported_window(window_bits);

        Self {
            stream: Compress::new_with_window_bits(level, false, window_bits),
            last: None,
        }
    }

    /// Whether what is compressed next in `context` follows what this compressed
    /// last, so that it need not be told of that.
    pub fn is_ready_for(&self, context: &Context) -> bool {
        self.last.is_some() && self.last == context.mark()
    }

    /// Compresses a fragment; `fin` says that it is the last one of its message.
    /// `context` is what the peer has decompressed so far, to which that is added.
    /// `None` if zlib refuses, which it has no reason for.
    pub fn compress(&mut self, context: &mut Context, data: &[u8], fin: bool) -> Option<Vec<u8>> {
        // zlib has nothing to do for that, and says nothing a second time.
        if data.is_empty() {
            context.add(data, fin);
            return Some(match fin {
                true => NOTHING.to_vec(),
                false => [&NOTHING[..], &TRAILER].concat(),
            });
        }

        let is_ready = self.is_ready_for(context);
        self.last = None;
        if !is_ready {
            self.stream.reset();
            let before = context.before(data.len());
            if !before.is_empty() {
                self.stream.set_dictionary(before).ok()?;
            }
        }

        let compressed = self.flush(data, fin);
        context.add(data, fin);
        if compressed.is_some() {
            self.last = context.mark();
        }
        compressed
    }

    /// Compresses the next bytes of the stream, up to a boundary between bytes.
    fn flush(&mut self, data: &[u8], fin: bool) -> Option<Vec<u8>> {
        // Most of what is worth compressing becomes half as long.
        let mut out = Vec::with_capacity(data.len() / 2 + 4 * FLUSH);
        let start = self.stream.total_in();

        loop {
            if out.capacity() - out.len() < FLUSH {
                out.reserve(out.capacity());
            }

            let (len, room) = (out.len(), out.capacity());
            let used = (self.stream.total_in() - start) as usize;
            let rest = data.get(used..)?;
            self.stream
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .ok()?;
            let now_used = (self.stream.total_in() - start) as usize;

            // A full buffer may hide more output.
            if now_used == data.len() && out.len() < room {
                break;
            }
            if now_used == used && out.len() == len {
                return None;
            }
        }

        if fin {
            out.truncate(out.len().checked_sub(TRAILER.len())?);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::inflate::Inflater;

    /// Bytes that compress well, or not at all.
    fn sample(len: usize, seed: u32) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        };
        (0..len)
            .map(|i| match seed % 3 {
                0 => next() as u8,
                1 => b"the quick brown fox "[i % 20],
                _ => b'a' + (next() % 4) as u8,
            })
            .collect()
    }

    fn inflate(inflater: &mut Inflater, data: &[u8], fin: bool, out: &mut Vec<u8>) {
        inflater.decompress(data, fin, 0, usize::MAX, out).unwrap();
    }

    #[test]
    fn what_it_compresses_is_decompressed_to_the_same_with_each_window_and_level() {
        for window_bits in 8..=15 {
            for level in 0..=9 {
                let mut deflater = Deflater::new(level, window_bits);
                let mut inflater = Inflater::new(window_bits, false);
                let mut context = Context::new(window_bits, false);
                for len in [0, 1, 5, 300, 1000, 40_000, 0, 0, 70_000, 3] {
                    let data = sample(len, len as u32 + u32::from(level));
                    let compressed = deflater.compress(&mut context, &data, true);
                    let mut out = Vec::new();
                    inflate(&mut inflater, &compressed.unwrap(), true, &mut out);
                    assert!(out == data, "{window_bits} {level} {len}");
                }
            }
        }
    }

    #[test]
    fn fragments_add_up_to_the_message() {
        let mut deflater = Deflater::new(6, 15);
        let mut inflater = Inflater::new(15, false);
        let data = sample(10_000, 1);
        for pieces in [1, 2, 7, 100] {
            let (mut out, mut context) = (Vec::new(), Context::new(15, true));
            let fragments = data.chunks(data.len() / pieces);
            let last = fragments.len() - 1;
            for (index, fragment) in fragments.enumerate() {
                let fin = index == last;
                let compressed = deflater.compress(&mut context, fragment, fin).unwrap();
                inflate(&mut inflater, &compressed, fin, &mut out);
            }
            assert!(out == data);
        }
    }

    #[test]
    fn an_empty_message_is_one_byte() {
        let mut deflater = Deflater::new(6, 15);
        for before in [&b""[..], b"before"] {
            let mut context = Context::new(15, false);
            context.add(before, true);
            for _ in 0..2 {
                assert_eq!(deflater.compress(&mut context, &[], true).unwrap(), [0]);
            }
        }
    }

    #[test]
    fn what_is_known_makes_repetitions_shorter() {
        let mut deflater = Deflater::new(6, 15);
        let data = sample(500, 2);
        let context = || Context::new(15, false);
        let mut known = context();
        let first = deflater.compress(&mut known, &data, true).unwrap();
        for is_ready in [true, false] {
            assert_eq!(deflater.is_ready_for(&known), is_ready);
            let again = deflater.compress(&mut known, &data, true).unwrap();
            assert!(again.len() < first.len() / 4);
            let other = deflater.compress(&mut context(), &data, true).unwrap();
            assert_eq!(other, first);
        }
    }

    #[test]
    fn each_connection_is_compressed_for_alone_whoever_had_the_compressor_before() {
        let mut deflater = Deflater::new(6, 15);
        let connection = |no_takeover| (Context::new(15, no_takeover), Inflater::new(15, false));
        let mut connections = [connection(false), connection(true), connection(false)];
        for step in 0..200 {
            let data = sample(step * 37 % 3000, (step * 7) as u32);
            // Several in a row, as well as one after the other.
            let (context, inflater) = &mut connections[(step / 2 + step / 7) % 3];
            if step % 31 == 0 {
                context.clear();
            }
            let compressed = deflater.compress(context, &data, true).unwrap();
            let mut out = Vec::new();
            inflate(inflater, &compressed, true, &mut out);
            assert!(out == data, "{step}");
        }
    }

    #[test]
    fn what_cannot_be_compressed_grows_by_little() {
        let mut deflater = Deflater::new(6, 15);
        let data = sample(1_000_000, 0);
        let mut context = Context::new(15, false);
        let compressed = deflater.compress(&mut context, &data, true).unwrap();
        assert!(compressed.len() < data.len() + data.len() / 1000);
    }
}
