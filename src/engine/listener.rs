//! Listening sockets, and connections that were accepted and have not been let
//! in.
//!
//! Polled by the home in its turns. A request that is plainly an upgrade is
//! taken from the kernel and reported with its head; of anything else nothing
//! is taken, and the descriptor is handed over, to be served as if it had been
//! accepted elsewhere. What is answered, and how long a silent client may stay,
//! is the caller's to decide; nothing here knows who that is, or that the
//! listening socket is also somebody else's.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use socket2::{Domain, Socket};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use super::home::{accept, peek, register};
use super::inbox::{Inbox, RowKind};
use super::ready::{ReadyQueue, ReadyWaker};
use crate::protocol::receiver::{Payload, Sink};
use crate::protocol::upgrade::{classify, Classified, MAX_PLAIN_HEAD};

/// Connections that one listener accepts in one turn at the most.
const ACCEPTS: usize = 64;

/// A listening socket.
struct Listener {
    socket: AsyncFd<Socket>,
    /// The descriptor of which `socket` is a duplicate.
    origin: RawFd,
    /// Whether accepted sockets know of TCP_NODELAY.
    is_tcp: bool,
    failed: bool,
    ready: Arc<ReadyWaker>,
    waker: Waker,
}

/// An accepted connection.
pub struct Waiting {
    /// The socket.
    pub socket: AsyncFd<Socket>,
    /// The waker's mark in the queue.
    pub ready: Arc<ReadyWaker>,
    /// What the socket wakes.
    pub waker: Waker,
    listener: u32,
    state: State,
}

/// How far an accepted connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
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
    /// A plain request is there.
    Plain {
        head_len: usize,
        /// Whether nothing follows it.
        is_all: bool,
    },
    /// The connection is to be handed over.
    Other,
}

/// The listeners and waiting connections of a home, by ids that they share with
/// its connections.
#[derive(Default)]
pub struct Lobby {
    listeners: HashMap<u32, Listener>,
    waiting: HashMap<u32, Waiting>,
}

/// What a poll has to do with the home's ids.
pub struct Ids<'a> {
    /// Gives one that is free.
    pub vacant: &'a mut dyn FnMut() -> u32,
    /// Where it queues when it is ready.
    pub queue: &'a Arc<ReadyQueue>,
}

impl Lobby {
    /// Takes in a listening socket that is registered for reading, a duplicate
    /// of `origin`.
    pub fn listen(
        &mut self,
        id: u32,
        socket: AsyncFd<Socket>,
        origin: RawFd,
        queue: &Arc<ReadyQueue>,
    ) {
        let ready = ReadyWaker::new(id, queue.clone());
        let waker = Waker::from(ready.clone());
        let domain = socket.get_ref().domain().ok();
        let listener = Listener {
            is_tcp: matches!(domain, Some(Domain::IPV4 | Domain::IPV6)),
            socket,
            origin,
            failed: false,
            ready,
            waker,
        };
        let mut cx = Context::from_waker(&listener.waker);
        if listener.socket.poll_read_ready(&mut cx).is_ready() {
            listener.waker.wake_by_ref();
        }
        self.listeners.insert(id, listener);
    }

    /// Lets a listener go. Gives the descriptor it is a duplicate of.
    pub fn unlisten(&mut self, id: u32) -> Option<RawFd> {
        Some(self.listeners.remove(&id)?.origin)
    }

    /// The connections of a listener whose request has not been seen.
    fn unseen(&self, listener: u32) -> impl Iterator<Item = (u32, State)> + '_ {
        self.waiting
            .iter()
            .filter(move |(_, waiting)| {
                waiting.listener == listener && waiting.state != State::Requested
            })
            .map(|(id, waiting)| (*id, waiting.state))
    }

    /// Whether there are any.
    pub fn is_awaiting(&self) -> bool {
        let mut waiting = self.waiting.values();
        waiting.any(|waiting| waiting.state != State::Requested)
    }

    /// How many connections of a listener have sent nothing yet.
    pub fn count(&self, listener: u32) -> usize {
        self.unseen(listener).count()
    }

    /// The ids of all of them.
    pub fn all(&self, listener: u32) -> Vec<u32> {
        self.unseen(listener).map(|(id, _)| id).collect()
    }

    /// The ids of those that had sent nothing when this was last asked.
    pub fn silent(&mut self, listener: u32) -> Vec<u32> {
        let (old, new): (Vec<_>, Vec<_>) = self
            .unseen(listener)
            .partition(|(_, state)| *state == State::Silent);
        for (id, _) in new {
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.state = State::Silent;
            }
        }
        old.into_iter().map(|(id, _)| id).collect()
    }

    /// A waiting connection's socket.
    pub fn socket(&self, id: u32) -> Option<&Socket> {
        Some(self.waiting.get(&id)?.socket.get_ref())
    }

    /// Takes a connection out whose request was reported.
    pub fn take_requested(&mut self, id: u32) -> Option<Waiting> {
        let waiting = self.waiting.get(&id)?;
        if waiting.state != State::Requested {
            return None;
        }
        self.waiting.remove(&id)
    }

    /// Takes a connection out, whatever it has sent.
    pub fn take(&mut self, id: u32) -> Option<Waiting> {
        self.waiting.remove(&id)
    }

    /// Lets everything go; to be called in the runtime's context.
    pub fn clear(&mut self) {
        self.listeners.clear();
        self.waiting.clear();
    }

    /// Does what `id` can do now, if it is known here; registers the waker for
    /// the rest. To be called in the runtime's context. Returns whether the id
    /// is free now.
    pub fn poll(
        &mut self,
        id: u32,
        ids: Ids<'_>,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) -> bool {
        let buffer = buffer.get_mut(..MAX_PLAIN_HEAD).unwrap_or_default();
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.ready.clear();
            listener.poll(id, ids, &mut self.waiting, buffer, inbox);
            return false;
        }
        let Some(waiting) = self.waiting.get_mut(&id) else {
            return false;
        };
        waiting.ready.clear();
        if inbox.is_full() {
            waiting.waker.wake_by_ref();
            return false;
        }
        let is_other = waiting.poll(id, buffer, inbox);
        if !is_other {
            return false;
        }
        if let Some(waiting) = self.waiting.remove(&id) {
            let listener = waiting.listener;
            hand_over(waiting.socket.into_inner(), listener, inbox);
        }
        is_other
    }
}

impl Listener {
    fn poll(
        &mut self,
        id: u32,
        mut ids: Ids<'_>,
        waiting: &mut HashMap<u32, Waiting>,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) {
        if self.failed {
            return;
        }
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..ACCEPTS {
            if inbox.is_full() {
                break;
            }
            let accepted = match self.socket.poll_read_ready(&mut cx) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => Err(error),
                Poll::Ready(Ok(mut guard)) => match accept(guard.get_inner()) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        guard.clear_ready();
                        continue;
                    }
                    accepted => accepted,
                },
            };
            match accepted {
                Ok(socket) => self.greet(id, socket, &mut ids, waiting, buffer, inbox),
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    self.failed = true;
                    let errno = error.raw_os_error().unwrap_or(libc::EIO);
                    inbox.begin(id);
                    let errno = errno.unsigned_abs() as usize;
                    inbox.row(RowKind::ListenerFailed, 0, 0, errno);
                    return;
                }
            }
        }
        self.waker.wake_by_ref();
    }

    /// Looks at a new connection at once: often the request is there.
    fn greet(
        &self,
        listener: u32,
        socket: Socket,
        ids: &mut Ids<'_>,
        waiting: &mut HashMap<u32, Waiting>,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) {
        if self.is_tcp {
            // Small frames are not to wait until others are acknowledged.
            // Without it the connection works, only slower.
            let _ = socket.set_tcp_nodelay(true);
        }
        let request = match look(&socket, buffer) {
            Look::Nothing => None,
            Look::Plain { head_len, .. } if take_head(&socket, head_len, inbox) => Some(head_len),
            Look::Plain { .. } | Look::Other => return hand_over(socket, listener, inbox),
        };
        // When the kernel can watch no more sockets nobody can serve this one.
        let Ok(socket) = register(socket, Interest::READABLE) else {
            return;
        };
        let id = (ids.vacant)();
        let ready = ReadyWaker::new(id, ids.queue.clone());
        let waker = Waker::from(ready.clone());
        let state = match request {
            Some(head_len) => {
                report(id, listener, head_len, inbox);
                State::Requested
            }
            None => {
                let mut cx = Context::from_waker(&waker);
                if socket.poll_read_ready(&mut cx).is_ready() {
                    waker.wake_by_ref();
                }
                State::New
            }
        };
        let newcomer = Waiting {
            socket,
            ready,
            waker,
            listener,
            state,
        };
        waiting.insert(id, newcomer);
    }
}

impl Waiting {
    /// Returns whether the connection is to be handed over.
    fn poll(&mut self, id: u32, buffer: &mut [u8], inbox: &mut Inbox<'_>) -> bool {
        if self.state == State::Requested {
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
                Look::Plain { head_len, is_all }
                    if take_head(guard.get_inner(), head_len, inbox) =>
                {
                    if is_all {
                        // Spares the read that would find nothing. (tokio keeps
                        // "closed by the peer".)
                        guard.clear_ready();
                    }
                    self.state = State::Requested;
                    report(id, self.listener, head_len, inbox);
                    return false;
                }
                Look::Plain { .. } | Look::Other => return true,
            }
        }
        // Ready without anything to read, so something is wrong with it.
        true
    }
}

/// Looks at the first bytes of a connection, as many as `buffer` takes.
fn look(socket: &Socket, buffer: &mut [u8]) -> Look {
    let len = loop {
        match peek(socket, buffer) {
            Ok(len) => break len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Look::Nothing,
            Err(_) => return Look::Other,
        }
    };
    match classify(&buffer[..len]) {
        Classified::Plain { head_len } => Look::Plain {
            head_len,
            is_all: head_len == len && len < buffer.len(),
        },
        Classified::Other => Look::Other,
    }
}

/// Takes a request that is there from the kernel, into the inbox's free memory.
/// False if it has no room, as may be for a large one: a batch that is not full
/// has some, but no later batch is sure to have more.
fn take_head(mut socket: &Socket, head_len: usize, inbox: &mut Inbox<'_>) -> bool {
    let room = inbox.reserve(head_len);
    room.is_some_and(|room| socket.read_exact(room).is_ok())
}

/// Reports a request that was taken.
fn report(id: u32, listener: u32, head_len: usize, inbox: &mut Inbox<'_>) {
    inbox.begin(id);
    inbox.payload(RowKind::Upgrade, listener, Payload::Reserved(head_len));
}

/// Reports a connection's descriptor, which is the reader's from then on.
fn hand_over(socket: Socket, listener: u32, inbox: &mut Inbox<'_>) {
    inbox.begin(listener);
    let fd = socket.into_raw_fd().unsigned_abs() as usize;
    inbox.row(RowKind::HandOver, 0, 0, fd);
}

/// Whether a failure to accept is of the connection that was to be accepted,
/// and not of the listener.
fn concerns_one(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    matches!(
        errno,
        Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO | libc::ENETDOWN)
            | Some(libc::EHOSTDOWN | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ENOPROTOOPT)
    )
}
