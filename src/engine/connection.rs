//! One connection: a socket, the intake of what it receives, and what it waits
//! for.
//!
//! Polled by a home with the connection's own waker; writes what happened into
//! the inbox. Sending is immediate: the kernel takes the bytes or says how
//! many it took, and the caller keeps the rest until [`RowKind::Writable`].
//! An idle connection holds no buffers.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{recv, send, sendmsg, RecvFlags, SendAncillaryBuffer, SendFlags};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use super::driver::{errno, forget_mark, is_drained, register, READING};
use super::inbox::{Inbox, RowKind};
use super::intake::{receive, Intake, Piece};
use crate::protocol::receiver::{Receiver, Sink};

/// Bytes of large messages that are received in one turn at the most, so that
/// no connection starves others. (Of small ones it is one buffer: the program
/// has more to do for them.)
pub const LARGE: usize = 512 * 1024;

/// What is next for a connection that has been polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// It waits until it is woken.
    Wait,
    /// To be polled at once with an inbox that has room, for the rest of what has been
    /// read: with ws all of one read is handed over in one go.
    Rest,
    /// To be polled at once when the events so far have been seen: it has stopped at
    /// the end of a large message, and may have more to read. With ws nobody else has
    /// a turn in between, for a while.
    Read,
}

/// A connection in its home. Idle ones are many, so it is kept small.
pub struct Connection {
    /// Registered for reading, and while the kernel takes no bytes for writing,
    /// too. `None` when it was taken, or could not be registered again.
    socket: Option<AsyncFd<OwnedFd>>,
    intake: Intake,
    reading: bool,
    /// Whether what has been read waits as well while `reading` is off: who gets the
    /// events holds too many.
    full: bool,
    ended: bool,
    /// Whether both directions were closed when data was last read.
    hung_up: bool,
    /// Whether the kernel takes no bytes.
    blocked: bool,
    /// The errno that says why the socket could not be registered again, until it is
    /// reported; otherwise 0.
    failure: u16,
}

impl Connection {
    /// Takes a connected, non-blocking stream socket. Reading begins with
    /// [`Self::set_reading`].
    pub fn new(socket: AsyncFd<OwnedFd>, receiver: Receiver) -> Self {
        Self {
            socket: Some(socket),
            intake: Intake::new(receiver),
            reading: false,
            full: false,
            ended: false,
            hung_up: false,
            blocked: false,
            failure: 0,
        }
    }

    /// Starts or stops the delivery of received data. What is read already is
    /// delivered in any case: with ws it has been handed over.
    pub fn set_reading(&mut self, reading: bool, cx: &mut Context<'_>) {
        self.reading = reading;
        self.full = false;
        let is_due = if reading {
            self.intake.has_backlog() || self.poll_read_ready(cx).is_ready()
        } else {
            self.poll_over(cx).is_ready()
        };
        if is_due {
            cx.waker().wake_by_ref();
        }
    }

    /// Stops also the delivery of what is read already, or no longer.
    pub fn set_full(&mut self, full: bool, cx: &mut Context<'_>) {
        self.full = full;
        if !full && self.intake.has_backlog() {
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

    /// What becomes of received bytes.
    pub fn intake(&mut self) -> &mut Intake {
        &mut self.intake
    }

    /// Takes back received bytes, to be decoded before what comes next.
    pub fn put_back(&mut self, rest: Vec<u8>, cx: &mut Context<'_>) {
        self.intake.put_back(rest);
        cx.waker().wake_by_ref();
    }

    /// The decoder, with its state, and received bytes not yet decoded.
    pub fn into_parts(self) -> (Receiver, Vec<u8>) {
        self.intake.into_parts()
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
        self.watch(cx);
    }

    /// Registers the socket anew, for what is waited for. What it is ready for now,
    /// the driver will find out again.
    fn watch(&mut self, cx: &mut Context<'_>) {
        let Some(socket) = self.take_socket() else {
            return;
        };
        let interest = match self.blocked {
            true => READING | Interest::WRITABLE,
            false => READING,
        };
        match register(socket, interest) {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => {
                self.failure = errno(&error) as u16;
                return cx.waker().wake_by_ref();
            }
        }
        // Has the driver know the waker.
        if self.poll_blocked(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        if !self.ended {
            self.set_reading(self.reading, cx);
        }
    }

    /// Ready when the kernel takes bytes again.
    fn poll_blocked(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.socket {
            Some(socket) if self.blocked => socket.poll_write_ready(cx).map(drop),
            _ => Poll::Pending,
        }
    }

    /// Whether it is to be polled with an inbox that has more room; see
    /// [`Intake::lacks_room`].
    pub fn lacks_room(&mut self, inbox: &mut Inbox<'_>) -> bool {
        self.reading && !self.intake.has_backlog() && self.intake.lacks_room(inbox)
    }

    /// Does what can be done now; registers the waker for the rest. Received
    /// bytes go into `buffer`, which is filled once at the most, or straight to
    /// where a large message stays.
    pub fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8], inbox: &mut Inbox<'_>) -> Next {
        let failure = std::mem::take(&mut self.failure);
        if failure != 0 {
            return self.fail(failure.into(), inbox);
        }
        let is_writable = self.poll_blocked(cx).is_ready();
        // In this order, as libuv does it: a reset is for who reads to find.
        let next = if self.ended {
            Next::Wait
        } else if self.intake.has_backlog() {
            self.poll_backlog(cx, inbox)
        } else if self.reading {
            self.poll_reading(cx, buffer, inbox)
        } else {
            self.poll_paused(cx, inbox)
        };
        // Not between two parts of one read.
        if is_writable && next != Next::Rest {
            self.unblock(cx, inbox);
        }
        next
    }

    /// Goes on writing.
    fn unblock(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) {
        self.blocked = false;
        self.watch(cx);
        if self.socket.is_some() {
            inbox.row(RowKind::Writable, 0, 0, 0);
        }
    }

    /// What is next when not all that was read is decoded.
    fn after_backlog(&self, cx: &mut Context<'_>) -> Next {
        if self.intake.lacks_inbox() {
            return Next::Rest;
        }
        cx.waker().wake_by_ref();
        Next::Wait
    }

    /// Goes on with what has been read. What the kernel has is for another turn.
    fn poll_backlog(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Next {
        if self.full {
            return Next::Wait;
        }
        self.intake.decode_backlog(inbox);
        self.after_backlog(cx)
    }

    /// Does what there is to do while nobody asks for received data.
    fn poll_paused(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox<'_>) -> Next {
        match self.poll_over(cx) {
            Poll::Ready(()) => self.check_end(inbox),
            Poll::Pending => Next::Wait,
        }
    }

    fn poll_reading(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) -> Next {
        let mut left = LARGE;
        // What libuv would have read with the piece before.
        let mut rest = None;
        while let Some(socket) = &self.socket {
            let Poll::Ready(ready) = socket.poll_read_ready(cx) else {
                return Next::Wait;
            };
            let mut guard = match ready {
                Ok(guard) => guard,
                Err(error) => return self.fail(errno(&error), inbox),
            };
            let (limit, part) = self.intake.bound(left, rest, buffer, inbox);
            match self.intake.read(guard.get_inner(), limit, part, inbox) {
                Ok(piece) if piece.len == 0 => return self.end(inbox),
                Ok(mut piece) => {
                    let has_closed = guard.ready().is_read_closed();
                    piece.short &= is_drained(&guard);
                    if piece.short {
                        // Nothing is left in the kernel: spares the read that
                        // would say so. (tokio keeps "closed by the peer".)
                        guard.clear_ready();
                    }
                    drop(guard);
                    self.intake.decode(&piece, buffer, rest.is_some(), inbox);
                    if piece.short && has_closed && self.is_hung_up(cx) {
                        // That is an end at once with libuv, too, even if it is a
                        // reset.
                        self.hung_up = true;
                        if !self.intake.has_backlog() {
                            return self.end(inbox);
                        }
                    }
                    if self.intake.has_backlog() {
                        return self.after_backlog(cx);
                    }
                    if piece.short {
                        return self.await_end(cx);
                    }
                    left = left.saturating_sub(piece.len);
                    rest = self.rest(&piece, rest, buffer.len(), inbox);
                    if rest.is_some() {
                        continue;
                    }
                    if !self.intake.has_room(inbox) || left == 0 || inbox.is_full() {
                        cx.waker().wake_by_ref();
                        return Next::Wait;
                    }
                    // Whoever gets the events may not want to have more.
                    if inbox.has_events() {
                        return Next::Read;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    guard.clear_ready();
                    forget_mark(guard.get_ref());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) if self.hung_up => return self.end(inbox),
                Err(error) => return self.fail(errno(&error), inbox),
            }
        }
        Next::Wait
    }

    /// After a short read: ready again means closed by the peer. As with libuv that
    /// is an event of its own, of the next time that the loop looks at descriptors;
    /// one that is registered anew is among what it finds then.
    fn await_end(&mut self, cx: &mut Context<'_>) -> Next {
        if self.poll_read_ready(cx).is_ready() {
            self.watch(cx);
        }
        Next::Wait
    }

    /// Whether both directions are closed. (A guard for reading does not say.)
    fn is_hung_up(&self, cx: &mut Context<'_>) -> bool {
        let ready = self.socket.as_ref().map(|it| it.poll_write_ready(cx));
        matches!(ready, Some(Poll::Ready(Ok(guard))) if guard.ready().is_write_closed())
    }

    /// Reports a reset although nobody reads, and the end unless data came before
    /// it.
    fn check_end(&mut self, inbox: &mut Inbox<'_>) -> Next {
        let Some(socket) = self.socket() else {
            return Next::Wait;
        };
        match recv(socket, &mut [0], RecvFlags::PEEK) {
            Ok((_, 0)) => self.end(inbox),
            Ok(_) => match socket_error(socket) {
                Ok(Err(error)) => self.fail(error.raw_os_error(), inbox),
                _ => Next::Wait,
            },
            Err(Errno::AGAIN) => Next::Wait,
            Err(error) => self.fail(error.raw_os_error(), inbox),
        }
    }

    /// Reads what has been received without asking first whether anything has.
    /// `None` if that may not be all there is to do.
    ///
    /// What the driver may know of the socket stays as it is: a readiness that
    /// it finds later is one for which a read finds nothing.
    pub fn poll_now(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) -> Option<Next> {
        let is_plain = self.reading
            && !self.ended
            && !self.hung_up
            && !self.blocked
            && self.intake.is_plain(inbox);
        if !is_plain {
            return None;
        }
        let mut rest = None;
        loop {
            let socket = self.socket.as_ref()?;
            let (limit, part) = self.intake.bound(LARGE, rest, buffer, inbox);
            let piece = match self.intake.read(socket.get_ref(), limit, part, inbox) {
                // The end is left to the driver, which says it again.
                Ok(piece) if piece.len == 0 => break,
                Ok(piece) => piece,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => break,
                // The kernel says it once.
                Err(error) => return Some(self.fail(errno(&error), inbox)),
            };
            self.intake.decode(&piece, buffer, rest.is_some(), inbox);
            if self.intake.has_backlog() {
                return Some(self.after_backlog(cx));
            }
            rest = self.rest(&piece, rest, buffer.len(), inbox);
            if rest.is_some() {
                continue;
            }
            if piece.short && !self.intake.has_room(inbox) {
                return Some(Next::Wait);
            }
            break;
        }
        // There may be more, of which the driver is yet to tell.
        if !inbox.has_events() {
            return None;
        }
        // As in `poll_reading`: whoever gets the events may not want to have it.
        if self.intake.has_room(inbox) {
            return Some(Next::Read);
        }
        cx.waker().wake_by_ref();
        Some(Next::Wait)
    }

    /// How much is to be read before anybody gets the events of a piece, since libuv
    /// would have read it at the same time: it reads `most` bytes. `before` is what
    /// this has said of the piece before that, if it is joined to one.
    fn rest(
        &mut self,
        piece: &Piece,
        before: Option<usize>,
        most: usize,
        inbox: &Inbox<'_>,
    ) -> Option<usize> {
        let is_part = before.is_some() || !piece.is_large();
        let pays = if piece.is_within() {
            self.intake.has_room(inbox)
        } else {
            self.intake.is_cut()
        };
        let goes_on = is_part && pays && inbox.has_events() && !inbox.is_full();
        piece.rest(before.unwrap_or(most)).filter(|_| goes_on)
    }

    fn end(&mut self, inbox: &mut Inbox<'_>) -> Next {
        self.ended = true;
        inbox.row(RowKind::End, 0, 0, 0);
        Next::Wait
    }

    fn fail(&mut self, errno: i32, inbox: &mut Inbox<'_>) -> Next {
        self.ended = true;
        inbox.row(RowKind::Failed, 0, 0, errno.unsigned_abs() as usize);
        Next::Wait
    }
}
