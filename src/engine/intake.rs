//! How a connection takes in what it receives: from the kernel to the decoder,
//! through the memory that costs the least.
//!
//! Small messages are read by the dozen into a buffer and copied. Large ones are
//! received into memory of their own, but for the beginning, and floods of
//! medium ones where they stay in the inbox. Called by the connection, which
//! knows when there is something to read; must not know what it waits for.

use std::io::{self, ErrorKind, IoSliceMut};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;

use rustix::net::{recv, RecvFlags};

use super::inbox::{Inbox, SMALL};
use crate::protocol::frame::MAX_HEADER;
use crate::protocol::receiver::{Receiver, ReceiverConfig, Sink};

/// How many bytes messages must have for it to pay to receive them where they
/// stay: smaller ones are better read by the dozen, and copied from memory that
/// the processor has at hand.
const MEDIUM: usize = 4 * 1024;

/// Where the next bytes are received, and how many at the most.
#[derive(Clone, Copy)]
enum Place {
    /// In the buffer, from which they are copied.
    Buffer(usize),
    /// In the inbox's tail, where they stay.
    Within(usize),
}

/// What one read got: to be decoded before the next one.
pub struct Piece {
    /// Bytes; none at the end of the stream.
    pub len: usize,
    /// Whether that is less than was asked for, so that there is no more.
    pub short: bool,
    /// How many of them are in the decoder's room. Those that follow are in
    /// `place`.
    in_room: usize,
    place: Place,
}

impl Piece {
    /// How much libuv, which would have read `once` bytes at once, would have read as
    /// well: fewer were asked for, because of where they go.
    pub fn rest(&self, once: usize) -> Option<usize> {
        let is_cut = !self.short && self.len < once;
        is_cut.then(|| once - self.len)
    }

    /// Whether it goes on with a large message, which is read in pieces of its own.
    pub fn is_large(&self) -> bool {
        self.in_room > 0
    }

    /// Whether it is where messages stay, which is worth a read more.
    pub fn is_within(&self) -> bool {
        matches!(self.place, Place::Within(_))
    }
}

/// The decoder of a connection, and how it gets its next bytes.
pub struct Intake {
    receiver: Receiver,
    /// The rest of a chunk that waits for room in the inbox. Few have one, so it
    /// is worth the indirection.
    #[expect(clippy::box_collection)]
    backlog: Option<Box<Vec<u8>>>,
    /// How many bytes are read into the buffer at the most, if not all that it
    /// takes. When the last message was large, that is what it takes to get room
    /// for the rest of the next one, because what is in the buffer must be
    /// copied.
    part: Option<NonZeroU16>,
    /// How many bytes a message of the last chunk had, if the next ones are to
    /// be received where they stay; otherwise 0.
    expected: u16,
    /// Whether it has waited for an inbox with room for that.
    waited: bool,
    /// Whether the last chunk has been cut short, by `part` or for want of room where
    /// messages stay.
    cut: bool,
    /// Whether the last read got as much as it asked for.
    flooded: bool,
    /// Whether the chunk that is fed was decoded in part before.
    resumed: bool,
}

impl Intake {
    /// An intake that has received nothing.
    pub fn new(receiver: Receiver) -> Self {
        Self {
            receiver,
            backlog: None,
            part: None,
            expected: 0,
            waited: false,
            cut: false,
            flooded: false,
            resumed: false,
        }
    }

    /// Decodes data that was received before anything was read. Returns how many
    /// bytes were consumed: fewer than there are when the inbox is full, and
    /// then the rest comes next.
    pub fn feed(&mut self, chunk: &[u8], inbox: &mut Inbox<'_>) -> usize {
        let consumed = if self.resumed {
            self.receiver.resume(chunk, inbox)
        } else {
            self.receiver.feed(chunk, inbox)
        };
        self.resumed = consumed < chunk.len();
        consumed
    }

    /// Changes what the decoder accepts; see [`Receiver::set_limits`].
    pub fn set_limits(&mut self, limits: ReceiverConfig) {
        self.receiver.set_limits(limits);
    }

    /// Answers the decoder's question who decompresses; see
    /// [`Receiver::decide_inflating`]. Returns the received bytes that had to
    /// wait for that, for [`Self::feed`].
    pub fn decide_inflating(&mut self, here: bool) -> Vec<u8> {
        self.receiver.decide_inflating(here);
        self.take_backlog()
    }

    /// Takes back some of those bytes, to be decoded before what is read next.
    pub fn put_back(&mut self, rest: Vec<u8>) {
        match &mut self.backlog {
            Some(backlog) => backlog.extend(rest),
            None => self.backlog = (!rest.is_empty()).then(|| Box::new(rest)),
        }
    }

    /// The decoder, with its state, and received bytes not yet decoded.
    pub fn into_parts(mut self) -> (Receiver, Vec<u8>) {
        if self.cut {
            self.receiver.go_on();
        }
        let backlog = self.take_backlog();
        (self.receiver, backlog)
    }

    /// Total payload length of the message being received, as ws counts it.
    pub fn total_payload_length(&self) -> u64 {
        self.receiver.total_payload_length()
    }

    /// Whether there are received bytes not yet decoded. They come before what
    /// is read next.
    pub fn has_backlog(&self) -> bool {
        self.backlog.is_some()
    }

    /// Whether a large message is being decompressed, little by little.
    pub fn is_inflating(&self) -> bool {
        self.has_backlog() && self.receiver.is_inflating()
    }

    /// Whether all that the backlog waits for is another inbox: there was no room, or
    /// who gets the events is to see them before a length is [too
    /// much](Receiver::is_held).
    pub fn lacks_inbox(&self) -> bool {
        self.has_backlog() && !self.receiver.is_asking() && !self.receiver.is_inflating()
    }

    fn take_backlog(&mut self) -> Vec<u8> {
        self.backlog.take().map(|bytes| *bytes).unwrap_or_default()
    }

    /// Whether there is room for the rest of a large message.
    pub fn has_room(&mut self, inbox: &Inbox<'_>) -> bool {
        self.receiver.room(inbox).is_some()
    }

    /// Whether there is less room in the inbox than the next message is expected
    /// to take, where it is to stay. That is no reason to wait for another one
    /// more than once.
    pub fn lacks_room(&mut self, inbox: &mut Inbox<'_>) -> bool {
        self.waited = !self.has_expected_room(inbox) && !self.waited;
        self.waited
    }

    fn has_expected_room(&self, inbox: &mut Inbox<'_>) -> bool {
        inbox.tail().len() >= self.expected.into()
    }

    /// Whether the next bytes begin a chunk that `inbox` has room for.
    pub fn is_plain(&mut self, inbox: &mut Inbox<'_>) -> bool {
        let is_whole = self.backlog.is_none() && !self.cut && !self.has_room(inbox);
        is_whole && !inbox.is_full() && self.has_expected_room(inbox)
    }

    /// Whether the last chunk has been cut short by `part`. To be asked when it has
    /// been decoded.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// How much of a large message is read at the most, and the part of `buffer` for
    /// what follows, if no more than `rest` bytes are to be read: those that the last
    /// chunk has been cut short by.
    pub fn bound<'a>(
        &mut self,
        limit: usize,
        rest: Option<usize>,
        buffer: &'a mut [u8],
        inbox: &Inbox<'_>,
    ) -> (usize, &'a mut [u8]) {
        let Some(rest) = rest else {
            return (limit, buffer);
        };
        self.cut = true;
        let room = self.receiver.room(inbox).map_or(0, |room| room.len());
        let size = rest.saturating_sub(room).min(buffer.len());
        (limit.min(rest), &mut buffer[..size])
    }

    /// Takes bytes from the kernel, into `buffer` or to where they stay: at most
    /// `limit` of a large message.
    ///
    /// # Errors
    /// The kernel's, such as `ECONNRESET`; `WouldBlock` when it has none.
    pub fn read(
        &mut self,
        socket: &OwnedFd,
        limit: usize,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) -> io::Result<Piece> {
        let place = self.place(buffer.len(), inbox);
        let (room_len, size, read) = match place {
            Place::Within(size) => (0, size, receive(socket, &mut inbox.tail()[..size])),
            Place::Buffer(size) => {
                let room = self.receiver.room(inbox).unwrap_or_default();
                receive_into(socket, room, limit, &mut buffer[..size])
            }
        };
        if read
            .as_ref()
            .is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
        {
            self.cut = false;
        }
        let len = read?;
        self.flooded = len == size;
        Ok(Piece {
            len,
            short: len < size,
            in_room: room_len.min(len),
            place,
        })
    }

    /// Decides where the next bytes are received, at most `most`, unless a large
    /// message has room for them.
    fn place(&self, most: usize, inbox: &mut Inbox<'_>) -> Place {
        let part = self.part.map_or(most, |part| most.min(part.get().into()));
        let (each, tail) = (usize::from(self.expected), inbox.tail().len());
        if each == 0 || self.cut || tail < each {
            return Place::Buffer(part);
        }
        // The rest of a message that has been cut is copied, but not what follows.
        let left = self.receiver.left();
        if left > 0 {
            return Place::Buffer(usize::try_from(left).map_or(part, |left| left.min(part)));
        }
        let size = tail.min(most);
        // If there are many messages, none is cut as long as they are of a size.
        // If there are not, less than asked for says that there is no more.
        Place::Within(if self.flooded {
            size - size % each
        } else {
            size
        })
    }

    /// Decodes what [`Self::read`] has got, with the same buffer. It may be joined to
    /// the piece before.
    pub fn decode(
        &mut self,
        piece: &Piece,
        buffer: &mut [u8],
        is_joined: bool,
        inbox: &mut Inbox<'_>,
    ) {
        if is_joined {
            inbox.read_on(piece.len);
        } else {
            inbox.read(piece.len);
        }
        let goes_on = std::mem::take(&mut self.cut);
        if goes_on {
            self.receiver.go_on();
        }
        if piece.in_room > 0 && goes_on {
            self.receiver.filled_on(piece.in_room, inbox);
        } else if piece.in_room > 0 {
            self.receiver.filled(piece.in_room, inbox);
        }
        let rest = piece.len - piece.in_room;
        match piece.place {
            Place::Within(_) => self.decode_within(rest, buffer, inbox),
            Place::Buffer(size) if rest > 0 => {
                self.resumed |= piece.in_room > 0 || goes_on;
                self.decode_chunk(&buffer[..rest], inbox);
                self.adapt(piece.short, size, buffer.len(), inbox);
            }
            Place::Buffer(_) => {}
        }
    }

    /// Decodes `len` bytes that were received into the inbox's tail: there, or
    /// in the buffer if need be, which is at least as large.
    fn decode_within(&mut self, len: usize, buffer: &mut [u8], inbox: &mut Inbox<'_>) {
        let before = inbox.len();
        let done = self.receiver.feed_within(len, inbox);
        let messages = inbox.len() - before;
        let rest = &mut buffer[..len - done];
        if !rest.is_empty() {
            rest.copy_from_slice(&inbox.tail()[..len - done]);
            self.resumed = done > 0;
            self.decode_chunk(rest, inbox);
        }
        if done > 0 {
            self.expect(done, messages);
        }
    }

    fn decode_chunk(&mut self, chunk: &[u8], inbox: &mut Inbox<'_>) {
        let (before, left) = (inbox.len(), self.receiver.left());
        let consumed = self.feed(chunk, inbox);
        // The rest of one message says nothing about those that follow, and the
        // beginning of another one not enough.
        let parts = left + self.receiver.begun();
        let whole = consumed.saturating_sub(usize::try_from(parts).unwrap_or(usize::MAX));
        let events = (inbox.len() - before).saturating_sub(usize::from(left > 0));
        self.expect(whole, events);
        if consumed < chunk.len() {
            self.put_back(chunk[consumed..].to_vec());
        }
    }

    /// Decodes received bytes that had to wait.
    pub fn decode_backlog(&mut self, inbox: &mut Inbox<'_>) {
        let chunk = self.take_backlog();
        inbox.read(0);
        self.decode_chunk(&chunk, inbox);
    }

    /// Decides whether the next messages are received where they stay, after
    /// some bytes that came to so many events.
    fn expect(&mut self, bytes: usize, events: usize) {
        let Some(each) = bytes.checked_div(events) else {
            return;
        };
        let is_medium = (MEDIUM..=SMALL + MAX_HEADER).contains(&each);
        // What is compressed does not stay.
        self.expected = if is_medium && !self.receiver.has_deflate() {
            each as u16
        } else {
            0
        };
    }

    /// Decides how much is read into the buffer next time, whose size is `most`,
    /// after a read of up to `size` bytes.
    fn adapt(&mut self, short: bool, size: usize, most: usize, inbox: &Inbox<'_>) {
        let is_part = self.part.is_some_and(|part| size == part.get().into());
        self.cut = !short && size < most && is_part;
        let room = self.receiver.room(inbox);
        if room.is_some_and(|room| room.len() > most) {
            let from = u16::try_from(self.receiver.room_from());
            self.part = from.ok().and_then(NonZeroU16::new);
        } else if !short {
            self.part = None;
        }
    }
}

/// Receives at most `limit` bytes into `room`; what follows goes into `buffer`,
/// unless `room` is limited. Returns how much of `room` was offered, how much
/// in all, and how much was received.
fn receive_into(
    socket: &OwnedFd,
    room: &mut [u8],
    limit: usize,
    buffer: &mut [u8],
) -> (usize, usize, io::Result<usize>) {
    if room.is_empty() {
        return (0, buffer.len(), receive(socket, buffer));
    }
    let room_len = room.len().min(limit);
    if room_len < room.len() {
        return (room_len, room_len, receive(socket, &mut room[..room_len]));
    }
    let size = room_len + buffer.len();
    let mut parts = [IoSliceMut::new(room), IoSliceMut::new(buffer)];
    let read = rustix::io::readv(socket, &mut parts);
    (room_len, size, read.map_err(io::Error::from))
}

/// Takes received bytes from the kernel. (rustix makes system calls without
/// the detour of libc's functions, which prepare for the thread's
/// cancellation; that takes as long as it takes to decode a small message.)
///
/// # Errors
/// The kernel's.
pub fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, len) = recv(socket, buffer, RecvFlags::empty())?;
    Ok(len)
}
