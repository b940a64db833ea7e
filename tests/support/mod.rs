//! What the protocol's tests share: pseudo-random numbers, a sink that records
//! events, a compressor, and a generator of byte streams.

#![allow(dead_code, reason = "each test file uses a part of this")]

pub mod deflater;
pub mod stream;

use oxws::protocol::error::ProtocolError;
use oxws::protocol::frame::{FrameHeader, Opcode, MAX_HEADER};
use oxws::protocol::mask::apply_mask;
use oxws::protocol::receiver::{Event, Payload, Receiver, Room, Sink};

/// xorshift64*: small, fast, and the same on every machine.
pub struct Rng(u64);

impl Rng {
    /// A generator with a fixed seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 33) as usize) % end
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// A masking key.
    pub fn key(&mut self) -> [u8; 4] {
        (self.next() as u32).to_le_bytes()
    }
}

/// An event with its payload, wherever that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A message.
    Message {
        data: Vec<u8>,
        binary: bool,
        compressed: bool,
        fragments: Vec<u32>,
    },
    /// A frame that was not decompressed.
    Compressed {
        data: Vec<u8>,
        fin: bool,
        binary: bool,
    },
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame.
    Close(u16, Vec<u8>),
    /// An error.
    Error(ProtocolError),
}

impl Seen {
    /// A message of one frame.
    pub fn message(data: &[u8], binary: bool) -> Self {
        Self::Message {
            data: data.to_vec(),
            binary,
            compressed: false,
            fragments: vec![],
        }
    }

    /// A text message of one frame.
    pub fn text(text: &str) -> Self {
        Self::message(text.as_bytes(), false)
    }
}

/// A sink that keeps what it gets.
#[derive(Default)]
pub struct Recorder {
    /// Everything so far.
    pub events: Vec<Seen>,
    /// How many of those somebody has looked at; `None` if that is done at once.
    pub seen: Option<usize>,
    quota: usize,
    largest_room: Option<usize>,
    smallest_memory: Option<usize>,
    /// How many payloads came in memory of this sink.
    pub in_memory: usize,
    /// How many frames have been decompressed since the last message.
    pub inflated: usize,
    /// How often it was asked who decompresses.
    pub questions: usize,
    /// Whether an answer is due.
    asked: bool,
    /// The answer: whether it decompresses itself.
    inflates: bool,
    taken: usize,
    room: Vec<u8>,
    /// A chunk that is decoded where it is.
    tail: Option<Vec<u8>>,
    /// How many payloads stayed there.
    pub stayed: usize,
}

impl Recorder {
    /// A sink that takes `quota` events until it is emptied (0: any number) and
    /// gives room up to a size (`None`: any).
    pub fn new(quota: usize, largest_room: Option<usize>) -> Self {
        Self {
            quota,
            largest_room,
            ..Self::default()
        }
    }

    /// The same sink, which allocates memory from a size on.
    pub fn with_memory(self, smallest: usize) -> Self {
        Self {
            smallest_memory: Some(smallest),
            ..self
        }
    }

    /// The same sink, which says whether it decompresses itself.
    pub fn inflating(self, inflates: bool) -> Self {
        Self { inflates, ..self }
    }

    /// Makes a full sink take events again.
    pub fn empty(&mut self) {
        self.taken = 0;
    }

    fn content(&mut self, payload: Payload) -> Vec<u8> {
        match payload {
            Payload::Reserved(len) if self.tail.is_some() => {
                self.stayed += 1;
                let tail = self.tail.get_or_insert_default();
                tail.drain(..len).collect()
            }
            Payload::Reserved(len) => {
                assert_eq!(len, self.room.len());
                std::mem::take(&mut self.room)
            }
            Payload::Room(room) => {
                self.in_memory += 1;
                *room.into_any().downcast().expect("a sink's memory")
            }
            Payload::Owned(data) => data,
        }
    }
}

impl Sink for Recorder {
    fn is_full(&self) -> bool {
        self.quota > 0 && self.taken >= self.quota
    }

    fn has_events(&self) -> bool {
        self.seen.is_some_and(|seen| seen < self.events.len())
    }

    fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.largest_room.is_some_and(|largest| len > largest) {
            return None;
        }

        // What was there before must not shine through.
        self.room = vec![0xdd; len];
        Some(&mut self.room)
    }

    fn allocate(&mut self, len: usize) -> Option<Box<dyn Room>> {
        if len < self.smallest_memory? {
            return None;
        }
        Some(Box::new(vec![0xdd_u8; len]))
    }

    fn tail(&mut self) -> &mut [u8] {
        self.tail.get_or_insert_default()
    }

    fn pass(&mut self, len: usize) {
        self.tail.get_or_insert_default().drain(..len);
    }

    fn event(&mut self, event: Event<'_>) {
        assert!(!self.is_full(), "an event for a full sink");
        self.taken += usize::from(!matches!(event, Event::Inflated(_)));

        let seen = match event {
            Event::Inflated(_) => {
                self.inflated += 1;
                return;
            }
            Event::WhoInflates => {
                self.questions += 1;
                self.asked = true;
                return;
            }
            Event::Compressed {
                payload,
                fin,
                binary,
            } => Seen::Compressed {
                data: self.content(payload),
                fin,
                binary,
            },
            Event::Message {
                payload,
                binary,
                fragments,
            } => Seen::Message {
                data: self.content(payload),
                binary,
                compressed: std::mem::take(&mut self.inflated) > 0,
                fragments: fragments.to_vec(),
            },
            Event::Ping(payload) => Seen::Ping(self.content(payload)),
            Event::Pong(payload) => Seen::Pong(self.content(payload)),
            Event::Close { code, reason } => Seen::Close(code, self.content(reason)),
            Event::Error(error) => Seen::Error(error),
        };
        self.events.push(seen);
    }
}

/// Feeds a chunk to its end, emptying the sink when it is full and answering
/// its question.
pub fn feed(receiver: &mut Receiver, chunk: &[u8], sink: &mut Recorder) {
    let at = receiver.feed(chunk, sink);
    resume(receiver, chunk, at, sink);
}

/// The same, with what belongs into the sink's memory put there.
pub fn deliver(receiver: &mut Receiver, chunk: &[u8], sink: &mut Recorder) {
    let Some(room) = receiver.room(sink) else {
        return feed(receiver, chunk, sink);
    };
    let len = chunk.len().min(room.len());
    room[..len].copy_from_slice(&chunk[..len]);
    receiver.filled(len, sink);

    if len < chunk.len() {
        let at = len + receiver.resume(&chunk[len..], sink);
        resume(receiver, chunk, at, sink);
    }
}

/// The same as [`feed`], with messages that stay where they were received.
pub fn feed_within(receiver: &mut Receiver, chunk: &[u8], sink: &mut Recorder) {
    sink.tail = Some(chunk.to_vec());
    let done = receiver.feed_within(chunk.len(), sink);
    let rest = sink.tail.take();

    if done == chunk.len() {
        return;
    }
    assert_eq!(
        rest.as_deref(),
        Some(&chunk[done..]),
        "the rest is untouched"
    );

    if done == 0 {
        return feed(receiver, chunk, sink);
    }
    let at = done + receiver.resume(&chunk[done..], sink);
    resume(receiver, chunk, at, sink);
}

fn resume(receiver: &mut Receiver, chunk: &[u8], mut at: usize, sink: &mut Recorder) {
    while at < chunk.len() {
        if std::mem::take(&mut sink.asked) {
            receiver.decide_inflating(!sink.inflates);
        } else if !receiver.is_inflating() {
            assert!(sink.is_full(), "stopped early for no reason");
            sink.empty();
        }
        at += receiver.resume(&chunk[at..], sink);
    }
}

/// A frame on the wire.
pub fn frame(opcode: Opcode, fin: bool, mask: Option<[u8; 4]>, data: &[u8]) -> Vec<u8> {
    frame_with_rsv1(opcode, fin, false, mask, data)
}

/// A frame on the wire, of a compressed message if told so.
pub fn frame_with_rsv1(
    opcode: Opcode,
    fin: bool,
    rsv1: bool,
    mask: Option<[u8; 4]>,
    data: &[u8],
) -> Vec<u8> {
    let header = FrameHeader {
        fin,
        rsv1,
        opcode,
        mask,
        len: data.len() as u64,
    };
    let mut out = vec![0; MAX_HEADER];
    let len = header.encode(&mut out);
    out.truncate(len);
    out.extend_from_slice(data);
    apply_mask(&mut out[len..], mask.unwrap_or_default(), 0);
    out
}
