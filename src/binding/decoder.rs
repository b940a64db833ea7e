//! The decoder of one connection as JavaScript holds it: fed directly by the
//! stream driver, from the beginning or from when a connection of the native
//! driver changed over.

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::{Env, Error, Status};
use napi_derive::napi;

use super::memory::Memory;
use super::room::{allocator, received, JsRoom};
use crate::engine::inbox::{Inbox, Owned};
use crate::protocol::receiver::{InflateConfig, Receiver, ReceiverConfig};

/// Flags of [`config`], below the peer's window bits.
const SERVER: u32 = 1;
const SKIP_UTF8_VALIDATION: u32 = 2;
const NO_CONTEXT_TAKEOVER: u32 = 4;

/// A bit of what [`Decoder::feed`] returns, above the number of rows.
const BETWEEN_FRAMES: u32 = 1 << 16;
/// Another one.
const INFLATING: u32 = 1 << 17;

/// What a decoder needs to know of a connection, from numbers, which cross
/// faster than an object: whether this is the server's side, whether text is
/// not checked and whether the peer starts each message with an empty window
/// (bits 0 to 2), the peer's window bits if permessage-deflate was negotiated
/// (from bit 8), and the limits, 0 for none.
pub(super) fn config(
    flags: u32,
    max_payload: u32,
    max_fragments: u32,
    max_buffered_chunks: u32,
) -> ReceiverConfig {
    let window_bits = (flags >> 8) as u8;
    ReceiverConfig {
        is_server: flags & SERVER != 0,
        max_payload: max_payload.into(),
        max_fragments,
        max_buffered_chunks,
        skip_utf8_validation: flags & SKIP_UTF8_VALIDATION != 0,
        inflate: (window_bits != 0).then_some(InflateConfig {
            window_bits,
            no_context_takeover: flags & NO_CONTEXT_TAKEOVER != 0,
        }),
    }
}

/// A protocol decoder.
#[napi]
pub struct Decoder {
    receiver: Receiver,
    /// Received before this was made, and not decoded.
    rest: Vec<u8>,
    owned: Vec<Owned>,
    resumed: bool,
}

impl Decoder {
    /// A decoder in the middle of a connection.
    pub(super) fn go_on(receiver: Receiver, rest: Vec<u8>) -> Self {
        Self {
            receiver,
            rest,
            owned: Vec::new(),
            resumed: false,
        }
    }

    /// Whether it has something to go on with.
    pub(super) fn is_busy(&self) -> bool {
        self.receiver.is_asking() || !self.rest.is_empty()
    }
}

#[napi]
impl Decoder {
    /// A decoder at the beginning of a connection; for the arguments see
    /// [`config`].
    #[napi(constructor)]
    pub fn new(flags: u32, max_payload: u32, max_fragments: u32, max_buffered_chunks: u32) -> Self {
        let config = config(flags, max_payload, max_fragments, max_buffered_chunks);
        Self::go_on(Receiver::new(config).asking(), Vec::new())
    }

    /// Changes the limits, and whether text is checked; for the arguments see
    /// [`config`].
    #[napi]
    pub fn set_limits(
        &mut self,
        flags: u32,
        max_payload: u32,
        max_fragments: u32,
        max_buffered_chunks: u32,
    ) {
        let limits = config(flags, max_payload, max_fragments, max_buffered_chunks);
        self.receiver.set_limits(limits);
    }

    /// Whether it waits for an answer; see [`Self::decide_inflating`].
    #[napi(getter)]
    pub fn is_asking(&self) -> bool {
        self.receiver.is_asking()
    }

    /// What was received before this was made, and not decoded.
    #[napi]
    pub fn take_rest<'env>(&mut self, env: &'env Env) -> Result<BufferSlice<'env>> {
        BufferSlice::copy_from(env, std::mem::take(&mut self.rest))
    }

    /// Answers the decoder's question: whether it is the one that
    /// decompresses. Returns what was received before this was made and waited
    /// for the answer, to be fed.
    #[napi]
    pub fn decide_inflating<'env>(
        &mut self,
        env: &'env Env,
        here: bool,
    ) -> Result<BufferSlice<'env>> {
        self.receiver.decide_inflating(here);
        self.take_rest(env)
    }

    /// Decodes `chunk` from `start` on. The memory is that of [`fill`]; the
    /// third word of the header says how much of the chunk is consumed: not
    /// all when rows or slab are full, then call again with the rest. Returns
    /// the number of rows, and [`BETWEEN_FRAMES`] if what comes next may as
    /// well be decoded elsewhere, provided that it is a whole message, or
    /// [`INFLATING`] if it may well wait for a while because much has been
    /// decompressed.
    #[napi]
    pub fn feed(
        &mut self,
        env: Env,
        chunk: Memory<'_, u8>,
        start: u32,
        rows: Memory<'_, u32>,
        slab: Memory<'_, u8>,
        used: u32,
    ) -> u32 {
        let Self {
            receiver,
            owned,
            resumed,
            ..
        } = self;
        let part = chunk.get(start as usize..).unwrap_or_default();
        received(part.len());
        let (mut rows, mut slab) = (rows, slab.after(used as usize));
        let count = fill(env, &mut rows, &mut slab, &mut [], owned, |inbox| {
            let consumed = if *resumed {
                receiver.resume(part, inbox)
            } else {
                receiver.feed(part, inbox)
            };
            *resumed = consumed < part.len();
            start + consumed as u32
        });
        if receiver.is_idle() && !*resumed {
            count | BETWEEN_FRAMES
        } else if receiver.is_inflating() {
            count | INFLATING
        } else {
            count
        }
    }

    /// The payload of a row with the "owned" detail, of the last `feed`.
    #[napi]
    pub fn take_owned<'env>(&mut self, env: &'env Env, index: u32) -> Result<BufferSlice<'env>> {
        take_owned(env, &mut self.owned, index)
    }

    /// ws's `_totalPayloadLength`.
    #[napi(getter)]
    pub fn total_payload_length(&self) -> f64 {
        self.receiver.total_payload_length() as f64
    }
}

/// Has a batch of events written into memory of JavaScript: rows go to `rows`
/// after a header of one row (`[rows, used bytes of the slab, result, owned
/// payloads]`), small payloads to `slab`, others to `owned`, in place of those
/// of the last batch. The result is what `write` returns. Returns the number of
/// rows.
pub(super) fn fill(
    env: Env,
    rows: &mut [u32],
    slab: &mut [u8],
    heads: &mut [u8],
    owned: &mut Vec<Owned>,
    write: impl FnOnce(&mut Inbox<'_>) -> u32,
) -> u32 {
    owned.clear();
    let Some((header, rows)) = rows.split_first_chunk_mut::<4>() else {
        return 0;
    };
    let mut allocate = allocator(env);
    let inbox = Inbox::new(rows, slab, owned).with_heads(heads);
    let mut inbox = inbox.with_memory(&mut allocate);
    let result = write(&mut inbox);
    let (count, used) = (inbox.len() as u32, inbox.used() as u32);
    *header = [count, used, result, owned.len() as u32];
    count
}

/// Gives a payload as a `Buffer`: the one into which it was received, or else a
/// copy. (An external buffer would save the copy, but cannot be transferred to
/// a worker as what ws delivers can, and Electron forbids it.)
pub(super) fn take_owned<'env>(
    env: &'env Env,
    owned: &mut [Owned],
    index: u32,
) -> Result<BufferSlice<'env>> {
    let payload = owned.get_mut(index as usize).map(std::mem::take);
    match payload.unwrap_or_default() {
        Owned::Bytes(bytes) => BufferSlice::copy_from(env, bytes),
        Owned::Room(room) => match room.into_any().downcast::<JsRoom>() {
            Ok(room) => room.into_buffer(env),
            // Only this binding's rooms get here.
            Err(_) => Err(Error::from_status(Status::GenericFailure)),
        },
    }
}
