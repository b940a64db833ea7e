//! A connection that was accepted and has not been let in.
//!
//! Polled by the lobby. A request that is plainly an upgrade is taken from the
//! kernel and reported with its head; of anything else nothing is taken, and
//! the descriptor is handed over, to be served as if it had been accepted
//! elsewhere. What is answered, and how long a silent client may stay, is the
//! caller's to decide.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustix::net::{recv, RecvFlags};
use tokio::io::unix::AsyncFd;

use super::driver::{is_drained, register, READING};
use super::inbox::{Inbox, RowKind};
use super::lobby::Ids;
use super::ready::waker;
use crate::protocol::handshake::accept_key;
use crate::protocol::upgrade::{classify, Classified};

/// An accepted connection.
pub struct Waiting {
    /// The socket.
    pub socket: AsyncFd<OwnedFd>,
    /// What the socket wakes.
    pub waker: Waker,
    /// The listener that accepted it.
    pub listener: u32,
    /// In which iteration of the caller's loop it was accepted.
    since: u32,
    /// How far it is.
    pub state: State,
}

/// How far an accepted connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has sent nothing yet.
    New,
    /// The same, since the last time that somebody asked.
    Silent,
    /// Its request was reported.
    Requested,
}

/// What can be done about a connection's first bytes.
enum Look {
    /// There are none.
    Nothing,
    /// A plain request is there, and nothing else.
    Plain {
        head_len: usize,
        /// The `Sec-WebSocket-Accept` that answers it.
        accept: String,
    },
    /// The connection is to be handed over.
    Other,
}

impl Waiting {
    /// Takes in a new connection, and gives it with its id. `None` if the kernel
    /// can watch no more sockets: then nobody can serve this one. To be called in
    /// the runtime's context.
    pub fn greet(socket: OwnedFd, listener: u32, ids: &mut Ids<'_>) -> Option<(u32, Self)> {
        let socket = register(socket, READING).ok()?;
        let id = (ids.vacant)();
        let waker = waker(id, ids.queue);
        let mut cx = Context::from_waker(&waker);
        if socket.poll_read_ready(&mut cx).is_ready() {
            waker.wake_by_ref();
        }
        let newcomer = Self {
            socket,
            waker,
            listener,
            since: ids.iteration,
            state: State::New,
        };
        Some((id, newcomer))
    }

    /// Does what can be done now; registers the waker for the rest. Returns
    /// whether the connection is to be handed over.
    pub fn poll(
        &mut self,
        id: u32,
        iteration: u32,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) -> bool {
        if self.state == State::Requested {
            return false;
        }
        if self.since == iteration {
            self.waker.wake_by_ref();
            return false;
        }
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..2 {
            let mut guard = match self.socket.poll_read_ready(&mut cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(guard)) => guard,
                Poll::Ready(Err(_)) => return true,
            };
            match look(guard.get_inner(), buffer) {
                Look::Nothing => guard.clear_ready(),
                Look::Plain { head_len, accept } => {
                    let taken = take_head(guard.get_inner(), head_len, &accept, inbox);
                    let Some(len) = taken else {
                        return true;
                    };
                    // Nothing is left: spares the read that would find that.
                    // (tokio keeps "closed by the peer".)
                    if is_drained(&guard) {
                        guard.clear_ready();
                    }
                    self.state = State::Requested;
                    report(id, self.listener, len, inbox);
                    return false;
                }
                Look::Other => return true,
            }
        }
        // Ready without anything to read, so something is wrong with it.
        true
    }
}

/// Looks at the first bytes of a connection, as many as `buffer` takes.
fn look(socket: &OwnedFd, buffer: &mut [u8]) -> Look {
    let len = loop {
        match recv(socket, &mut *buffer, RecvFlags::PEEK) {
            Ok((_, len)) => break len,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Look::Nothing,
            Err(_) => return Look::Other,
        }
    };
    match classify(&buffer[..len]) {
        // Who sends more before it is answered is not a usual client, and what
        // comes with the head is handled with the head.
        Classified::Plain { head_len, key } if head_len == len => Look::Plain {
            head_len,
            accept: accept_key(key),
        },
        Classified::Plain { .. } | Classified::Other => Look::Other,
    }
}

/// Takes a request that is there from the kernel into the inbox, and puts the
/// answer's value behind it. Gives the length of both. `None` if there is no
/// room, when many have come at once.
fn take_head(
    socket: &OwnedFd,
    head_len: usize,
    accept: &str,
    inbox: &mut Inbox<'_>,
) -> Option<usize> {
    let len = head_len + accept.len();
    let (head, rest) = inbox.reserve_head(len)?.split_at_mut(head_len);
    // All of it is there.
    let (_, taken) = recv(socket, &mut *head, RecvFlags::empty()).ok()?;
    if taken < head_len {
        return None;
    }
    rest.copy_from_slice(accept.as_bytes());
    Some(len)
}

/// Reports a request that was taken.
fn report(id: u32, listener: u32, len: usize, inbox: &mut Inbox<'_>) {
    inbox.begin(id);
    inbox.upgrade(listener, len);
}

/// Reports a connection's descriptor, which is the reader's from then on.
pub fn hand_over(socket: OwnedFd, listener: u32, inbox: &mut Inbox<'_>) {
    inbox.begin(listener);
    let fd = socket.into_raw_fd().unsigned_abs() as usize;
    inbox.row(RowKind::HandOver, 0, 0, fd);
}
