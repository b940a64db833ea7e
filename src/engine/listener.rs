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
use std::io::{self, ErrorKind};
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustix::net::sockopt::{set_tcp_nodelay, socket_domain};
use rustix::net::{accept_with, recv, AddressFamily, RecvFlags, SocketFlags};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use super::home::register;
use super::inbox::{Inbox, RowKind};
use super::ready::{ReadyQueue, ReadyWaker};
use crate::protocol::handshake::accept_key;
use crate::protocol::upgrade::{classify, Classified, MAX_PLAIN_HEAD};

/// Connections that one listener accepts in one turn at the most.
const ACCEPTS: usize = 64;

/// A listening socket.
struct Listener {
    socket: AsyncFd<OwnedFd>,
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
    pub socket: AsyncFd<OwnedFd>,
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
    /// A plain request is there, and nothing else.
    Plain {
        head_len: usize,
        /// The `Sec-WebSocket-Accept` that answers it.
        accept: String,
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
        socket: AsyncFd<OwnedFd>,
        origin: RawFd,
        queue: &Arc<ReadyQueue>,
    ) {
        let ready = ReadyWaker::new(id, queue.clone());
        let waker = Waker::from(ready.clone());
        let domain = socket_domain(socket.get_ref()).ok();
        let listener = Listener {
            is_tcp: matches!(domain, Some(AddressFamily::INET | AddressFamily::INET6)),
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
    pub fn socket(&self, id: u32) -> Option<&OwnedFd> {
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
        if inbox.is_full_of_heads() {
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
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..ACCEPTS {
            if inbox.is_full_of_heads() {
                break;
            }
            let accepted = match self.socket.poll_read_ready(&mut cx) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => Err(error),
                Poll::Ready(Ok(mut guard)) => {
                    match accept_with(guard.get_inner(), flags).map_err(io::Error::from) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            guard.clear_ready();
                            continue;
                        }
                        accepted => accepted,
                    }
                }
            };
            match accepted {
                Ok(socket) => self.greet(id, socket, &mut ids, waiting, buffer, inbox),
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    self.failed = true;
                    let errno = error.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
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
        socket: OwnedFd,
        ids: &mut Ids<'_>,
        waiting: &mut HashMap<u32, Waiting>,
        buffer: &mut [u8],
        inbox: &mut Inbox<'_>,
    ) {
        if self.is_tcp {
            // Small frames are not to wait until others are acknowledged.
            // Without it the connection works, only slower.
            let _ = set_tcp_nodelay(&socket, true);
        }
        let request = match look(&socket, buffer) {
            Look::Nothing => None,
            Look::Plain { head_len, accept } => {
                let taken = take_head(&socket, head_len, &accept, inbox);
                if taken.is_none() {
                    return hand_over(socket, listener, inbox);
                }
                taken
            }
            Look::Other => return hand_over(socket, listener, inbox),
        };
        // When the kernel can watch no more sockets nobody can serve this one.
        let Ok(socket) = register(socket, Interest::READABLE) else {
            return;
        };
        let id = (ids.vacant)();
        let ready = ReadyWaker::new(id, ids.queue.clone());
        let waker = Waker::from(ready.clone());
        let state = match request {
            Some(len) => {
                report(id, listener, len, inbox);
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
                Look::Plain { head_len, accept } => {
                    let taken = take_head(guard.get_inner(), head_len, &accept, inbox);
                    let Some(len) = taken else {
                        return true;
                    };
                    // Nothing is left: spares the read that would find that.
                    // (tokio keeps "closed by the peer".)
                    guard.clear_ready();
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
fn hand_over(socket: OwnedFd, listener: u32, inbox: &mut Inbox<'_>) {
    inbox.begin(listener);
    let fd = socket.into_raw_fd().unsigned_abs() as usize;
    inbox.row(RowKind::HandOver, 0, 0, fd);
}

/// Whether a failure to accept is of the connection that was to be accepted,
/// and not of the listener.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::NETDOWN)
            | Some(Errno::HOSTDOWN | Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::NOPROTOOPT)
    )
}

#[cfg(test)]
mod tests {
    use super::super::home::{own, Home};
    use super::*;
    use crate::engine::inbox::ROW;
    use crate::protocol::receiver::{Receiver, ReceiverConfig};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::net::{UnixListener, UnixStream};

    const HEAD: &[u8] = b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    /// What answers it (RFC 6455, section 1.3).
    const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    const OTHER: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// A home with a listener.
    struct Server {
        home: Home,
        socket: TcpListener,
        id: u32,
        heads: usize,
    }

    #[derive(Debug, PartialEq)]
    struct Row {
        connection: u32,
        kind: u32,
        detail: u32,
        payload: Vec<u8>,
        length: u32,
    }

    impl Row {
        fn is(&self, kind: RowKind) -> bool {
            self.kind == kind as u32
        }
    }

    impl Server {
        fn new() -> Self {
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            let mut home = Home::new().unwrap();
            let id = home.listen(socket.as_fd()).unwrap();
            let heads = 64 * 1024;
            Self {
                home,
                socket,
                id,
                heads,
            }
        }

        /// Connects, and sends something.
        fn client(&self, bytes: &[u8]) -> TcpStream {
            let mut client = TcpStream::connect(self.socket.local_addr().unwrap()).unwrap();
            client.write_all(bytes).unwrap();
            client
        }

        fn turn(&mut self) -> Vec<Row> {
            turn(&mut self.home, self.heads)
        }

        /// Accepts one connection, whose request is there.
        fn upgrade(&mut self) -> u32 {
            let rows = self.turn();
            assert!(rows.len() == 1 && rows[0].is(RowKind::Upgrade));
            rows[0].connection
        }
    }

    fn turn(home: &mut Home, heads: usize) -> Vec<Row> {
        let (mut rows, mut slab, mut owned) = ([0; 512], vec![0; 8192], Vec::new());
        let mut heads = vec![0; heads];
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned).with_heads(&mut heads);
        home.turn(&mut inbox);
        let len = inbox.len();
        let rows = rows[..len * ROW].chunks(ROW).map(|row| {
            let kind = row[1] & 0xff;
            let is_upgrade = kind == RowKind::Upgrade as u32;
            let has_payload = is_upgrade || (1..=7).contains(&kind);
            let mut end = row[2] + if has_payload { row[3] } else { 0 };
            let memory = if is_upgrade { &heads } else { &slab };
            if is_upgrade {
                end -= ACCEPT.len() as u32;
                assert_eq!(memory[end as usize..][..ACCEPT.len()], *ACCEPT);
            }
            Row {
                connection: row[0],
                kind,
                detail: row[1] >> 8,
                payload: memory[row[2] as usize..end as usize].to_vec(),
                length: row[3],
            }
        });
        rows.collect()
    }

    /// The socket of a hand-over row.
    fn handed_over(row: &Row, listener: u32) -> TcpStream {
        assert!(row.is(RowKind::HandOver), "{row:?}");
        assert_eq!((row.connection, row.detail), (listener, 0));
        TcpStream::from(own(row.length as RawFd))
    }

    /// All that can be read without waiting.
    fn rest(socket: &mut TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes);
        bytes
    }

    fn receiver() -> Receiver {
        Receiver::new(ReceiverConfig {
            is_server: true,
            max_payload: 0,
            max_fragments: 0,
            max_buffered_chunks: 0,
            skip_utf8_validation: false,
            inflate: None,
        })
    }

    const FRAME: &[u8] = b"\x82\x81\0\0\0\0x";

    #[test]
    fn a_plain_upgrade_becomes_a_connection() {
        let mut server = Server::new();
        assert!(server.turn().is_empty());
        let mut client = server.client(HEAD);
        let rows = server.turn();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].is(RowKind::Upgrade));
        assert_eq!((rows[0].detail, &*rows[0].payload), (server.id, HEAD));
        let id = rows[0].connection;
        assert_eq!(server.home.waiting(server.id), 0);

        assert!(server.home.accept(id, receiver()));
        assert!(!server.home.accept(id, receiver()));
        server.home.set_reading(id, true);
        assert!(server.turn().is_empty());
        client.write_all(FRAME).unwrap();
        let rows = server.turn();
        assert_eq!((rows[0].connection, rows[1].kind), (id, 2));
        assert_eq!(rows[1].payload, b"x");

        assert_eq!(
            server.home.write(id, &[io::IoSlice::new(b"hi")]).unwrap(),
            2
        );
        server.home.shutdown(id).unwrap();
        assert_eq!(rest(&mut client), b"hi");
        drop(client);
        assert!(server.turn()[0].is(RowKind::End));
    }

    #[test]
    fn a_request_with_something_behind_it_is_handed_over_whole() {
        for at_once in [true, false] {
            let mut server = Server::new();
            let bytes = [HEAD, FRAME].concat();
            let mut client = server.client(if at_once { &bytes } else { b"" });
            if !at_once {
                assert!(server.turn().is_empty());
                client.write_all(&bytes).unwrap();
            }
            client.shutdown(Shutdown::Write).unwrap();
            let rows = server.turn();
            assert_eq!(rest(&mut handed_over(&rows[0], server.id)), bytes);
        }
    }

    #[test]
    fn what_follows_the_request_later_is_the_connections() {
        let mut server = Server::new();
        let mut client = server.client(HEAD);
        let id = server.upgrade();
        client.write_all(FRAME).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(server.turn().is_empty());
        assert!(server.home.accept(id, receiver()));
        server.home.set_reading(id, true);
        let mut kinds = Vec::new();
        for _ in 0..3 {
            kinds.extend(server.turn().iter().map(|row| row.kind));
        }
        let expected = [RowKind::Read, RowKind::Binary, RowKind::End];
        assert_eq!(kinds, expected.map(|kind| kind as u32));
    }

    #[test]
    fn a_request_that_comes_later_is_seen_then() {
        let mut server = Server::new();
        let mut client = server.client(b"");
        assert!(server.turn().is_empty());
        assert_eq!(server.home.waiting(server.id), 1);
        assert!(!server.home.is_due());
        client.write_all(HEAD).unwrap();
        let id = server.upgrade();
        assert_eq!(server.home.waiting(server.id), 0);
        assert!(server.home.accept(id, receiver()));
        server.home.set_reading(id, true);
        assert!(!server.home.is_due());
        client.write_all(FRAME).unwrap();
        assert_eq!(server.turn().len(), 2);
    }

    #[test]
    fn anything_else_is_handed_over_with_all_its_bytes() {
        let half = &HEAD[..HEAD.len() - 1];
        let long = b"GET / HTTP/1.1\r\nX: ".repeat(2000);
        for bytes in [OTHER, half, b"\x16", &long] {
            for at_once in [true, false] {
                let mut server = Server::new();
                let mut client = server.client(if at_once { bytes } else { b"" });
                if !at_once {
                    assert!(server.turn().is_empty());
                    client.write_all(bytes).unwrap();
                }
                let rows = server.turn();
                assert_eq!(rows.len(), 1);
                let mut socket = handed_over(&rows[0], server.id);
                assert_eq!(rest(&mut socket), bytes);
                assert!(socket.nodelay().unwrap());
                // It can be served elsewhere from here on.
                client.write_all(b"more").unwrap();
                assert_eq!(rest(&mut socket), b"more");
                assert!(server.turn().is_empty());
                drop(socket);
                assert_eq!(server.home.waiting(server.id), 0);
                assert_eq!(client.read(&mut [0]).unwrap(), 0);
            }
        }
    }

    #[test]
    fn the_end_of_a_silent_connection_is_handed_over() {
        let mut server = Server::new();
        drop(server.client(b""));
        let rows = server.turn();
        assert!(rest(&mut handed_over(&rows[0], server.id)).is_empty());
        let client = server.client(b"");
        assert!(server.turn().is_empty());
        drop(client);
        let rows = server.turn();
        assert!(rest(&mut handed_over(&rows[0], server.id)).is_empty());
        assert!(server.turn().is_empty());
    }

    #[test]
    fn many_connections_are_accepted_over_several_turns() {
        let mut server = Server::new();
        let count = ACCEPTS + 40;
        let clients: Vec<_> = (0..count)
            .map(|i| server.client(if i % 3 == 0 { OTHER } else { HEAD }))
            .collect();
        let (mut upgrades, mut others) = (Vec::new(), Vec::new());
        let mut turns = 0;
        while upgrades.len() + others.len() < count {
            let rows = server.turn();
            assert!(rows.len() <= ACCEPTS);
            for row in rows {
                if row.is(RowKind::Upgrade) {
                    assert_eq!(row.payload, HEAD);
                    upgrades.push(row.connection);
                } else {
                    others.push(handed_over(&row, server.id));
                }
            }
            turns += 1;
            assert!(turns == 2 || server.home.is_due());
        }
        assert_eq!((turns, others.len()), (2, count.div_ceil(3)));
        upgrades.sort_unstable();
        upgrades.dedup();
        assert_eq!(upgrades.len() + others.len(), clients.len());
        for id in upgrades {
            assert!(server.home.accept(id, receiver()));
        }
        assert!(server.turn().is_empty());
        assert!(!server.home.is_due());
    }

    #[test]
    fn a_full_inbox_leaves_connections_for_later() {
        let mut server = Server::new();
        // Room for one head.
        server.heads = MAX_PLAIN_HEAD + 200;
        let clients: Vec<_> = (0..3).map(|_| server.client(HEAD)).collect();
        for _ in &clients {
            server.upgrade();
        }
        assert!(server.turn().is_empty());
        let mut clients: Vec<_> = (0..3).map(|_| server.client(b"")).collect();
        assert!(server.turn().is_empty());
        for client in &mut clients {
            client.write_all(HEAD).unwrap();
        }
        for _ in &clients {
            server.upgrade();
        }
        assert!(server.turn().is_empty());
        assert!(!server.home.is_due());
    }

    #[test]
    fn a_long_head_is_taken_too() {
        let mut server = Server::new();
        let long = format!("Host: localhost\r\nCookie: {}", "x".repeat(7000));
        let head = String::from_utf8_lossy(HEAD).replace("Host: localhost", &long);
        let _client = server.client(head.as_bytes());
        assert_eq!(server.turn()[0].payload, head.as_bytes());
    }

    #[test]
    fn a_request_can_be_turned_away() {
        let mut server = Server::new();
        let mut client = server.client(HEAD);
        let id = server.upgrade();
        assert!(server.home.release(id).is_none());
        assert!(server.home.release(id).is_none());
        assert!(!server.home.accept(id, receiver()));
        assert!(server.home.duplicate(id).is_err());
        assert_eq!(client.read(&mut [0]).unwrap(), 0);

        let mut client = server.client(HEAD);
        let id = server.upgrade();
        let duplicate = server.home.duplicate(id).unwrap();
        let mut socket = TcpStream::from(server.home.hand_over(id).unwrap());
        assert!(server.home.hand_over(id).is_none());
        client.write_all(b"more").unwrap();
        assert_eq!(rest(&mut socket), b"more");
        assert!(server.turn().is_empty());
        drop(socket);
        TcpStream::from(duplicate).write_all(b"hi").unwrap();
        assert_eq!(rest(&mut client), b"hi");
    }

    #[test]
    fn a_connection_that_waits_cannot_be_let_in() {
        let mut server = Server::new();
        let _client = server.client(b"");
        assert!(server.turn().is_empty());
        for id in 0..4 {
            assert!(!server.home.accept(id, receiver()));
        }
        assert_eq!(server.home.waiting(server.id), 1);
    }

    #[test]
    fn silent_connections_are_given_away_after_a_while() {
        let mut server = Server::new();
        let mut first = server.client(b"");
        let asking = server.client(HEAD);
        assert_eq!(server.turn().len(), 1);
        assert!(server.home.take_silent(server.id).is_empty());
        let second = server.client(b"");
        assert!(server.turn().is_empty());
        let silent = server.home.take_silent(server.id);
        assert_eq!((silent.len(), server.home.waiting(server.id)), (1, 1));
        first.write_all(HEAD).unwrap();
        assert!(server.turn().is_empty());
        drop(silent);
        assert_eq!(server.home.take_silent(server.id).len(), 1);
        assert!(server.home.take_silent(server.id).is_empty());
        assert!(server.home.take_silent(server.id + 1).is_empty());
        drop((first, second, asking));
    }

    #[test]
    fn a_listener_goes_with_those_who_wait() {
        let mut server = Server::new();
        let waiting = server.client(b"");
        let _asking = server.client(HEAD);
        let asking = server.upgrade();
        let (origin, fds) = server.home.unlisten(server.id).unwrap();
        assert_eq!(origin, server.socket.as_raw_fd());
        assert_eq!(fds.len(), 1);
        assert!(server.home.unlisten(server.id).is_none());
        assert!(server.home.accept(asking, receiver()));

        let client = server.client(HEAD);
        assert!(server.turn().is_empty());
        assert!(server.socket.accept().is_ok());
        drop((client, waiting));

        // The next one has what came before it.
        let _client = server.client(HEAD);
        let id = server.home.listen(server.socket.as_fd()).unwrap();
        let rows = server.turn();
        assert_eq!((rows.len(), rows[0].detail), (1, id));
    }

    #[test]
    fn unix_sockets_can_listen_too() {
        let path = std::env::temp_dir().join(format!("oxws-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = UnixListener::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut home = Home::new().unwrap();
        let listener = home.listen(socket.as_fd()).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        let mut other = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        client.write_all(HEAD).unwrap();
        other.write_all(OTHER).unwrap();
        let rows = turn(&mut home, 64 * 1024);
        assert_eq!((rows.len(), &*rows[0].payload), (2, HEAD));
        assert_eq!(rest(&mut handed_over(&rows[1], listener)), OTHER);
        let id = rows[0].connection;
        assert!(home.accept(id, receiver()));
        home.set_reading(id, true);
        client.write_all(FRAME).unwrap();
        assert_eq!(turn(&mut home, 64 * 1024).len(), 2);
    }

    #[test]
    fn a_listener_that_fails_says_so_once() {
        // It does not listen, so nothing can be accepted.
        let (socket, peer) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut home = Home::new().unwrap();
        let id = home.listen(socket.as_fd()).unwrap();
        drop(peer);
        let rows = turn(&mut home, 64 * 1024);
        assert!(rows[0].is(RowKind::ListenerFailed));
        assert_eq!(
            (rows[0].connection, rows[0].length),
            (id, Errno::INVAL.raw_os_error() as u32)
        );
        assert!(turn(&mut home, 64 * 1024).is_empty());
        assert!(!home.is_due());
        assert!(home.unlisten(id).is_some());
    }

    #[test]
    fn all_can_go_at_once() {
        let mut server = Server::new();
        let mut clients = [server.client(HEAD), server.client(b"")];
        assert_eq!(server.turn().len(), 1);
        server.home.clear();
        for client in &mut clients {
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        assert!(server.turn().is_empty());
    }
}
