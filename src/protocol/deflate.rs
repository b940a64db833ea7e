//! permessage-deflate's compression (RFC 7692, section 7.2.1).
//!
//! Called by the binding. Knows messages and their fragments, no frames, and
//! nothing of the negotiation but its outcome: a window size. Whether the
//! context is kept between messages is the caller's business: a sender may
//! forget it whenever it likes.

use flate2::{Compress, Compression, FlushCompress};

use super::inflate::{supported_window, TRAILER};

/// Room in which a flush should not end: what marks its end would be repeated.
const FLUSH: usize = 16;

/// Compresses messages.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
}

impl Deflater {
    /// A compressor with zlib's `level` (0 to 9), for a peer that expects a window
    /// of `window_bits` (8 to 15).
    pub fn new(level: u8, window_bits: u8) -> Self {
        let level = Compression::new(level.min(9).into());
        let window_bits = supported_window(window_bits);

        Self {
            stream: Compress::new_with_window_bits(level, false, window_bits),
        }
    }

    /// Compresses one fragment of a message; `fin` says that it is the last one.
    /// `None` if zlib refuses, which it has no reason for.
    pub fn compress(&mut self, data: &[u8], fin: bool) -> Option<Vec<u8>> {
        // Most of what is worth compressing becomes half as long.
        let mut out = Vec::with_capacity(data.len() / 2 + 4 * FLUSH);
        let start = self.stream.total_in();

        if data.is_empty() {
            // After this zlib does not take the flush for a repetition.
            self.step(data, FlushCompress::None, &mut out)?;
        }

        loop {
            if out.capacity() - out.len() < FLUSH {
                out.reserve(out.capacity());
            }

            let (len, room) = (out.len(), out.capacity());
            let used = (self.stream.total_in() - start) as usize;
            self.step(data.get(used..)?, FlushCompress::Sync, &mut out)?;
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

    fn step(&mut self, data: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> Option<()> {
        self.stream.compress_vec(data, out, flush).ok().map(drop)
    }

    /// Forgets the messages so far.
    pub fn reset(&mut self) {
        self.stream.reset();
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
                for len in [0, 1, 5, 300, 1000, 40_000, 0, 0, 70_000, 3] {
                    let data = sample(len, len as u32 + u32::from(level));
                    let compressed = deflater.compress(&data, true).unwrap();
                    let mut out = Vec::new();
                    inflate(&mut inflater, &compressed, true, &mut out);
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
            let mut out = Vec::new();
            let fragments = data.chunks(data.len() / pieces);
            let last = fragments.len() - 1;
            for (index, fragment) in fragments.enumerate() {
                let compressed = deflater.compress(fragment, index == last).unwrap();
                inflate(&mut inflater, &compressed, index == last, &mut out);
            }
            assert!(out == data);
        }
    }

    #[test]
    fn an_empty_message_is_one_byte() {
        let mut deflater = Deflater::new(6, 15);
        for _ in 0..3 {
            assert_eq!(deflater.compress(&[], true).unwrap(), [0]);
        }
    }

    #[test]
    fn the_context_makes_repetitions_shorter_until_it_is_forgotten() {
        let mut deflater = Deflater::new(6, 15);
        let data = sample(500, 2);
        let first = deflater.compress(&data, true).unwrap();
        let again = deflater.compress(&data, true).unwrap();
        assert!(again.len() < first.len() / 4);
        deflater.reset();
        assert_eq!(deflater.compress(&data, true).unwrap(), first);
    }

    #[test]
    fn what_cannot_be_compressed_grows_by_little() {
        let mut deflater = Deflater::new(6, 15);
        let data = sample(1_000_000, 0);
        let compressed = deflater.compress(&data, true).unwrap();
        assert!(compressed.len() < data.len() + data.len() / 1000);
    }
}
