//! What a receiver is told at its creation and what it tells.
//!
//! Used by the receiver and by everyone who drives one, through
//! [`super::receiver`], which re-exports all of it.

use std::any::Any;
use std::fmt;

use super::error::ProtocolError;

/// How the peer compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InflateConfig {
    /// The base-2 logarithm of the peer's window, 8 to 15.
    pub window_bits: u8,
    /// Whether the peer starts each message with an empty window.
    pub no_context_takeover: bool,
}

/// What a receiver accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// Whether we are the server, whose peer must mask.
    pub is_server: bool,
    /// The longest message; 0 for any.
    pub max_payload: u64,
    /// The most frames of a message; 0 for any number.
    pub max_fragments: u32,
    /// The most chunks that a part of a frame may come in; 0 for any number.
    pub max_buffered_chunks: u32,
    /// Whether to take text and close reasons as they are.
    pub skip_utf8_validation: bool,
    /// How the peer compresses; `None` when that was not negotiated.
    pub inflate: Option<InflateConfig>,
}

/// Memory of a sink for the payload of one large message. The receiver has it
/// from [`Sink::allocate`] until the message is complete.
pub trait Room: Any + AsMut<[u8]> {
    /// For the sink, which knows what it is.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: Any + AsMut<[u8]>> Room for T {
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl fmt::Debug for dyn Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}

/// Where an event's payload is.
#[derive(Debug)]
pub enum Payload {
    /// In the room last reserved, all of it: this many bytes.
    Reserved(usize),
    /// In memory that the sink has allocated, all of it.
    Room(Box<dyn Room>),
    /// Here.
    Owned(Vec<u8>),
}

/// What has been received.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole message.
    Message {
        /// Its content, decompressed.
        payload: Payload,
        /// Binary data; otherwise text.
        binary: bool,
        /// The lengths of its non-empty fragments, when it had several frames;
        /// otherwise empty.
        fragments: &'a [u32],
    },
    /// A frame of a compressed message, of a receiver that was told not to
    /// decompress. That, the rest of the limit and the check of text are left
    /// to whoever takes this.
    Compressed {
        /// Its payload, unmasked.
        payload: Payload,
        /// Whether it ends the message.
        fin: bool,
        /// Whether the message is binary data; otherwise text.
        binary: bool,
    },
    /// A frame of a compressed message has been decompressed here, the last part of
    /// it to this many bytes. What that has led to, a message or an error, is next.
    Inflated(usize),
    /// The first compressed frame is next, and the receiver was told to
    /// [ask](super::receiver::Receiver::asking) who decompresses. Nothing
    /// follows before the answer.
    WhoInflates,
    /// A ping.
    Ping(Payload),
    /// A pong.
    Pong(Payload),
    /// The close frame. Nothing follows.
    Close {
        /// Its code; 1005 when it had none.
        code: u16,
        /// Its reason.
        reason: Payload,
    },
    /// The peer broke the protocol, or a limit of ours. Nothing follows.
    Error(ProtocolError),
}

/// How many bytes of a message are decompressed at the most before others have
/// their turn.
pub const SHARE: usize = 512 * 1024;

/// Takes the events.
pub trait Sink {
    /// Whether the next event would have to wait.
    fn is_full(&self) -> bool;

    /// Whether there are events that nobody has looked at. What that will lead to
    /// may change what is allowed.
    fn has_events(&self) -> bool {
        false
    }

    /// How many bytes may be decompressed before it is the turn of others.
    fn share(&self) -> usize {
        SHARE
    }

    /// Takes note that `len` bytes have been decompressed.
    fn spend(&mut self, len: usize) {
        let _ = len;
    }

    /// Room of exactly `len` bytes for the payload of the next event. `None`
    /// (too large, or no room) makes the receiver use memory of its own. The
    /// room counts as used only when that event says [`Payload::Reserved`]: it
    /// may turn out to be an error instead, which has no payload.
    fn reserve(&mut self, len: usize) -> Option<&mut [u8]>;

    /// Memory of exactly `len` bytes for a message that comes uncompressed in
    /// one frame and is too large for [`reserve`](Self::reserve), or not all
    /// here yet; asked for once when a part of it has arrived, also of a sink
    /// that is full. It comes back in that message's event as
    /// [`Payload::Room`], or is dropped. `None` makes the receiver use memory
    /// of its own.
    fn allocate(&mut self, len: usize) -> Option<Box<dyn Room>> {
        let _ = len;
        None
    }

    /// The room that is left, into which a chunk may be received. The next
    /// [`reserve`](Self::reserve) would give its beginning.
    fn tail(&mut self) -> &mut [u8] {
        &mut []
    }

    /// Leaves out the first `len` bytes of the [tail](Self::tail).
    fn pass(&mut self, len: usize) {
        let _ = len;
    }

    /// An event.
    fn event(&mut self, event: Event<'_>);
}

/// Stores a payload in the sink's room, or else in memory of its own.
pub(super) fn store<S: Sink>(data: &[u8], sink: &mut S) -> Payload {
    match sink.reserve(data.len()) {
        Some(room) => {
            room.copy_from_slice(data);
            Payload::Reserved(data.len())
        }
        None => Payload::Owned(data.to_vec()),
    }
}

/// Like [`store`], for data that has memory of its own already. A buffer much
/// larger than its content is cut down: the content may be kept for long.
pub(super) fn store_vec<S: Sink>(mut data: Vec<u8>, sink: &mut S) -> Payload {
    match sink.reserve(data.len()) {
        Some(room) => {
            room.copy_from_slice(&data);
            Payload::Reserved(data.len())
        }
        None => {
            if data.capacity() - data.len() > data.len() / 8 {
                data.shrink_to_fit();
            }
            Payload::Owned(data)
        }
    }
}
