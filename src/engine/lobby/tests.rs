//! What the lobby takes, and what it gives back: over real sockets, in a home.

use super::super::driver::own;
use super::super::home::Home;
use super::super::listener::ACCEPTS;
use super::*;
use crate::engine::inbox::{RowKind, ROW};
use crate::protocol::receiver::{Receiver, ReceiverConfig};
use rustix::io::Errno;
use std::io::{IoSlice, Read, Write};
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
        let mut turns = (0..3).map(|_| turn_once(&mut self.home, self.heads));
        let rows = turns.find(|rows| !rows.is_empty()).unwrap();
        assert!(rows.len() == 1 && rows[0].is(RowKind::Upgrade));
        rows[0].connection
    }
}

/// A turn of the next iteration, and one of the iteration after that.
fn turn(home: &mut Home, heads: usize) -> Vec<Row> {
    let mut rows = turn_once(home, heads);
    rows.append(&mut turn_once(home, heads));
    rows
}

fn turn_once(home: &mut Home, heads: usize) -> Vec<Row> {
    home.advance();
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
        ..ReceiverConfig::default()
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

    assert_eq!(server.home.write(id, &[IoSlice::new(b"hi")]).unwrap(), 2);
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
        let rows = turn_once(&mut server.home, server.heads);
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
    }
    assert_eq!((turns, others.len()), (3, count.div_ceil(3)));
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
fn a_request_is_looked_at_in_the_iteration_after_that_of_its_connection() {
    let mut server = Server::new();
    let _client = server.client(HEAD);
    let inbox_turn = |server: &mut Server, advance: bool| {
        let (mut rows, mut slab, mut owned) = ([0; 64], vec![0; 8192], Vec::new());
        let mut heads = vec![0; server.heads];
        let mut inbox = Inbox::new(&mut rows, &mut slab, &mut owned).with_heads(&mut heads);
        if advance {
            server.home.advance();
        }
        server.home.turn(&mut inbox);
        inbox.len()
    };
    for _ in 0..4 {
        assert_eq!(inbox_turn(&mut server, false), 0);
    }
    assert!(server.home.is_due());
    assert_eq!(inbox_turn(&mut server, true), 1);
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
    let mut socket = TcpStream::from(server.home.hand_over(id).unwrap());
    assert!(server.home.hand_over(id).is_none());
    client.write_all(b"more").unwrap();
    assert_eq!(rest(&mut socket), b"more");
    assert!(server.turn().is_empty());
    socket.write_all(b"hi").unwrap();
    drop(socket);
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
