//! A home of connections: a current-thread tokio runtime and the connections
//! it polls.
//!
//! A turn polls the I/O driver once, without waiting, and then each connection
//! that became ready once; if there are more of them than a batch of events has
//! room for, several turns do that. The binding nests a home in Node's event
//! loop: its epoll descriptor is watched there, and each readiness is a turn.
//! Nothing here knows that loop, JavaScript, or whose thread this is.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustix::net::{shutdown, sockopt::socket_type, Shutdown, SocketType};
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Runtime};

use super::alone::Alone;
use super::connection::{Connection, Next, LARGE};
use super::driver::{find_epoll, register, READING};
use super::inbox::Inbox;
use super::lobby::{Ids, Lobby};
use super::ready::{waker, ReadyQueue};
use crate::protocol::receiver::{Receiver, ReceiverConfig, Sink};

/// Bytes that one connection may read in one turn; as large as libuv's.
const READ_BUFFER: usize = 64 * 1024;

/// Readiness events that one turn takes from the kernel at the most.
const MAX_EVENTS: usize = 1024;

/// How many connections decompress large messages at a time. The others wait, so
/// that there are not more such messages than with ws, by its default.
const MOST_INFLATING: usize = 10;

struct Resident {
    connection: Connection,
    waker: Waker,
}

impl Resident {
    fn new(socket: AsyncFd<OwnedFd>, receiver: Receiver, waker: Waker) -> Box<Self> {
        Box::new(Self {
            connection: Connection::new(socket, receiver),
            waker,
        })
    }
}

/// A runtime and the connections that live in it.
pub struct Home {
    runtime: Runtime,
    epoll: RawFd,
    queue: Arc<ReadyQueue>,
    /// By id. An id is free for reuse only from the next turn on: rows of the
    /// batch being dispatched may still name it.
    residents: Vec<Option<Box<Resident>>>,
    /// Who else has an id, and no resident.
    lobby: Lobby,
    free: Vec<u32>,
    freed: Vec<u32>,
    /// Those that were ready in the last turn, whose batch was full before
    /// they were polled, or was over when the first of them had been.
    waiting: Vec<u32>,
    /// Whether the first of those was polled, and there is more of what it has read.
    is_split: bool,
    /// Those that decompress large messages.
    inflating: Vec<u32>,
    scratch: Vec<u32>,
    /// How many bytes may be read until the driver is asked again.
    left: usize,
    buffer: Box<[u8]>,
    alone: Alone,
    /// The iteration of the caller's loop, as far as it tells them apart.
    iteration: u32,
}

impl Home {
    /// Builds the runtime.
    ///
    /// # Errors
    /// When there is no runtime to be had, or the descriptor that tells of its
    /// readiness cannot be found (there is no `/proc`).
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .max_io_events_per_tick(MAX_EVENTS)
            .build()?;
        let epoll = find_epoll(&runtime)?;
        Ok(Self {
            runtime,
            epoll,
            queue: Arc::default(),
            residents: Vec::new(),
            lobby: Lobby::default(),
            free: Vec::new(),
            freed: Vec::new(),
            waiting: Vec::new(),
            is_split: false,
            inflating: Vec::new(),
            scratch: Vec::new(),
            left: 0,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            alone: Alone::default(),
            iteration: 0,
        })
    }

    /// The descriptor that is readable when a turn is due; valid as long as
    /// the home.
    pub fn epoll(&self) -> RawFd {
        self.epoll
    }

    /// Prepares a connection over `fd`: duplicates it, so that its owner may go
    /// on using it and its number can never come to mean another connection
    /// here.
    ///
    /// # Errors
    /// When `fd` is not a stream socket, or descriptors are used up.
    pub fn register(&self, fd: BorrowedFd<'_>) -> io::Result<AsyncFd<OwnedFd>> {
        let socket = fd.try_clone_to_owned()?;
        if socket_type(&socket)? != SocketType::STREAM {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let _context = self.runtime.enter();
        // Not for writing as well: a socket can nearly always be written, so
        // the epoll descriptor would be readable after every event until it is
        // asked, even if the data has been read already (see `poll_now`).
        register(socket, READING)
    }

    /// Takes in a connection, which does not read yet. Returns its id.
    pub fn adopt(&mut self, socket: AsyncFd<OwnedFd>, receiver: Receiver) -> u32 {
        let id = vacant(&mut self.free, &mut self.residents);
        let waker = waker(id, &self.queue);
        if let Some(slot) = self.residents.get_mut(id as usize) {
            *slot = Some(Resident::new(socket, receiver, waker));
        }
        id
    }

    /// Lets a connection go; its duplicate of the descriptor is closed.
    pub fn release(&mut self, id: u32) -> Option<Connection> {
        let _context = self.runtime.enter();
        let Some(resident) = self.residents.get_mut(id as usize)?.take() else {
            if self.lobby.take(id).is_some() {
                self.freed.push(id);
            }
            return None;
        };
        self.freed.push(id);
        self.inflating.retain(|other| *other != id);
        Some(resident.connection)
    }

    /// Takes in a listening socket: duplicates it, and accepts connections from
    /// the next turn on. Returns its id.
    ///
    /// # Errors
    /// As for [`Self::register`].
    pub fn listen(&mut self, fd: BorrowedFd<'_>) -> io::Result<u32> {
        let socket = self.register(fd)?;
        let id = vacant(&mut self.free, &mut self.residents);
        self.lobby.listen(id, socket, fd.as_raw_fd(), &self.queue);
        Ok(id)
    }

    /// Lets a listener go. Gives the number of the descriptor that it had
    /// duplicated, and the connections whose request has not been seen.
    pub fn unlisten(&mut self, id: u32) -> Option<(RawFd, Vec<OwnedFd>)> {
        let context = self.runtime.enter();
        let origin = self.lobby.unlisten(id)?;
        drop(context);
        self.freed.push(id);
        let waiting = self.lobby.all(id);
        Some((origin, self.hand_over_all(waiting)))
    }

    /// Whether any listener has connections that have not sent their request.
    pub fn is_awaiting(&self) -> bool {
        self.lobby.is_awaiting()
    }

    /// How many connections of a listener have not sent their request yet.
    pub fn waiting(&self, listener: u32) -> usize {
        self.lobby.count(listener)
    }

    /// Gives those connections of a listener that have been there, without
    /// sending anything, since this was last called.
    pub fn take_silent(&mut self, listener: u32) -> Vec<OwnedFd> {
        let silent = self.lobby.silent(listener);
        self.hand_over_all(silent)
    }

    /// Lets in a connection whose request was reported; it does not read yet.
    /// False if there is none.
    pub fn accept(&mut self, id: u32, receiver: Receiver) -> bool {
        let slot = self.residents.get_mut(id as usize);
        let Some((slot, waiting)) = slot.zip(self.lobby.take_requested(id)) else {
            return false;
        };
        *slot = Some(Resident::new(waiting.socket, receiver, waiting.waker));
        true
    }

    /// Gives a connection that was accepted and not let in.
    pub fn hand_over(&mut self, id: u32) -> Option<OwnedFd> {
        let _context = self.runtime.enter();
        let waiting = self.lobby.take(id)?;
        self.freed.push(id);
        Some(waiting.socket.into_inner())
    }

    fn hand_over_all(&mut self, ids: Vec<u32>) -> Vec<OwnedFd> {
        let handed_over = ids.into_iter().filter_map(|id| self.hand_over(id));
        handed_over.collect()
    }

    /// Duplicates the descriptor of a connection.
    ///
    /// # Errors
    /// When descriptors are used up; `EBADF` for a connection that is gone.
    pub fn duplicate(&self, id: u32) -> io::Result<OwnedFd> {
        self.socket(id)?.try_clone()
    }

    /// Takes the socket out of a connection, for somebody else to read and write;
    /// what is left is to be [released](Self::release).
    pub fn take_socket(&mut self, id: u32) -> Option<OwnedFd> {
        let _context = self.runtime.enter();
        let resident = self.residents.get_mut(id as usize)?.as_mut()?;
        resident.connection.take_socket()
    }

    /// Takes what a connection has received, as far as its buffer goes; see
    /// [`Connection::take_received`].
    pub fn take_received(&mut self, id: u32) -> Vec<u8> {
        match self.resident(id) {
            Some(resident) => resident.connection.take_received(READ_BUFFER),
            None => Vec::new(),
        }
    }

    /// Ends the sending direction of a connection.
    ///
    /// # Errors
    /// The kernel's; `EBADF` for a connection that is gone.
    pub fn shutdown(&self, id: u32) -> io::Result<()> {
        Ok(shutdown(self.socket(id)?, Shutdown::Write)?)
    }

    fn socket(&self, id: u32) -> io::Result<&OwnedFd> {
        let resident = self.residents.get(id as usize).and_then(Option::as_ref);
        let socket = resident.and_then(|resident| resident.connection.socket());
        socket.ok_or_else(|| Errno::BADF.into())
    }

    /// Starts or stops the delivery of what `id` receives; takes effect with
    /// the next turn.
    pub fn set_reading(&mut self, id: u32, reading: bool) {
        if let Some(resident) = self.resident(id) {
            let mut cx = Context::from_waker(&resident.waker);
            resident.connection.set_reading(reading, &mut cx);
        }
    }

    /// Stops also the delivery of what `id` has read already, or no longer; see
    /// [`Connection::set_full`].
    pub fn set_full(&mut self, id: u32, full: bool) {
        if let Some(resident) = self.resident(id) {
            let mut cx = Context::from_waker(&resident.waker);
            resident.connection.set_full(full, &mut cx);
        }
    }

    /// Decodes data of `id` that was received elsewhere, before anything the
    /// connection has read. Returns how many bytes were consumed.
    pub fn feed(&mut self, id: u32, chunk: &[u8], inbox: &mut Inbox<'_>) -> usize {
        match self.resident(id) {
            Some(resident) => resident.connection.intake().feed(chunk, inbox),
            None => chunk.len(),
        }
    }

    /// Changes what the decoder of `id` accepts; see [`Receiver::set_limits`].
    pub fn set_limits(&mut self, id: u32, limits: ReceiverConfig) {
        if let Some(resident) = self.resident(id) {
            resident.connection.intake().set_limits(limits);
        }
    }

    /// Says who decompresses for `id`; see
    /// [`Intake::decide_inflating`](super::intake::Intake::decide_inflating).
    pub fn decide_inflating(&mut self, id: u32, here: bool) -> Vec<u8> {
        match self.resident(id) {
            Some(resident) => resident.connection.intake().decide_inflating(here),
            None => Vec::new(),
        }
    }

    /// Takes back some of the bytes that that gave, to be decoded in the next
    /// turn.
    pub fn put_back(&mut self, id: u32, rest: Vec<u8>) {
        if let Some(resident) = self.resident(id) {
            let mut cx = Context::from_waker(&resident.waker);
            resident.connection.put_back(rest, &mut cx);
        }
    }

    /// Hands bytes of `id` to the kernel; see [`Connection::write`].
    ///
    /// # Errors
    /// The kernel's; `EBADF` for a connection that is gone.
    pub fn write(&mut self, id: u32, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.resident(id) {
            Some(resident) => resident.connection.write(buffers),
            None => Err(Errno::BADF.into()),
        }
    }

    /// Asks for a row when `id` takes bytes again; see
    /// [`Connection::want_write`].
    pub fn want_write(&mut self, id: u32) {
        let _context = self.runtime.enter();
        if let Some(Some(resident)) = self.residents.get_mut(id as usize) {
            let mut cx = Context::from_waker(&resident.waker);
            resident.connection.want_write(&mut cx);
        }
    }

    /// A connection's count of the message being received.
    pub fn total_payload_length(&mut self, id: u32) -> Option<u64> {
        let resident = self.resident(id)?;
        Some(resident.connection.intake().total_payload_length())
    }

    /// Lets all connections go.
    pub fn clear(&mut self) {
        // Registered descriptors deregister with the runtime they belong to.
        let _context = self.runtime.enter();
        self.residents.clear();
        self.lobby.clear();
        self.waiting.clear();
        self.is_split = false;
        self.inflating.clear();
        self.free.clear();
        self.freed.clear();
    }

    /// Whether a turn is due although the descriptor may not say so.
    pub fn is_due(&self) -> bool {
        !self.waiting.is_empty() || !self.queue.is_empty()
    }

    /// Whether the last turn's batch was full before all connections that were
    /// ready had been polled. Then the next turn goes on with those, and with no
    /// others.
    pub fn has_rest(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the next turn begins with the rest of what was read last, which the
    /// batch had no room for.
    pub fn is_split(&self) -> bool {
        self.is_split
    }

    /// Takes note that the turns to come are of a later iteration of the caller's
    /// loop. What a connection has sent is looked at in a later one than that in
    /// which it was accepted, after all else that has happened until then: so a
    /// client that comes back when its connection is closed is not announced
    /// before that.
    pub fn advance(&mut self) {
        self.iteration = self.iteration.wrapping_add(1);
    }

    /// One turn: what happened goes into `inbox`.
    pub fn turn(&mut self, inbox: &mut Inbox<'_>) {
        self.free.append(&mut self.freed);
        self.is_split = false;
        if self.turn_alone(inbox) {
            return;
        }
        let Self {
            runtime,
            queue,
            residents,
            lobby,
            free,
            freed,
            waiting,
            is_split,
            inflating,
            scratch,
            left,
            buffer,
            alone,
            iteration,
            ..
        } = self;
        let goes_on = !waiting.is_empty();
        let mut driven = goes_on;
        let turn = std::future::poll_fn(|cx| {
            if !driven {
                // Woken already, so the runtime polls its driver without
                // waiting and comes back here.
                driven = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !goes_on {
                *left = LARGE;
                queue.take(scratch);
                waiting.append(scratch);
                alone.saw(waiting);
            }
            let mut polled = 0;
            for &id in waiting.iter() {
                if inbox.is_full() {
                    break;
                }
                polled += 1;
                let Some(Some(resident)) = residents.get_mut(id as usize) else {
                    let vacant = &mut || vacant(free, residents);
                    if lobby.poll(
                        id,
                        Ids {
                            vacant,
                            queue,
                            iteration: *iteration,
                        },
                        buffer,
                        inbox,
                    ) {
                        freed.push(id);
                    }
                    continue;
                };
                let is_inflating = resident.connection.intake().is_inflating();
                if is_inflating && !admit(inflating, id) {
                    resident.waker.wake_by_ref();
                    continue;
                }
                if resident.connection.lacks_room(inbox) {
                    inbox.use_up();
                    polled -= 1;
                    break;
                }
                inbox.begin(id);
                let mut cx = Context::from_waker(&resident.waker);
                let next = resident.connection.poll(&mut cx, buffer, inbox);
                if is_inflating && !resident.connection.intake().is_inflating() {
                    inflating.retain(|other| *other != id);
                }
                *is_split = next == Next::Rest;
                match next {
                    Next::Wait => continue,
                    Next::Read if inbox.bytes_read() >= *left => {
                        resident.waker.wake_by_ref();
                        continue;
                    }
                    Next::Read | Next::Rest => {}
                }
                // It comes first in the next turn, too.
                polled -= 1;
                break;
            }
            waiting.drain(..polled);
            *left = left.saturating_sub(inbox.bytes_read());
            Poll::Ready(())
        });
        // Fairness is the read buffer's size and the inbox's room, not tokio's
        // budget, which would leave connections unpolled.
        runtime.block_on(tokio::task::unconstrained(turn));
    }

    /// A turn of the one connection that was ready in each of the last turns,
    /// without asking the driver, which costs a system call. False if the driver
    /// is to be asked after all.
    fn turn_alone(&mut self, inbox: &mut Inbox<'_>) -> bool {
        let Some(id) = self.alone.candidate().filter(|_| !self.is_due()) else {
            return false;
        };
        let Some(Some(resident)) = self.residents.get_mut(id as usize) else {
            return false;
        };
        inbox.begin(id);
        let mut cx = Context::from_waker(&resident.waker);
        let next = resident
            .connection
            .poll_now(&mut cx, &mut self.buffer, inbox);
        self.alone.tried(next.is_some());
        self.is_split = next == Some(Next::Rest);
        if matches!(next, Some(Next::Rest | Next::Read)) {
            self.left = LARGE.saturating_sub(inbox.bytes_read());
            self.waiting.push(id);
        }
        next.is_some()
    }

    fn resident(&mut self, id: u32) -> Option<&mut Resident> {
        self.residents.get_mut(id as usize)?.as_deref_mut()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whether a connection is one of those that decompress large messages.
fn admit(inflating: &mut Vec<u32>, id: u32) -> bool {
    if !inflating.contains(&id) && inflating.len() < MOST_INFLATING {
        inflating.push(id);
    }
    inflating.contains(&id)
}

/// An id that is free, with an empty slot.
fn vacant(free: &mut Vec<u32>, residents: &mut Vec<Option<Box<Resident>>>) -> u32 {
    free.pop().unwrap_or_else(|| {
        residents.push(None);
        (residents.len() - 1) as u32
    })
}

#[cfg(test)]
mod tests;
