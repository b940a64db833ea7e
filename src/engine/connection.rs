//! One connection: a socket, the decoder of what it receives, and what it
//! waits for.
//!
//! Polled by a home with the connection's own waker; writes what happened into
//! the inbox. Sending is immediate: the kernel takes the bytes or says how
//! many it took, and the caller keeps the rest until [`RowKind::Writable`].
//! An idle connection holds no buffers.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read};
use std::task::{Context, Poll};

use socket2::Socket;
use tokio::io::unix::AsyncFd;

use super::inbox::{Inbox, RowKind};
use crate::protocol::receiver::{Receiver, Sink};

/// Bytes of a large message that are received in one turn at the most, so that
/// no connection starves others. (Of anything else it is one buffer, since the
/// program's share of the work grows with the number of messages.)
const LARGE: usize = 512 * 1024;

/// A connection in its home.
pub struct Connection {
    socket: AsyncFd<Socket>,
    receiver: Receiver,
    /// The rest of a chunk that waits for room in the inbox.
    backlog: Vec<u8>,
    /// Whether the chunk that is fed was decoded in part before.
    resumed: bool,
    reading: bool,
    ended: bool,
    want_write: bool,
}

impl Connection {
    /// Takes a connected, non-blocking stream socket. Reading begins with
    /// [`Self::set_reading`].
    pub fn new(socket: AsyncFd<Socket>, receiver: Receiver) -> Self {
        Self {
            socket,
            receiver,
            backlog: Vec::new(),
            resumed: false,
            reading: false,
            ended: false,
            want_write: false,
        }
    }

    /// Starts or stops the delivery of received data.
    pub fn set_reading(&mut self, reading: bool, cx: &mut Context<'_>) {
        self.reading = reading;
        if reading && (!self.backlog.is_empty() || self.socket.poll_read_ready(cx).is_ready()) {
            cx.waker().wake_by_ref();
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

    /// The decoder, with its state, and received bytes not yet decoded.
    pub fn into_parts(self) -> (Receiver, Vec<u8>) {
        (self.receiver, self.backlog)
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
        loop {
            let sent = match buffers {
                [one] => self.socket.get_ref().send_with_flags(one, NO_SIGNAL),
                _ => self
                    .socket
                    .get_ref()
                    .send_vectored_with_flags(buffers, NO_SIGNAL),
            };
            match sent {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                sent => return sent,
            }
        }
    }

    /// Asks for a [`RowKind::Writable`] row once the kernel takes bytes again,
    /// after a write that was cut short.
    pub fn want_write(&mut self, cx: &mut Context<'_>) {
        self.want_write = true;
        // The cached readiness is from before the short write.
        if let Poll::Ready(Ok(mut guard)) = self.socket.poll_write_ready(cx) {
            guard.clear_ready();
        }
        if self.socket.poll_write_ready(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Does what can be done now; registers the waker for the rest. Bytes are
    /// read into `buffer`, once if that is full then, and those of a large
    /// message into the memory where that stays.
    pub fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8], inbox: &mut Inbox<'_>) {
        if self.want_write && self.socket.poll_write_ready(cx).is_ready() {
            self.want_write = false;
            inbox.row(RowKind::Writable, 0, 0, 0);
        }
        if !self.reading || self.ended {
            return;
        }
        if !self.backlog.is_empty() {
            let chunk = std::mem::take(&mut self.backlog);
            inbox.row(RowKind::Read, 0, 0, 0);
            self.decode(&chunk, cx, inbox);
            // What the kernel has is for the next turn.
            cx.waker().wake_by_ref();
            return;
        }
        let mut budget = LARGE;
        while let Poll::Ready(ready) = self.socket.poll_read_ready(cx) {
            let mut guard = match ready {
                Ok(guard) => guard,
                Err(error) => return self.fail(&error, inbox),
            };
            let mut socket = guard.get_inner();
            // What follows the message goes into the buffer, if the message is
            // within the budget.
            let (direct, after, read) = match self.receiver.room(inbox) {
                Some(room) => {
                    let direct = room.len().min(budget);
                    let after = if direct < room.len() { 0 } else { buffer.len() };
                    let mut parts = [
                        IoSliceMut::new(&mut room[..direct]),
                        IoSliceMut::new(&mut buffer[..after]),
                    ];
                    (direct, after, socket.read_vectored(&mut parts))
                }
                None => (0, buffer.len(), socket.read(buffer)),
            };
            match read {
                Ok(0) => {
                    self.ended = true;
                    inbox.row(RowKind::End, 0, 0, 0);
                    return;
                }
                Ok(read) => {
                    let short = read < direct + after;
                    if short {
                        // Nothing is left in the kernel: spares the read that
                        // would say so. (tokio keeps "closed by the peer".)
                        guard.clear_ready();
                    }
                    drop(guard);
                    inbox.row(RowKind::Read, 0, 0, read);
                    let direct = direct.min(read);
                    if direct > 0 {
                        self.receiver.filled(direct, inbox);
                    }
                    if read > direct {
                        self.resumed |= direct > 0;
                        self.decode(&buffer[..read - direct], cx, inbox);
                    }
                    budget = budget.saturating_sub(read);
                    let more = short || self.receiver.room(inbox).is_some();
                    if !more || budget == 0 || !self.backlog.is_empty() || inbox.is_full() {
                        cx.waker().wake_by_ref();
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(&error, inbox),
            }
        }
    }

    fn decode(&mut self, chunk: &[u8], cx: &mut Context<'_>, inbox: &mut Inbox<'_>) {
        let consumed = self.feed(chunk, inbox);
        if consumed < chunk.len() {
            self.backlog = chunk[consumed..].to_vec();
            cx.waker().wake_by_ref();
        }
    }

    fn fail(&mut self, error: &io::Error, inbox: &mut Inbox<'_>) {
        self.ended = true;
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        inbox.row(RowKind::Failed, 0, 0, errno.unsigned_abs() as usize);
    }
}

const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
