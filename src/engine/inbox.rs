//! The hand-over batch: what happened on all connections in one turn, as rows
//! of four words, with small payloads in a slab.
//!
//! The memory of both belongs to the caller (for JavaScript: typed arrays that
//! it reads without a call per message). Filled by connections and, for the
//! stream driver, by the binding; read by `lib/native-*.js`, `lib/receiver.js`
//! and `lib/chunk-decoder.js`. `lib/inbox.js` has the same row kinds.
//!
//! A row is `[connection, kind | detail << 8, offset, length]`.

use crate::protocol::error::ProtocolError;
use crate::protocol::receiver::{Event, Payload, Room, Sink, SHARE};
use crate::protocol::upgrade::MAX_PLAIN_HEAD;

/// A batch is full when its payloads beside the slab have this many bytes: a few
/// that were received can become many when they are decompressed.
const MUCH: usize = 1024 * 1024;

/// How much of that each connection may decompress, also when others have used it
/// up: the large message of one does not keep small ones of others waiting.
const LEAST_SHARE: usize = 64 * 1024;

/// Words in a row.
pub const ROW: usize = 4;

/// Payloads above this many bytes get memory of their own, so that a kept
/// message does not pin the slab of many others.
pub const SMALL: usize = 16 * 1024;

/// The slab counts as used up when fewer bytes than this are left: room for
/// any control frame or error text, whose rows have no [`OWNED`] bit to set.
const SLAB_RESERVE: usize = 2 * 1024;

/// What the head of a request takes at the most, with the answer to its key.
const MAX_HEAD: usize = MAX_PLAIN_HEAD + 64;

/// Rows kept free: what one frame can produce at the most (inflated, fragments,
/// message) and what one connection can add after it (end or failure, writable).
const ROW_RESERVE: usize = 6;

/// What a row says; the values are shared with JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RowKind {
    /// `length` bytes were read; the rows up to the next of this kind came
    /// with them.
    Read = 0,
    /// A text message; detail: [`OWNED`].
    Text = 1,
    /// A binary message; detail as for text.
    Binary = 2,
    /// The lengths of the fragments of the message in the next row, as 32-bit
    /// words in native byte order; detail: [`OWNED`].
    Fragments = 3,
    /// A frame of a compressed message, to be decompressed by the reader;
    /// detail: [`FIN`], [`BINARY`], [`OWNED`].
    CompressedFrame = 4,
    /// A ping frame.
    Ping = 5,
    /// A pong frame.
    Pong = 6,
    /// A close frame; detail: the status code.
    Close = 7,
    /// The peer broke the protocol; detail: the status code to close with, and
    /// [`RANGE_ERROR`]. The payload is the error's code, a line feed, and its
    /// message.
    Error = 8,
    /// The reader has to say whether it decompresses, or the decoder does;
    /// the decoder waits for that.
    WhoInflates = 9,
    /// A frame of a compressed message has been decompressed, which may have been
    /// quicker than the reader wants; detail: how many bytes that gave, up to
    /// [`MOST_DETAIL`].
    Inflated = 10,
    /// The peer has ended its side of the stream.
    End = 11,
    /// Reading failed; `length` is the errno.
    Failed = 12,
    /// The kernel takes bytes again.
    Writable = 13,
    /// A connection that a listener accepted asks for an upgrade; it waits for
    /// what is done about it. The payload, which lies among the heads, is the
    /// request's head and, in the last 28 bytes, the `Sec-WebSocket-Accept` that
    /// answers it; detail: the listener.
    Upgrade = 14,
    /// A listener accepted a connection that is not served here; `length` is
    /// its descriptor, which is the reader's. The row's connection is the
    /// listener.
    HandOver = 15,
    /// A listener accepts no more; `length` is the errno. The row's connection
    /// is the listener.
    ListenerFailed = 16,
}

/// Detail bit: `offset` is an index into the owned payloads, not the slab.
pub const OWNED: u32 = 1;
/// Detail bit of a compressed frame that ends its message.
pub const FIN: u32 = 2;
/// Detail bit of a compressed frame of a binary message.
pub const BINARY: u32 = 4;
/// Detail bit of an error that is a `RangeError` in JavaScript.
pub const RANGE_ERROR: u32 = 1 << 16;
/// The largest detail.
pub const MOST_DETAIL: u32 = 0xff_ffff;

/// A payload beside the slab.
#[derive(Debug)]
pub enum Owned {
    /// Joined by the decoder.
    Bytes(Vec<u8>),
    /// Received into memory that the inbox's maker has allocated.
    Room(Box<dyn Room>),
}

impl Default for Owned {
    fn default() -> Self {
        Self::Bytes(Vec::new())
    }
}

/// Gives memory of a length for a large message.
pub type Allocate<'a> = dyn FnMut(usize) -> Option<Box<dyn Room>> + 'a;

/// One batch being filled.
pub struct Inbox<'a> {
    rows: &'a mut [u32],
    words: usize,
    slab: &'a mut [u8],
    used: usize,
    heads: &'a mut [u8],
    used_heads: usize,
    owned: &'a mut Vec<Owned>,
    /// Bytes of those.
    beside: usize,
    /// Bytes read for it so far.
    read: usize,
    /// The index of the row that says how many bytes were read last.
    read_at: usize,
    allocate: Option<&'a mut Allocate<'a>>,
    /// How many bytes were decompressed for it.
    spent: usize,
    connection: u32,
    /// Whether there are events of that.
    has_events: bool,
}

impl<'a> Inbox<'a> {
    /// A batch over `rows` and `slab`. Payloads that do not go into the slab
    /// are appended to `owned`.
    pub fn new(rows: &'a mut [u32], slab: &'a mut [u8], owned: &'a mut Vec<Owned>) -> Self {
        Self {
            rows,
            words: 0,
            slab,
            used: 0,
            heads: &mut [],
            used_heads: 0,
            owned,
            beside: 0,
            read: 0,
            read_at: 0,
            allocate: None,
            spent: 0,
            connection: 0,
            has_events: false,
        }
    }

    /// Has large messages received into memory from `allocate`.
    pub fn with_memory(self, allocate: &'a mut Allocate<'a>) -> Self {
        Self {
            allocate: Some(allocate),
            ..self
        }
    }

    /// Has the heads of requests put into `heads`, which is used again for the
    /// next batch: they are read at once, and nobody keeps them.
    pub fn with_heads(self, heads: &'a mut [u8]) -> Self {
        Self { heads, ..self }
    }

    /// Whether there is no room for the head of a request, or the row about it.
    pub fn is_full_of_heads(&self) -> bool {
        self.is_full() || self.heads.len() - self.used_heads < MAX_HEAD
    }

    /// Room for the head of a request, to be followed by [`Self::upgrade`].
    pub fn reserve_head(&mut self, len: usize) -> Option<&mut [u8]> {
        self.heads.get_mut(self.used_heads..)?.get_mut(..len)
    }

    /// Appends a row about a request, of `len` bytes in the room last reserved.
    pub fn upgrade(&mut self, listener: u32, len: usize) {
        self.row(RowKind::Upgrade, listener, self.used_heads, len);
        self.used_heads += len;
    }

    /// Rows written so far.
    pub fn len(&self) -> usize {
        self.words / ROW
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// Bytes of the slab in use.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bytes read for it so far.
    pub fn bytes_read(&self) -> usize {
        self.read
    }

    /// Whether it is full because there is much for the reader to keep.
    fn is_much(&self) -> bool {
        self.beside >= MUCH
    }

    /// The same of what was decompressed, which is not emitted at once.
    pub fn is_much_inflated(&self) -> bool {
        self.is_much() && self.spent > 0
    }

    /// Leaves the rest of the slab unused, so that this is the end of the batch
    /// and the next one gets a new slab.
    pub fn use_up(&mut self) {
        self.used = self.slab.len();
    }

    /// Says whose events follow.
    pub fn begin(&mut self, connection: u32) {
        self.connection = connection;
        self.has_events = false;
    }

    /// Appends a row that says how many bytes were read.
    pub fn read(&mut self, length: usize) {
        self.read += length;
        self.read_at = self.words;
        self.row(RowKind::Read, 0, 0, length);
    }

    /// Adds to the number of bytes that were read at once.
    pub fn read_on(&mut self, length: usize) {
        self.read += length;
        if let Some(word) = self.rows.get_mut(self.read_at + ROW - 1) {
            *word += length as u32;
        }
    }

    /// Appends a row about the current connection. Without room (which
    /// [`Sink::is_full`] announces early enough) the row is dropped.
    pub fn row(&mut self, kind: RowKind, detail: u32, offset: usize, length: usize) {
        if let Some(row) = self.rows.get_mut(self.words..self.words + ROW) {
            row.copy_from_slice(&[
                self.connection,
                kind as u32 | detail << 8,
                offset as u32,
                // Of more than a word can say (4 GiB) the payload itself tells.
                u32::try_from(length).unwrap_or(u32::MAX),
            ]);
            self.words += ROW;
        }
    }

    /// Appends a row with a payload.
    fn payload(&mut self, kind: RowKind, detail: u32, payload: Payload) {
        match payload {
            Payload::Reserved(length) => {
                self.row(kind, detail, self.used, length);
                self.used += length;
            }
            Payload::Room(mut room) => {
                let length = room.as_mut().as_mut().len();
                self.beside(kind, detail, Owned::Room(room), length);
            }
            Payload::Owned(bytes) => self.bytes(kind, detail, bytes),
        }
    }

    fn beside(&mut self, kind: RowKind, detail: u32, payload: Owned, length: usize) {
        self.row(kind, detail | OWNED, self.owned.len(), length);
        self.owned.push(payload);
        self.beside += length;
    }

    fn bytes(&mut self, kind: RowKind, detail: u32, bytes: Vec<u8>) {
        let length = bytes.len();
        if let Some(room) = self.reserve(length) {
            room.copy_from_slice(&bytes);
            self.row(kind, detail, self.used, length);
            self.used += length;
        } else {
            self.beside(kind, detail, Owned::Bytes(bytes), length);
        }
    }
}

impl Sink for Inbox<'_> {
    fn is_full(&self) -> bool {
        self.rows.len() - self.words < ROW_RESERVE * ROW
            || self.slab.len() - self.used < SLAB_RESERVE
            || self.is_much()
    }

    fn has_events(&self) -> bool {
        self.has_events
    }

    fn share(&self) -> usize {
        MUCH.saturating_sub(self.spent).clamp(LEAST_SHARE, SHARE)
    }

    fn spend(&mut self, len: usize) {
        self.spent += len;
    }

    fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        if len > SMALL {
            return None;
        }
        self.slab.get_mut(self.used..self.used + len)
    }

    fn tail(&mut self) -> &mut [u8] {
        &mut self.slab[self.used..]
    }

    fn pass(&mut self, len: usize) {
        self.used += len;
    }

    fn allocate(&mut self, len: usize) -> Option<Box<dyn Room>> {
        if len <= SMALL {
            return None;
        }
        self.allocate.as_mut()?(len)
    }

    fn event(&mut self, event: Event<'_>) {
        self.has_events = true;
        match event {
            Event::Message {
                payload,
                binary,
                fragments,
            } => {
                let kind = if binary {
                    RowKind::Binary
                } else {
                    RowKind::Text
                };
                if fragments.is_empty() {
                    self.payload(kind, 0, payload);
                    return;
                }
                // The fragments' lengths go first, but a reserved payload
                // already lies at the end of the slab: step over it.
                let reserved = match &payload {
                    Payload::Reserved(length) => *length,
                    Payload::Room(_) | Payload::Owned(_) => 0,
                };
                let start = self.used;
                self.used += reserved;
                let lengths = fragments.iter().flat_map(|len| len.to_ne_bytes());
                self.bytes(RowKind::Fragments, 0, lengths.collect());
                match payload {
                    Payload::Reserved(length) => self.row(kind, 0, start, length),
                    payload => self.payload(kind, 0, payload),
                }
            }
            Event::Compressed {
                payload,
                fin,
                binary,
            } => {
                let detail = if fin { FIN } else { 0 } | if binary { BINARY } else { 0 };
                self.payload(RowKind::CompressedFrame, detail, payload);
            }
            Event::WhoInflates => self.row(RowKind::WhoInflates, 0, 0, 0),
            Event::Inflated(len) => {
                let detail = u32::try_from(len).map_or(MOST_DETAIL, |len| len.min(MOST_DETAIL));
                self.row(RowKind::Inflated, detail, 0, 0);
            }
            Event::Ping(payload) => self.payload(RowKind::Ping, 0, payload),
            Event::Pong(payload) => self.payload(RowKind::Pong, 0, payload),
            Event::Close { code, reason } => self.payload(RowKind::Close, code.into(), reason),
            Event::Error(error) => {
                let (detail, text) = describe(&error);
                self.bytes(RowKind::Error, detail, text.into_bytes());
            }
        }
    }
}

/// What an error row says: its detail, and its payload.
pub fn describe(error: &ProtocolError) -> (u32, String) {
    let range = match error.is_range_error() {
        true => RANGE_ERROR,
        false => 0,
    };
    let detail = u32::from(error.close_status()) | range;
    (detail, format!("{}\n{}", error.code(), error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_payloads_go_into_the_slab_and_large_ones_beside_it() {
        let (mut rows, mut slab, mut owned) = ([0; 64], [0; 8192], Vec::new());
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned);
        inbox.begin(3);
        if let Some(room) = inbox.reserve(2) {
            room.copy_from_slice(b"hi");
        }
        inbox.event(Event::Ping(Payload::Reserved(2)));
        inbox.event(Event::Message {
            payload: Payload::Owned(vec![7; SMALL + 1]),
            binary: true,
            fragments: &[SMALL as u32, 1],
        });
        assert_eq!((inbox.len(), inbox.used()), (3, 10));
        assert_eq!(rows[..4], [3, RowKind::Ping as u32, 0, 2]);
        assert_eq!(rows[4..8], [3, RowKind::Fragments as u32, 2, 8]);
        let message = [3, RowKind::Binary as u32 | OWNED << 8, 0, SMALL as u32 + 1];
        assert_eq!(rows[8..12], message);
        assert_eq!(&slab[..2], b"hi");
        assert_eq!(owned.len(), 1);
    }

    #[test]
    fn compressed_frames_say_where_they_are_and_of_what() {
        let (mut rows, mut slab, mut owned) = ([0; 64], [0; 8192], Vec::new());
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned);
        inbox.event(Event::WhoInflates);
        for (len, fin, binary) in [(3, false, true), (SMALL + 1, true, false)] {
            inbox.event(Event::Compressed {
                payload: Payload::Owned(vec![1; len]),
                fin,
                binary,
            });
        }
        assert_eq!(inbox.len(), 3);
        assert_eq!(rows[..4], [0, RowKind::WhoInflates as u32, 0, 0]);
        let kind = RowKind::CompressedFrame as u32;
        assert_eq!(rows[4..8], [0, kind | BINARY << 8, 0, 3]);
        let last = [0, kind | (FIN | OWNED) << 8, 0, SMALL as u32 + 1];
        assert_eq!(rows[8..12], last);
        assert_eq!(owned.len(), 1);
    }

    #[test]
    fn a_batch_without_room_is_full() {
        let (mut rows, mut slab, mut owned) = ([0; 16], [0; 8192], Vec::new());
        assert!(Inbox::new(&mut rows, &mut slab, &mut owned).is_full());
        let (mut rows, mut slab, mut owned) = ([0; 64], [0; 8192], Vec::new());
        assert!(!Inbox::new(&mut rows, &mut slab, &mut owned).is_full());
        assert!(Inbox::new(&mut rows, &mut slab[..192], &mut owned).is_full());
    }
}
