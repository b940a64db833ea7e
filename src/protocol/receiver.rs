//! The decoder: from the bytes of one direction of a connection to messages,
//! pings, pongs and the close frame.
//!
//! Called by the drivers with whatever a read gave; calls a [`Sink`], which
//! decides where payloads are stored. Must not know who the sink is. An idle
//! receiver holds no buffers; a small message that is complete in its chunk is
//! copied once, from the chunk to the sink's room, and unmasked on the way. The
//! most of a large one can be received where the sink wants to have it.

mod compressed;
mod control;
mod whole;

use std::sync::Arc;

use self::compressed::Inflating;
use super::error::ProtocolError;
use super::event::store_vec;
use super::frame::{Opcode, LENGTH_16, LENGTH_64, MAX_HEADER};
use super::header::{length_64, Rules, Start};
use super::incoming::Frame;
use super::inflate::Inflater;
use super::mask::copy_masked;
use super::message::{Assembly, Whole};
use super::utf8::is_valid;

pub use super::event::{Event, InflateConfig, Payload, ReceiverConfig, Room, Sink, SHARE};

/// Which part of a frame comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Start,
    Length16,
    Length64,
    Key,
    Payload,
    /// A compressed payload is there but for its last byte, which is not taken
    /// before all is decompressed. So there always is a rest to resume with.
    Inflate,
    /// A length is there but for its last byte, for the same reason. It is more
    /// than is allowed, and who gets the events so far may still allow it.
    TooLong,
    /// A close frame or an error has come: the rest is ignored.
    Finished,
}

/// What is needed only while a payload is not complete, and by messages that are
/// fragmented or compressed.
#[derive(Debug, Default)]
struct Parts {
    /// What has arrived of a control frame's or a compressed frame's payload.
    partial: Vec<u8>,
    /// How much of a compressed frame's payload has been decompressed.
    inflated: usize,
    message: Assembly,
    /// Made for the first compressed message.
    inflater: Option<Box<Inflater>>,
}

/// The decoder of one direction of a connection. Idle connections are many, so
/// it is kept small.
#[derive(Debug)]
pub struct Receiver {
    /// Shared, since that of most connections is the same.
    config: Arc<ReceiverConfig>,
    stage: Stage,
    /// The first bytes of a header's part whose rest has not arrived.
    held: [u8; 8],
    held_len: u8,
    /// A chunk has come that has not been looked at.
    chunk_pending: bool,
    /// How many chunks the current part of a frame has come in so far.
    chunks: u32,
    frame: Frame,
    /// The kind of the message that has begun and not ended.
    message_opcode: Option<Opcode>,
    compressed: bool,
    frames: u32,
    total_payload_length: u64,
    inflating: Inflating,
    /// Kept between messages only for the inflater.
    parts: Option<Box<Parts>>,
}

impl Receiver {
    /// A receiver at the start of a connection.
    pub fn new(config: impl Into<Arc<ReceiverConfig>>) -> Self {
        Self {
            config: config.into(),
            stage: Stage::Start,
            held: [0; 8],
            held_len: 0,
            chunk_pending: false,
            chunks: 0,
            frame: Frame {
                fin: false,
                opcode: Opcode::Continuation,
                masked: false,
                key: [0; 4],
                length: 0,
                taken: 0,
            },
            message_opcode: None,
            compressed: false,
            frames: 0,
            total_payload_length: 0,
            inflating: Inflating::Here,
            parts: None,
        }
    }

    /// Changes the limits from the next frame on, and whether text is checked from
    /// the next message on; the rest of `limits` is not looked at.
    pub fn set_limits(&mut self, limits: ReceiverConfig) {
        self.config = Arc::new(ReceiverConfig {
            is_server: self.config.is_server,
            inflate: self.config.inflate,
            ..limits
        });
    }

    /// Decodes a chunk and returns how much of it was consumed: all, unless the
    /// sink is full before an event or is asked something, or a frame is
    /// [held](Self::is_held). Then [`resume`](Self::resume) takes the rest.
    pub fn feed<S: Sink>(&mut self, chunk: &[u8], sink: &mut S) -> usize {
        self.chunk_pending = true;
        self.run(chunk, sink)
    }

    /// Goes on with the rest of a chunk that was not consumed to its end.
    pub fn resume<S: Sink>(&mut self, rest: &[u8], sink: &mut S) -> usize {
        self.run(rest, sink)
    }

    /// Where the next bytes of the stream are to be put, for
    /// [`filled`](Self::filled): the rest of a payload that goes into memory of
    /// the sink. `None` when [`feed`](Self::feed) is to be used (which may
    /// always be used), such as when the sink is full.
    pub fn room<S: Sink>(&mut self, sink: &S) -> Option<&mut [u8]> {
        if sink.is_full() {
            return None;
        }
        self.parts.as_mut()?.message.rest(self.frame.taken)
    }

    /// How much of the current frame has come, header included (about as much, if
    /// that is not complete).
    pub fn begun(&self) -> u64 {
        match self.stage {
            Stage::Payload => self.frame.header_len() + self.frame.taken,
            _ => self.held_len.into(),
        }
    }

    /// How much of the current frame's payload is still to come; 0 also when its
    /// header is not complete.
    pub fn left(&self) -> u64 {
        match self.stage {
            Stage::Payload => self.frame.left(),
            _ => 0,
        }
    }

    /// How much of a frame like the current one, header included, must have
    /// arrived for there to be [`room`](Self::room) for the rest.
    pub fn room_from(&self) -> u64 {
        self.frame.enough() + MAX_HEADER as u64
    }

    /// Takes note that a chunk of `len` bytes has been put into the
    /// [`room`](Self::room). If the chunk had more, [`resume`](Self::resume)
    /// takes the rest.
    pub fn filled<S: Sink>(&mut self, len: usize, sink: &mut S) {
        self.chunk_pending = true;
        self.filled_on(len, sink);
    }

    /// The same for `len` more bytes of the last chunk.
    pub fn filled_on<S: Sink>(&mut self, len: usize, sink: &mut S) {
        let result = self
            .count_chunk(len == 0)
            .and_then(|()| self.fill(len, sink));

        if let Err(error) = result {
            self.fail(error, sink);
        }
    }

    /// Takes note that the last chunk, which was consumed, goes on:
    /// [`resume`](Self::resume) or [`filled_on`](Self::filled_on) take the rest.
    pub fn go_on(&mut self) {
        self.chunks -= u32::from(self.is_waiting() && self.chunks > 0);
    }

    /// The lengths, as announced, of the payloads of the current message's
    /// frames so far.
    pub fn total_payload_length(&self) -> u64 {
        self.total_payload_length
    }

    /// Whether a close frame or an error has come, so that nothing more will.
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    /// Whether it knows nothing of the bytes so far that matters for the next
    /// message: the last one is complete, and so is its frame.
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Start
            && self.held_len == 0
            && self.chunks == 0
            && self.message_opcode.is_none()
            && !self.is_asking()
    }

    /// Whether it has stopped within a frame that has been received, because there
    /// is more to decompress, or because it is to be looked at again whether it is
    /// too long. The frame's last byte that has been looked at is the first that
    /// was not consumed.
    pub fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Inflate | Stage::TooLong)
    }

    fn run<S: Sink>(&mut self, chunk: &[u8], sink: &mut S) -> usize {
        let mut at = 0;

        if self.is_held() && !chunk.is_empty() && !sink.is_full() {
            let result = match self.stage {
                Stage::TooLong if sink.has_events() => Ok(false),
                Stage::TooLong => self.check_length().map(|()| true),
                _ => self.inflate_on(sink),
            };
            match result {
                Ok(complete) => at = usize::from(complete),
                Err(error) => self.fail(error, sink),
            }
        }

        while self.stage != Stage::Finished {
            // Looked at once per frame at most: only an event changes these.
            let waits = self.is_asking() || self.is_held();
            if waits || sink.is_full() && !self.absorbs(chunk.len() - at) {
                return at;
            }

            let result = self
                .count_chunk(chunk.is_empty())
                .and_then(|()| self.next_frames(chunk, &mut at, sink));

            match result {
                Ok(true) => (),
                Ok(false) => {
                    self.chunks += u32::from(self.is_waiting() && !chunk.is_empty());
                    break;
                }
                Err(_) if self.stage == Stage::TooLong && sink.has_events() => return at - 1,
                Err(error) => self.fail(error, sink),
            }
        }

        chunk.len()
    }

    /// Whether `len` more bytes go into a payload without completing it, so
    /// that no event comes of them.
    fn absorbs(&self, len: usize) -> bool {
        self.stage == Stage::Payload && (len as u64) < self.frame.left() && !self.at_chunk_limit()
    }

    /// Whether something waits for its rest.
    fn is_waiting(&self) -> bool {
        self.held_len > 0 || self.frame.taken > 0
    }

    fn at_chunk_limit(&self) -> bool {
        let max = self.config.max_buffered_chunks;
        self.chunk_pending && max > 0 && self.chunks >= max
    }

    /// Accounts for a new chunk. The limit is on the chunks that wait for the
    /// rest of something: the first two bytes, a length, a key, or a payload.
    fn count_chunk(&mut self, empty: bool) -> Result<(), ProtocolError> {
        if self.at_chunk_limit() {
            return Err(ProtocolError::TooManyBufferedChunks);
        }

        // An empty chunk waits like any other.
        self.chunks += u32::from(self.chunk_pending && empty);
        self.chunk_pending = false;
        Ok(())
    }

    /// Takes the frames that are next up to one that is not a plain message, and
    /// that one, or until the sink is full; false when the chunk ends before.
    fn next_frames<S: Sink>(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        sink: &mut S,
    ) -> Result<bool, ProtocolError> {
        let start = *at;
        self.plain_messages(chunk, at, sink)?;

        if *at > start && sink.is_full() {
            return Ok(true);
        }
        self.advance(chunk, at, sink)
    }

    /// Reads up to the end of a frame; false when the chunk ends before.
    fn advance<S: Sink>(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        sink: &mut S,
    ) -> Result<bool, ProtocolError> {
        loop {
            match self.stage {
                Stage::Start if self.must_ask(&chunk[*at..]) => {
                    self.inflating = Inflating::Asked;
                    sink.event(Event::WhoInflates);
                    return Ok(true);
                }
                Stage::Start => match self.take(chunk, at) {
                    Some(bytes) => self.start(bytes)?,
                    None => return Ok(false),
                },
                Stage::Length16 => match self.take(chunk, at) {
                    Some(bytes) => self.have_length(u16::from_be_bytes(bytes).into())?,
                    None => return Ok(false),
                },
                Stage::Length64 => match self.take(chunk, at) {
                    Some(bytes) => self.have_length(length_64(bytes)?)?,
                    None => return Ok(false),
                },
                Stage::Key => match self.take(chunk, at) {
                    Some(bytes) => {
                        self.frame.key = bytes;
                        self.stage = Stage::Payload;
                    }
                    None => return Ok(false),
                },
                Stage::Payload => return self.payload(chunk, at, sink),
                Stage::Inflate | Stage::TooLong | Stage::Finished => return Ok(true),
            }
        }
    }

    /// Takes the next `N` bytes, or holds what there is of them.
    #[inline]
    fn take<const N: usize>(&mut self, chunk: &[u8], at: &mut usize) -> Option<[u8; N]> {
        let rest = &chunk[*at..];
        let held = usize::from(self.held_len);

        if held == 0 {
            if let Some(bytes) = rest.first_chunk::<N>() {
                *at += N;
                self.chunks = 0;
                return Some(*bytes);
            }
        }

        let len = rest.len().min(N - held);
        self.held[held..held + len].copy_from_slice(&rest[..len]);
        *at += len;

        if held + len < N {
            self.held_len += len as u8;
            return None;
        }

        self.held_len = 0;
        self.chunks = 0;
        self.held.first_chunk::<N>().copied()
    }

    /// The first two bytes of a frame.
    #[inline]
    fn start(&mut self, bytes: [u8; 2]) -> Result<(), ProtocolError> {
        let rules = Rules {
            is_server: self.config.is_server,
            deflate: self.config.inflate.is_some(),
            in_message: self.message_opcode.is_some(),
        };
        let Start {
            fin,
            rsv1,
            opcode,
            masked,
            length,
        } = rules.check(bytes)?;

        self.frame = Frame {
            fin,
            opcode,
            masked,
            key: [0; 4],
            length: 0,
            taken: 0,
        };

        if matches!(opcode, Opcode::Text | Opcode::Binary) {
            self.compressed = rsv1;
        }

        match length {
            LENGTH_16 => self.stage = Stage::Length16,
            LENGTH_64 => self.stage = Stage::Length64,
            _ => self.have_length(length.into())?,
        }

        Ok(())
    }

    #[inline]
    fn have_length(&mut self, length: u64) -> Result<(), ProtocolError> {
        self.frame.length = length;

        if !self.frame.opcode.is_control() {
            self.total_payload_length = self.total_payload_length.saturating_add(length);
        }

        self.check_length()
    }

    /// Goes on after the length, if it is allowed.
    #[inline]
    fn check_length(&mut self) -> Result<(), ProtocolError> {
        if !self.frame.opcode.is_control() && self.frame.length > 0 {
            let max = self.config.max_payload;

            if max > 0 && self.total_payload_length > max {
                self.stage = Stage::TooLong;
                return Err(ProtocolError::UnsupportedMessageLength);
            }
        }

        self.stage = if self.frame.masked {
            Stage::Key
        } else {
            Stage::Payload
        };
        Ok(())
    }

    /// Takes what has come of the payload; true when that completes the frame.
    fn payload<S: Sink>(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        sink: &mut S,
    ) -> Result<bool, ProtocolError> {
        let rest = &chunk[*at..];
        let left = self.frame.left();

        // A chunk that ends with a header: nothing has arrived to be kept.
        if rest.is_empty() && left > 0 {
            return Ok(false);
        }

        let complete = rest.len() as u64 >= left;
        let piece = if complete {
            &rest[..left as usize]
        } else {
            rest
        };
        *at += piece.len();

        if self.frame.opcode.is_control() {
            self.control(piece, complete, sink)?;
        } else if self.compressed {
            self.compressed(piece, complete, sink)?;

            if self.is_inflating() {
                *at -= 1;
                return Ok(true);
            }
        } else {
            self.plain(piece, complete, sink)?;
        }

        if !complete {
            self.frame.taken += piece.len() as u64;
            return Ok(false);
        }

        self.end_of_frame();
        Ok(true)
    }

    /// Takes what has been put into the sink's memory.
    fn fill<S: Sink>(&mut self, len: usize, sink: &mut S) -> Result<(), ProtocolError> {
        let text = self.checks_text();
        let frame = &self.frame;
        let left = frame.left();
        let len = left.min(len as u64);

        if let Some(parts) = &mut self.parts {
            parts
                .message
                .filled(len as usize, frame.key, frame.taken, text);
        }

        if len < left {
            self.frame.taken += len;
            self.chunks += u32::from(len > 0);
            return Ok(());
        }

        self.count_frame()?;
        self.end_of_data_frame(sink)?;
        self.end_of_frame();
        Ok(())
    }

    fn end_of_frame(&mut self) {
        self.frame.taken = 0;
        self.chunks = 0;
        if self.stage != Stage::Finished {
            self.stage = Stage::Start;
        }

        let idle = self.message_opcode.is_none();
        if idle && matches!(&self.parts, Some(parts) if parts.inflater.is_none()) {
            self.parts = None;
        }
    }

    /// The kind of the current message, of which `self.frame` is a part.
    fn opcode(&self) -> Opcode {
        self.message_opcode.unwrap_or(self.frame.opcode)
    }

    /// Whether the current message is text that is to be checked.
    fn checks_text(&self) -> bool {
        self.opcode() == Opcode::Text && !self.config.skip_utf8_validation
    }

    /// A piece of an uncompressed data frame's payload.
    fn plain<S: Sink>(
        &mut self,
        piece: &[u8],
        complete: bool,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        let text = self.checks_text();
        let frame = &self.frame;
        let single = frame.fin && self.message_opcode.is_none();

        if single && complete && frame.taken == 0 {
            if let Some(room) = sink.reserve(piece.len()) {
                copy_masked(room, piece, frame.key, 0);
                self.total_payload_length = 0;

                if text && !is_valid(room) {
                    return Err(ProtocolError::InvalidUtf8);
                }

                sink.event(Event::Message {
                    payload: Payload::Reserved(piece.len()),
                    binary: frame.opcode == Opcode::Binary,
                    fragments: &[],
                });
                return Ok(());
            }
        }

        let message = &mut self.parts.get_or_insert_default().message;

        if single && frame.fulfils_promise(piece.len()) {
            let room = usize::try_from(frame.length).ok();

            if let Some(room) = room.and_then(|len| sink.allocate(len)) {
                message.move_to(room);
            }
        }

        message.append(piece, frame.key, frame.taken, frame.left(), text);

        if complete {
            self.count_frame()?;
            self.end_of_data_frame(sink)?;
        }

        Ok(())
    }

    fn count_frame(&mut self) -> Result<(), ProtocolError> {
        let max = self.config.max_fragments;
        self.frames = self.frames.saturating_add(1);

        if max > 0 && self.frames > max {
            return Err(ProtocolError::TooManyFragments);
        }

        Ok(())
    }

    /// The message has all of the current frame.
    fn end_of_data_frame<S: Sink>(&mut self, sink: &mut S) -> Result<(), ProtocolError> {
        let opcode = self.opcode();
        let single = self.message_opcode.is_none() && self.frame.fin;

        let text = self.checks_text();
        self.end_of_part();

        let message = &mut self.parts.get_or_insert_default().message;
        if !single {
            message.end_fragment();
        }

        if !self.frame.fin {
            return Ok(());
        }

        if text && self.compressed {
            // All of it, should that not have been asked for from the beginning.
            message.check_text();
        }

        let Whole {
            data,
            room,
            fragments,
            valid_utf8,
        } = message.finish();

        if text && !valid_utf8 {
            return Err(ProtocolError::InvalidUtf8);
        }

        let payload = match room {
            Some(room) => Payload::Room(room),
            None => store_vec(data, sink),
        };
        sink.event(Event::Message {
            payload,
            binary: opcode == Opcode::Binary,
            fragments: &fragments,
        });
        Ok(())
    }

    /// Takes note that the message goes on after the current frame, or not.
    fn end_of_part(&mut self) {
        if self.frame.fin {
            self.message_opcode = None;
            self.frames = 0;
            self.total_payload_length = 0;
        } else {
            self.message_opcode = Some(self.opcode());
        }
    }

    fn fail<S: Sink>(&mut self, error: ProtocolError, sink: &mut S) {
        self.finish();
        sink.event(Event::Error(error));
    }

    /// Gives up everything that only a further frame would need.
    fn finish(&mut self) {
        self.stage = Stage::Finished;
        self.parts = None;
    }
}
