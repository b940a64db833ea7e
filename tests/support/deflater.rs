//! The other side of permessage-deflate (RFC 7692, section 7.2.1).

use flate2::{Compress, Compression, FlushCompress, Status};

/// What a sync flush ends with; left out at the end of a message.
pub const TRAILER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

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
        // zlib has no smaller window for raw streams.
        let window_bits = window_bits.clamp(9, 15);

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
