//! The decoder of one connection as JavaScript holds it: fed directly by the
//! stream driver, or lent to a connection of the native driver and given back
//! when that connection changes over.

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::Env;
use napi_derive::napi;

use super::memory::Memory;
use crate::engine::inbox::Inbox;
use crate::protocol::receiver::{InflateConfig, Receiver, ReceiverConfig};

/// What a decoder needs to know of a connection.
#[napi(object)]
pub struct DecoderOptions {
    /// Whether this side is the server: frames must then be masked.
    pub is_server: bool,
    /// Bytes a message may have; 0: no limit.
    pub max_payload: u32,
    /// Frames a message may have; 0: no limit.
    pub max_fragments: u32,
    /// Chunks that may wait for the rest of a frame; 0: no limit.
    pub max_buffered_chunks: u32,
    /// Whether text and close reasons may be anything.
    pub skip_utf8_validation: bool,
    /// The peer's window bits if permessage-deflate was negotiated, or 0.
    pub window_bits: u8,
    /// Whether the peer starts each message with an empty window.
    pub no_context_takeover: bool,
}

/// A protocol decoder.
#[napi]
pub struct Decoder {
    /// `None` while a connection of the native driver has it.
    pub(super) receiver: Option<Receiver>,
    owned: Vec<Vec<u8>>,
    resumed: bool,
}

#[napi]
impl Decoder {
    /// A decoder at the beginning of a connection.
    #[napi(constructor)]
    pub fn new(options: DecoderOptions) -> Self {
        let inflate = (options.window_bits != 0).then_some(InflateConfig {
            window_bits: options.window_bits,
            no_context_takeover: options.no_context_takeover,
        });
        let receiver = Receiver::new(ReceiverConfig {
            is_server: options.is_server,
            max_payload: options.max_payload.into(),
            max_fragments: options.max_fragments,
            max_buffered_chunks: options.max_buffered_chunks,
            skip_utf8_validation: options.skip_utf8_validation,
            inflate,
        });
        Self {
            receiver: Some(receiver),
            owned: Vec::new(),
            resumed: false,
        }
    }

    /// Decodes `chunk` from `start` on: rows go to `rows` after a header of
    /// one row (`[rows, used bytes of the slab, consumed bytes of the chunk,
    /// 0]`), small payloads to `slab` after `used`. Fewer bytes than the chunk
    /// has are consumed when rows or slab are full: call again with the rest.
    /// Returns the number of rows.
    #[napi]
    pub fn feed(
        &mut self,
        chunk: Memory<'_, u8>,
        start: u32,
        mut rows: Memory<'_, u32>,
        mut slab: Memory<'_, u8>,
        used: u32,
    ) -> u32 {
        self.owned.clear();
        let Some((header, rows)) = rows.split_first_chunk_mut::<4>() else {
            return 0;
        };
        let (Some(receiver), Some(part)) = (&mut self.receiver, chunk.get(start as usize..)) else {
            *header = [0, used, chunk.len() as u32, 0];
            return 0;
        };
        let mut inbox = Inbox::new(rows, &mut slab, used as usize, &mut self.owned);
        let consumed = if self.resumed {
            receiver.resume(part, &mut inbox)
        } else {
            receiver.feed(part, &mut inbox)
        };
        self.resumed = consumed < part.len();
        let count = inbox.len() as u32;
        *header = [count, inbox.used() as u32, start + consumed as u32, 0];
        count
    }

    /// The payload of a row with the "owned" detail, of the last `feed`.
    #[napi]
    pub fn take_owned<'env>(&mut self, env: &'env Env, index: u32) -> Result<BufferSlice<'env>> {
        take_owned(env, &mut self.owned, index)
    }

    /// ws's `_totalPayloadLength`.
    #[napi(getter)]
    pub fn total_payload_length(&self) -> f64 {
        self.receiver
            .as_ref()
            .map_or(0.0, |receiver| receiver.total_payload_length() as f64)
    }
}

/// Copies a payload into a `Buffer` with memory of its own, and frees it. (An
/// external buffer would save the copy, but cannot be transferred to a worker
/// as what ws delivers can, and Electron forbids it.)
pub(super) fn take_owned<'env>(
    env: &'env Env,
    owned: &mut [Vec<u8>],
    index: u32,
) -> Result<BufferSlice<'env>> {
    let bytes = owned
        .get_mut(index as usize)
        .map(std::mem::take)
        .unwrap_or_default();
    BufferSlice::copy_from(env, bytes)
}
