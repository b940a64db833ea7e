//! One connection: a socket, the decoder of what it receives, and what it
//! waits for.
//!
//! Polled by a home with the connection's own waker; writes what happened into
//! the inbox. Sending is immediate: the kernel takes the bytes or says how
//! many it took, and the caller keeps the rest until [`RowKind::Writable`].
//! An idle connection holds no buffers.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{recv, send, sendmsg, RecvFlags, SendAncillaryBuffer, SendFlags};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use super::driver::{errno, register};
use super::inbox::{Inbox, RowKind, SMALL};
use crate::protocol::frame::MAX_HEADER;
use crate::protocol::receiver::{Receiver, ReceiverConfig, Sink};

/// Bytes of large messages that are received in one turn at the most, so that
/// no connection starves others. (Of small ones it is one buffer: the program
/// has more to do for them.)
const LARGE: usize = 512 * 1024;

/// How many bytes messages must have for it to pay to receive them where they
/// stay: smaller ones are better read by the dozen, and copied from memory that
/// the processor has at hand.
const MEDIUM: usize = 4 * 1024;

/// Where the next bytes are received, and how many at the most.
enum Place {
    /// In the buffer, from which they are copied.
    Buffer(usize),
    /// In the inbox's tail, where they stay.
    Within(usize),
}

/// A connection in its home. Idle ones are many, so it is kept small.
pub struct Connection {
    /// Registered for reading, and while the kernel takes no bytes for writing,
    /// too. `None` when it was taken, or could not be registered again.
    socket: Option<AsyncFd<OwnedFd>>,
    receiver: Receiver,
    /// The rest of a chunk that waits for room in the inbox. Few have one, so it
    /// is worth the indirection.
    #[expect(clippy::box_collection)]
    backlog: Option<Box<Vec<u8>>>,
    /// Whether the chunk that is fed was decoded in part before.
    resumed: bool,
    /// How many bytes are read into the buffer at the most. When the last
    /// message was large, that is what it takes to get room for the rest of
    /// the next one, because what is in the buffer must be copied.
    part: u32,
    /// Whether that has cut the last chunk short.
    cut: bool,
    /// How many bytes a message of the last chunk had, if the next ones are to
    /// be received where they stay; otherwise 0.
    expected: u16,
    /// Whether it has waited for an inbox with room for that.
    waited: bool,
    /// Whether the last read got as much as it asked for.
    flooded: bool,
    reading: bool,
    ended: bool,
    /// Whether both directions were closed when data was last read.
    hung_up: bool,
    /// Whether the kernel takes no bytes.
    blocked: bool,
    /// The errno that says why it cannot be known when the kernel takes bytes again;
    /// otherwise 0.
    failure: u16,
}

impl Connection {
    /// Takes a connected, non-blocking stream socket. Reading begins with
    /// [`Self::set_reading`].
    pub fn new(socket: AsyncFd<OwnedFd>, receiver: Receiver) -> Self {
        Self {
            socket: Some(socket),
            receiver,
            backlog: None,
            resumed: false,
            part: u32::MAX,
            cut: false,
            expected: 0,
            waited: false,
            flooded: false,
            reading: false,
            ended: false,
            hung_up: false,
            blocked: false,
            failure: 0,
        }
    }

    /// Starts or stops the delivery of received data.
    pub fn set_reading(&mut self, reading: bool, cx: &mut Context<'_>) {
        self.reading = reading;
        let is_due = if reading {
            self.backlog.is_some() || self.poll_read_ready(cx).is_ready()
        } else {
            self.poll_over(cx).is_ready()
        };
        if is_due {
            cx.waker().wake_by_ref();
        }
    }

    /// Ready when there is something to read, or that cannot be known.
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.socket {
            Some(socket) => socket.poll_read_ready(cx).map(drop),
            None => Poll::Pending,
        }
    }

    /// Ready when the peer has ended its side, both directions are closed, or that
    /// cannot be known. (Unless the kernel takes no bytes, the socket is registered
    /// for reading only, so nothing else makes it ready for writing.)
    fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(socket) = &self.socket else {
            return Poll::Pending;
        };
        let peer_ended = match socket.poll_read_ready(cx) {
            Poll::Ready(Ok(guard)) => guard.ready().is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        // Asked in any case: each registers the waker for what it is about.
        match socket.poll_write_ready(cx) {
            Poll::Pending if !peer_ended => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// Decodes data that was received before the connection was made. Returns
    /// how many bytes were consumed: fewer than there are when the inbox is
    /// full, and then the rest comes next.
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

    /// Takes back some of those bytes, to be decoded before what comes next.
    pub fn put_back(&mut self, rest: Vec<u8>, cx: &mut Context<'_>) {
        self.set_backlog(rest);
        cx.waker().wake_by_ref();
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

    /// Hands `buffers` to the kernel, in order, in one call.
    ///
    /// Returns how many bytes it took (0 when it takes none now).
    ///
    /// # Errors
    /// The kernel's, such as `EPIPE`.
    pub fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = self.socket().ok_or(Errno::BADF)?;
        loop {
            let sent = match buffers {
                [one] => send(socket, one, SendFlags::NOSIGNAL),
                _ => {
                    let mut nothing = SendAncillaryBuffer::default();
                    sendmsg(socket, buffers, &mut nothing, SendFlags::NOSIGNAL)
                }
            };
            match sent {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                sent => return Ok(sent?),
            }
        }
    }

    /// The socket, unless it was taken.
    pub fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref().map(AsyncFd::get_ref)
    }

    /// Takes the socket out: nothing happens here any more. To be called in the
    /// runtime's context.
    pub fn take_socket(&mut self) -> Option<OwnedFd> {
        self.socket.take().map(AsyncFd::into_inner)
    }

    /// Takes up to `most` bytes from the kernel that have been received, for
    /// somebody else to decode after what [`Self::into_parts`] gives.
    pub fn take_received(&self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let received = self.socket().map(|socket| receive(socket, &mut bytes));
        bytes.truncate(received.and_then(Result::ok).unwrap_or_default());
        bytes
    }

    /// Asks for a [`RowKind::Writable`] row once the kernel takes bytes again,
    /// after a write that was cut short. To be called in the runtime's context.
    pub fn want_write(&mut self, cx: &mut Context<'_>) {
        self.blocked = true;
        self.watch(Interest::READABLE | Interest::WRITABLE);
        // Registers the waker, which the driver knew before, or has a failure
        // reported.
        if self.poll_blocked(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        self.set_reading(self.reading, cx);
    }

    /// Registers the socket anew. What it is ready for now, the driver will find
    /// out again.
    fn watch(&mut self, interest: Interest) {
        let Some(socket) = self.take_socket() else {
            return;
        };
        match register(socket, interest) {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => self.failure = errno(&error) as u16,
        }
    }

    /// Ready when the kernel takes bytes again, or that cannot be known.
    fn poll_blocked(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.socket {
            _ if !self.blocked => Poll::Pending,
            Some(socket) => socket.poll_write_ready(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// Whether there is less room in the inbox than the next message is expected
    /// to take, where it is to stay. That is no reason to wait for another one
    /// more than once.
    pub fn lacks_room(&mut self, inbox: &mut Inbox<'_>) -> bool {
        let lacks = self.reading && inbox.tail().len() < self.expected as usize;
        self.waited = lacks && !self.waited;
        self.waited
    }

    /// Does what can be done now; registers the waker for the rest. Received
    /// bytes go into `buffer`, which is filled once at the most, or straight to
    /// where a large message stays.
    pub fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8], inbox: &mut Inbox<'_>) {
        if self.poll_blocked(cx).is_ready() {
            self.blocked = false;
            self.watch(Interest::READABLE);
            if self.failure != 0 {
                return self.fail(self.failure.into(), inbox);
            }
            inbox.row(RowKind::Writable, 0, 0, 0);
        }
        if self.ended {
            return;
        }
        if !self.reading {
            // What has been received comes before the end.
            if self.backlog.is_some() {
                self.complete_frame(cx, inbox);
            } else if self.poll_over(cx).is_ready() {
                self.check_end(inbox);
            }
            return;
        }
        if self.backlog.is_some() {
            let chunk = self.take_backlog();
            inbox.read(0);
            self.decode(&chunk, cx, inbox);
            // What the kernel has is for the next turn.
            cx.waker().wake_by_ref();
            return;
        }
        let mut left = LARGE;
        while let Some(socket) = &self.socket {
            let Poll::Ready(ready) = socket.poll_read_ready(cx) else {
                return;
            };
            let mut guard = match ready {
                Ok(guard) => guard,
                Err(error) => return self.fail(errno(&error), inbox),
            };
            let place = self.place(buffer.len(), inbox);
            let room = self.receiver.room(inbox).unwrap_or_default();
            let (room_len, size, read) = match place {
                Place::Within(size) => read_within(guard.get_inner(), size, inbox),
                Place::Buffer(size) => read(guard.get_inner(), room, left, &mut buffer[..size]),
            };
            match read {
                Ok(0) => return self.end(inbox),
                Ok(read) => {
                    let short = read < size;
                    let hung_up = guard.ready().is_write_closed();
                    if short {
                        // Nothing is left in the kernel: spares the read that
                        // would say so. (tokio keeps "closed by the peer".)
                        guard.clear_ready();
                    }
                    drop(guard);
                    inbox.read(read);
                    let goes_on = std::mem::take(&mut self.cut);
                    if goes_on {
                        self.receiver.go_on();
                    }
                    let in_place = room_len.min(read);
                    if in_place > 0 && goes_on {
                        self.receiver.filled_on(in_place, inbox);
                    } else if in_place > 0 {
                        self.receiver.filled(in_place, inbox);
                    }
                    self.flooded = !short;
                    match place {
                        Place::Within(_) => self.decode_within(read, buffer, cx, inbox),
                        Place::Buffer(size) if read > in_place => {
                            self.resumed |= in_place > 0 || goes_on;
                            self.decode(&buffer[..read - in_place], cx, inbox);
                            self.adapt(short, size, buffer.len(), inbox);
                        }
                        Place::Buffer(_) => {}
                    }
                    left = left.saturating_sub(read);
                    let more = short || self.receiver.room(inbox).is_some();
                    if !more || left == 0 || self.backlog.is_some() || inbox.is_full() {
                        cx.waker().wake_by_ref();
                        return;
                    }
                    if short {
                        // Ready again means closed by the peer. That is an
                        // event of a later turn, as it is with libuv, and an
                        // end whatever the reason if both sides are closed.
                        self.hung_up |= hung_up;
                        if self.poll_read_ready(cx).is_ready() {
                            cx.waker().wake_by_ref();
                        }
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    guard.clear_ready();
                    self.cut = false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) if self.hung_up => return self.end(inbox),
                Err(error) => return self.fail(errno(&error), inbox),
            }
        }
    }

    /// Goes on decompressing a frame that has been received whole, and leaves what
    /// follows it.
    fn complete_frame(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) {
        if !self.receiver.is_inflating() {
            return;
        }
        let mut backlog = self.take_backlog();
        // The frame's last byte; see `Receiver::is_inflating`.
        let consumed = self.feed(&backlog[..1], inbox);
        backlog.drain(..consumed);
        self.resumed = !backlog.is_empty();
        self.set_backlog(backlog);
        cx.waker().wake_by_ref();
    }

    /// Reports a reset although nobody reads, and the end unless data came before
    /// it.
    fn check_end(&mut self, inbox: &mut Inbox<'_>) {
        let Some(socket) = self.socket() else {
            return;
        };
        match recv(socket, &mut [0], RecvFlags::PEEK) {
            Ok((_, 0)) => self.end(inbox),
            Ok(_) => {
                if let Ok(Err(error)) = socket_error(socket) {
                    self.fail(error.raw_os_error(), inbox);
                }
            }
            Err(Errno::AGAIN) => {}
            Err(error) => self.fail(error.raw_os_error(), inbox),
        }
    }

    /// Reads what has been received without asking first whether anything has.
    /// False if that may not be all there is to do.
    ///
    /// What the driver may know of the socket stays as it is: a readiness that
    /// it finds later is one for which a read finds nothing.
    pub fn poll_now(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) -> bool {
        let is_plain = self.reading
            && !self.ended
            && !self.hung_up
            && self.backlog.is_none()
            && !self.blocked
            && self.failure == 0
            && !self.cut
            && !inbox.is_full()
            && inbox.tail().len() >= self.expected as usize
            && self.receiver.room(inbox).is_none();
        let Some(socket) = self.socket.as_ref().filter(|_| is_plain) else {
            return false;
        };
        let socket = socket.get_ref();
        let place = self.place(buffer.len(), inbox);
        let (_, size, read) = match place {
            Place::Within(size) => read_within(socket, size, inbox),
            Place::Buffer(size) => read(socket, &mut [], 0, &mut buffer[..size]),
        };
        // The end, and errors, are left to the driver, which knows more.
        let Ok(read @ 1..) = read else {
            return false;
        };
        let short = read < size;
        inbox.read(read);
        self.flooded = !short;
        match place {
            Place::Within(_) => self.decode_within(read, buffer, cx, inbox),
            Place::Buffer(size) => {
                self.decode(&buffer[..read], cx, inbox);
                self.adapt(short, size, buffer.len(), inbox);
            }
        }
        // If there may be more, of that the driver is yet to tell.
        short && self.receiver.room(inbox).is_none()
    }

    /// Decides where the next bytes are received, at most `most`, unless a large
    /// message has room for them.
    fn place(&self, most: usize, inbox: &mut Inbox<'_>) -> Place {
        let part = most.min(self.part as usize);
        let (each, tail) = (self.expected as usize, inbox.tail().len());
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

    /// Decides how much is read into the buffer next time, whose size is `most`,
    /// after a read of up to `size` bytes.
    fn adapt(&mut self, short: bool, size: usize, most: usize, inbox: &Inbox<'_>) {
        self.cut = !short && size < most && size == self.part as usize;
        let room = self.receiver.room(inbox);
        if room.is_some_and(|room| room.len() > most) {
            self.part = u32::try_from(self.receiver.room_from()).unwrap_or(u32::MAX);
        } else if !short {
            self.part = u32::MAX;
        }
    }

    fn set_backlog(&mut self, bytes: Vec<u8>) {
        self.backlog = (!bytes.is_empty()).then(|| Box::new(bytes));
    }

    fn take_backlog(&mut self) -> Vec<u8> {
        self.backlog.take().map(|bytes| *bytes).unwrap_or_default()
    }

    fn end(&mut self, inbox: &mut Inbox<'_>) {
        self.ended = true;
        inbox.row(RowKind::End, 0, 0, 0);
    }

    /// Decodes `len` bytes that were received into the inbox's tail: there, or
    /// in the buffer if need be, which is at least as large.
    fn decode_within(
        &mut self,
        len: usize,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
        inbox: &mut Inbox<'_>,
    ) {
        let before = inbox.len();
        let done = self.receiver.feed_within(len, inbox);
        let messages = inbox.len() - before;
        let rest = &mut buffer[..len - done];
        if !rest.is_empty() {
            rest.copy_from_slice(&inbox.tail()[..len - done]);
            self.resumed = done > 0;
            self.decode(rest, cx, inbox);
        }
        if done > 0 {
            self.expect(done, messages);
        }
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

    fn decode(&mut self, chunk: &[u8], cx: &mut Context<'_>, inbox: &mut Inbox<'_>) {
        let (before, left) = (inbox.len(), self.receiver.left());
        let consumed = self.feed(chunk, inbox);
        // The rest of one message says nothing about those that follow, and the
        // beginning of another one not enough.
        let parts = left + self.receiver.begun();
        let whole = consumed.saturating_sub(usize::try_from(parts).unwrap_or(usize::MAX));
        let events = (inbox.len() - before).saturating_sub(usize::from(left > 0));
        self.expect(whole, events);
        if consumed < chunk.len() {
            self.set_backlog(chunk[consumed..].to_vec());
            cx.waker().wake_by_ref();
        }
    }

    fn fail(&mut self, errno: i32, inbox: &mut Inbox<'_>) {
        self.ended = true;
        inbox.row(RowKind::Failed, 0, 0, errno.unsigned_abs() as usize);
    }
}

/// Reads at most `limit` bytes into `room`; what follows goes into `buffer`,
/// unless `room` is limited. Returns how much of `room` was offered, how much
/// in all, and how much was read.
fn read(
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

/// Reads at most `limit` bytes into the tail of `inbox`; returns what [`read`]
/// does.
fn read_within(
    socket: &OwnedFd,
    limit: usize,
    inbox: &mut Inbox<'_>,
) -> (usize, usize, io::Result<usize>) {
    let tail = inbox.tail();
    let size = tail.len().min(limit);
    (0, size, receive(socket, &mut tail[..size]))
}

/// Takes received bytes from the kernel. (rustix makes system calls without
/// the detour of libc's functions, which prepare for the thread's
/// cancellation; that takes as long as it takes to decode a small message.)
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, len) = recv(socket, buffer, RecvFlags::empty())?;
    Ok(len)
}
